//! Commands against a replica, without sockets: `check(world, "SET a 1", "+OK")`.
//!
//! Answers are compared as they are on the wire, with a blank for each end of line.

mod bitmaps;
mod both_rules;
mod commands_page;
mod conflict_news;
mod connection;
mod expiry;
mod generic;
mod geo;
mod groups;
mod hashes;
mod isles;
mod lists;
mod push;
mod remote_events;
mod resolvers;
mod script_places;
mod scripting;
mod server;
mod sets;
mod small_kinds;
mod sorted_sets;
mod sorting;
mod streams;
mod strings;
mod transactions;
mod waiting;

use std::time::Duration;

use isles_clock::ReplicaId;
use isles_replica::{Position, Replica, ReplicaConfig};

use crate::busy::Kind;
use crate::call::Surroundings;
use crate::engine::{Host, NodeInfo, PeerInfo, Writer};
use crate::execute::{self, Plan, Stop, Work};
use crate::parser::{Batch, Parser, ParserLimits};
use crate::reply::{Protocol, Reply};
use crate::server::{ServeOptions, Server};
use crate::session::Session;
use crate::watch::Watch;

/// Some time in 2026.
const START_MS: u64 = 1_790_000_000_000;

struct World {
    server: Server,
    replica: Replica,
    session: Session,
    reply: Reply,
    wall_ms: u64,
    loading: bool,
    busy: Option<Kind>,
    good_peers: usize,
    /// Number of errands between two holds of the lock.
    errands: usize,
}

#[derive(Default)]
struct TestHost {
    good_peers: usize,
}

impl Host for TestHost {
    fn info(&self) -> NodeInfo {
        let peer = PeerInfo {
            node: "us-1".to_owned(),
            region: "us".to_owned(),
            connected: true,
            lag: Some(Duration::from_millis(3)),
            ..PeerInfo::default()
        };
        NodeInfo {
            node: "eu-1".to_owned(),
            region: "eu".to_owned(),
            role: "leader".to_owned(),
            port: 7001,
            peers: vec![peer],
            ..NodeInfo::default()
        }
    }

    fn writer(&self, replica: ReplicaId) -> Option<Writer> {
        (replica == ReplicaId::from_u128(1)).then(|| Writer {
            node: "eu-1".to_owned(),
            region: "eu".to_owned(),
        })
    }

    fn good_peers(&self, _: Duration) -> usize {
        self.good_peers
    }

    fn config(&self) -> Vec<(String, String)> {
        vec![("port".to_owned(), "7001".to_owned())]
    }
}

impl World {
    fn new() -> World {
        World::with(ServeOptions::default())
    }

    fn with(options: ServeOptions) -> World {
        let server = Server::new(options);
        let client = server.clients.add(
            "127.0.0.1:1".to_owned(),
            "127.0.0.1:7001".to_owned(),
            None,
            START_MS,
        );
        World {
            server,
            replica: Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default()),
            session: Session::new(client),
            reply: Reply::default(),
            wall_ms: START_MS,
            loading: false,
            busy: None,
            good_peers: 1,
            errands: 0,
        }
    }

    fn resp3() -> World {
        let mut world = World::new();
        world.reply.protocol = Protocol::Resp3;
        world
    }

    /// Another connection to the same replica.
    fn reconnect(&mut self) -> Session {
        let client =
            self.server
                .clients
                .add("127.0.0.1:2".to_owned(), String::new(), None, self.wall_ms);
        std::mem::replace(&mut self.session, Session::new(client))
    }

    fn run_buffer(&mut self, mut buffer: Vec<u8>) -> (String, Stop) {
        let (mut parser, mut batch, mut plan) = (
            Parser::new(ParserLimits::default()),
            Batch::new(),
            Plan::default(),
        );
        parser
            .parse(&mut buffer, &mut batch)
            .expect("a well-formed request");
        plan.prepare(&batch, &buffer);
        let mut work = Work {
            buffer: &buffer,
            batch: &batch,
            plan: &plan,
            at: 0,
        };
        let host = TestHost {
            good_peers: self.good_peers,
        };
        let mut stop = Stop::Release;
        while matches!(stop, Stop::Release | Stop::Errand) {
            self.errands += usize::from(stop == Stop::Errand);
            self.session.errands.run_here();
            let surroundings = Surroundings {
                server: &self.server,
                host: &host,
                wall_ms: self.wall_ms,
                durable: Position::ZERO,
                loading: self.loading,
                busy: self.busy,
                watch: Watch::of(&self.server, &host),
            };
            stop = execute::run(
                &mut work,
                &mut self.replica,
                &mut self.session,
                &mut self.reply,
                surroundings,
            );
        }
        let shown = String::from_utf8_lossy(self.reply.as_bytes())
            .replace("\r\n", " ")
            .trim_end()
            .to_owned();
        self.reply.clear();
        (shown, stop)
    }

    /// Runs a line, with quotes as on an inline connection.
    fn run(&mut self, line: &str) -> String {
        self.run_buffer(format!("{line}\r\n").into_bytes()).0
    }

    fn advance(&mut self, ms: u64) {
        self.wall_ms += ms;
    }
}

/// Runs each line and compares its answer.
fn check_in(world: &mut World, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(world.run(line), *expected, "{line}");
    }
}

/// The same in a new world.
fn check(cases: &[(&str, &str)]) {
    check_in(&mut World::new(), cases);
}

/// The same for a client that speaks RESP3.
fn check_resp3(cases: &[(&str, &str)]) {
    check_in(&mut World::resp3(), cases);
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";
