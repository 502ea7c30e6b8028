//! The port through which connections reach the database: a node implements it with a mutex and a log, a test
//! with a plain replica.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use isles_clock::ReplicaId;
use isles_replica::{Position, Replica};
use thiserror::Error;

use crate::hub::Inbox;

/// The replica behind its lock, and how far its log is durable.
pub trait Engine: Host {
    /// Runs the closure under the replica's lock, with the wall clock in milliseconds since 1970.
    fn hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> R;

    /// The same, unless the lock cannot be had within some milliseconds, as while a script runs: then the closure is dropped.
    ///
    /// Connections use this, so that one which cannot have the lock keeps no thread from serving the others.
    fn try_hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> Option<R> {
        Some(self.hold(act))
    }

    /// The log position through which everything is durable. Must be cheap: it is read once per read buffer.
    fn durable(&self) -> Position;

    /// Waits until everything through the position is durable.
    fn wait_durable(
        &self,
        position: Position,
    ) -> impl Future<Output = Result<(), EngineStopped>> + Send;

    /// Whether the log keeps up with the writers. Must be cheap.
    fn has_room(&self) -> bool;

    /// Waits until the log has caught up with the writers.
    fn wait_room(&self) -> impl Future<Output = ()> + Send;

    /// Syncs the log and makes a checkpoint that holds everything written until now. Without either that is done at once.
    fn save(&self) -> impl Future<Output = Result<(), EngineStopped>> + Send {
        std::future::ready(Ok(()))
    }

    /// Waits until a key that somebody waits for has changed otherwise than by a command: a peer has sent something.
    /// Without peers that never happens.
    fn wait_changed_keys(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Whether commands on keys are refused because data is still being loaded.
    fn is_loading(&self) -> bool {
        false
    }
}

/// The log takes no more writes, so what was answered since cannot become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the log has stopped; restart the node")]
pub struct EngineStopped;

/// What commands ask about the process that they run in.
///
/// These are called while the replica is held, so they must neither block nor call [`Engine::hold`].
pub trait Host: Send + Sync + 'static {
    /// For INFO and ISLES.STATUS.
    fn info(&self) -> NodeInfo;

    /// The node and the region that write under a replica id, where they are known.
    fn writer(&self, replica: ReplicaId) -> Option<Writer> {
        let _ = replica;
        None
    }

    /// Everybody who is known to write, with the id under which they do, this node included.
    fn writers(&self) -> Vec<(ReplicaId, Writer)> {
        Vec::new()
    }

    /// Hands over where messages of peers go; called once, before the first client is served.
    fn attach(&self, inbox: Inbox) {
        let _ = inbox;
    }

    /// Sends a message that a client has published to the other nodes, as far as they can be reached.
    fn publish(&self, kind: ChannelKind, channel: &[u8], payload: &[u8]) {
        let _ = (kind, channel, payload);
    }

    /// Has a checkpoint made soon; says whether none was being made already.
    fn begin_save(&self) -> bool {
        true
    }

    /// What does a step of a backup, to be run without the replica, as it reads the disk; none where there are no backups.
    fn backup(&self, step: BackupStep) -> Option<BackupJob> {
        let _ = step;
        None
    }

    /// What reads rows that are not in memory, without the replica; none where all of them always are.
    fn rows(&self) -> Option<Arc<dyn RowSource>> {
        None
    }

    /// Stops the process, soon and in order.
    ///
    /// # Errors
    /// Says why a client may not.
    fn shut_down(&self) -> Result<(), String> {
        Err("clients do not stop this process".to_owned())
    }

    /// How many peers are connected and have acknowledged something within this time.
    fn good_peers(&self, within: Duration) -> usize {
        let _ = within;
        0
    }

    /// Settings of the node that CONFIG GET shows, by their Redis names.
    fn config(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Changes a setting of the node.
    ///
    /// # Errors
    /// Says whether the node does not know it or refuses the value.
    fn set_config(&self, name: &str, value: &str) -> Result<(), ConfigError> {
        let _ = value;
        Err(ConfigError::Unknown(name.to_owned()))
    }
}

/// The table, for those who miss what is in it.
pub trait RowSource: Send + Sync {
    /// One row of the table.
    ///
    /// # Errors
    /// Says in words why it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// Calls back for every row of the table whose key starts with a prefix, in order of keys.
    ///
    /// # Errors
    /// Says in words why they cannot be read.
    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String>;

    /// No row leaves memory as long as somebody holds one of these.
    fn keep(&self) -> Kept;
}

/// A count of those who want all rows to stay in memory.
#[derive(Debug)]
pub struct Kept(Arc<AtomicUsize>);

impl Kept {
    /// One more.
    pub fn new(count: &Arc<AtomicUsize>) -> Kept {
        count.fetch_add(1, Ordering::AcqRel);
        Kept(Arc::clone(count))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a client that copies all data asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupStep {
    /// A consistent view of all data, from now on; one that another client had is gone.
    Begin,
    /// The next piece of the view with this number.
    Next(u64),
    /// The view is not needed any more.
    End(u64),
}

/// What a step of a backup gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupPiece {
    /// There is a view, with this number, and what there is to know of it.
    Begun {
        /// Its number.
        id: u64,
        /// What it is of, as JSON.
        about: String,
    },
    /// Keys and their values; none when all have been handed out.
    Items(Option<Vec<u8>>),
    /// Whether there was such a view.
    Ended(bool),
}

/// A step of a backup that waits to be done.
pub struct BackupJob(Box<dyn FnOnce() -> Result<BackupPiece, String> + Send>);

impl BackupJob {
    /// What will be done; it may block, and says in words why it failed.
    pub fn new(job: impl FnOnce() -> Result<BackupPiece, String> + Send + 'static) -> Self {
        BackupJob(Box::new(job))
    }

    pub(crate) fn run(self) -> Result<BackupPiece, String> {
        (self.0)()
    }
}

impl std::fmt::Debug for BackupJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupJob")
    }
}

/// The two namespaces of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// SUBSCRIBE, PSUBSCRIBE and PUBLISH.
    Plain,
    /// SSUBSCRIBE and SPUBLISH.
    Shard,
}

/// Why CONFIG SET failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The node has no such setting.
    #[error("unknown setting {0}")]
    Unknown(String),
    /// The setting cannot take this value, or not while the node runs.
    #[error("{0}")]
    Refused(String),
}

/// A node as INFO and ISLES.STATUS show it.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The node's name.
    pub node: String,
    /// Its region.
    pub region: String,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// `leader` or `follower`.
    pub role: String,
    /// The version of the program.
    pub version: String,
    /// The port that Redis clients connect to.
    pub port: u16,
    /// The file that its configuration was read from; empty if none was.
    pub config_file: String,
    /// The data directory.
    pub directory: String,
    /// The log's policy: `always`, `interval` or `never`.
    pub durability: String,
    /// Time since start.
    pub uptime: Duration,
    /// Memory of the process in bytes, or zero if unknown.
    pub memory_bytes: u64,
    /// Bytes that it has allocated, or zero if unknown.
    pub allocated_bytes: u64,
    /// Bytes that it may allocate before rows leave memory; zero for no limit.
    pub memory_max_bytes: u64,
    /// Bytes in the log.
    pub log_bytes: u64,
    /// The stamp up to which all regions are known to be equal, in milliseconds since 1970.
    pub watermark_ms: Option<u64>,
    /// The other nodes.
    pub peers: Vec<PeerInfo>,
    /// Its checkpoints.
    pub saves: Saves,
}

/// A node's checkpoints as INFO shows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saves {
    /// When the last one was made, in milliseconds since 1970; if there was none, when the node started.
    pub last_ms: u64,
    /// How long the last one took, if there was one since the start.
    pub last_took: Option<Duration>,
    /// Since when one is being made, or has been asked for.
    pub current: Option<Duration>,
    /// How many were made since the start.
    pub total: u64,
    /// Entries written since the last one began.
    pub changes: u64,
    /// Whether the log can no longer be written.
    pub is_log_broken: bool,
}

/// Who writes under a replica id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The node's name.
    pub node: String,
    /// Its region.
    pub region: String,
}

/// A peer as INFO and ISLES.STATUS show it.
#[derive(Clone, Debug, Default)]
pub struct PeerInfo {
    /// The peer's name.
    pub node: String,
    /// Its region.
    pub region: String,
    /// Where it is reached.
    pub address: String,
    /// Whether there is a session.
    pub connected: bool,
    /// Zero while everything that it is known to have written is applied here, else now minus the stamp of its newest
    /// entry applied.
    pub lag: Option<Duration>,
    /// Bytes that wait to be sent to it.
    pub backlog_bytes: u64,
    /// The round trip.
    pub round_trip: Option<Duration>,
}
