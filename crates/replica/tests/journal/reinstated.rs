//! What was lost to a write that its writer took back is read again, and no longer an open loss.

use isles_replica::{
    AddIf, JournalRecord, ListEnd, NewStreamId, Replica, Score, ScoreIf, Settling, StreamId,
};
use isles_resolve::Strategy;

use crate::island::{Island, NOW_MS, meet, meet_all, pair};

fn open(island: &Island) -> usize {
    let records = island.records();
    records.iter().filter(|record| record.is_open()).count()
}

/// B loses to what A has written and taken back, in turn: B has heard of the first before the second.
fn taken_back(
    lose: impl Fn(&mut Island),
    win: impl Fn(&mut Island),
    take_back: impl Fn(&mut Island),
) -> (Island, Island) {
    let (mut a, mut b) = pair();
    lose(&mut b);
    a.now_ms += 5;
    win(&mut a);
    b.learn(&mut a);
    assert_eq!((b.only().is_open(), b.only().settled()), (true, None));
    take_back(&mut a);
    meet(&mut a, &mut b);
    (a, b)
}

fn put(field: &'static [u8], value: &'static [u8]) -> impl Fn(&mut Island) {
    move |island| {
        island.run(|txn| {
            txn.hash_put(b"k", &[(field, value)])
                .map(|_| ())
                .expect("a hash")
        })
    }
}

fn score(score: f64) -> impl Fn(&mut Island) {
    let score = Score::try_from(score).expect("a number");
    move |island| {
        island.run(|txn| {
            let added = txn.sorted_set_add(b"k", &[(b"m", score)], AddIf::Always, ScoreIf::Any);
            added.map(|_| ()).expect("a sorted set");
        });
    }
}

fn delete(island: &mut Island) {
    island.run(|txn| txn.delete(b"k"));
}

fn reinstated(pair: &(Island, Island)) {
    let (a, b) = pair;
    let settled = b.only().settled().expect("nothing is lost");
    assert_eq!(settled.how, Settling::Reinstated);
    assert_eq!(settled.dot.replica, a.replica.id());
    assert_eq!(open(a), 0, "{:#?}", a.records());
}

#[test]
fn a_field_whose_winner_was_removed() {
    let remove =
        |a: &mut Island| a.run(|txn| txn.hash_remove(b"k", &[b"f"]).map(|_| ()).expect("a hash"));
    reinstated(&taken_back(put(b"f", b"lost"), put(b"f", b"won"), remove));
    reinstated(&taken_back(put(b"f", b"lost"), put(b"f", b"won"), delete));
}

#[test]
fn a_score_whose_winner_was_removed() {
    let remove = |a: &mut Island| {
        a.run(|txn| {
            txn.sorted_set_remove(b"k", &[b"m"])
                .map(|_| ())
                .expect("a sorted set")
        });
    };
    reinstated(&taken_back(score(1.0), score(2.0), remove));
}

#[test]
fn a_type_that_was_hidden() {
    let lose = |b: &mut Island| b.run(|txn| txn.set_add(b"k", &[b"m"]).map(|_| ()).expect("a set"));
    reinstated(&taken_back(lose, |a| a.set("k", "string"), delete));
    let remove =
        |a: &mut Island| a.run(|txn| txn.hash_remove(b"k", &[b"f"]).map(|_| ()).expect("a hash"));
    reinstated(&taken_back(lose, put(b"f", b"hash"), remove));
}

#[test]
fn increments_beside_what_is_text_no_longer() {
    let lose = |b: &mut Island| b.run(|txn| txn.increment(b"k", 3).map(|_| ()).expect("a number"));
    let pair = taken_back(lose, |a| a.set("k", "text"), |a| a.set("k", "40"));
    reinstated(&pair);
}

#[test]
fn an_element_whose_winner_went_with_its_list() {
    let set = |value: &'static [u8]| {
        move |island: &mut Island| {
            island.run(|txn| txn.list_set(b"k", 0, value).map(|_| ()).expect("a list"));
        }
    };
    let pop = |a: &mut Island| {
        a.run(|txn| {
            txn.list_remove(b"k", 1, b"won")
                .map(|_| ())
                .expect("a list")
        });
    };
    for take_back in [pop, delete] {
        let (mut a, mut b) = (Island::new(1), Island::new(2));
        a.run(|txn| {
            txn.list_push(b"k", ListEnd::Back, &[b"x", b"y"])
                .map(|_| ())
                .expect("a list")
        });
        meet(&mut a, &mut b);
        set(b"lost")(&mut b);
        a.now_ms += 5;
        set(b"won")(&mut a);
        b.learn(&mut a);
        assert!(b.only().is_open());
        take_back(&mut a);
        meet(&mut a, &mut b);
        reinstated(&(a, b));
    }
}

#[test]
fn an_entry_whose_twin_was_removed() {
    let id = StreamId::new(7, 7);
    let add = |value: &'static [u8]| {
        move |island: &mut Island| {
            let added = island
                .run(|txn| txn.stream_add(b"k", NewStreamId::Given(id), &[b"f", value], None));
            assert_eq!(added.expect("the id is new"), id);
        }
    };
    let remove = |a: &mut Island| {
        a.run(|txn| {
            txn.stream_remove(b"k", &[id])
                .map(|_| ())
                .expect("a stream")
        })
    };
    reinstated(&taken_back(add(b"lost"), add(b"won"), remove));
}

// Of siblings the one that is read now has lost to nobody; the others still have.
#[test]
fn a_sibling_whose_winner_was_deleted() {
    let mut islands = [Island::new(1), Island::new(2), Island::new(3)];
    islands[0].run(|txn| txn.keyspace_set(b"", Strategy::MultiValue));
    meet_all(&mut islands);
    let [a, b, c] = &mut islands;
    c.set("k", "third");
    b.now_ms += 5;
    b.set("k", "second");
    a.now_ms += 9;
    a.set("k", "first");
    b.learn(a);
    b.learn(c);
    assert_eq!(open(b), 2);
    delete(a);
    meet_all(&mut islands);
    for island in &mut islands {
        assert_eq!(island.string("k").as_deref(), Some("second"));
        let records = island.records();
        let losers = records.iter().filter(|record| record.is_open());
        let losers: Vec<_> = losers.map(|record| record.loser.value.as_deref()).collect();
        assert_eq!(losers, [Some(&b"third"[..])]);
    }
}

// The record is the one that every region has under this id.
#[test]
fn what_loses_once_more_is_open_again() {
    let remove =
        |a: &mut Island| a.run(|txn| txn.hash_remove(b"k", &[b"f"]).map(|_| ()).expect("a hash"));
    let (mut a, mut b) = taken_back(put(b"f", b"lost"), put(b"f", b"won"), remove);
    reinstated(&(a, b));
    let mut c = Island::new(3);
    (a, b) = taken_back(put(b"f", b"lost"), put(b"f", b"won"), remove);
    c.now_ms += 50;
    put(b"f", b"later")(&mut c);
    for island in [&mut a, &mut b] {
        island.learn(&mut c);
        assert!(island.only().is_open());
    }
    assert_eq!(a.only().id, b.only().id);
    put(b"f", b"merged")(&mut b);
    meet(&mut a, &mut b);
    assert_eq!(
        a.only().settled().map(|by| by.how),
        Some(Settling::Overwritten)
    );
    assert_eq!(a.only().settled(), b.only().settled());
}

#[test]
fn a_restart_knows_what_was_reinstated_and_reopened() {
    let remove =
        |a: &mut Island| a.run(|txn| txn.hash_remove(b"k", &[b"f"]).map(|_| ()).expect("a hash"));
    let (_, mut b) = taken_back(put(b"f", b"lost"), put(b"f", b"won"), remove);
    let back = |island: &Island| records(&island.restarted(NOW_MS + 1_000));
    assert_eq!(back(&b), b.records());
    b.checkpoint();
    assert_eq!(back(&b), b.records());
    let mut c = Island::new(3);
    c.now_ms += 50;
    put(b"f", b"later")(&mut c);
    b.learn(&mut c);
    assert!(b.only().is_open());
    assert_eq!(back(&b), b.records());
    b.write_table();
    assert_eq!(back(&b), b.records());
    b.checkpoint();
    assert_eq!(back(&b), b.records());
}

// The text is a type that the increment had brought already, and so the set had no record where the two had met before it.
#[test]
fn text_hides_a_set_that_hid_increments() {
    let mut islands = [Island::new(1), Island::new(2), Island::new(3)];
    let [a, b, c] = &mut islands;
    a.set("k", "text");
    b.run(|txn| txn.increment(b"k", 1).map(|_| ()).expect("a number"));
    c.run(|txn| txn.set_add(b"k", &[b"m"]).map(|_| ()).expect("a set"));
    b.learn(c);
    c.learn(b);
    assert_eq!((open(b), open(c)), (1, 1));
    meet_all(&mut islands);
    for island in &islands {
        let records = island.records();
        let mut lost: Vec<_> = records.iter().filter(|record| record.is_open()).collect();
        lost.sort_by_key(|record| record.component);
        let lost: Vec<_> = lost.iter().map(|record| record.component_name()).collect();
        assert_eq!(lost, ["set-aw", "counter"], "{records:#?}");
    }
}

fn records(replica: &Replica) -> Vec<JournalRecord> {
    replica.conflicts().iter().cloned().collect()
}
