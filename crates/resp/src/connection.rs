//! One connection: read, run everything that has arrived, wait until it is durable, write once.
//!
//! There is no task and no channel per command. The answers of a read buffer go into one output buffer, and the
//! greatest log position that any of them depends on is its barrier: the buffer is written when the log is durable
//! through it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::BufMut;
use isles_replica::{Position, Replica};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::call::Surroundings;
use crate::clients::Client;
use crate::engine::{Engine, EngineStopped};
use crate::errand::Errand;
use crate::error::Failure;
use crate::execute::{self, Plan, Stop, Work};
use crate::line::Place;
use crate::parser::{Batch, Parser, ParserLimits, ProtocolError};
use crate::reply::Reply;
use crate::server::{Server, wall_ms};
use crate::session::Session;
use crate::waiting::{End, Waiting};
use crate::watch::Watch;

/// The first read buffer; most requests are small and most connections idle.
const READ_BYTES_MIN: usize = 4 << 10;
/// What one read takes at most, unless an argument under way is larger.
const READ_BYTES_MAX: usize = 64 << 10;
/// What a client may have sent behind a command that waits; the rest stays in the socket.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long a connection first leaves the replica alone that it could not have, and how long at most.
const HELD_WAIT_MIN: Duration = Duration::from_millis(1);
const HELD_WAIT_MAX: Duration = Duration::from_millis(16);
/// A connection that always has input lets others run after so many rounds.
const ROUNDS_MAX: u32 = 4;

/// Why a connection ended.
#[derive(Debug, Error)]
pub(crate) enum Closed {
    #[error("the client disconnected")]
    ByClient,
    #[error("the client was killed")]
    Killed,
    #[error("the client sent nothing for too long")]
    Idle,
    #[error("the client does not take its answers")]
    Stalled,
    #[error("an answer is larger than the limit")]
    ReplyTooLarge,
    #[error("the client asked for it")]
    OnRequest,
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error("{0}")]
    Stopped(#[from] EngineStopped),
    #[error("{0}")]
    Socket(#[from] io::Error),
}

/// Serves one client until it goes or must go.
pub(crate) async fn drive<E: Engine>(
    input: OwnedReadHalf,
    output: &OwnedWriteHalf,
    engine: &E,
    server: &Server,
    client: Arc<Client>,
) -> Result<(), Closed> {
    let limits = ParserLimits {
        request_bytes_max: server.options.max_request_bytes,
    };
    let mut connection = Connection {
        input,
        output,
        engine,
        server,
        session: Session::new(client),
        reply: Reply::default(),
        buffer: Vec::new(),
        parser: Parser::new(limits),
        batch: Batch::new(),
        plan: Plan::default(),
        rounds: 0,
        owner: None,
    };
    loop {
        connection.read().await?;
        let fault = loop {
            let parsed = connection
                .parser
                .parse(&mut connection.buffer, &mut connection.batch);
            let found_some = !connection.batch.is_empty();
            connection.run().await?;
            connection.cut();
            match parsed {
                Err(fault) => break Some(fault),
                Ok(()) if found_some && !connection.buffer.is_empty() => {}
                Ok(()) => break None,
            }
        };
        if let Some(fault) = fault {
            let failure = Failure::other(format!("ERR {fault}"));
            execute::refuse(&mut connection.reply, &failure, server);
            connection.send().await?;
            return Err(fault.into());
        }
    }
}

struct Connection<'c, E> {
    input: OwnedReadHalf,
    output: &'c OwnedWriteHalf,
    engine: &'c E,
    server: &'c Server,
    session: Session,
    reply: Reply,
    buffer: Vec<u8>,
    parser: Parser,
    batch: Batch,
    plan: Plan,
    rounds: u32,
    /// Whom the outbox wakes.
    owner: Option<Waker>,
}

impl<'c, E: Engine> Connection<'c, E> {
    /// Appends what has arrived to the buffer; waits if that is nothing, and sends messages of others meanwhile.
    async fn read(&mut self) -> Result<(), Closed> {
        // A client that gets messages without end must still be heard.
        let mut letters_first = true;
        while !self.read_or_letters(letters_first).await? {
            self.send().await?;
            letters_first = false;
        }
        Ok(())
    }

    /// The same, up to the first message of others: false if there is one.
    ///
    /// A read that does not fill its room tells tokio that the socket is empty. Trying again at once would not only cost
    /// a system call: a client that answers fast enough would keep the others waiting.
    async fn read_or_letters(&mut self, letters_first: bool) -> Result<bool, Closed> {
        if self.rounds == ROUNDS_MAX {
            self.rounds = 0;
            tokio::task::yield_now().await;
        }
        let room = self.make_room();
        let mut waited = false;
        let client = &self.session.client;
        let count = {
            let owner = &mut self.owner;
            let mut limited = (&mut self.buffer).limit(room);
            let mut reading = pin!(self.input.read_buf(&mut limited));
            let reading = poll_fn(|context| {
                // It is the same task's, and so nearly always the same one.
                if !owner
                    .as_ref()
                    .is_some_and(|owner| owner.will_wake(context.waker()))
                {
                    client.outbox.set_owner(context.waker());
                    *owner = Some(context.waker().clone());
                }
                if letters_first && client.outbox.has_letters() {
                    return Poll::Ready(None);
                }
                let poll = reading.as_mut().poll(context);
                if poll.is_pending() && client.outbox.has_letters() {
                    return Poll::Ready(None);
                }
                waited |= poll.is_pending();
                poll.map(Some)
            });
            match self.server.options.idle {
                Some(idle) if !client.is_listening() => {
                    timeout(idle, reading).await.map_err(|_| Closed::Idle)?
                }
                _ => reading.await,
            }
        };
        self.rounds = if waited { 0 } else { self.rounds + 1 };
        match count.transpose()? {
            None => Ok(false),
            Some(0) if client.is_killed() => Err(Closed::Killed),
            Some(0) => Err(Closed::ByClient),
            Some(_) => Ok(true),
        }
    }

    /// Bytes that the next read may take. The buffer grows with what has arrived, never with what was merely announced.
    fn make_room(&mut self) -> usize {
        let missing = self.parser.missing_bytes(self.buffer.len());
        let wanted = missing.min(self.buffer.len()).max(READ_BYTES_MIN);
        if self.buffer.capacity() - self.buffer.len() < wanted {
            self.buffer.reserve(wanted);
        }
        (self.buffer.capacity() - self.buffer.len()).min(READ_BYTES_MAX.max(missing))
    }

    /// Drops the executed commands from the buffer.
    fn cut(&mut self) {
        let full = self.buffer.len() == self.buffer.capacity();
        let cut = self.parser.advance(&mut self.batch);
        if cut == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..cut);
        }
        if self.buffer.is_empty() {
            self.buffer.shrink_to(READ_BYTES_MAX);
            if full && self.buffer.capacity() < READ_BYTES_MAX {
                self.buffer.reserve(self.buffer.capacity() * 2);
            }
        }
    }

    /// Runs the commands of the batch and sends their answers.
    async fn run(&mut self) -> Result<(), Closed> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.plan.prepare(&self.batch, &self.buffer);
        let server = self.server;
        let (mut at, mut held_wait) = (0, HELD_WAIT_MIN);
        let mut place = None;
        loop {
            if self.plan.writes() && !self.engine.has_room() {
                // Those behind may want to read.
                place = None;
                self.engine.wait_room().await;
            }
            if place.is_none() && !server.line.is_empty() {
                place = Some(self.join_line().await?);
            }
            if let Some(place) = &place {
                until_first(place, server).await;
            }
            let stop = self.hold(&mut at);
            if stop != Stop::Held {
                place = None;
            }
            match stop {
                Stop::Held => {
                    if place.is_none() || self.reply.len() > 0 {
                        drop(place.take());
                        place = Some(self.join_line().await?);
                    }
                    tokio::time::sleep(held_wait).await;
                    held_wait = (held_wait * 2).min(HELD_WAIT_MAX);
                }
                Stop::Save => {
                    self.engine.save().await?;
                    if at == self.batch.len() {
                        return self.finish().await;
                    }
                }
                Stop::Errand => self.run_errand().await?,
                Stop::Release => tokio::task::yield_now().await,
                Stop::Done => return self.finish().await,
                Stop::Send => self.finish().await?,
                Stop::Sleep(pause) => {
                    self.finish().await?;
                    tokio::time::sleep(pause).await;
                    if at == self.batch.len() {
                        return Ok(());
                    }
                }
                Stop::Wait => {
                    self.wait().await?;
                    if at == self.batch.len() {
                        return self.finish().await;
                    }
                }
                Stop::Paused => {
                    self.finish().await?;
                    self.server.pause.wait(&self.session.client).await;
                    if self.session.client.is_killed() {
                        return Err(Closed::Killed);
                    }
                }
                Stop::Close => {
                    self.finish().await?;
                    return Err(Closed::OnRequest);
                }
                Stop::Abort => return Err(Closed::ReplyTooLarge),
            }
        }
    }

    /// Goes to the end of the line. Answers are sent before: nobody may wait for a client that does not take them.
    async fn join_line(&mut self) -> Result<Place<'c>, Closed> {
        self.finish().await?;
        Ok(self.server.line.join())
    }

    /// Does what the next command needs without the replica. To check or try a module takes long, so earlier answers go
    /// first, and there is one such check at a time.
    async fn run_errand(&mut self) -> Result<(), Closed> {
        let Some(errand) = self.session.errands.pending.take() else {
            return Ok(());
        };
        let mut permit = None;
        if matches!(errand, Errand::Check(_) | Errand::Try(_) | Errand::Copy(_)) {
            self.finish().await?;
        }
        if matches!(errand, Errand::Check(_)) {
            permit = self.server.checks.acquire().await.ok();
        }
        // If it panics there is nothing to note: the command finds that out.
        if let Ok(done) = tokio::task::spawn_blocking(move || errand.run()).await {
            self.session.errands.note(done);
        }
        drop(permit);
        Ok(())
    }

    /// Sleeps until the command that waits gets what it wants, or its time is up.
    ///
    /// What the client sends meanwhile is kept for later, up to a limit: reading is also how one learns that it has gone.
    async fn wait(&mut self) -> Result<(), Closed> {
        let Some(mut ticket) = self.session.ticket.take() else {
            return Ok(());
        };
        let number = ticket.number;
        // From here on nothing is left behind, however this ends.
        let server = self.server;
        let _leave = Leave {
            waiting: &server.waiting,
            number,
        };
        self.finish().await?;
        let deadline = async {
            match ticket.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let mut deadline = pin!(deadline);
        let client = Arc::clone(&self.session.client);
        let end = loop {
            let room = WAITING_BYTES_MAX.saturating_sub(self.buffer.len());
            tokio::select! {
                biased;
                end = &mut ticket.end => break end.ok(),
                () = letters(&client) => self.send().await?,
                () = &mut deadline => match self.server.waiting.give_up(number) {
                    Some(answer) => break Some(End { answer, barrier: Position::ZERO }),
                    // It was served at the last moment.
                    None => break (&mut ticket.end).await.ok(),
                },
                count = read_some(&mut self.input, &mut self.buffer, room), if room > 0 => {
                    match count? {
                        0 if self.session.client.is_killed() => return Err(Closed::Killed),
                        0 => return Err(Closed::ByClient),
                        _ => {}
                    }
                }
            }
        };
        let End { answer, barrier } = end.ok_or(Closed::Killed)?;
        self.session.depend_on(barrier);
        self.reply.append(&answer);
        match self.reply.len() > self.server.options.max_reply_bytes {
            true => Err(Closed::ReplyTooLarge),
            false => Ok(()),
        }
    }

    /// Runs commands under the replica's lock, or beside it while a script is late.
    fn hold(&mut self, at: &mut usize) -> Stop {
        let Connection {
            engine,
            server,
            session,
            reply,
            buffer,
            batch,
            plan,
            ..
        } = self;
        let (durable, loading) = (engine.durable(), engine.is_loading());
        let mut work = Work {
            buffer,
            batch,
            plan,
            at: *at,
        };
        let busy = server.scripting.running.late();
        let mut run = |replica: &mut Replica, wall_ms| {
            session.client.note_activity(wall_ms, plan.last());
            let surroundings = Surroundings {
                server,
                host: *engine,
                wall_ms,
                durable,
                loading,
                busy,
                watch: Watch::of(server, *engine),
            };
            execute::run(&mut work, replica, session, reply, surroundings)
        };
        let stop = match busy {
            None => engine.try_hold(run).unwrap_or(Stop::Held),
            Some(_) => run(&mut server.aside(), wall_ms()),
        };
        *at = work.at;
        stop
    }

    async fn finish(&mut self) -> Result<(), Closed> {
        let count = self.server.meters.count(&mut self.session.counts);
        self.server
            .commands_total
            .fetch_add(count, Ordering::Relaxed);
        self.send().await
    }

    /// Sends the answers, and then what others have to say, once everything that they depend on is durable.
    async fn send(&mut self) -> Result<(), Closed> {
        if self.session.client.outbox.has_letters() {
            let barrier = self.reply.append_letters(&self.session.client.outbox);
            self.session.depend_on(barrier);
        }
        if self.session.barrier > self.engine.durable() {
            self.engine.wait_durable(self.session.barrier).await?;
        }
        let mut sent = 0;
        while sent < self.reply.len() {
            match self.output.try_write(&self.reply.as_bytes()[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    within(self.server.options.write_stall, self.output.writable()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.reply.clear();
        Ok(())
    }
}

/// Waits until those have been served that asked for the replica before, or until a script is late, beside which a connection
/// runs its commands aside.
async fn until_first(place: &Place<'_>, server: &Server) {
    let running = &server.scripting.running;
    while running.late().is_none() && timeout(HELD_WAIT_MAX, place.reached()).await.is_err() {}
}

/// Waits until others have something to say to a client.
fn letters(client: &Client) -> impl Future<Output = ()> {
    poll_fn(|context| {
        client.outbox.set_owner(context.waker());
        match client.outbox.has_letters() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
}

/// Ends a wait whose connection is dropped.
struct Leave<'s> {
    waiting: &'s Waiting,
    number: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.waiting.leave(self.number);
    }
}

async fn read_some(
    input: &mut OwnedReadHalf,
    buffer: &mut Vec<u8>,
    room: usize,
) -> io::Result<usize> {
    buffer.reserve(READ_BYTES_MIN.min(room));
    let mut limited = buffer.limit(room);
    input.read_buf(&mut limited).await
}

async fn within(
    limit: Duration,
    writable: impl Future<Output = io::Result<()>>,
) -> Result<(), Closed> {
    timeout(limit, writable)
        .await
        .map_err(|_| Closed::Stalled)??;
    Ok(())
}
