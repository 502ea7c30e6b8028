//! Metrics: what is measured where it happens is recorded there; what has a state is brought up to date here.

use std::collections::BTreeMap;

use anyhow::Context;
use isles_clock::ReplicaId;
use isles_replica::ConflictRecord;
use metrics::{Gauge, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

use super::Node;

/// Upper bounds of the buckets of every duration, in seconds: from a microsecond on, a few per decade.
const SECONDS: [f64; 20] = [
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,
    0.2, 0.5, 1.0, 5.0,
];
/// Upper bounds of the buckets of the number of entries in a frame.
const ENTRIES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Bytes of a keyspace's prefix that stand in a label.
const LABEL_BYTES_MAX: usize = 64;

/// Installs the recorder of this process and says what the metrics mean.
///
/// # Errors
/// There is one already.
pub(crate) fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full("isles_frame_entries".to_owned()), &ENTRIES)?
        .install_recorder()
        .context("cannot install the metrics recorder")?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "isles_conflicts_total",
        "Writes that lost, or became siblings, to one they had not seen"
    );
    describe_counter!("isles_remote_ops_total", "Ops of other replicas applied");
    describe_counter!(
        "isles_merged_total",
        "Concurrent updates that merged without a loser"
    );
    describe_counter!(
        "isles_conflict_discarded_bytes_total",
        Unit::Bytes,
        "Bytes of values that lost"
    );
    describe_counter!(
        "isles_divergence_total",
        "Equal histories with different content: must stay zero"
    );
    describe_counter!("isles_log_frames_total", "Own frames written to the log");
    describe_histogram!(
        "isles_log_sync_seconds",
        Unit::Seconds,
        "Time of one sync of the log"
    );
    describe_histogram!("isles_frame_entries", "Entries in one own frame");
    describe_gauge!(
        "isles_log_bytes",
        Unit::Bytes,
        "Bytes of the log's segments"
    );
    describe_gauge!("isles_keys", "Keys that readers see");
    describe_gauge!(
        "isles_rows",
        "Rows held, tombstones and expired keys included"
    );
    describe_gauge!("isles_journal_records", "Conflicts that can be looked up");
    describe_gauge!(
        "isles_undurable_bytes",
        Unit::Bytes,
        "Entries applied and not yet durable"
    );
    describe_gauge!(
        "isles_peer_connected",
        "Whether there is a session with the peer"
    );
    describe_gauge!(
        "isles_replication_lag_seconds",
        Unit::Seconds,
        "Age of the newest entry applied from the peer"
    );
    describe_gauge!(
        "isles_replication_backlog_bytes",
        Unit::Bytes,
        "Own frames that the peer has yet to be sent"
    );
    describe_gauge!(
        "isles_peer_round_trip_seconds",
        Unit::Seconds,
        "Round trip to the peer"
    );
    describe_gauge!("isles_role", "One for the role that this node has");
}

/// Gauges that exist as long as the node, and how far the journal has been counted.
pub(super) struct Meters {
    keys: Gauge,
    rows: Gauge,
    journal_records: Gauge,
    undurable_bytes: Gauge,
    counted: Mutex<Counted>,
}

/// Totals of the replica that the counters already include.
#[derive(Default)]
struct Counted {
    conflicts: u64,
    remote_ops: u64,
    merged: u64,
    discarded_bytes: u64,
}

/// What a round of counting has found.
struct Totals {
    counted: Counted,
    conflicts: BTreeMap<Labels, u64>,
}

/// Keyspace, kind, strategy, and who wrote what lost.
type Labels = (String, &'static str, String, ReplicaId);

impl Meters {
    pub(super) fn new() -> Self {
        metrics::gauge!("isles_role", "role" => "leader").set(1.0);
        metrics::counter!("isles_divergence_total").absolute(0);
        Meters {
            keys: metrics::gauge!("isles_keys"),
            rows: metrics::gauge!("isles_rows"),
            journal_records: metrics::gauge!("isles_journal_records"),
            undurable_bytes: metrics::gauge!("isles_undurable_bytes"),
            counted: Mutex::new(Counted::default()),
        }
    }
}

impl Node {
    /// Brings all metrics up to date that are read off a state.
    pub(super) fn refresh_meters(&self) {
        let mut counted = self.meters.counted.lock();
        let totals = self.database.hold(|replica, _| {
            self.meters.keys.set(replica.visible_keys() as f64);
            self.meters.rows.set(replica.rows_len() as f64);
            self.meters
                .journal_records
                .set(replica.conflicts().len() as f64);
            self.meters
                .undurable_bytes
                .set(replica.undurable_bytes() as f64);
            totals_of(replica, counted.conflicts)
        });
        self.count(&counted, &totals);
        *counted = totals.counted;
        drop(counted);
        self.refresh_peers();
    }

    fn count(&self, before: &Counted, totals: &Totals) {
        let now = &totals.counted;
        metrics::counter!("isles_remote_ops_total").increment(now.remote_ops - before.remote_ops);
        metrics::counter!("isles_merged_total").increment(now.merged - before.merged);
        metrics::counter!("isles_conflict_discarded_bytes_total")
            .increment(now.discarded_bytes - before.discarded_bytes);
        let regions = self.regions();
        for ((keyspace, kind, strategy, replica), number) in &totals.conflicts {
            let region = regions
                .get(replica)
                .cloned()
                .unwrap_or_else(|| replica.short());
            metrics::counter!("isles_conflicts_total", "keyspace" => keyspace.clone(), "kind" => *kind,
                "strategy" => strategy.clone(), "origin_region" => region)
            .increment(*number);
        }
    }

    /// The region of every replica that is known by name.
    fn regions(&self) -> BTreeMap<ReplicaId, String> {
        let own = self.database.hold(|replica, _| replica.id());
        let peers = self
            .peers
            .states()
            .into_values()
            .filter_map(|state| Some((state.replica?, state.region)));
        peers.chain([(own, self.config.region.clone())]).collect()
    }

    fn refresh_peers(&self) {
        for (peer, state) in self.peers.states() {
            if let Some(lag_ms) = self.lag_ms(&state) {
                metrics::gauge!("isles_replication_lag_seconds", "peer" => peer.clone())
                    .set(lag_ms as f64 / 1e3);
            }
            metrics::gauge!("isles_replication_backlog_bytes", "peer" => peer.clone())
                .set(state.backlog_bytes as f64);
            metrics::gauge!("isles_peer_connected", "peer" => peer.clone())
                .set(f64::from(u8::from(state.is_connected())));
            if let Some(round_trip) = state.round_trip {
                metrics::gauge!("isles_peer_round_trip_seconds", "peer" => peer)
                    .set(round_trip.as_secs_f64());
            }
        }
    }
}

fn totals_of(replica: &isles_replica::Replica, conflicts_before: u64) -> Totals {
    let journal = replica.conflicts();
    let new = (journal.total() - conflicts_before) as usize;
    let mut conflicts = BTreeMap::new();
    for record in journal.iter().rev().take(new) {
        *conflicts.entry(labels_of(record)).or_insert(0) += 1;
    }
    let counted = Counted {
        conflicts: journal.total(),
        remote_ops: replica.remote_ops(),
        merged: journal.merged(),
        discarded_bytes: journal.discarded_bytes(),
    };
    Totals { counted, conflicts }
}

fn labels_of(record: &ConflictRecord) -> Labels {
    let prefix = &record.keyspace[..record.keyspace.len().min(LABEL_BYTES_MAX)];
    let keyspace = prefix.escape_ascii().to_string();
    (
        keyspace,
        record.kind.name(),
        record.strategy.to_string(),
        record.loser.dot.replica,
    )
}
