//! A journal comes back as it was, whatever of it was in the table, and keeps within its limits.

use isles_replica::{JournalLimits, JournalRecord, RestoreIf};

use crate::island::{Island, NOW_MS, meet, pair};

fn records(replica: &isles_replica::Replica) -> Vec<JournalRecord> {
    replica.conflicts().iter().cloned().collect()
}

/// Conflicts on some keys, of which the first is settled.
fn clash(a: &mut Island, b: &mut Island, keys: std::ops::Range<u32>) {
    for key in keys.clone() {
        a.set(&format!("k{key}"), "older");
    }
    b.now_ms += 5;
    for key in keys.clone() {
        b.set(&format!("k{key}"), "newer");
    }
    a.now_ms += 1_000;
    b.now_ms += 1_000;
    meet(a, b);
    a.set(&format!("k{}", keys.start), "merged");
    meet(a, b);
}

// After a kill records were as old as the restart, and had other places: who followed the journal saw them twice.
#[test]
fn a_restart_from_the_log_gives_the_same_records() {
    let (mut a, mut b) = pair();
    clash(&mut a, &mut b, 0..5);
    let back = a.restarted(NOW_MS + 3_600_000);
    assert_eq!(records(&back), a.records());
    assert_eq!(
        back.conflicts().next_sequence(),
        a.journal().next_sequence()
    );
    let first = &records(&back)[0];
    assert_eq!((first.sequence, first.detected_ms), (1, NOW_MS + 1_000));
    let origin = first.winner.origin.as_ref().expect("it was known");
    assert_eq!((&*origin.region, origin.ahead_ms), ("us", Some(2)));
}

#[test]
fn so_does_one_from_the_table_and_one_from_both() {
    let (mut a, mut b) = pair();
    clash(&mut a, &mut b, 0..5);
    a.checkpoint();
    assert_eq!(records(&a.restarted(NOW_MS + 3_600_000)), a.records());
    clash(&mut a, &mut b, 5..9);
    assert_eq!(records(&a.restarted(NOW_MS + 3_600_000)), a.records());
    // The rows and the records are in the table, but the log is replayed from before them.
    a.write_table();
    assert_eq!(records(&a.restarted(NOW_MS + 3_600_000)), a.records());
    let id = a.records()[3].id;
    a.run(|txn| txn.restore_loser(id, RestoreIf::Same))
        .expect("nothing is in the way");
    a.flush();
    assert_eq!(records(&a.restarted(NOW_MS + 3_600_000)), a.records());
}

#[test]
fn what_is_detected_after_a_restart_goes_on_where_the_journal_was() {
    let (mut a, mut b) = pair();
    clash(&mut a, &mut b, 0..2);
    a.checkpoint();
    let back = a.restarted(NOW_MS + 10_000);
    assert_eq!(back.conflicts().next_sequence(), 3);
    let after: Vec<u64> = back
        .conflicts()
        .after(1)
        .map(|record| record.sequence)
        .collect();
    assert_eq!(after, [2]);
}

#[test]
fn the_oldest_go_when_there_are_too_many_bytes_and_are_counted() {
    let limits = JournalLimits {
        bytes: 10_000,
        ..JournalLimits::default()
    };
    let (mut a, mut b) = (Island::with(1, limits), Island::new(2));
    clash(&mut a, &mut b, 0..40);
    assert!(a.journal().bytes() <= 10_000);
    let (kept, dropped) = (a.records(), a.journal().dropped());
    assert_eq!(dropped.records as usize + kept.len(), 40);
    assert_eq!(kept.last().map(|record| record.sequence), Some(40));
    assert_eq!(
        (dropped.first_ms, dropped.last_ms),
        (NOW_MS + 1_000, NOW_MS + 1_000)
    );
    a.checkpoint();
    let back = a.restarted(NOW_MS + 10_000);
    assert_eq!(
        (records(&back), back.conflicts().dropped()),
        (kept, dropped)
    );
}

#[test]
fn old_ones_go_too() {
    let limits = JournalLimits {
        age_ms: 60_000,
        ..JournalLimits::default()
    };
    let (mut a, mut b) = (Island::with(1, limits), Island::new(2));
    clash(&mut a, &mut b, 0..3);
    a.replica.trim_journal(NOW_MS + 60_000);
    assert_eq!(a.records().len(), 3);
    a.replica.trim_journal(NOW_MS + 61_001);
    assert_eq!((a.records().len(), a.journal().dropped().records), (0, 3));
    a.checkpoint();
    assert!(records(&a.restarted(NOW_MS + 70_000)).is_empty());
}

#[test]
fn a_storm_shortens_values_and_loses_no_record() {
    let limits = JournalLimits {
        bytes: 4 << 20,
        ..JournalLimits::default()
    };
    let (mut a, mut b) = (Island::with(1, limits), Island::with(2, limits));
    let value = "v".repeat(4_000);
    for round in 0..40 {
        for key in 0..20 {
            a.set(&format!("{round}:{key}"), &value);
        }
        b.now_ms += 1;
        for key in 0..20 {
            b.set(&format!("{round}:{key}"), &value);
        }
        a.learn(&mut b);
    }
    let records = a.records();
    assert_eq!((records.len(), a.journal().dropped().records), (800, 0));
    let short = records.iter().filter(|record| record.loser.is_truncated());
    assert!(
        (200..800).contains(&short.clone().count()),
        "{}",
        short.count()
    );
    let back = a.restarted(NOW_MS + 3_600_000);
    assert_eq!(
        self::records(&back),
        records,
        "a replay shortens the same ones"
    );
    // In calm times whole values are kept again.
    a.now_ms += 600_000;
    b.now_ms += 600_000;
    a.set("calm", &value);
    b.set("calm", &value);
    a.learn(&mut b);
    let last = a.records().pop().expect("there are many");
    assert!(!last.loser.is_truncated());
}
