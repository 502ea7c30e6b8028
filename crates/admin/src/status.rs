//! What a node says about itself at `/status`. Names are an interface: removing or renaming one is a breaking change.

use serde::{Deserialize, Serialize};

/// The answer of `/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Version of the program.
    pub version: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the node.
    pub node: String,
    /// Region of the node.
    pub region: String,
    /// Its replica id, 32 hexadecimal digits.
    pub replica: String,
    /// `leader` or `follower`.
    pub role: String,
    /// Where Redis clients connect.
    pub redis: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The vector clock of everything applied here, by replica.
    pub applied: Vec<ClockEntry>,
    /// Log position through which everything is durable as the policy asks.
    pub durable: u64,
    /// Keys that clients can see.
    pub keys: u64,
    /// Digest of the whole content, hexadecimal; two nodes with equal clocks have equal digests.
    pub digest: String,
    /// Conflicts detected since the start; the journal keeps those of earlier starts too.
    pub conflicts_total: u64,
    /// The stamp up to which all regions are known to be equal, in milliseconds since 1970.
    pub convergence_watermark_ms: Option<u64>,
    /// The other nodes, as configured.
    pub peers: Vec<PeerStatus>,
    /// The log.
    pub log: LogStatus,
    /// Log position through which the table holds everything; a restart replays what follows.
    pub checkpoint: u64,
}

/// How far the entries of one replica have been applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockEntry {
    /// The replica id, 32 hexadecimal digits.
    pub replica: String,
    /// The last sequence applied.
    pub sequence: u64,
}

/// What this node knows of another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// Its region.
    pub region: String,
    /// Where it is reached.
    pub address: String,
    /// Whether there is a session now.
    pub connected: bool,
    /// Round-trip time in milliseconds, once measured.
    pub rtt_ms: Option<f64>,
    /// Zero while everything that it is known to have written is applied here, else the age of its newest entry applied,
    /// in milliseconds.
    pub lag_ms: Option<f64>,
    /// Bytes of our log that it has not acknowledged.
    pub backlog_bytes: u64,
    /// Bytes sent to it over all sessions since the start, as the network saw them.
    pub bytes_sent: u64,
    /// Bytes received from it over all sessions since the start.
    pub bytes_received: u64,
    /// Its wall clock minus this one, in milliseconds, once measured.
    pub clock_skew_ms: Option<f64>,
    /// Why the last session ended or could not begin.
    pub last_error: Option<String>,
}

/// The answer of `/conflicts/hot`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HotConflicts {
    /// Conflicts of all keys since the start.
    pub conflicts_total: u64,
    /// The keys with the most of them, most first.
    pub keys: Vec<HotConflict>,
}

/// A key that is often in conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotConflict {
    /// The key, at most its first 256 bytes; those that are not printable are escaped.
    pub key: String,
    /// Its conflicts since the start, at most.
    pub conflicts: u64,
    /// Its conflicts since the start, at least.
    pub at_least: u64,
}

/// The log of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogStatus {
    /// Bytes of all segments.
    pub bytes: u64,
    /// First position still held.
    pub first: u64,
    /// Last position written.
    pub last: u64,
    /// `always`, `interval` or `never`.
    pub sync_policy: String,
}
