//! The node as its Redis front-end sees it.

use std::sync::Arc;
use std::time::Duration;

use isles_clock::ReplicaId;
use isles_replica::{Position, Replica};
use isles_resp::{
    BackupJob, BackupPiece, BackupStep, ChannelKind, Engine, EngineStopped, Host, Inbox, NodeInfo,
    PeerInfo, RowSource, Writer,
};

use super::{Front, Node};
use crate::backup;
use crate::config::Durability;
use crate::database::backup::About;
use crate::database::wall_ms;
use crate::memory::allocated_bytes;

impl Engine for Front {
    fn hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> R {
        match self.node() {
            Some(node) => node.database.hold(act),
            None => act(&mut self.opening.replica.lock(), wall_ms()),
        }
    }

    fn try_hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> Option<R> {
        match self.node() {
            Some(node) => node.database.try_hold(act),
            None => Some(self.hold(act)),
        }
    }

    async fn save(&self) -> Result<(), EngineStopped> {
        match self.node() {
            Some(node) => node.database.save().await,
            None => Ok(()),
        }
    }

    fn durable(&self) -> Position {
        // Nothing that is answered before the log is replayed waits for it.
        self.node()
            .map_or(Position::from_u64(u64::MAX), |node| node.database.durable())
    }

    async fn wait_durable(&self, position: Position) -> Result<(), EngineStopped> {
        match self.node() {
            Some(node) => node.database.wait_durable(position).await,
            None => Ok(()),
        }
    }

    fn has_room(&self) -> bool {
        self.node().is_none_or(|node| node.database.has_room())
    }

    async fn wait_room(&self) {
        if let Some(node) = self.node() {
            node.database.wait_room().await;
        }
    }

    async fn wait_changed_keys(&self) {
        self.opened().await.database.wait_changed_keys().await;
    }

    fn is_loading(&self) -> bool {
        self.node().is_none()
    }
}

/// Who may connect may call any command; a node that any of them can stop is not what a region relies on.
const NO_SHUTDOWN: &str = "clients do not stop this node, unless its configuration says redis.allow_shutdown = \"yes\"; instead: SIGTERM";

impl Host for Front {
    fn info(&self) -> NodeInfo {
        self.node()
            .map_or_else(|| self.opening.info(), |node| node.info())
    }

    fn attach(&self, inbox: Inbox) {
        let _ = self.inbox.set(inbox.clone());
        // The node may have opened before the first client could be served.
        if let Some(node) = self.node() {
            node.peers.couriers.deliver_to(inbox);
        }
    }

    fn publish(&self, kind: ChannelKind, channel: &[u8], payload: &[u8]) {
        if let Some(node) = self.node() {
            node.peers.couriers.publish(kind, channel, payload);
        }
    }

    fn begin_save(&self) -> bool {
        self.node().is_some_and(|node| node.database.begin_save())
    }

    fn rows(&self) -> Option<Arc<dyn RowSource>> {
        Some(self.node()?.database.rows())
    }

    fn backup(&self, step: BackupStep) -> Option<BackupJob> {
        let node = Arc::clone(self.node()?);
        Some(BackupJob::new(move || {
            node.backup(step).map_err(|error| format!("{error:#}"))
        }))
    }

    fn shut_down(&self) -> Result<(), String> {
        if !self.opening.config.redis.allow_shutdown {
            return Err(NO_SHUTDOWN.to_owned());
        }
        tracing::info!("a client asks the node to stop");
        self.stop_asked.notify_one();
        Ok(())
    }

    fn good_peers(&self, within: Duration) -> usize {
        self.node().map_or(0, |node| node.peers.good(within))
    }

    fn writer(&self, replica: ReplicaId) -> Option<Writer> {
        self.node()?.peers.writer(replica)
    }

    fn writers(&self) -> Vec<(ReplicaId, Writer)> {
        self.node()
            .map_or_else(Vec::new, |node| node.peers.writers())
    }
}

impl Node {
    /// Bytes that may be allocated; zero for no limit.
    pub(super) fn memory_max(&self) -> u64 {
        self.config.memory.as_ref().map_or(0, |memory| memory.max)
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            node: self.config.node.clone(),
            region: self.config.region.clone(),
            cluster: self.config.cluster.clone(),
            role: "leader".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port: self.redis.port(),
            config_file: config_file(&self.config),
            directory: self.database.directory().display().to_string(),
            durability: policy(self.config.durability).to_owned(),
            uptime: self.started.elapsed(),
            memory_bytes: resident_bytes(),
            allocated_bytes: allocated_bytes(),
            memory_max_bytes: self.memory_max(),
            log_bytes: self.database.reader().bytes(),
            watermark_ms: self.peers.watermark_ms(),
            peers: self.peers_info(),
            saves: self.database.saves(),
        }
    }

    fn backup(&self, step: BackupStep) -> anyhow::Result<BackupPiece> {
        Ok(match step {
            BackupStep::Begin => {
                let (id, about) = self.database.begin_backup()?;
                let about = self.about_backup(&about).to_string();
                BackupPiece::Begun { id, about }
            }
            BackupStep::Next(id) => BackupPiece::Items(self.database.next_of_backup(id)?),
            BackupStep::End(id) => BackupPiece::Ended(self.database.end_backup(id)),
        })
    }

    /// What a backup says of itself; restoring needs the numbers of records.
    fn about_backup(&self, about: &About) -> serde_json::Value {
        let applied: serde_json::Map<String, serde_json::Value> = about
            .applied
            .iter()
            .map(|(replica, sequence)| (replica.to_string(), sequence.into()))
            .collect();
        serde_json::json!({
            "format": backup::FORMAT,
            "cluster": self.config.cluster,
            "node": self.config.node,
            "region": self.config.region,
            "version": env!("CARGO_PKG_VERSION"),
            "created_ms": wall_ms(),
            "checkpoint": about.checkpoint,
            "record": about.record,
            "through": about.through,
            "applied": applied,
        })
    }

    fn peers_info(&self) -> Vec<PeerInfo> {
        let peer = |(node, state): (String, crate::peers::PeerState)| PeerInfo {
            connected: state.is_connected(),
            lag: state.lag_ms().map(Duration::from_millis),
            node,
            region: state.region,
            address: state.address,
            backlog_bytes: state.backlog_bytes,
            round_trip: state.round_trip,
        };
        self.peers.states().into_iter().map(peer).collect()
    }
}

/// Where the configuration was read from, for INFO.
fn config_file(config: &crate::config::Config) -> String {
    let file = config.file.as_ref();
    file.map_or_else(String::new, |file| file.display().to_string())
}

/// The name of a policy, as the configuration has it.
pub(super) fn policy(durability: Durability) -> &'static str {
    match durability {
        Durability::Always => "always",
        Durability::Interval(_) => "interval",
        Durability::Never => "never",
    }
}

/// Memory of this process, as Linux counts it; zero elsewhere.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
