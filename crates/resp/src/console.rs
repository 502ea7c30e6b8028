//! Commands on a replica without sockets: for programs that hold a replica themselves, for tools, and for tests.

use std::fmt;

use isles_replica::{Position, Replica};

use crate::call::Surroundings;
use crate::engine::{Host, NodeInfo};
use crate::execute::{self, Plan, Stop, Work};
use crate::parser::{Batch, Parser, ParserLimits, ProtocolError};
use crate::reply::Reply;
use crate::server::{ServeOptions, Server};
use crate::session::Session;
use crate::watch::Watch;

/// Nesting of an answer; no command comes near it.
const DEPTH_MAX: usize = 32;

/// One client's place at a replica: MULTI, WATCH and the like last from one command to the next.
///
/// It speaks RESP2 and runs exactly what a connection runs. What it wrote is in the replica's open frame afterwards: an
/// embedder that promises durability waits for [`barrier`](Self::barrier) before it passes an answer on.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_replica::{Replica, ReplicaConfig};
/// use isles_resp::Console;
///
/// let mut replica = Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default());
/// let mut console = Console::new();
/// let now_ms = 1_790_000_000_000;
/// console.line(&mut replica, now_ms, "SADD basket apple pear")?;
/// let answer = console.line(&mut replica, now_ms, "SCARD basket")?;
/// assert_eq!(answer.to_string(), "2");
/// # Ok::<(), isles_resp::parser::ProtocolError>(())
/// ```
pub struct Console {
    server: Server,
    session: Session,
    host: Box<dyn Host>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

/// Answers where there is no node around the replica.
struct Nowhere;

impl Host for Nowhere {
    fn info(&self) -> NodeInfo {
        NodeInfo::default()
    }
}

impl Default for Console {
    fn default() -> Self {
        Console::new()
    }
}

impl Console {
    /// A console with nothing around the replica: INFO and the like have little to say.
    pub fn new() -> Console {
        Console::with(ServeOptions::default(), Box::new(Nowhere))
    }

    /// A console with these limits, for a replica in this process.
    pub fn with(options: ServeOptions, host: Box<dyn Host>) -> Console {
        let server = Server::new(options);
        let client = server
            .clients
            .add("console".to_owned(), String::new(), None, 0);
        Console {
            session: Session::new(client),
            server,
            host,
        }
    }

    /// Runs one line, with quotes as in redis-cli. An empty line answers [`Answer::Null`].
    ///
    /// # Errors
    /// The line has unbalanced quotes or is too long.
    pub fn line(
        &mut self,
        replica: &mut Replica,
        wall_ms: u64,
        line: &str,
    ) -> Result<Answer, ProtocolError> {
        let buffer = format!("{}\r\n", line.replace(['\r', '\n'], " ")).into_bytes();
        self.run(replica, wall_ms, buffer)
    }

    /// Runs one command given as its name and arguments.
    ///
    /// # Errors
    /// An argument is too long, or there are too many.
    pub fn command(
        &mut self,
        replica: &mut Replica,
        wall_ms: u64,
        arguments: &[&[u8]],
    ) -> Result<Answer, ProtocolError> {
        let mut buffer = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            buffer.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            buffer.extend_from_slice(argument);
            buffer.extend_from_slice(b"\r\n");
        }
        self.run(replica, wall_ms, buffer)
    }

    /// The place in the log that every answer so far depends on.
    pub fn barrier(&self) -> Position {
        self.session.barrier
    }

    fn run(
        &mut self,
        replica: &mut Replica,
        wall_ms: u64,
        mut buffer: Vec<u8>,
    ) -> Result<Answer, ProtocolError> {
        let (mut parser, mut batch, mut plan) = (
            Parser::new(ParserLimits::default()),
            Batch::new(),
            Plan::default(),
        );
        parser.parse(&mut buffer, &mut batch)?;
        plan.prepare(&batch, &buffer);
        let mut work = Work {
            buffer: &buffer,
            batch: &batch,
            plan: &plan,
            at: 0,
        };
        let surroundings = Surroundings {
            server: &self.server,
            host: &*self.host,
            wall_ms,
            durable: Position::ZERO,
            loading: false,
            busy: None,
            watch: Watch::of(&self.server, &Nowhere),
        };
        let mut reply = Reply::default();
        loop {
            let session = &mut self.session;
            match execute::run(&mut work, replica, session, &mut reply, surroundings) {
                Stop::Release => {}
                Stop::Errand => self.session.errands.run_here(),
                // Nothing waits here: it answers what it would if its time were up.
                Stop::Wait => {
                    let ticket = self.session.ticket.take();
                    let answer =
                        ticket.and_then(|ticket| self.server.waiting.give_up(ticket.number));
                    reply.append(&answer.unwrap_or_default());
                }
                _ => break,
            }
        }
        Ok(Answer::decode(&mut reply.as_bytes(), DEPTH_MAX).unwrap_or(Answer::Null))
    }
}

/// What a command answered. Shown as redis-cli prints it, without decoration: `(nil)`, `[a, b]`, `-ERR …`, and strings
/// and integers bare.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Nothing.
    Null,
    /// A string, `OK` included.
    Text(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A refusal, with its code.
    Error(String),
    /// Several answers.
    Array(Vec<Answer>),
}

impl Answer {
    /// Takes one answer off the front; none if there is none.
    fn decode(bytes: &mut &[u8], depth: usize) -> Option<Answer> {
        let line = take_line(bytes)?;
        let (kind, rest) = line.split_first()?;
        let text = String::from_utf8_lossy(rest);
        Some(match kind {
            b'+' => Answer::Text(rest.to_vec()),
            b'-' => Answer::Error(text.into_owned()),
            b':' => Answer::Integer(text.parse().ok()?),
            b'$' => match text.parse::<usize>() {
                Err(_) => Answer::Null,
                Ok(length) => {
                    let (value, after) = bytes.split_at_checked(length)?;
                    *bytes = after.strip_prefix(b"\r\n")?;
                    Answer::Text(value.to_vec())
                }
            },
            b'*' => match text.parse::<usize>() {
                Err(_) => Answer::Null,
                Ok(count) => {
                    let below = depth.checked_sub(1)?;
                    let each = (0..count).map(|_| Answer::decode(bytes, below));
                    Answer::Array(each.collect::<Option<_>>()?)
                }
            },
            _ => return None,
        })
    }
}

fn take_line<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[2..];
    Some(line)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Null => f.write_str("(nil)"),
            Answer::Text(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Answer::Integer(number) => write!(f, "{number}"),
            Answer::Error(text) => write!(f, "-{text}"),
            Answer::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}
