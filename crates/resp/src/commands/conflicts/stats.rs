//! How many conflicts, about what, and what has become of them.

use std::collections::BTreeMap;

use isles_clock::ReplicaId;
use isles_replica::journal::ConflictCounts;

use super::Reading;
use super::answer::{write_dropped, write_hot_keys, write_number};
use crate::error::Outcome;
use crate::reply::Reply;

/// Groups that an answer shows, those with the most conflicts.
const GROUPS_SHOWN: usize = 200;
/// Keys that it shows.
const KEYS_SHOWN: usize = 10;

/// Keyspace, kind, strategy, the winner's region, the loser's.
type Group = (Vec<u8>, &'static str, String, String, String);

pub(super) fn stats(reading: &Reading<'_>, reply: &mut Reply) -> Outcome {
    let journal = reading.journal;
    let open: u64 = journal.groups().map(|(_, counts)| counts.open).sum();
    let oldest = journal.iter().next();
    let oldest_open = journal.iter().find(|record| record.is_open());
    let limits = journal.limits();
    reply.map(15);
    for (name, number) in [
        ("records", journal.len() as u64),
        ("open", open),
        ("bytes", journal.bytes() as u64),
        ("bytes_max", limits.bytes as u64),
        ("age_ms_max", limits.age_ms),
        ("next_sequence", journal.next_sequence()),
        ("detected_since_start", journal.total()),
        ("dropped_since_start", journal.dropped_since_start()),
        ("truncated_since_start", journal.truncated_since_start()),
        ("last_minute", since(reading, 60_000)),
        ("last_hour", since(reading, 3_600_000)),
    ] {
        write_number(reply, name, number);
    }
    write_dropped(reply, journal);
    reply.text("ages_ms");
    reply.map(2);
    for (name, record) in [("oldest", oldest), ("oldest_open", oldest_open)] {
        reply.text(name);
        match record {
            Some(record) => {
                let age_ms = reading.now_ms.saturating_sub(record.detected_ms);
                reply.integer(i64::try_from(age_ms).unwrap_or(i64::MAX));
            }
            None => reply.null(),
        }
    }
    reply.text("groups");
    write_groups(reply, reading);
    reply.text("hot_keys");
    write_hot_keys(reply, journal, KEYS_SHOWN);
    Ok(())
}

/// Records detected in so much time.
fn since(reading: &Reading<'_>, ms: u64) -> u64 {
    let from_ms = reading.now_ms.saturating_sub(ms);
    reading.journal.detected_since(from_ms) as u64
}

fn write_groups(reply: &mut Reply, reading: &Reading<'_>) {
    let mut groups: BTreeMap<Group, ConflictCounts> = BTreeMap::new();
    for (group, counts) in reading.journal.groups() {
        let [winner, loser] = [group.winner, group.loser].map(|replica| region(replica, reading));
        let strategy = group.strategy.to_string();
        let name = (
            group.keyspace.to_vec(),
            group.kind.name(),
            strategy,
            winner,
            loser,
        );
        let sum = groups.entry(name).or_default();
        sum.detected += counts.detected;
        sum.kept += counts.kept;
        sum.open += counts.open;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.retain(|(_, counts)| *counts != ConflictCounts::default());
    groups.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.kept.max(counts.detected)));
    groups.truncate(GROUPS_SHOWN);
    reply.array(groups.len());
    for ((keyspace, kind, strategy, winner, loser), counts) in groups {
        reply.map(8);
        reply.text("keyspace");
        reply.bulk(&keyspace);
        for (name, text) in [
            ("kind", kind),
            ("strategy", &*strategy),
            ("winner", &*winner),
            ("loser", &*loser),
        ] {
            reply.text(name);
            reply.text(text);
        }
        write_number(reply, "records", counts.kept);
        write_number(reply, "open", counts.open);
        write_number(reply, "detected_since_start", counts.detected);
    }
}

/// The region of a writer, or what is known instead.
fn region(replica: Option<ReplicaId>, reading: &Reading<'_>) -> String {
    let Some(replica) = replica else {
        return "others".to_owned();
    };
    let known = reading.writer(replica).map(|writer| writer.region);
    known.unwrap_or_else(|| replica.short())
}
