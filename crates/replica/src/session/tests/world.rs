//! Nodes, and connections between them, on one clock and from one seed.

use std::collections::{BTreeMap, VecDeque};

use isles_clock::ReplicaId;
use isles_transport::{Message, Role, TrafficClass};

use super::toy::{Toy, ToyLimits};
use crate::session::{
    Direction, Effect, Effects, Host, Now, Received, Session, SessionConfig, SessionError, Timing,
};

const LANES: [TrafficClass; 3] = [
    TrafficClass::Control,
    TrafficClass::Frames,
    TrafficClass::Pull,
];

/// Messages that a lane holds before its sender has to wait.
const WINDOW: usize = 6;

/// Marsaglia's xorshift: enough chance for a test, and the same everywhere.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }

    pub(super) fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) host: Toy,
    nonce: u64,
    sessions: BTreeMap<u64, Session>,
    pub(super) errors: Vec<SessionError>,
    diverged: usize,
    moved: bool,
}

/// One connection; index 0 is the end that dialled.
#[derive(Debug)]
struct Connection {
    nodes: [usize; 2],
    sessions: [u64; 2],
    /// What is on its way *to* each end, by lane, with the time of its arrival.
    lanes: [[VecDeque<(u64, Message)>; 3]; 2],
    /// An end that has gone: once the other has read what it said last, the connection is gone.
    gone: Option<usize>,
}

/// All there is.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) nodes: Vec<Node>,
    pub(super) now_ms: u64,
    connections: Vec<Connection>,
    /// Pairs that can reach each other.
    links: BTreeMap<(usize, usize), bool>,
    next_session: u64,
    timing: Timing,
    limits: ToyLimits,
}

impl World {
    /// Nodes without any links.
    pub(super) fn new(seed: u64, nodes: usize, limits: ToyLimits) -> Self {
        let node = |index| Node {
            host: Toy::new(id(index), limits),
            nonce: 1000 + index as u64,
            sessions: BTreeMap::new(),
            errors: Vec::new(),
            diverged: 0,
            moved: false,
        };
        World {
            chance: Chance::new(seed),
            nodes: (0..nodes).map(node).collect(),
            now_ms: 0,
            connections: Vec::new(),
            links: BTreeMap::new(),
            next_session: 1,
            timing: Timing {
                pull_after_ms: 100,
                ..Timing::default()
            },
            limits,
        }
    }

    /// Everybody can reach everybody.
    pub(super) fn mesh(seed: u64, nodes: usize, limits: ToyLimits) -> Self {
        let mut world = World::new(seed, nodes, limits);
        for a in 0..nodes {
            (a + 1..nodes).for_each(|b| world.heal(a, b));
        }
        world
    }

    pub(super) fn limits(&self) -> ToyLimits {
        self.limits
    }

    pub(super) fn heal(&mut self, a: usize, b: usize) {
        self.links.insert((a.min(b), a.max(b)), true);
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.links.insert((a.min(b), a.max(b)), false);
        self.disconnect(|connection| connection.nodes == [a, b] || connection.nodes == [b, a]);
    }

    pub(super) fn pairs(&self) -> Vec<(usize, usize)> {
        self.links.keys().copied().collect()
    }

    pub(super) fn is_cut(&self, pair: (usize, usize)) -> bool {
        !self.links[&pair]
    }

    /// Restarts a node without what was not durable.
    pub(super) fn crash(&mut self, node: usize) {
        self.disconnect(|connection| connection.nodes.contains(&node));
        self.nodes[node].host.crash();
        self.nodes[node].nonce += 1000;
    }

    /// One end dials the other, whether they are connected or not.
    pub(super) fn dial(&mut self, from: usize, to: usize) {
        let sessions = [self.next_session, self.next_session + 1];
        self.next_session += 2;
        for (node, session, direction) in [
            (from, sessions[0], Direction::Dialed),
            (to, sessions[1], Direction::Accepted),
        ] {
            let config = self.config(node, session, direction);
            let now = self.now();
            self.nodes[node]
                .sessions
                .insert(session, Session::new(config, now));
        }
        self.connections.push(Connection {
            nodes: [from, to],
            sessions,
            lanes: Default::default(),
            gone: None,
        });
        self.talk(from, sessions[0]);
        self.talk(to, sessions[1]);
    }

    /// A millisecond passes.
    pub(super) fn step(&mut self) {
        self.now_ms += 1;
        for (a, b) in self.pairs() {
            let connected = self
                .connections
                .iter()
                .any(|c| c.nodes == [a, b] || c.nodes == [b, a]);
            if !self.is_cut((a, b)) && !connected && self.chance.one_in(20) {
                let (from, to) = if self.chance.one_in(2) {
                    (a, b)
                } else {
                    (b, a)
                };
                self.dial(from, to);
            }
        }
        for node in 0..self.nodes.len() {
            let apply = self.chance.one_in(3) && self.nodes[node].host.apply() > 0;
            let sync = self.chance.one_in(4) && self.nodes[node].host.sync();
            let moved = std::mem::take(&mut self.nodes[node].moved);
            self.wake_due(node, apply || sync || moved);
            self.feed(node);
        }
        self.receive();
        self.bury();
    }

    pub(super) fn run(&mut self, steps: u64) {
        (0..steps).for_each(|_| self.step());
    }

    /// Runs until everybody has everything and has shown it; panics if that takes too long.
    pub(super) fn settle(&mut self, steps_max: u64) {
        for _ in 0..steps_max {
            self.step();
            if self.is_settled() {
                return;
            }
        }
        let state = self.nodes.iter().map(|node| {
            let missing = node.host.delivery().missing(node.host.applied());
            format!(
                "\n{} waits for {missing:?}, errors {:?}",
                node.host.applied(),
                node.errors
            )
        });
        panic!("not settled: {}", state.collect::<String>());
    }

    pub(super) fn write(&mut self, node: usize) {
        let (entries, salt) = (1 + self.chance.below(3) as u32, self.chance.below(u64::MAX));
        self.nodes[node].host.write(entries, salt);
        self.nodes[node].moved = true;
    }

    /// The session of `node` with `peer`.
    pub(super) fn session(&self, node: usize, peer: usize) -> Option<&Session> {
        let is_peer = |session: &&Session| {
            session.is_established() && session.peer().map(|hello| hello.replica) == Some(id(peer))
        };
        self.nodes[node].sessions.values().find(is_peer)
    }

    /// How many connections there are, and how many there were.
    pub(super) fn connections(&self) -> (usize, u64) {
        (self.connections.len(), self.next_session / 2)
    }

    /// Everybody holds the same histories, and nothing waits.
    pub(super) fn assert_converged(&self) {
        let first = &self.nodes[0].host;
        for node in &self.nodes {
            assert_eq!(node.host.applied(), first.applied());
            assert_eq!(node.host.digest(), first.digest());
            assert_eq!(node.diverged, 0);
            for index in 0..self.nodes.len() {
                assert_eq!(node.host.chains_of(id(index)), first.chains_of(id(index)));
            }
        }
    }

    fn is_settled(&self) -> bool {
        let first = &self.nodes[0].host;
        self.nodes.iter().all(|node| {
            node.host.applied() == first.applied() && node.host.durable() == first.applied()
        })
    }

    fn now(&self) -> Now {
        Now {
            ms: self.now_ms,
            wall_ms: self.now_ms,
        }
    }

    fn config(&self, node: usize, session: u64, direction: Direction) -> SessionConfig {
        SessionConfig {
            session,
            direction,
            cluster: "isles".to_owned(),
            node: format!("node-{node}"),
            region: format!("region-{node}"),
            role: Role::Leader,
            nonce: self.nodes[node].nonce,
            proven: None,
            serves: Vec::new(),
            timing: self.timing,
        }
    }

    /// Advances the sessions that the contract says must be.
    fn wake_due(&mut self, node: usize, moved: bool) {
        let now = self.now();
        let due = |session: &Session| session.poll_timeout().is_some_and(|at| at <= now.ms);
        let sessions = &self.nodes[node].sessions;
        let awake = sessions.iter().filter(|(_, session)| moved || due(session));
        for number in awake.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.advance(node, number);
            let session = self.nodes[node].sessions.get(&number);
            let again = session.and_then(Session::poll_timeout);
            assert!(
                again.is_none_or(|at| at > now.ms),
                "a timeout that was served is over"
            );
        }
    }

    fn advance(&mut self, node: usize, number: u64) {
        let now = self.now();
        let Node { host, sessions, .. } = &mut self.nodes[node];
        let Some(session) = sessions.get_mut(&number) else {
            return;
        };
        let result = session.advance(now, host);
        self.conclude(node, number, result);
    }

    fn conclude(&mut self, node: usize, number: u64, result: Result<Effects, SessionError>) {
        self.talk(node, number);
        match result {
            Ok(effects) => effects.into_iter().for_each(|effect| match effect {
                Effect::Replace { session } => self.end(node, session),
                Effect::Wake { session } => self.advance(node, session),
                Effect::Diverged { .. } => self.nodes[node].diverged += 1,
                _ => {}
            }),
            Err(error) => {
                self.nodes[node].errors.push(error);
                self.end(node, number);
            }
        }
    }

    /// Sends what a session has to say in the control lane.
    fn talk(&mut self, node: usize, number: u64) {
        let now = self.now();
        loop {
            let Node { host, sessions, .. } = &mut self.nodes[node];
            let message = sessions
                .get_mut(&number)
                .and_then(|session| session.poll_transmit(now, host));
            let Some(message) = message else { return };
            self.send(number, 0, message);
        }
    }

    fn send(&mut self, from: u64, lane: usize, message: Message) {
        let delay_ms =
            1 + self.chance.below(5) + [0, 2, 10][lane] + self.chance.below(20) / 19 * 40;
        let find = |connection: &&mut Connection| connection.sessions.contains(&from);
        let Some(connection) = self.connections.iter_mut().find(find) else {
            return;
        };
        let to = usize::from(connection.sessions[0] == from);
        let queue = &mut connection.lanes[to][lane];
        let arrival = queue
            .back()
            .map_or(0, |last| last.0)
            .max(self.now_ms + delay_ms);
        queue.push_back((arrival, message));
    }

    fn feed(&mut self, node: usize) {
        for number in self.nodes[node]
            .sessions
            .keys()
            .copied()
            .collect::<Vec<_>>()
        {
            for (lane, class) in LANES.into_iter().enumerate().skip(1) {
                let Node { host, sessions, .. } = &mut self.nodes[node];
                let session = sessions.get_mut(&number).expect("listed above");
                let connection = self
                    .connections
                    .iter()
                    .find(|c| c.sessions.contains(&number));
                let full = connection.is_none_or(|connection| {
                    let to = usize::from(connection.sessions[0] == number);
                    connection.lanes[to][lane].len() >= WINDOW
                });
                let Some(request) = session.feed_request(class).filter(|_| !full) else {
                    continue;
                };
                let Some(batch) = host.read(&request) else {
                    continue;
                };
                for message in session.feed(&request, batch) {
                    self.send(number, lane, message);
                }
            }
        }
    }

    fn receive(&mut self) {
        let ends = self
            .connections
            .iter()
            .flat_map(|c| [(c.sessions[0], c.nodes[0]), (c.sessions[1], c.nodes[1])]);
        for (number, node) in ends.collect::<Vec<_>>() {
            for (lane, class) in LANES.into_iter().enumerate() {
                while let Some(message) = self.arrived(number, node, lane) {
                    let received = Received::decode(class, message);
                    let now = self.now();
                    let Node { host, sessions, .. } = &mut self.nodes[node];
                    let session = sessions.get_mut(&number).expect("it has just read");
                    let result = session.handle(now, received, host);
                    self.conclude(node, number, result);
                }
            }
        }
    }

    /// The next message of a lane, if it has arrived and may be read.
    fn arrived(&mut self, number: u64, node: usize, lane: usize) -> Option<Message> {
        let Node { host, sessions, .. } = &self.nodes[node];
        let session = sessions.get(&number)?;
        let connection = self
            .connections
            .iter_mut()
            .find(|c| c.sessions.contains(&number))?;
        let end = usize::from(connection.sessions[1] == number);
        let queue = &mut connection.lanes[end][lane];
        let here = queue.front().is_some_and(|first| first.0 <= self.now_ms);
        let readable = here && session.may_read(LANES[lane], host);
        readable.then(|| queue.pop_front().expect("there is a first").1)
    }

    /// A session ends; its peer notices once it has read what was said last.
    fn end(&mut self, node: usize, number: u64) {
        let Node { host, sessions, .. } = &mut self.nodes[node];
        let waiting = sessions
            .remove(&number)
            .and_then(|mut session| session.close(host));
        if let Some(connection) = self
            .connections
            .iter_mut()
            .find(|c| c.sessions.contains(&number))
        {
            connection.gone = Some(usize::from(connection.sessions[1] == number));
        }
        if let Some(waiting) = waiting {
            self.advance(node, waiting);
        }
    }

    fn bury(&mut self) {
        let ended = |connection: &Connection| {
            let reader = 1 - connection.gone?;
            let silent = connection.lanes[reader][0].is_empty();
            let deaf = !self.nodes[connection.nodes[reader]]
                .sessions
                .contains_key(&connection.sessions[reader]);
            (silent || deaf).then_some(connection.sessions)
        };
        let ended: Vec<_> = self.connections.iter().filter_map(ended).collect();
        self.disconnect(|connection| ended.contains(&connection.sessions));
    }

    fn disconnect(&mut self, which: impl Fn(&Connection) -> bool) {
        let gone: Vec<Connection> = self
            .connections
            .extract_if(.., |connection| which(connection))
            .collect();
        let ends = gone
            .iter()
            .flat_map(|connection| connection.nodes.into_iter().zip(connection.sessions));
        for (node, number) in ends {
            let Node { host, sessions, .. } = &mut self.nodes[node];
            let waiting = sessions
                .remove(&number)
                .and_then(|mut session| session.close(host));
            if let Some(waiting) = waiting {
                self.advance(node, waiting);
            }
        }
    }
}

/// The identity of the node with this number.
pub(super) fn id(node: usize) -> ReplicaId {
    ReplicaId::from_u128(node as u128 + 1)
}
