//! The node as its operator sees it.

use isles_admin::{
    ClockEntry, ConflictsError, HotConflict, HotConflicts, LogStatus, NodeStatus, PeerStatus, Probe,
};
use isles_clock::VectorClock;
use isles_resp::resp3::Value;

use super::engine::policy;
use super::{Front, Node};
use crate::peers::PeerState;

/// What the front-end says of a record that is not there.
const NO_RECORD: &str = "ERR no record";

/// Keys that `/conflicts/hot` lists unless told otherwise.
const HOT_KEYS: usize = 32;

impl Probe for Front {
    fn metrics(&self) -> String {
        if let Some(node) = self.node() {
            node.refresh_meters();
        }
        self.opening.metrics.render()
    }

    fn status(&self) -> Result<NodeStatus, String> {
        Ok(self.loaded()?.status())
    }

    fn hot_conflicts(&self, count: Option<usize>) -> Result<HotConflicts, String> {
        Ok(self.loaded()?.hot_conflicts(count.unwrap_or(HOT_KEYS)))
    }

    fn conflicts(&self, question: &[Vec<u8>]) -> Result<serde_json::Value, ConflictsError> {
        let node = self.loaded().map_err(ConflictsError::NotReady)?;
        let words: Vec<&[u8]> = question.iter().map(Vec::as_slice).collect();
        let (answer, position) = node.database.hold(|replica, wall_ms| {
            let answer = isles_resp::read_conflicts(replica, self, wall_ms, &words);
            (answer, replica.position())
        });
        let answer = answer.map_err(|why| match why.starts_with(NO_RECORD) {
            true => ConflictsError::NotFound(why),
            false => ConflictsError::Question(why),
        })?;
        // Nothing leaves before it is durable. Probes may block.
        let durable = node.database.wait_durable(position);
        tokio::runtime::Handle::current()
            .block_on(durable)
            .map_err(|error| ConflictsError::NotReady(error.to_string()))?;
        let answer =
            Value::decode(&answer.finish()).expect("invariant: the front-end answers in RESP3");
        Ok(answer.to_json())
    }

    fn ready(&self) -> Result<(), String> {
        let node = self.loaded()?;
        if let Some(reason) = node.database.failure() {
            return Err(format!("the log has stopped: {reason}"));
        }
        node.peers.exclusion().map_or(Ok(()), Err)
    }
}

impl Front {
    fn loaded(&self) -> Result<&Node, String> {
        let node = self.node().map(|node| &**node);
        node.ok_or_else(|| self.opening.progress.to_string())
    }
}

impl Node {
    fn status(&self) -> NodeStatus {
        self.peers.refresh();
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
            convergence_watermark_ms: self.peers.watermark_ms(),
            peers,
            log,
            checkpoint: self.database.checkpoint(),
        })
    }

    fn hot_conflicts(&self, count: usize) -> HotConflicts {
        self.database.hold(|replica, _| {
            let journal = replica.conflicts();
            let keys = journal.hot_keys().top(count);
            let hot = |hot: &isles_replica::HotKey| HotConflict {
                key: hot.key.escape_ascii().to_string(),
                conflicts: hot.conflicts,
                at_least: hot.conflicts - hot.error,
            };
            HotConflicts {
                conflicts_total: journal.total(),
                keys: keys.into_iter().map(hot).collect(),
            }
        })
    }

    fn peer_status(&self, node: String, state: PeerState) -> PeerStatus {
        let connected = state.is_connected();
        PeerStatus {
            lag_ms: state.lag_ms().map(|lag_ms| lag_ms as f64),
            clock_skew_ms: state.skew.map(|skew| skew.ahead_ms as f64),
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
