//! What is lost with a sketch or a bounded counter that another region deletes: a record for each change, whichever of the
//! two arrives first.

use isles_clock::ReplicaId;
use isles_replica::{
    ConflictKind, EscrowError, Expiry, JournalRecord, RestoreError, RestoreIf, RestoreOutcome,
    Settling, Txn, hyll,
};

use crate::island::{Island, meet, meet_all, pair};

fn add(element: &'static str) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| {
        let added = txn.sketch_add(b"k", &[element.as_bytes()]);
        assert!(added.expect("a sketch"));
    }
}

fn increment(by: u64) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| _ = txn.bounded_increment(b"k", by).expect("a counter")
}

fn decrement(by: u64) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| _ = txn.bounded_decrement(b"k", by).expect("enough rights")
}

fn delete(txn: &mut Txn<'_>) {
    assert!(txn.delete(b"k"));
}

fn overwrite(txn: &mut Txn<'_>) {
    txn.set_string(b"k", b"v", Expiry::Clear);
}

/// A third region hears of `b` before it hears of `a`, which hears of `b`, and `b` of `a`.
fn cut(before: impl FnOnce(&mut Txn<'_>)) -> [Island; 3] {
    let mut islands = [Island::new(1), Island::new(2), Island::new(3)];
    islands[0].run(before);
    meet_all(&mut islands);
    for (island, later_ms) in islands.iter_mut().zip([10, 15, 20]) {
        island.now_ms += later_ms;
    }
    islands
}

fn heal(islands: &mut [Island; 3]) {
    let [a, b, c] = islands;
    c.learn(b);
    c.learn(a);
    b.learn(a);
    a.learn(b);
    meet_all(islands);
}

/// What a region says of its losses, in the order of the entries that lost.
fn losses(island: &Island) -> Vec<(u128, &'static str, ConflictKind, Vec<u8>, bool)> {
    let mut records = island.records();
    records.sort_by_key(|record| record.loser.dot);
    let said = |record: &JournalRecord| {
        assert_eq!(record.winner.value, None, "a deletion");
        (
            record.id,
            record.component_name(),
            record.kind,
            record.loser.value.clone().expect("what was lost"),
            record.is_open(),
        )
    };
    records.iter().map(said).collect()
}

/// The values that were lost, of which every region says the same.
fn lost(
    before: impl FnOnce(&mut Txn<'_>),
    first: impl FnOnce(&mut Txn<'_>),
    second: impl FnOnce(&mut Txn<'_>),
) -> Vec<Vec<u8>> {
    let mut islands = cut(before);
    islands[0].run(first);
    islands[1].run(second);
    heal(&mut islands);
    same(&islands).into_iter().map(|loss| loss.3).collect()
}

fn same(islands: &[Island; 3]) -> Vec<(u128, &'static str, ConflictKind, Vec<u8>, bool)> {
    let [a, b, c] = islands;
    assert_eq!(losses(a), losses(b));
    assert_eq!(losses(a), losses(c));
    losses(a)
}

fn counted(value: &[u8]) -> u64 {
    hyll::decode(value).expect("a sketch").cardinality()
}

#[test]
fn an_addition_to_a_sketch_that_is_deleted_or_replaced() {
    for (deletes, adds_first) in [
        (delete as fn(&mut Txn<'_>), true),
        (delete, false),
        (overwrite, true),
        (overwrite, false),
    ] {
        let values = match adds_first {
            true => lost(add("a"), add("b"), deletes),
            false => lost(add("a"), deletes, add("b")),
        };
        assert_eq!(values.len(), 1);
        assert_eq!(counted(&values[0]), 1, "only what was not seen");
    }
}

#[test]
fn changes_of_a_bounded_counter_that_is_deleted_or_replaced() {
    let shared = |txn: &mut Txn<'_>| {
        txn.bounded_increment(b"k", 10).expect("the key is free");
        let to = ReplicaId::from_u128(2);
        txn.bounded_transfer(b"k", 4, to).expect("enough rights");
    };
    let renew = |txn: &mut Txn<'_>| txn.set_bounded(b"k", 100, Expiry::Clear);
    assert_eq!(lost(increment(10), increment(5), delete), [b"5"]);
    assert_eq!(lost(increment(10), delete, increment(5)), [b"5"]);
    assert_eq!(lost(increment(10), decrement(3), overwrite), [b"-3"]);
    assert_eq!(lost(shared, renew, decrement(4)), [b"-4"]);
    let back = |txn: &mut Txn<'_>| {
        let to = ReplicaId::from_u128(1);
        txn.bounded_transfer(b"k", 1, to).expect("enough rights");
    };
    assert_eq!(lost(shared, delete, back), [b"0"], "rights only");
}

#[test]
fn each_change_behind_a_cut_has_a_record() {
    let mut islands = cut(increment(10));
    islands[0].run(increment(1));
    islands[0].run(increment(2));
    islands[0].run(decrement(4));
    islands[1].run(delete);
    islands[1].run(increment(50));
    heal(&mut islands);
    let values: Vec<Vec<u8>> = same(&islands).into_iter().map(|loss| loss.3).collect();
    assert_eq!(values, [&b"1"[..], b"2", b"-4"]);
}

#[test]
fn an_entry_of_several_commands_has_one() {
    let both = |txn: &mut Txn<'_>| {
        txn.bounded_increment(b"k", 5).expect("a counter");
        txn.bounded_decrement(b"k", 2).expect("enough rights");
        txn.bounded_increment(b"k", 1).expect("a counter");
    };
    assert_eq!(lost(increment(10), both, delete), [b"4"]);
    let both = |txn: &mut Txn<'_>| {
        add("b")(txn);
        add("c")(txn);
    };
    let values = lost(add("a"), both, delete);
    assert_eq!((values.len(), counted(&values[0])), (1, 2));
    let taken_back = |txn: &mut Txn<'_>| {
        add("b")(txn);
        delete(txn);
    };
    assert!(lost(add("a"), taken_back, delete).is_empty());
}

#[test]
fn what_the_deletion_had_seen_is_not_lost() {
    assert!(lost(add("a"), delete, delete).is_empty());
    let (mut a, mut b) = pair();
    a.run(add("a"));
    meet(&mut a, &mut b);
    a.run(add("b"));
    meet(&mut a, &mut b);
    b.run(delete);
    a.run(add("c"));
    meet(&mut a, &mut b);
    assert_eq!(counted(a.only().loser.value.as_ref().expect("a sketch")), 1);
}

/// A deletion that had seen the change settles the loss, in whichever order it is met.
#[test]
fn somebody_who_had_seen_it_deletes_too() {
    let mut islands = cut(add("a"));
    islands[0].run(add("b"));
    let [a, b, c] = &mut islands;
    c.learn(a);
    c.run(delete);
    b.run(delete);
    a.learn(c);
    a.learn(b);
    b.learn(a);
    b.learn(c);
    meet_all(&mut islands);
    assert!(islands[0].records().is_empty(), "C's deletion came first");
    let settled = islands[1].only().settled().expect("C had seen it");
    assert_eq!(settled.how, Settling::Overwritten);
}

#[test]
fn many_changes_are_told_together_and_none_is_left_out() {
    let (mut a, mut b) = pair();
    a.run(increment(10));
    meet(&mut a, &mut b);
    for _ in 0..300 {
        a.run(increment(1));
    }
    b.run(delete);
    a.learn(&mut b);
    let records = a.records();
    assert_eq!(records.len(), 64 + 1);
    let amounts = records.iter().map(|record| {
        let value = record.loser.value.as_ref().expect("an amount");
        String::from_utf8_lossy(value)
            .parse::<u64>()
            .expect("a number")
    });
    assert_eq!(amounts.sum::<u64>(), 300);
}

#[test]
fn of_changes_that_are_told_together_and_were_seen_in_part_no_amount_is_told() {
    let (mut a, mut b) = pair();
    a.run(increment(10));
    meet(&mut a, &mut b);
    a.run(increment(1));
    meet(&mut a, &mut b);
    for _ in 0..65 {
        a.run(increment(1));
    }
    b.run(delete);
    a.learn(&mut b);
    let oldest = &a.records()[0];
    assert_eq!(
        (oldest.loser.kept_bytes(), oldest.loser.value_bytes),
        (0, 1)
    );
    let id = oldest.id;
    let restored = a.run(|txn| txn.restore_loser(id, RestoreIf::Same));
    assert!(
        matches!(restored, Err(RestoreError::Truncated { .. })),
        "{restored:?}"
    );
}

/// The change and the deletion lie in the table, and in the log, when what meets them comes.
#[test]
fn a_restart_in_between_changes_nothing() {
    for checkpointed in [true, false] {
        let (mut a, mut b) = pair();
        a.run(increment(10));
        meet(&mut a, &mut b);
        a.run(increment(5));
        b.run(delete);
        for island in [&mut a, &mut b] {
            match checkpointed {
                true => island.checkpoint(),
                false => island.flush(),
            }
            island.replica = island.restarted(island.now_ms);
        }
        meet(&mut a, &mut b);
        for island in [&a, &b] {
            assert_eq!(island.only().loser.value.as_deref(), Some(&b"5"[..]));
        }
    }
}

#[test]
fn what_everybody_has_is_forgotten() {
    let (mut a, mut b) = pair();
    a.run(add("a"));
    a.run(add("b"));
    meet(&mut a, &mut b);
    let stable = a.replica.applied().clone();
    a.replica.note_stable(stable);
    a.checkpoint();
    b.checkpoint();
    assert!(a.table_bytes() < b.table_bytes());
    a.run(delete);
    meet(&mut a, &mut b);
    assert!(a.records().is_empty());
}

#[test]
fn it_comes_back() {
    let restore = |island: &mut Island| {
        let id = island.only().id;
        island.run(|txn| txn.restore_loser(id, RestoreIf::Same))
    };
    let after = |before: fn(&mut Txn<'_>), write: fn(&mut Txn<'_>), deletes: fn(&mut Txn<'_>)| {
        let (mut a, mut b) = pair();
        a.run(before);
        meet(&mut a, &mut b);
        a.run(write);
        b.run(deletes);
        meet(&mut a, &mut b);
        (a, b)
    };
    let (mut a, mut b) = after(|txn| add("a")(txn), |txn| add("b")(txn), delete);
    let restored = restore(&mut b);
    assert!(
        matches!(restored, Ok(RestoreOutcome::Restored(_))),
        "{restored:?}"
    );
    meet(&mut a, &mut b);
    let count = a.run(|txn| txn.sketch_count(b"k"));
    assert_eq!(count, Ok(Some(1)));
    assert_eq!(
        a.only().settled().map(|by| by.how),
        Some(Settling::Explicit)
    );

    let renew = |txn: &mut Txn<'_>| txn.set_bounded(b"k", 100, Expiry::Clear);
    let (_, mut b) = after(|txn| increment(10)(txn), |txn| decrement(3)(txn), renew);
    restore(&mut b).expect("B has all rights");
    assert_eq!(b.run(|txn| txn.bounded(b"k")), Ok(Some(97)));
    let (mut a, _) = after(|txn| increment(10)(txn), |txn| decrement(3)(txn), renew);
    let refused = restore(&mut a);
    let of_rights = matches!(
        refused,
        Err(RestoreError::Refused(EscrowError::NotEnoughRights {
            held: 0,
            ..
        }))
    );
    assert!(of_rights, "{refused:?}");

    let (mut a, _) = after(|txn| add("a")(txn), |txn| add("b")(txn), overwrite);
    let refused = restore(&mut a);
    assert!(
        matches!(refused, Err(RestoreError::OtherType(_))),
        "{refused:?}"
    );
    let rights = |txn: &mut Txn<'_>| {
        let to = ReplicaId::from_u128(2);
        txn.bounded_transfer(b"k", 1, to).expect("enough rights");
    };
    let (mut a, _) = after(|txn| increment(10)(txn), rights, delete);
    let refused = restore(&mut a);
    assert!(
        matches!(refused, Err(RestoreError::NoValue { .. })),
        "{refused:?}"
    );
}

/// A write that creates the key takes the place of all that was lost; a restore must not.
#[test]
fn several_come_back_one_by_one() {
    let restore_all = |before: fn(&mut Txn<'_>), writes: [fn(&mut Txn<'_>); 2]| {
        let (mut a, mut b) = pair();
        a.run(before);
        meet(&mut a, &mut b);
        writes.into_iter().for_each(|write| a.run(write));
        b.run(delete);
        meet(&mut a, &mut b);
        for record in b.records() {
            let restored = b.run(|txn| txn.restore_loser(record.id, RestoreIf::Open));
            assert!(
                matches!(restored, Ok(RestoreOutcome::Restored(_))),
                "{restored:?}"
            );
        }
        meet(&mut a, &mut b);
        for record in a.records() {
            assert_eq!(record.settled().map(|by| by.how), Some(Settling::Explicit));
        }
        a
    };
    let mut a = restore_all(
        |txn| add("a")(txn),
        [|txn| add("b")(txn), |txn| add("c")(txn)],
    );
    assert_eq!(a.run(|txn| txn.sketch_count(b"k")), Ok(Some(2)));
    let mut a = restore_all(
        |txn| increment(10)(txn),
        [|txn| increment(1)(txn), |txn| increment(2)(txn)],
    );
    assert_eq!(a.run(|txn| txn.bounded(b"k")), Ok(Some(3)));
}

#[test]
fn a_deletion_is_known_after_many_others() {
    let (mut a, mut b) = pair();
    a.run(increment(10));
    meet(&mut a, &mut b);
    a.run(increment(5));
    for _ in 0..70 {
        b.run(delete);
        b.run(increment(1));
    }
    meet(&mut a, &mut b);
    assert_eq!(a.only().id, b.only().id);
    assert_eq!(a.only().loser.value.as_deref(), Some(&b"5"[..]));
    let late = b.only();
    assert_eq!(
        (late.loser.kept_bytes(), late.winner.dot.replica),
        (0, b.replica.id())
    );
}
