//! The node as its Redis front-end sees it.

use std::future::Future;

use isles_replica::{Position, Replica};
use isles_resp::{Engine, EngineStopped, Host, NodeInfo, PeerInfo};

use super::Node;
use crate::config::Durability;

impl Engine for Node {
    fn hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> R {
        self.database.hold(act)
    }

    fn durable(&self) -> Position {
        self.database.durable()
    }

    fn wait_durable(
        &self,
        position: Position,
    ) -> impl Future<Output = Result<(), EngineStopped>> + Send {
        self.database.wait_durable(position)
    }

    fn has_room(&self) -> bool {
        self.database.has_room()
    }

    fn wait_room(&self) -> impl Future<Output = ()> + Send {
        self.database.wait_room()
    }
}

impl Host for Node {
    fn info(&self) -> NodeInfo {
        NodeInfo {
            node: self.config.node.clone(),
            region: self.config.region.clone(),
            cluster: self.config.cluster.clone(),
            role: "leader".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port: self.redis.port(),
            directory: self.database.directory().display().to_string(),
            durability: policy(self.config.durability).to_owned(),
            uptime: self.started.elapsed(),
            memory_bytes: resident_bytes(),
            log_bytes: self.database.reader().bytes(),
            peers: self.peers_info(),
        }
    }
}

impl Node {
    fn peers_info(&self) -> Vec<PeerInfo> {
        let peer = |(node, state): (String, crate::peers::PeerState)| PeerInfo {
            connected: state.is_connected(),
            node,
            region: state.region,
            address: state.address,
            lag: None,
            backlog_bytes: state.backlog_bytes,
            round_trip: state.round_trip,
        };
        self.peers.states().into_iter().map(peer).collect()
    }
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
