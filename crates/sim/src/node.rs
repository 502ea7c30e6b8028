//! One simulated node: its disks, its process while one runs, and the sessions of that process.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Dot, Hlc, ReplicaId, VectorClock};
use isles_replica::delivery::{Delivery, Lane};
use isles_replica::frame::{Frame, FrameError};
use isles_replica::history::Lookup;
use isles_replica::inspect::KeyContent;
use isles_replica::session::{
    BatchLimits, BucketContent, Direction, Effects, Exchange, FeedRequest, Host, Now, Place,
    Received, ReplicaHost, Session, SessionConfig, SessionError, Timing,
};
use isles_replica::{Position, delivery::Offer};
use isles_transport::{Message, Role, TrafficClass};

use crate::cold::Wants;
use crate::command::Bytes;
use crate::engine::{Disks, Engine};

/// So many messages wait in one lane of a connection before its sender is held back.
const WINDOW: usize = 24;

/// A node.
pub struct Node {
    /// Its place in the world.
    pub number: usize,
    /// What survives the process.
    pub disks: Disks,
    /// A copy of the disks, put aside.
    pub image: Option<Image>,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// How far its wall clock is off.
    pub skew_ms: i64,
    /// How often the machine has booted.
    pub boot: u64,
    /// How often a process has started.
    pub starts: u64,
    /// Its id, while the disks remember it.
    pub id: Option<ReplicaId>,
    /// What others were told to be durable here.
    pub told_durable: VectorClock,
    /// What others were promised by this id.
    pub promised: Hlc,
    /// It runs from an older image while others know what it has forgotten: nothing that it writes may be applied.
    pub is_forked: bool,
    /// An older image was put back at some time; what others say of that may arrive late.
    pub was_restored: bool,
}

/// A copy of a node's disks.
pub struct Image {
    /// The copy.
    pub disks: Disks,
    /// Whose they are.
    pub id: ReplicaId,
    /// Own entries through this one are in it.
    pub last: u64,
}

/// A running process.
pub struct Process {
    /// Its data.
    pub engine: Engine,
    /// Its sessions, by connection.
    pub sessions: BTreeMap<u64, Talk>,
    /// Answers that wait for the log.
    pub replies: Vec<Reply>,
    /// What was last seen of each key: its version for WATCH, and what readers see.
    pub watched: BTreeMap<Bytes, (u64, Option<KeyContent>)>,
    /// When sessions do what.
    pub timing: Timing,
    /// What waits for the table.
    pub wants: Wants,
    /// Everything logged, in the order of the log: by definition everything applied.
    pub logged: VectorClock,
}

/// A session and its end of the connection.
pub struct Talk {
    /// The session.
    pub session: Session,
    /// The end.
    pub end: usize,
    /// The other node.
    pub peer: usize,
}

/// An answer that waits for the log.
#[derive(Debug)]
pub struct Reply {
    /// Where the log must be durable.
    pub barrier: Position,
    /// The entries that it acknowledges.
    pub dots: Vec<Dot>,
    /// What it tells of, at the time when it was computed.
    pub keys: BTreeSet<Bytes>,
    /// The last own entry at that time.
    pub own: u64,
}

/// A replica as its sessions see it, with a lie where one is planted.
pub struct SimHost<'a> {
    host: ReplicaHost<'a>,
    lies: bool,
}

impl Process {
    /// The process as its sessions see it.
    pub fn host(engine: &mut Engine, lies: bool) -> SimHost<'_> {
        let host = ReplicaHost {
            replica: &mut engine.replica,
            exchange: &mut engine.exchange,
        };
        SimHost { host, lies }
    }

    /// Opens a session.
    pub fn open_session(
        &mut self,
        node: usize,
        peer: usize,
        id: u64,
        end: usize,
        nonce: u64,
        now: Now,
    ) {
        let config = SessionConfig {
            session: id,
            direction: if end == 0 {
                Direction::Dialed
            } else {
                Direction::Accepted
            },
            cluster: "sim".to_owned(),
            node: format!("n{node}"),
            region: format!("r{node}"),
            role: Role::Leader,
            nonce,
            proven: None,
            serves: Vec::new(),
            timing: self.timing,
        };
        let session = Session::new(config, now);
        self.sessions.insert(id, Talk { session, end, peer });
    }

    /// Hands a message to a session.
    pub fn handle(
        &mut self,
        id: u64,
        received: Received,
        now: Now,
        lies: bool,
    ) -> Result<Effects, SessionError> {
        let Some(talk) = self.sessions.get_mut(&id) else {
            return Ok(Effects::new());
        };
        talk.session
            .handle(now, received, &mut Process::host(&mut self.engine, lies))
    }

    /// Tells a session that time has passed or the replica has moved.
    pub fn advance(&mut self, id: u64, now: Now, lies: bool) -> Result<Effects, SessionError> {
        let Some(talk) = self.sessions.get_mut(&id) else {
            return Ok(Effects::new());
        };
        talk.session
            .advance(now, &mut Process::host(&mut self.engine, lies))
    }

    /// Whether a session reads its lane now.
    pub fn may_read(&mut self, id: u64, class: TrafficClass) -> bool {
        let Some(talk) = self.sessions.get(&id) else {
            return true;
        };
        talk.session
            .may_read(class, &Process::host(&mut self.engine, false))
    }

    /// What a session has to say in the control lane.
    pub fn poll_transmit(&mut self, id: u64, now: Now, lies: bool) -> Vec<Message> {
        let Some(talk) = self.sessions.get_mut(&id) else {
            return Vec::new();
        };
        let host = &mut Process::host(&mut self.engine, lies);
        std::iter::from_fn(|| talk.session.poll_transmit(now, host)).collect()
    }

    /// The next frames to send in a lane; none if there is nothing to read.
    ///
    /// # Errors
    /// The peer can no longer be served.
    pub fn feed(
        &mut self,
        id: u64,
        class: TrafficClass,
        queued: usize,
    ) -> Result<Vec<Message>, SessionError> {
        let mut messages = Vec::new();
        while queued + messages.len() < WINDOW {
            let Some(talk) = self.sessions.get_mut(&id) else {
                break;
            };
            let Some(request) = talk.session.feed_request(class) else {
                break;
            };
            let limits = BatchLimits {
                bytes: 2 << 10,
                examined: 8,
            };
            let batch = match self.engine.history.read(&request, limits) {
                Lookup::Found(batch) => batch,
                Lookup::AtEnd => break,
                Lookup::Behind if self.is_trimmed(&request) => {
                    let talk = self
                        .sessions
                        .get_mut(&id)
                        .expect("invariant: it was just there");
                    let host = &mut Process::host(&mut self.engine, false);
                    talk.session.feed_unavailable(&request, host)?;
                    break;
                }
                Lookup::Behind => {
                    let from = match request.from {
                        Place::After(number) => number + 1,
                        Place::Uncovered(_) => 0,
                    };
                    let frames = self
                        .engine
                        .frames_from(from)
                        .map(Ok::<_, std::convert::Infallible>);
                    let Ok(batch) = request.collect(frames, limits);
                    batch
                }
            };
            if batch.through == 0 {
                break;
            }
            let talk = self
                .sessions
                .get_mut(&id)
                .expect("invariant: it was just there");
            messages.extend(talk.session.feed(&request, batch));
        }
        Ok(messages)
    }

    /// Whether what a feed asks for is older than the log.
    fn is_trimmed(&self, request: &FeedRequest) -> bool {
        match &request.from {
            Place::After(number) => number + 1 < self.engine.log_first(),
            Place::Uncovered(clock) => {
                let floor = self.engine.exchange.log_floor();
                floor.iter().any(|(replica, first)| {
                    request.origins.include(*replica) && clock.get(*replica) + 1 < *first
                })
            }
        }
    }
}

/// When sessions do what; everything is faster than in a node, so that more happens in a run.
pub fn timing(audit: bool) -> Timing {
    Timing {
        hello_ms: 2_000,
        probe_ms: 300,
        probe_min_ms: 100,
        skew_every_ms: 1_000,
        ack_every_ms: 5,
        ack_idle_ms: 200,
        relay_every_ms: 50,
        pull_after_ms: 100,
        audit_every_ms: if audit { 20 } else { 500 },
        audit_buckets: if audit { 4_096 } else { 128 },
    }
}

impl Host for SimHost<'_> {
    fn id(&self) -> ReplicaId {
        self.host.id()
    }

    fn applied(&self) -> &VectorClock {
        self.host.applied()
    }

    fn durable(&self) -> &VectorClock {
        if self.lies {
            self.host.applied()
        } else {
            self.host.durable()
        }
    }

    fn promise(&mut self, wall_ms: u64) -> Hlc {
        self.host.promise(wall_ms)
    }

    fn as_of(&mut self, wall_ms: u64) -> Hlc {
        self.host.as_of(wall_ms)
    }

    fn offer(&mut self, frame: Frame, lane: Lane) -> Result<Offer, FrameError> {
        self.host.offer(frame, lane)
    }

    fn delivery(&self) -> &Delivery {
        self.host.delivery()
    }

    fn delivery_mut(&mut self) -> &mut Delivery {
        self.host.delivery_mut()
    }

    fn exchange(&self) -> &Exchange {
        self.host.exchange()
    }

    fn exchange_mut(&mut self) -> &mut Exchange {
        self.host.exchange_mut()
    }

    fn bucket(&self, bucket: u16) -> BucketContent {
        self.host.bucket(bucket)
    }

    fn digest(&self) -> u128 {
        self.host.digest()
    }
}
