//! The node as its operator sees it.

use isles_admin::{ClockEntry, LogStatus, NodeStatus, PeerStatus, Probe};
use isles_clock::VectorClock;

use super::Node;
use super::engine::policy;
use crate::database::wall_ms;
use crate::peers::PeerState;

impl Probe for Node {
    fn metrics(&self) -> String {
        self.refresh_meters();
        self.metrics.render()
    }

    fn status(&self) -> NodeStatus {
        let reader = self.database.reader();
        let log = LogStatus {
            bytes: reader.bytes(),
            first: reader.first().0,
            last: reader.last().0,
            sync_policy: policy(self.config.durability).to_owned(),
        };
        let peers = self
            .peers
            .states()
            .into_iter()
            .map(|(node, state)| self.peer_status(node, state))
            .collect();
        self.database.hold(|replica, _| NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.config.cluster.clone(),
            node: self.config.node.clone(),
            region: self.config.region.clone(),
            replica: replica.id().to_string(),
            role: "leader".to_owned(),
            redis: self.redis.to_string(),
            uptime_seconds: self.started.elapsed().as_secs(),
            applied: clock_entries(replica.applied()),
            durable: replica.durable_record(),
            keys: replica.visible_keys() as u64,
            digest: format!("{:032x}", replica.digest()),
            conflicts_total: replica.conflicts().total(),
            peers,
            log,
            checkpoint: self.database.checkpoint(),
        })
    }

    fn ready(&self) -> Result<(), String> {
        match self.database.failure() {
            Some(reason) => Err(format!("the log has stopped: {reason}")),
            None => Ok(()),
        }
    }
}

impl Node {
    fn peer_status(&self, node: String, state: PeerState) -> PeerStatus {
        let connected = state.is_connected();
        PeerStatus {
            lag_ms: self.lag_ms(&state).map(|lag_ms| lag_ms as f64),
            node,
            region: state.region,
            address: state.address,
            connected,
            rtt_ms: state
                .round_trip
                .filter(|_| connected)
                .map(|rtt| rtt.as_secs_f64() * 1e3),
            backlog_bytes: state.backlog_bytes,
            bytes_sent: state.bytes_sent,
            bytes_received: state.bytes_received,
            last_error: state.last_error,
        }
    }

    /// How old what is known of a peer's writes is: zero while everything that it is known to have written is here,
    /// else the age of the newest entry applied.
    pub(super) fn lag_ms(&self, state: &PeerState) -> Option<u64> {
        let replica = state.replica?;
        self.database.hold_state(|all, _| {
            let written = all
                .exchange
                .acks()
                .newest(replica)
                .map_or(0, |ack| ack.applied.get(replica));
            if state.is_connected() && all.replica.applied().get(replica) >= written {
                return Some(0);
            }
            Some(wall_ms().saturating_sub(all.replica.newest_of(replica)?.wall_ms()))
        })
    }
}

fn clock_entries(clock: &VectorClock) -> Vec<ClockEntry> {
    clock
        .iter()
        .map(|(replica, sequence)| ClockEntry {
            replica: replica.to_string(),
            sequence,
        })
        .collect()
}
