//! The other nodes: dialling them, accepting them, and what is known of each.

mod courier;
mod driver;
mod feeder;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isles_clock::ReplicaId;
use isles_replica::Origin;
use isles_replica::session::{
    Direction, Now, Retry, SessionConfig, SessionError, Skew, Timing, watermark,
};
use isles_resp::Writer;
use isles_transport::{AcceptError, Channel, ConnectError, Role, Transport};
use isles_transport_quic::Backoff;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::courier::Couriers;
use crate::config::{Config, Peer};
use crate::database::{Database, State, wall_ms};

/// A peer that refuses is asked again this much later: somebody has to change something first.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
/// Both ends dial; the one with the greater name lets the other one try first.
const POLITE_WAIT: Duration = Duration::from_millis(300);

/// Replica ids whose writers are remembered by name.
const NAMES_MAX: usize = 4096;

/// All peers of a node.
pub(crate) struct Peers {
    database: Arc<Database>,
    identity: Identity,
    states: Mutex<BTreeMap<String, PeerState>>,
    sessions: Mutex<HashMap<u64, Arc<Signals>>>,
    next_session: AtomicU64,
    /// Who was met under which replica id; [`NAMES_MAX`] of them.
    names: Mutex<HashMap<ReplicaId, Writer>>,
    /// In milliseconds since 1970; zero while it is not known.
    watermark_ms: AtomicU64,
    /// What clients publish.
    pub(crate) couriers: Couriers,
    started: Instant,
}

/// How a node introduces itself.
struct Identity {
    cluster: String,
    node: String,
    region: String,
    timing: Timing,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerState {
    pub(crate) region: String,
    pub(crate) address: String,
    pub(crate) replica: Option<ReplicaId>,
    /// Established sessions: two for a moment when both ends have dialled, and either may be the one that goes.
    pub(crate) sessions: usize,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) backlog_bytes: u64,
    pub(crate) last_error: Option<String>,
    /// It does not let this node take part, nor will before somebody mends that.
    excludes_us: bool,
    pub(crate) skew: Option<Skew>,
    /// The stamp of its newest entry applied here, in milliseconds since 1970.
    newest_ms: Option<u64>,
    /// All that it is known to have written is applied here.
    caught_up: bool,
    /// When it last said how far it is.
    pub(crate) acknowledged: Option<Instant>,
}

impl PeerState {
    /// How old what is known of its writes is: zero while everything that it is known to have written is here, else the
    /// age of the newest entry applied.
    pub(crate) fn lag_ms(&self) -> Option<u64> {
        match self.is_connected() && self.caught_up {
            true => Some(0),
            false => Some(wall_ms().saturating_sub(self.newest_ms?)),
        }
    }

    /// Whether there is a session.
    pub(crate) fn is_connected(&self) -> bool {
        self.sessions > 0
    }
}

/// What other tasks tell a session's driver.
#[derive(Default)]
struct Signals {
    /// Call `advance`.
    wake: Notify,
    /// A newer connection has taken over.
    replaced: Notify,
}

impl Peers {
    pub(crate) fn new(database: Arc<Database>, config: &Config, timing: Timing) -> Arc<Peers> {
        let state = |peer: &Peer| PeerState {
            region: peer.region.clone(),
            address: peer.address.clone(),
            ..PeerState::default()
        };
        let own = database.hold(|replica, _| replica.id());
        let peers = Arc::new(Peers {
            database,
            identity: Identity {
                cluster: config.cluster.clone(),
                node: config.node.clone(),
                region: config.region.clone(),
                timing,
            },
            states: Mutex::new(
                config
                    .peer
                    .iter()
                    .map(|peer| (peer.node.clone(), state(peer)))
                    .collect(),
            ),
            sessions: Mutex::new(HashMap::new()),
            next_session: AtomicU64::new(1),
            names: Mutex::new(HashMap::new()),
            watermark_ms: AtomicU64::new(0),
            couriers: Couriers::new(own, wall_ms()),
            started: Instant::now(),
        });
        peers.note_name(own, &config.node, &config.region);
        peers
    }

    /// Dials and accepts peers until it is dropped.
    pub(crate) async fn run(self: Arc<Self>, transport: Arc<dyn Transport>, configured: Vec<Peer>) {
        let mut tasks = JoinSet::new();
        for peer in configured {
            tasks.spawn(Arc::clone(&self).dial_forever(Arc::clone(&transport), peer));
        }
        loop {
            match transport.accept().await {
                Ok(channel) => {
                    let peers = Arc::clone(&self);
                    tasks.spawn(
                        async move { _ = peers.converse(channel, Direction::Accepted).await },
                    );
                }
                Err(AcceptError::Closed) => return,
                Err(error) => tracing::warn!("{error}"),
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    async fn dial_forever(self: Arc<Self>, transport: Arc<dyn Transport>, peer: Peer) {
        let mut backoff = Backoff::new(wall_ms() ^ self.database.this_start().nonce);
        if self.identity.node > peer.node {
            tokio::time::sleep(POLITE_WAIT).await;
        }
        loop {
            let wait = match self.is_connected(&peer.node) {
                true => POLITE_WAIT,
                false => self.dial(&*transport, &peer, &mut backoff).await,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt, and the whole conversation if it succeeds; says how long to wait before the next.
    async fn dial(
        &self,
        transport: &dyn Transport,
        peer: &Peer,
        backoff: &mut Backoff,
    ) -> Duration {
        let channel = match transport.connect(&peer.address).await {
            Ok(channel) => channel,
            Err(error) => {
                self.note_error(&peer.node, &error.to_string(), false);
                return match error {
                    ConnectError::Refused { .. } | ConnectError::Address { .. } => REFUSED_WAIT,
                    _ => backoff.next_wait(),
                };
            }
        };
        match self.converse(channel, Direction::Dialed).await {
            Some(Retry::Rarely) => REFUSED_WAIT,
            Some(Retry::Never) => POLITE_WAIT,
            _ => {
                *backoff = Backoff::new(wall_ms() ^ self.database.this_start().nonce);
                backoff.next_wait()
            }
        }
    }

    /// Speaks with a peer until the connection or the session ends.
    async fn converse(&self, channel: Arc<dyn Channel>, direction: Direction) -> Option<Retry> {
        let session = self.next_session.fetch_add(1, Ordering::Relaxed);
        let signals = Arc::new(Signals::default());
        self.sessions.lock().insert(session, Arc::clone(&signals));
        let ended = driver::drive(
            self,
            session,
            &*channel,
            self.session_config(session, direction, &*channel),
            &signals,
        )
        .await;
        self.sessions.lock().remove(&session);
        let node = channel.peer().node.clone();
        let reason = ended.to_string();
        channel.close(&reason).await;
        let own = self.database.hold(|replica, _| replica.id());
        if matches!(&ended, Ended::Session(error) if error.condemns(own)) {
            self.database.fail(reason.clone());
        }
        let retry = ended.retry();
        if retry != Some(Retry::Never) {
            let excludes = matches!(&ended, Ended::Session(error) if error.excludes(own));
            self.note_error(&node, &reason, excludes);
        }
        retry
    }

    fn session_config(
        &self,
        session: u64,
        direction: Direction,
        channel: &dyn Channel,
    ) -> SessionConfig {
        SessionConfig {
            session,
            direction,
            cluster: self.identity.cluster.clone(),
            node: self.identity.node.clone(),
            region: self.identity.region.clone(),
            role: Role::Leader,
            nonce: self.database.this_start().nonce,
            proven: Some(channel.peer().clone()),
            serves: Vec::new(),
            timing: self.identity.timing,
        }
    }

    /// What is known of each peer, by name.
    pub(crate) fn states(&self) -> BTreeMap<String, PeerState> {
        self.states.lock().clone()
    }

    /// How many peers are connected and have said within this time how far they are.
    pub(crate) fn good(&self, within: Duration) -> usize {
        let is_good = |state: &&PeerState| {
            let recently = state.acknowledged.is_some_and(|at| at.elapsed() <= within);
            state.is_connected() && recently
        };
        self.states.lock().values().filter(is_good).count()
    }

    /// Who writes under a replica id: this node, or one that it has met since it started.
    pub(crate) fn writer(&self, replica: ReplicaId) -> Option<Writer> {
        self.names.lock().get(&replica).cloned()
    }

    /// Everybody who is known to write, this node included.
    pub(crate) fn writers(&self) -> Vec<(ReplicaId, Writer)> {
        let names = self.names.lock();
        names
            .iter()
            .map(|(replica, writer)| (*replica, writer.clone()))
            .collect()
    }

    fn note_name(&self, replica: ReplicaId, node: &str, region: &str) {
        self.note_origin(replica, node, region, None);
        let mut names = self.names.lock();
        if names.len() < NAMES_MAX {
            names.insert(
                replica,
                Writer {
                    node: node.to_owned(),
                    region: region.to_owned(),
                },
            );
        }
    }

    /// What is recorded of this writer's conflicts from here on.
    fn note_origin(&self, replica: ReplicaId, node: &str, region: &str, skew: Option<Skew>) {
        self.database.hold(|all, _| {
            let ahead_ms = match skew {
                Some(skew) => Some(skew.ahead_ms),
                None if all.id() == replica => Some(0),
                None => None,
            };
            let origin = Origin {
                node: node.to_owned(),
                region: region.to_owned(),
                ahead_ms,
            };
            all.note_origin(replica, origin);
        });
    }

    /// The stamp up to which all regions are known to be equal, in milliseconds since 1970.
    pub(crate) fn watermark_ms(&self) -> Option<u64> {
        Some(self.watermark_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    /// Brings up to date what follows from the replica's state: how far behind each peer's writes are here, and how far
    /// all regions are equal.
    pub(crate) fn refresh(&self) {
        let known: Vec<(String, Option<ReplicaId>)> = {
            let states = self.states.lock();
            let replica = |(node, state): (&String, &PeerState)| (node.clone(), state.replica);
            states.iter().map(replica).collect()
        };
        let now = self.now();
        let (progress, watermark) = self.database.hold_state(|all, _| {
            let progress = known.iter().map(|(_, replica)| {
                let replica = (*replica)?;
                let written = all.exchange.acks().newest(replica);
                let written = written.map_or(0, |ack| ack.applied.get(replica));
                let caught_up = all.replica.applied().get(replica) >= written;
                let newest = all.replica.newest_of(replica).map(|hlc| hlc.wall_ms());
                Some((newest, caught_up))
            });
            let progress: Vec<_> = progress.collect();
            let members: Option<Vec<ReplicaId>> = known.iter().map(|known| known.1).collect();
            note_stable(all, members.as_deref());
            let watermark = members.and_then(|members| watermark(now, &members, &mut all.host()));
            (progress, watermark)
        });
        self.watermark_ms.store(
            watermark.map_or(0, |stamp| stamp.wall_ms()),
            Ordering::Relaxed,
        );
        for ((node, _), progress) in known.iter().zip(progress) {
            if let Some((newest_ms, caught_up)) = progress {
                self.change(node, |state| {
                    (state.newest_ms, state.caught_up) = (newest_ms, caught_up);
                });
            }
        }
    }

    fn is_connected(&self, node: &str) -> bool {
        self.states
            .lock()
            .get(node)
            .is_some_and(PeerState::is_connected)
    }

    fn change(&self, node: &str, change: impl FnOnce(&mut PeerState)) {
        change(self.states.lock().entry(node.to_owned()).or_default());
    }

    /// Logs an error once, however often it comes back. While another session serves, it is none.
    fn note_error(&self, node: &str, reason: &str, excludes_us: bool) {
        self.change(node, |state| {
            if !state.is_connected() && state.last_error.as_deref() != Some(reason) {
                tracing::warn!("no session with {node}: {reason}");
                state.last_error = Some(reason.to_owned());
                state.excludes_us = excludes_us;
            }
        });
    }

    /// Why this node cannot take part, where a peer said so.
    pub(crate) fn exclusion(&self) -> Option<String> {
        let states = self.states.lock();
        let (node, state) = states.iter().find(|(_, state)| state.excludes_us)?;
        let reason = state.last_error.as_deref().unwrap_or_default();
        Some(format!("{node} does not let this node take part: {reason}"))
    }

    fn now(&self) -> Now {
        Now {
            ms: self.started.elapsed().as_millis() as u64,
            wall_ms: wall_ms(),
        }
    }

    fn signals(&self, session: u64) -> Option<Arc<Signals>> {
        self.sessions.lock().get(&session).cloned()
    }
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The session says so.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// The connection is gone.
    #[error("{0}")]
    Channel(String),
    /// The log cannot be read.
    #[error("{0}")]
    Log(String),
}

impl Ended {
    fn retry(&self) -> Option<Retry> {
        match self {
            Ended::Session(error) => Some(error.retry()),
            Ended::Channel(_) | Ended::Log(_) => None,
        }
    }
}

/// Tells the replica what all configured peers are known to have; nothing as long as one of them was never heard of.
fn note_stable(all: &mut State, peers: Option<&[ReplicaId]>) {
    let Some(peers) = peers else { return };
    let applied = all.replica.applied().clone();
    let stable = match peers {
        [] => Some(applied),
        _ => {
            let stability = all.exchange.acks_mut().stability(peers, &applied);
            stability.map(|stability| stability.clock)
        }
    };
    if let Some(stable) = stable {
        all.replica.note_stable(stable);
    }
}
