//! The other nodes: dialling them, accepting them, and what is known of each.

mod driver;
mod feeder;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isles_clock::ReplicaId;
use isles_replica::session::{Direction, Now, Retry, SessionConfig, SessionError, Timing};
use isles_transport::{AcceptError, Channel, ConnectError, Role, Transport};
use isles_transport_quic::Backoff;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::config::{Config, Peer};
use crate::database::{Database, wall_ms};

/// A peer that refuses is asked again this much later: somebody has to change something first.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
/// Both ends dial; the one with the greater name lets the other one try first.
const POLITE_WAIT: Duration = Duration::from_millis(300);

/// All peers of a node.
pub(crate) struct Peers {
    database: Arc<Database>,
    identity: Identity,
    states: Mutex<BTreeMap<String, PeerState>>,
    sessions: Mutex<HashMap<u64, Arc<Signals>>>,
    next_session: AtomicU64,
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
}

impl PeerState {
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
        Arc::new(Peers {
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
            started: Instant::now(),
        })
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
                self.note_error(&peer.node, &error.to_string());
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
            &*channel,
            self.session_config(session, direction, &*channel),
            &signals,
        )
        .await;
        self.sessions.lock().remove(&session);
        let node = channel.peer().node.clone();
        let reason = ended.to_string();
        channel.close(&reason).await;
        let retry = ended.retry();
        if retry != Some(Retry::Never) {
            self.note_error(&node, &reason);
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
    fn note_error(&self, node: &str, reason: &str) {
        self.change(node, |state| {
            if !state.is_connected() && state.last_error.as_deref() != Some(reason) {
                tracing::warn!("no session with {node}: {reason}");
                state.last_error = Some(reason.to_owned());
            }
        });
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
