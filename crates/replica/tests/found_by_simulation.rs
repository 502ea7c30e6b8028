//! Histories that the simulator has found, each the shortest that shows it. What went wrong, and what it would have cost,
//! stands above each.

mod support;

use std::collections::BTreeMap;

use isles_clock::{Context, Dot, Hlc, ReplicaId, VectorClock};
use isles_replica::image::TableChange;
use isles_replica::op::Kind;
use isles_replica::{ConflictKind, Expiry, Frame, Replica, Scope, Txn};
use isles_resolve::Strategy;
use support::{NOW_MS, replica, take};

fn run<R>(replica: &mut Replica, wall_ms: u64, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
    support::run_at(replica, wall_ms, Scope::Many, act)
}

/// Seals what is open as one frame and calls it durable.
fn seal(replica: &mut Replica) -> Frame {
    let own = support::seal(replica).pop();
    own.expect("something was written")
}

// The net effect of HSET, HINCRBY and any later write of the same hash in one MULTI kept the value and dropped the
// increment, which its client had been told of.
#[test]
fn an_increment_after_a_value_in_one_entry_survives_what_follows_in_it() {
    let mut eu = replica(1);
    run(&mut eu, NOW_MS, |txn| {
        txn.hash_put(b"h", &[(b"f", b"10")]).expect("it is a hash");
        assert_eq!(txn.hash_increment(b"h", b"f", 5), Ok(15));
        txn.hash_put(b"h", &[(b"g", b"x")]).expect("it is a hash");
        assert_eq!(txn.hash_increment(b"h", b"f", 2), Ok(17));
    });
    let frame = seal(&mut eu);
    let mut us = replica(2);
    take(&mut us, &frame);
    for replica in [&mut eu, &mut us] {
        let value = run(replica, NOW_MS, |txn| {
            txn.hash_get(b"h", b"f")
                .map(|value| value.map(|value| value.to_vec()))
        });
        assert_eq!(value, Ok(Some(b"17".to_vec())));
    }
    assert_eq!(eu.content(), us.content());
}

// A restart under a wall clock that had been set back took its own logged stamps for those of a broken clock, and
// began below them: writes then broke the promises of before, and lost against what they had replaced.
#[test]
fn a_restart_begins_after_its_own_stamps_however_far_ahead_they_are() {
    let mut eu = replica(1);
    run(&mut eu, NOW_MS, |txn| {
        txn.set_string(b"k", b"v", Expiry::Clear)
    });
    let frame = seal(&mut eu);
    let promised = eu.promise();
    assert!(promised > Hlc::ZERO);

    let set_back_ms = NOW_MS - 60_000;
    let mut again = replica(1);
    again
        .replay(1, &frame, set_back_ms)
        .expect("the log is sound");
    assert_eq!(again.promise(), promised);
    assert!(again.txn(set_back_ms, Scope::Once).hlc() > promised);
}

// What a replica had followed of others is not in its log, so that a promise of it did not survive the next restart.
#[test]
fn a_restart_promises_only_its_own_stamps() {
    let (mut eu, mut us) = (replica(1), replica(2));
    run(&mut eu, NOW_MS, |txn| {
        txn.set_string(b"k", b"v", Expiry::Clear)
    });
    let own = seal(&mut eu);
    run(&mut us, NOW_MS + 900, |txn| {
        txn.set_string(b"k", b"w", Expiry::Clear)
    });
    let theirs = seal(&mut us);
    let promised = eu.promise();

    let mut again = replica(1);
    again.replay(1, &own, NOW_MS).expect("the log is sound");
    again.replay(2, &theirs, NOW_MS).expect("the log is sound");
    assert_eq!(again.promise(), promised);
}

// A write with a context, to a key that has expired, took only what the context named out of the way: what had expired
// came back beside it, and counters were reset at some replicas and not at others.
#[test]
fn a_write_with_a_context_to_an_expired_key_brings_nothing_back() {
    let mut eu = replica(1);
    run(&mut eu, NOW_MS, |txn| {
        assert_eq!(txn.increment(b"k", 5), Ok(5));
        assert!(txn.set_deadline(b"k", Some(NOW_MS + 10)));
    });
    seal(&mut eu);
    let context: VectorClock = [(ReplicaId::from_u128(1), 1)].into_iter().collect();
    run(&mut eu, NOW_MS + 20, |txn| {
        assert_eq!(txn.set_string_in_context(b"k", b"7", &context), Ok(()));
        assert_eq!(
            txn.string(b"k")
                .map(|value| value.map(|value| value.to_vec())),
            Ok(Some(b"7".to_vec()))
        );
    });
    assert!(eu.content()[&b"k"[..]].counter.is_empty());
}

// A key that had come to hold two types was reported again by later writes that had seen both, and a hash of counters
// was recorded under a dot that nobody had written.
#[test]
fn a_type_conflict_names_two_writes_that_had_not_seen_each_other() {
    let (mut eu, mut us) = (replica(1), replica(2));
    run(&mut eu, NOW_MS, |txn| txn.hash_increment(b"k", b"f", 5)).expect("it is a hash");
    let hash = seal(&mut eu);
    run(&mut us, NOW_MS, |txn| txn.set_add(b"k", &[b"m"])).expect("it is a set");
    let set = seal(&mut us);
    take(&mut eu, &set);
    take(&mut us, &hash);
    for replica in [&eu, &us] {
        let records: Vec<_> = replica.conflicts().iter().collect();
        let [record] = records[..] else {
            panic!("{records:?}")
        };
        assert_eq!(
            (record.kind, record.component),
            (ConflictKind::Type, Some(Kind::SetAw))
        );
        assert_eq!(record.winner.dot, Dot::new(ReplicaId::from_u128(1), 1));
        assert_eq!(record.loser.dot, Dot::new(ReplicaId::from_u128(2), 1));
    }

    // The hash is visible at both; one more field in it, with the set in sight, is no new conflict anywhere.
    run(&mut us, NOW_MS, |txn| txn.hash_remove(b"k", &[b"f"])).expect("it is a hash");
    let removed = seal(&mut us);
    run(&mut eu, NOW_MS, |txn| txn.hash_increment(b"k", b"f", 1)).expect("it is a hash");
    let more = seal(&mut eu);
    take(&mut us, &more);
    take(&mut eu, &removed);
    assert_eq!(us.conflicts().len(), 1);
    assert_eq!(eu.content(), us.content());
}

// After a restart the buckets did not know what had changed them, so that peers that lacked those entries compared
// their sums and cried divergence.
#[test]
fn a_bucket_knows_after_a_restart_what_has_changed_it() {
    for checkpoint_first in [true, false] {
        let mut eu = replica(1);
        let (before, _) = eu.begin_checkpoint();
        run(&mut eu, NOW_MS, |txn| {
            txn.set_string(b"k", b"v", Expiry::Clear)
        });
        let frame = seal(&mut eu);
        let (after, _) = eu.begin_checkpoint();
        let mut table = BTreeMap::new();
        eu.take_images(10).encode(&mut |change| {
            if let TableChange::Put(key, value) = change {
                table.insert(key, value);
            }
        });

        let mut again = replica(1);
        again.restore(if checkpoint_first { &before } else { &after });
        let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
            let rows = table.iter().filter(|(key, _)| key.starts_with(prefix));
            rows.for_each(|(key, value)| each(key, value));
        };
        again.load_table(scan, NOW_MS).expect("the table is sound");
        if checkpoint_first {
            again.replay(1, &frame, NOW_MS).expect("the log is sound");
        }
        assert_eq!(again.content(), eu.content());
        let written = frame.last_dot();
        let buckets = (0..=u16::MAX)
            .map(|bucket| again.bucket_sum(bucket))
            .filter(|(sum, _)| *sum != 0);
        let changed: Vec<_> = buckets.map(|(_, changed)| changed).collect();
        assert!(
            matches!(&changed[..], [only] if only.covers(written)),
            "{changed:?}"
        );
    }
}

// Once the empty prefix was multi-value, further definitions became multi-value registers themselves, which nobody
// reads: they were acknowledged and had no effect.
#[test]
fn definitions_of_keyspaces_are_no_part_of_any_keyspace() {
    let mut eu = replica(1);
    run(&mut eu, NOW_MS, |txn| {
        txn.keyspace_set(b"", Strategy::MultiValue)
    });
    run(&mut eu, NOW_MS, |txn| {
        txn.keyspace_set(b"log:", Strategy::Lww)
    });
    run(&mut eu, NOW_MS, |txn| {
        assert_eq!(
            txn.keyspace_of(b"log:1"),
            (b"log:".to_vec(), Strategy::Lww.into())
        );
        assert_eq!(
            txn.keyspace_of(b"other"),
            (Vec::new(), Strategy::MultiValue.into())
        );
    });
}
