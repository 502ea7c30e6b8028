//! What of the log waits for whom.

use super::{Database, writer::clock_of};

impl Database {
    /// Per configured peer, the bytes of finished segments that it has not acknowledged as durable. They stay in the log
    /// for its sake, whatever else may hold them.
    pub(crate) fn blocked_bytes(&self) -> Vec<(String, u64)> {
        let segments = self.reader.segments();
        let peers = self.peers_durable.lock();
        let blocked = |durable: &isles_clock::VectorClock| {
            let held = segments
                .windows(2)
                .skip_while(|pair| durable.dominates(&clock_of(&pair[1].note)));
            held.map(|pair| pair[0].bytes).sum()
        };
        peers
            .iter()
            .map(|(node, durable)| (node.clone(), blocked(durable)))
            .collect()
    }
}
