//! Records are settled by the same write in every region, whatever the order in which things arrive.

use isles_replica::{AddIf, Expiry, JournalRecord, ListEnd, Score, ScoreIf, Settling};
use isles_resolve::Strategy;

use crate::island::{Island, meet, meet_all, pair};

fn conflict() -> (Island, Island) {
    let (mut a, mut b) = pair();
    a.set("k", "older");
    b.now_ms += 5;
    b.set("k", "newer");
    meet(&mut a, &mut b);
    (a, b)
}

#[test]
fn a_write_that_has_seen_the_loser_settles_it_everywhere() {
    let (mut a, mut b) = conflict();
    assert!(a.only().is_open() && b.only().is_open());
    b.set("other", "v");
    meet(&mut a, &mut b);
    assert!(a.only().is_open(), "a write of another key changes nothing");
    b.now_ms += 100;
    b.set("k", "merged");
    meet(&mut a, &mut b);
    let settled = a.only().settled().expect("a later write has seen it");
    assert_eq!(Some(settled), b.only().settled());
    assert_eq!(
        (settled.how, settled.dot.replica),
        (Settling::Overwritten, b.replica.id())
    );
    assert_eq!(settled.hlc.wall_ms(), b.now_ms);
}

#[test]
fn a_deadline_or_another_field_settles_nothing() {
    let (mut a, mut b) = conflict();
    a.run(|txn| txn.set_deadline(b"k", Some(u64::MAX / 2)));
    meet(&mut a, &mut b);
    assert!(a.only().is_open() && b.only().is_open());
    let (mut a, mut b) = pair();
    for (island, value) in [(&mut a, b"older"), (&mut b, b"newer")] {
        island.run(|txn| txn.hash_put(b"h", &[(b"f", value)]).expect("a hash"));
    }
    meet(&mut a, &mut b);
    a.run(|txn| txn.hash_put(b"h", &[(b"g", b"v")]).expect("a hash"));
    meet(&mut a, &mut b);
    assert!(b.only().is_open());
    a.run(|txn| txn.hash_put(b"h", &[(b"f", b"v")]).expect("a hash"));
    meet(&mut a, &mut b);
    assert!(!a.only().is_open() && !b.only().is_open());
}

#[test]
fn deleting_the_key_settles_all_that_it_held() {
    let (mut a, mut b) = pair();
    for (island, value) in [(&mut a, b"older"), (&mut b, b"newer")] {
        let pairs: [(&[u8], &[u8]); 2] = [(b"f", value), (b"g", value)];
        island.run(|txn| txn.hash_put(b"h", &pairs).expect("a hash"));
    }
    meet(&mut a, &mut b);
    assert_eq!(a.records().len(), 2);
    b.run(|txn| txn.delete(b"h"));
    meet(&mut a, &mut b);
    for island in [&a, &b] {
        assert!(island.records().iter().all(|record| !record.is_open()));
    }
}

// The region that had made it a set before it heard of the string left the record open, the others did not.
#[test]
fn making_a_deleted_string_a_set_writes_in_another_place() {
    let (mut a, mut b) = pair();
    a.set("k", "v");
    meet(&mut a, &mut b);
    a.run(|txn| txn.delete(b"k"));
    a.run(|txn| txn.set_add(b"k", &[b"m"]).expect("a set"));
    b.now_ms += 100;
    b.set("k", "newer");
    meet(&mut a, &mut b);
    let deletion = |island: &Island| {
        let mut records = island.records().into_iter();
        let lost = records.find(|record| record.loser.value.is_none());
        lost.expect("the deletion was lost").is_open()
    };
    assert!(deletion(&a) && deletion(&b));
    a.set("k", "again");
    meet(&mut a, &mut b);
    assert!(!deletion(&a) && !deletion(&b));
}

// Each region took the first write that it heard of, and so had another one than the other.
#[test]
fn of_two_writes_that_settle_it_concurrently_the_earlier_counts_everywhere() {
    let (mut a, mut b) = conflict();
    a.now_ms += 200;
    b.now_ms += 100;
    a.set("k", "merged in a");
    b.set("k", "merged in b");
    meet(&mut a, &mut b);
    let settled = |island: &Island| {
        let mut records = island.records();
        records.retain(|record| record.loser.value.as_deref() == Some(b"older"));
        let record: JournalRecord = records.pop().expect("the first conflict");
        record.settled().expect("two writes have seen it")
    };
    assert_eq!(settled(&a), settled(&b));
    assert_eq!(
        settled(&a).dot.replica,
        b.replica.id(),
        "b's stamp is smaller"
    );
}

#[test]
fn three_regions_agree_on_every_record_that_they_share() {
    let mut islands = [Island::new(1), Island::new(2), Island::new(3)];
    for round in 0..20 {
        for (index, island) in islands.iter_mut().enumerate() {
            island.now_ms += 7 + index as u64 * 3 + round % 5;
            for key in ["a", "b"] {
                island.set(key, &format!("{round} of {index}"));
            }
        }
        let from = round as usize % 3;
        if let Ok([one, other]) = islands.get_disjoint_mut([from, (from + 1) % 3]) {
            one.learn(other);
        }
    }
    meet_all(&mut islands);
    let [a, rest @ ..] = &islands;
    let mut shared = 0;
    for record in a.records() {
        for other in rest {
            let Some(same) = other.journal().get(record.id) else {
                continue;
            };
            shared += 1;
            assert_eq!(same.settled(), record.settled(), "{record:#?}\n{same:#?}");
        }
    }
    assert!(shared > 20, "only {shared} records are shared");
}

#[test]
fn a_context_that_lacks_a_sibling_leaves_its_record_open() {
    let (mut a, mut b) = pair();
    a.run(|txn| txn.keyspace_set(b"mv:", Strategy::MultiValue));
    meet(&mut a, &mut b);
    a.set("mv:k", "one");
    let context = a.run(|txn| txn.siblings(b"mv:k").expect("there is a value").context);
    b.now_ms += 5;
    b.set("mv:k", "two");
    meet(&mut a, &mut b);
    a.now_ms += 50;
    a.run(|txn| txn.set_string_in_context(b"mv:k", b"three", &context))
        .expect("it is known here");
    meet(&mut a, &mut b);
    let open = |island: &Island| {
        let open = island.journal().open_of(b"mv:k");
        let mut lost: Vec<_> = open.map(|record| record.loser.value.clone()).collect();
        lost.sort();
        lost
    };
    assert_eq!(
        open(&a),
        [Some(b"two".to_vec())],
        "one is settled, and two has lost to three"
    );
    assert_eq!(open(&a), open(&b));
    a.run(|txn| txn.set_string(b"mv:k", b"all", Expiry::Clear));
    meet(&mut a, &mut b);
    assert_eq!((open(&a).len(), open(&b).len()), (0, 0));
}

#[test]
fn what_was_rolled_back_settles_nothing() {
    let (mut a, _) = conflict();
    a.run(|txn| {
        let savepoint = txn.savepoint();
        txn.set_string(b"k", b"never", Expiry::Clear);
        txn.roll_back(savepoint);
        txn.set_string(b"other", b"v", Expiry::Clear);
    });
    assert!(a.only().is_open());
}

/// Two islands that have written one element of a long list, or one member of a large sorted set, and know it.
fn contested_range() -> (Island, Island) {
    let (mut a, mut b) = pair();
    let names: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    a.run(|txn| {
        txn.list_push(b"l", ListEnd::Back, &names).expect("a list");
        let pairs: Vec<_> = names.iter().map(|name| (*name, Score::ZERO)).collect();
        txn.sorted_set_add(b"z", &pairs, AddIf::Always, ScoreIf::Any)
            .expect("a sorted set");
    });
    meet(&mut a, &mut b);
    for (island, number) in [(&mut a, 1.0), (&mut b, 2.0)] {
        let score = Score::try_from(number).expect("a number");
        island.run(|txn| {
            let value = number.to_string();
            txn.list_set(b"l", 40, value.as_bytes()).expect("a list");
            txn.sorted_set_add(b"z", &[(b"m40", score)], AddIf::Always, ScoreIf::Any)
                .expect("a sorted set");
        });
    }
    meet(&mut a, &mut b);
    assert_eq!((a.records().len(), b.records().len()), (2, 2));
    (a, b)
}

fn open(island: &Island) -> usize {
    let records = island.records();
    records.iter().filter(|record| record.is_open()).count()
}

// What a range removes is not named by its op, so that records about it stayed open for ever.
#[test]
fn removing_a_range_settles_what_was_lost_in_it() {
    let (mut a, mut b) = contested_range();
    b.run(|txn| txn.list_trim(b"l", 0..50).expect("a list"));
    b.run(|txn| txn.sorted_set_remove_ranks(b"z", 0..10).expect("a set"));
    meet(&mut a, &mut b);
    assert_eq!((open(&a), open(&b)), (2, 2), "it lies elsewhere");
    b.run(|txn| txn.list_trim(b"l", 0..10).expect("a list"));
    b.run(|txn| txn.sorted_set_remove_ranks(b"z", 1..60).expect("a set"));
    meet(&mut a, &mut b);
    assert_eq!((open(&a), open(&b)), (0, 0));
    let settled = |island: &Island| {
        let records = island.records();
        let each = records.iter().map(|record| (record.id, record.settled()));
        each.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(settled(&a), settled(&b));
}

#[test]
fn a_member_that_stays_settles_nothing() {
    let (mut a, mut b) = contested_range();
    // The last of all is the one that was written twice.
    b.run(|txn| txn.sorted_set_remove_ranks(b"z", 0..59).expect("a set"));
    meet(&mut a, &mut b);
    assert_eq!((open(&a), open(&b)), (2, 2));
}
