//! Metrics: what is measured where it happens is recorded there; what has a state is brought up to date here.

mod labels;
mod observer;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use isles_clock::ReplicaId;
use isles_replica::ResolverName;
use isles_replica::journal::ConflictGroup;
use isles_resolve::Failure;
use metrics::{Gauge, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

use self::labels::KeyspaceLabels;
pub(super) use self::observer::observer;
use super::Node;
use crate::memory::allocated_bytes;

/// Upper bounds of the buckets of every duration, in seconds: from a microsecond on, a few per decade.
const SECONDS: [f64; 20] = [
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,
    0.2, 0.5, 1.0, 5.0,
];
/// Upper bounds of the buckets of the number of entries in a frame.
const ENTRIES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Upper bounds of the buckets of a resolution's time: most take less than a microsecond.
const RESOLUTION_SECONDS: [f64; 10] = [1e-7, 2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2];
/// Upper bounds of the buckets of how long a conflict stays open: from an instant to a week.
const OPEN_SECONDS: [f64; 10] = [
    0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0,
];
/// Upper bounds of the buckets of the number of siblings.
const SIBLINGS: [f64; 8] = [2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0];

/// Installs the recorder of this process and says what the metrics mean.
///
/// # Errors
/// There is one already.
pub(crate) fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(full("isles_frame_entries"), &ENTRIES)?
        .set_buckets_for_metric(full("isles_resolution_seconds"), &RESOLUTION_SECONDS)?
        .set_buckets_for_metric(full("isles_conflict_open_seconds"), &OPEN_SECONDS)?
        .set_buckets_for_metric(full("isles_siblings"), &SIBLINGS)?
        .install_recorder()
        .context("cannot install the metrics recorder")?;
    describe();
    Ok(handle)
}

fn full(name: &str) -> Matcher {
    Matcher::Full(name.to_owned())
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "isles_conflicts_total",
        "Writes that lost, or became siblings, to one they had not seen"
    );
    describe_counter!("isles_commands_total", "Commands of Redis clients");
    describe_histogram!(
        "isles_command_seconds",
        Unit::Seconds,
        "Time of one command in 64"
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
        "Rows in memory, tombstones and expired keys included"
    );
    describe_gauge!(
        "isles_cold_rows",
        "Rows that are only in the table, and are read from there when somebody wants them"
    );
    describe_gauge!(
        "isles_memory_allocated_bytes",
        Unit::Bytes,
        "Bytes that the process has allocated, of memory.max"
    );
    describe_gauge!(
        "isles_memory_max_bytes",
        Unit::Bytes,
        "memory.max; zero where there is no limit"
    );
    describe_counter!(
        "isles_rows_evicted_total",
        "Rows that have left memory because of memory.max"
    );
    describe_counter!(
        "isles_rows_loaded_total",
        "Rows and parts of rows read from the table, by for whom: client, peer, deadline, start"
    );
    describe_gauge!("isles_journal_records", "Conflicts that can be looked up");
    describe_gauge!(
        "isles_journal_bytes",
        Unit::Bytes,
        "Memory that they take, of journal.bytes"
    );
    describe_counter!(
        "isles_journal_dropped_total",
        "Conflicts that can no longer be looked up, because of journal.bytes or journal.age_ms"
    );
    describe_counter!(
        "isles_journal_truncated_total",
        "Conflicts of which a value was shortened, because of its size or of a storm"
    );
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
        "Zero while all that the peer is known to have written is here, else the age of its newest entry applied"
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
    describe_counter!(
        "isles_publications_sent_total",
        "Messages of PUBLISH and SPUBLISH sent to the peer"
    );
    describe_counter!(
        "isles_publications_received_total",
        "Messages of PUBLISH and SPUBLISH that came from the peer"
    );
    describe_counter!(
        "isles_publications_dropped_total",
        "Messages of PUBLISH and SPUBLISH that a slow peer was not sent"
    );
    describe_counter!(
        "isles_outbox_overflows_total",
        "Clients that were disconnected because they did not read their messages"
    );
    describe_gauge!("isles_role", "One for the role that this node has");
    describe_histogram!(
        "isles_resolution_seconds",
        Unit::Seconds,
        "Compute time of settling one conflict, or of one read of siblings"
    );
    describe_histogram!(
        "isles_siblings",
        "Values that stand beside each other after a conflict that left several"
    );
    describe_histogram!(
        "isles_conflict_open_seconds",
        Unit::Seconds,
        "From the conflict's detection to the write that has seen all its values"
    );
    describe_counter!(
        "isles_resolver_failures_total",
        "Sets of siblings that a resolver should have answered for and could not"
    );
    describe_gauge!(
        "isles_resolver_failed_keys",
        "Keys whose readers get siblings because a resolver has failed"
    );
    describe_gauge!(
        "isles_conflict_open_oldest_seconds",
        Unit::Seconds,
        "How long the oldest conflict has been waiting for a write that has seen all values of its key"
    );
    describe_gauge!(
        "isles_conflicts_open",
        "Keys whose conflict waits for a write that has seen all its values"
    );
    describe_gauge!(
        "isles_clock_skew_seconds",
        Unit::Seconds,
        "The peer's wall clock minus this one"
    );
    describe_gauge!(
        "isles_convergence_watermark_seconds",
        Unit::Seconds,
        "Seconds since 1970 up to which all regions are known to be equal"
    );
    describe_gauge!(
        "isles_stability_blocked_bytes",
        Unit::Bytes,
        "Finished segments of the log that the member has not acknowledged as durable"
    );
}

/// Gauges that exist as long as the node, and how far the journal has been counted.
pub(super) struct Meters {
    keys: Gauge,
    rows: Gauge,
    cold_rows: Gauge,
    allocated_bytes: Gauge,
    memory_max_bytes: Gauge,
    journal_records: Gauge,
    journal_bytes: Gauge,
    undurable_bytes: Gauge,
    conflicts_open: Gauge,
    conflict_open_oldest: Gauge,
    resolver_failed_keys: Gauge,
    counted: Mutex<Counted>,
}

/// Totals of the replica that the counters already include.
#[derive(Default)]
struct Counted {
    conflicts: BTreeMap<Labels, u64>,
    merged: u64,
    discarded_bytes: u64,
    labels: KeyspaceLabels,
}

/// What a round of counting has found.
struct Totals {
    merged: u64,
    discarded_bytes: u64,
    conflicts: BTreeMap<Labels, u64>,
    /// By the label of the keyspace.
    remote_ops: BTreeMap<String, u64>,
    resolver_failures: Vec<(ResolverName, Failure, u64)>,
}

/// Keyspace, kind, strategy, and who wrote what lost and what won.
type Labels = (
    String,
    &'static str,
    String,
    Option<ReplicaId>,
    Option<ReplicaId>,
);

/// How long one waits at most for another to bring the metrics up to date.
const PATIENCE: Duration = Duration::from_millis(5);

impl Meters {
    pub(super) fn new() -> Self {
        metrics::gauge!("isles_role", "role" => "leader").set(1.0);
        metrics::counter!("isles_divergence_total").absolute(0);
        Meters {
            keys: metrics::gauge!("isles_keys"),
            rows: metrics::gauge!("isles_rows"),
            cold_rows: metrics::gauge!("isles_cold_rows"),
            allocated_bytes: metrics::gauge!("isles_memory_allocated_bytes"),
            memory_max_bytes: metrics::gauge!("isles_memory_max_bytes"),
            journal_records: metrics::gauge!("isles_journal_records"),
            journal_bytes: metrics::gauge!("isles_journal_bytes"),
            undurable_bytes: metrics::gauge!("isles_undurable_bytes"),
            conflicts_open: metrics::gauge!("isles_conflicts_open"),
            conflict_open_oldest: metrics::gauge!("isles_conflict_open_oldest_seconds"),
            resolver_failed_keys: metrics::gauge!("isles_resolver_failed_keys"),
            counted: Mutex::new(Counted::default()),
        }
    }
}

impl Node {
    /// Brings all metrics up to date that are read off a state.
    pub(super) fn refresh_meters(&self) {
        // Whoever holds this may wait for the replica; then it is no use to wait as well, and would keep a worker from others.
        let Some(mut counted) = self.meters.counted.try_lock_for(PATIENCE) else {
            return;
        };
        self.meters.allocated_bytes.set(allocated_bytes() as f64);
        self.meters.memory_max_bytes.set(self.memory_max() as f64);
        let totals = self.database.hold(|replica, wall_ms| {
            let since_ms = replica.open_conflicts_since_ms().unwrap_or(wall_ms);
            let oldest_ms = wall_ms.saturating_sub(since_ms);
            self.meters.conflict_open_oldest.set(oldest_ms as f64 / 1e3);
            self.meters.keys.set(replica.visible_keys() as f64);
            self.meters.rows.set(replica.rows_len() as f64);
            self.meters.cold_rows.set(replica.cold_rows() as f64);
            self.meters
                .journal_records
                .set(replica.conflicts().len() as f64);
            let journal = replica.conflicts();
            self.meters.journal_bytes.set(journal.bytes() as f64);
            metrics::counter!("isles_journal_dropped_total")
                .absolute(journal.dropped_since_start());
            metrics::counter!("isles_journal_truncated_total")
                .absolute(journal.truncated_since_start());
            self.meters
                .undurable_bytes
                .set(replica.undurable_bytes() as f64);
            self.meters
                .conflicts_open
                .set(replica.open_conflicts() as f64);
            self.meters
                .resolver_failed_keys
                .set(replica.failed_keys().len() as f64);
            totals_of(replica, &mut counted)
        });
        self.count(&counted, &totals);
        counted.conflicts = totals.conflicts;
        counted.merged = totals.merged;
        counted.discarded_bytes = totals.discarded_bytes;
        drop(counted);
        self.refresh_peers();
    }

    fn count(&self, before: &Counted, now: &Totals) {
        metrics::counter!("isles_merged_total").increment(now.merged - before.merged);
        metrics::counter!("isles_conflict_discarded_bytes_total")
            .increment(now.discarded_bytes - before.discarded_bytes);
        for (keyspace, number) in &now.remote_ops {
            metrics::counter!("isles_remote_ops_total", "keyspace" => keyspace.clone())
                .absolute(*number);
        }
        for (name, failure, number) in &now.resolver_failures {
            metrics::counter!("isles_resolver_failures_total", "resolver" => name.to_string(),
                "failure" => failure.name())
            .absolute(*number);
        }
        for (labels, number) in &now.conflicts {
            let new = number - before.conflicts.get(labels).unwrap_or(&0);
            let (keyspace, kind, strategy, loser, winner) = labels;
            if new > 0 {
                metrics::counter!("isles_conflicts_total", "keyspace" => keyspace.clone(), "kind" => *kind,
                    "strategy" => strategy.clone(), "origin_region" => self.region_of(*loser),
                    "winner_region" => self.region_of(*winner))
                .increment(new);
            }
        }
    }

    /// What a label says of a writer; none stands for those whose conflicts are counted together.
    fn region_of(&self, writer: Option<ReplicaId>) -> String {
        let Some(replica) = writer else {
            return "others".to_owned();
        };
        let known = self.peers.writer(replica);
        known.map_or_else(|| replica.short(), |writer| writer.region)
    }

    fn refresh_peers(&self) {
        self.peers.refresh();
        if let Some(watermark_ms) = self.peers.watermark_ms() {
            metrics::gauge!("isles_convergence_watermark_seconds").set(watermark_ms as f64 / 1e3);
        }
        for (member, bytes) in self.database.blocked_bytes() {
            metrics::gauge!("isles_stability_blocked_bytes", "member" => member).set(bytes as f64);
        }
        for (peer, state) in self.peers.states() {
            if let Some(skew) = state.skew {
                metrics::gauge!("isles_clock_skew_seconds", "peer" => peer.clone())
                    .set(skew.ahead_ms as f64 / 1e3);
            }
            if let Some(lag_ms) = state.lag_ms() {
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

fn totals_of(replica: &isles_replica::Replica, counted: &mut Counted) -> Totals {
    let journal = replica.conflicts();
    let mut conflicts = BTreeMap::new();
    for (group, counts) in journal.groups() {
        let labels = labels_of(group, &mut counted.labels);
        *conflicts.entry(labels).or_insert(0) += counts.detected;
    }
    let mut remote_ops = BTreeMap::new();
    for (prefix, number) in replica.remote_ops() {
        *remote_ops.entry(counted.labels.of(prefix)).or_insert(0) += number;
    }
    Totals {
        merged: journal.merged(),
        discarded_bytes: journal.discarded_bytes(),
        conflicts,
        remote_ops,
        resolver_failures: replica.resolver_failures(),
    }
}

fn labels_of(group: &ConflictGroup, labels: &mut KeyspaceLabels) -> Labels {
    (
        labels.of(&group.keyspace),
        group.kind.name(),
        group.strategy.to_string(),
        group.loser,
        group.winner,
    )
}
