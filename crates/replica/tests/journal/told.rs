//! Whoever observes the journal is told of each new record once, and of nothing that was there before.

use std::sync::{Arc, Mutex};

use isles_clock::ReplicaId;
use isles_replica::{Journal, JournalLimits, JournalObserver, Position};

use crate::island::{Island, NOW_MS, meet, pair};

/// Sequences, each with the place at which it is durable.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<(u64, Position)>>>);

impl Told {
    fn take(&self) -> Vec<(u64, Position)> {
        std::mem::take(&mut *self.0.lock().expect("no test panics here"))
    }

    fn sequences(&self) -> Vec<u64> {
        let told = self.take().into_iter();
        told.map(|(sequence, _)| sequence).collect()
    }
}

impl JournalObserver for Told {
    fn recorded(&mut self, own: ReplicaId, journal: &Journal, first: u64, position: Position) {
        assert_eq!(own, ReplicaId::from_u128(1));
        let mut told = self.0.lock().expect("no test panics here");
        let new = journal.after(first - 1);
        told.extend(new.map(|record| (record.sequence, position)));
    }
}

fn clash(a: &mut Island, b: &mut Island, keys: std::ops::Range<u32>) {
    for key in keys {
        a.set(&format!("k{key}"), "a");
        b.set(&format!("k{key}"), "b");
    }
    meet(a, b);
}

#[test]
fn each_record_is_told_once_when_it_can_no_longer_change() {
    let (mut a, mut b) = pair();
    clash(&mut a, &mut b, 0..2);
    let told = Told::default();
    a.replica.observe_journal(Some(Box::new(told.clone())));
    clash(&mut a, &mut b, 2..4);
    let news = told.take();
    assert_eq!(news.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 4]);
    let durable = a.replica.durable_record();
    for (sequence, position) in news {
        assert!(position.frame() <= durable, "{sequence}");
    }
    // Without the record of the log that they wait for they would be as old as the restart.
    a.lose_last_record();
    let later = a.restarted(NOW_MS + 60_000);
    let newest = later.conflicts().iter().last().expect("a record");
    assert_eq!(newest.detected_ms, NOW_MS + 60_000);
    a.replica.observe_journal(None);
    clash(&mut a, &mut b, 4..5);
    assert!(told.sequences().is_empty());
}

#[test]
fn a_record_that_does_not_stay_is_told_too() {
    let limits = JournalLimits {
        bytes: 10_000,
        ..JournalLimits::default()
    };
    let (mut a, mut b) = (Island::with(1, limits), Island::new(2));
    let told = Told::default();
    a.replica.observe_journal(Some(Box::new(told.clone())));
    clash(&mut a, &mut b, 0..40);
    assert!(a.records().len() < 40);
    assert_eq!(told.sequences(), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_replay_tells_nobody() {
    let (mut a, mut b) = pair();
    clash(&mut a, &mut b, 0..3);
    // The log ended before it said when they were detected: it is told now.
    a.lose_last_record();
    let mut back = a.restarted(NOW_MS);
    let told = Told::default();
    back.observe_journal(Some(Box::new(told.clone())));
    assert_eq!((back.conflicts().len(), back.take_unlogged().len()), (3, 1));
    assert!(told.sequences().is_empty());
}
