//! Lists at two replicas, in the table, and byte for byte.

mod support;

use std::ops::ControlFlow;

use isles_replica::op::Part;
use isles_replica::{
    ConflictKind, Expiry, Frame, InsertError, ListEnd, ListSide, Replica, Scope, Txn,
};
use proptest::prelude::*;
use support::{NOW_MS, Table, bytes_of, exchange, hex, replica, run, seal, take};

fn values(replica: &mut Replica, key: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    run(replica, Scope::Once, |txn| {
        txn.list_each(key, 0..usize::MAX, &mut |_, value| {
            values.push(String::from_utf8_lossy(value).into_owned());
            ControlFlow::Continue(())
        })
    })
    .expect("a list");
    values
}

fn push(replica: &mut Replica, key: &[u8], items: &[&str]) {
    let items: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
    run(replica, Scope::Once, |txn| {
        txn.list_push(key, ListEnd::Back, &items)
    })
    .expect("a list");
}

/// Two replicas that both know the list `a b c`.
fn islands() -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(1), replica(2));
    push(&mut eu, b"l", &["a", "b", "c"]);
    exchange(&mut eu, &mut us);
    (eu, us)
}

fn check_equal(eu: &mut Replica, us: &mut Replica, expected: &[&str]) {
    exchange(eu, us);
    assert_eq!(values(eu, b"l"), expected);
    assert_eq!(values(us, b"l"), expected);
    assert_eq!((eu.digest(), eu.content()), (us.digest(), us.content()));
    for replica in [eu, us] {
        replica.check().expect("what is derived fits the content");
    }
}

#[test]
fn concurrent_pushes_stay_together() {
    let (mut eu, mut us) = islands();
    push(&mut eu, b"l", &["e1", "e2"]);
    push(&mut us, b"l", &["u1", "u2"]);
    check_equal(&mut eu, &mut us, &["a", "b", "c", "e1", "e2", "u1", "u2"]);
}

#[test]
fn a_write_beats_a_concurrent_removal() {
    let (mut eu, mut us) = islands();
    run(&mut eu, Scope::Once, |txn| txn.list_set(b"l", 1, b"B")).expect("a list");
    run(&mut us, Scope::Once, |txn| txn.list_trim(b"l", 0..1)).expect("a list");
    check_equal(&mut eu, &mut us, &["a", "B"]);
}

#[test]
fn concurrent_writes_of_an_element_are_a_conflict_that_tells_the_loser() {
    let (mut eu, mut us) = islands();
    run(&mut eu, Scope::Once, |txn| txn.list_set(b"l", 1, b"eu")).expect("a list");
    run(&mut us, Scope::Once, |txn| txn.list_set(b"l", 1, b"us")).expect("a list");
    check_equal(&mut eu, &mut us, &["a", "us", "c"]);
    for replica in [&eu, &us] {
        let record = replica.conflicts().iter().next().expect("one conflict");
        assert_eq!(record.kind, ConflictKind::WriteWrite);
        assert_eq!(record.loser.value.as_deref(), Some(&b"eu"[..]));
    }
    let ids = [&eu, &us].map(|replica| {
        replica
            .conflicts()
            .iter()
            .map(|record| record.id)
            .collect::<Vec<_>>()
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_pop_in_two_regions_gives_both_the_same_element() {
    let (mut eu, mut us) = islands();
    for replica in [&mut eu, &mut us] {
        let popped = run(replica, Scope::Once, |txn| {
            txn.list_pop(b"l", ListEnd::Front, 1)
        });
        assert_eq!(&*popped.expect("a list")[0], b"a");
    }
    check_equal(&mut eu, &mut us, &["b", "c"]);
}

#[test]
fn a_deletion_leaves_what_it_has_not_seen() {
    let (mut eu, mut us) = islands();
    run(&mut eu, Scope::Once, |txn| txn.delete(b"l"));
    push(&mut us, b"l", &["d"]);
    check_equal(&mut eu, &mut us, &["d"]);
}

/// Forty elements, which both have.
fn long_islands() -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(0xa), replica(0xb));
    let items: Vec<String> = (0..40).map(|number| format!("e{number}")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    push(&mut eu, b"l", &items);
    exchange(&mut eu, &mut us);
    (eu, us)
}

#[test]
fn a_trim_of_many_leaves_what_others_write_there_meanwhile() {
    let (mut eu, mut us) = long_islands();
    run(&mut eu, Scope::Once, |txn| {
        txn.list_trim(b"l", 0..2).expect("a list")
    });
    run(&mut us, Scope::Many, |txn| {
        txn.list_set(b"l", 20, b"written").expect("a list");
        txn.list_insert(b"l", ListSide::After, b"e30", b"inserted")
            .expect("e30 is there");
        txn.list_push(b"l", ListEnd::Back, &[b"pushed"])
            .expect("a list");
    });
    let expected = ["e0", "e1", "written", "inserted", "pushed"];
    check_equal(&mut eu, &mut us, &expected);
}

#[test]
fn a_long_range_is_named_by_its_ends() {
    let (mut eu, _) = long_islands();
    run(&mut eu, Scope::Once, |txn| {
        txn.list_trim(b"l", 10..12).expect("a list")
    });
    let frame = seal(&mut eu).pop().expect("one frame");
    let entry = frame.entries().next().expect("one entry");
    let ops = entry.expect("it can be read").ops;
    let [Part::List(part)] = &ops[0].parts[..] else {
        panic!("a change of a list: {:?}", ops[0]);
    };
    // Ten elements are named.
    assert_eq!((part.remove.len(), part.cut.len()), (10, 1));
    assert_eq!(values(&mut eu, b"l"), ["e10", "e11"]);
}

#[test]
fn an_entry_trims_what_it_has_pushed_and_written() {
    let (mut eu, mut us) = long_islands();
    run(&mut eu, Scope::Many, |txn| {
        let many: [&[u8]; 30] = [b"own"; 30];
        txn.list_push(b"l", ListEnd::Back, &many).expect("a list");
        txn.list_set(b"l", 35, b"written").expect("a list");
        txn.list_set(b"l", 1, b"stays").expect("a list");
        txn.list_trim(b"l", 0..3).expect("a list");
        txn.list_push(b"l", ListEnd::Back, &many).expect("a list");
        txn.list_trim(b"l", 1..5).expect("a list");
    });
    check_equal(&mut eu, &mut us, &["stays", "e2", "own", "own"]);
}

#[test]
fn what_an_entry_pushes_and_pops_is_not_in_it() {
    let (mut eu, mut us) = islands();
    run(&mut eu, Scope::Many, |txn| {
        txn.list_push(b"l", ListEnd::Back, &[b"x", b"y", b"z"])
            .expect("a list");
        txn.list_set(b"l", 4, b"Y").expect("a list");
        txn.list_set(b"l", 0, b"A").expect("a list");
        txn.list_set(b"l", 0, b"AA").expect("a list");
        txn.list_push(b"l", ListEnd::Front, &[b"secret"])
            .expect("a list");
        txn.list_pop(b"l", ListEnd::Front, 1).expect("a list");
        txn.list_remove(b"l", 0, b"x").expect("a list");
        txn.list_insert(b"l", ListSide::Before, b"z", b"w")
            .expect("there is a z");
        txn.set_deadline(b"l", Some(NOW_MS + 1_000));
        txn.list_push(b"l", ListEnd::Back, &[b"end"])
            .expect("a list");
    });
    let frame = seal(&mut eu).pop().expect("one frame");
    let contains = |needle: &[u8]| {
        frame
            .bytes()
            .windows(needle.len())
            .any(|window| window == needle)
    };
    assert!(contains(b"end") && !contains(b"secret"));
    take(&mut us, &frame);
    check_equal(&mut eu, &mut us, &["AA", "b", "c", "Y", "w", "z", "end"]);
}

#[test]
fn deleting_and_pushing_in_one_entry_begins_anew() {
    let (mut eu, mut us) = islands();
    run(&mut eu, Scope::Many, |txn| {
        txn.list_push(b"l", ListEnd::Back, &[b"d"]).expect("a list");
        txn.delete(b"l");
        txn.list_push(b"l", ListEnd::Back, &[b"e"]).expect("a list");
        txn.list_push(b"l", ListEnd::Front, &[b"f", b"g"])
            .expect("a list");
        txn.copy(b"l", b"m");
        txn.list_pop(b"l", ListEnd::Front, 1).expect("a list");
    });
    check_equal(&mut eu, &mut us, &["f", "e"]);
    assert_eq!(values(&mut us, b"m"), ["g", "f", "e"]);
}

#[test]
fn a_transaction_of_many_pushes_costs_what_they_cost() {
    let (mut eu, mut us) = islands();
    run(&mut eu, Scope::Many, |txn| {
        for number in 0..20_000u32 {
            let end = if number % 2 == 0 {
                ListEnd::Front
            } else {
                ListEnd::Back
            };
            txn.list_push(b"l", end, &[&number.to_be_bytes()])
                .expect("a list");
        }
    });
    exchange(&mut eu, &mut us);
    assert_eq!(us.digest(), eu.digest());
    assert_eq!(
        run(&mut us, Scope::Once, |txn| txn.list_len(b"l")),
        Ok(20_003)
    );
}

#[test]
fn beside_what_is_not_there_nothing_is_inserted() {
    let mut eu = replica(1);
    push(&mut eu, b"l", &["a"]);
    let insert =
        |txn: &mut Txn<'_>, pivot: &[u8]| txn.list_insert(b"l", ListSide::After, pivot, b"x");
    assert_eq!(
        run(&mut eu, Scope::Once, |txn| insert(txn, b"z")),
        Err(InsertError::NoPivot)
    );
    run(&mut eu, Scope::Once, |txn| {
        txn.set_string(b"l", b"v", Expiry::Clear)
    });
    assert_eq!(
        run(&mut eu, Scope::Once, |txn| insert(txn, b"a")),
        Err(InsertError::WrongType)
    );
}

#[test]
fn of_a_large_list_the_changed_pages_are_written() {
    let (mut eu, mut table) = (replica(1), Table::default());
    for number in 0..100 {
        let number = number.to_string();
        push(&mut eu, b"l", &[number.as_str(); 100]);
    }
    seal(&mut eu);
    assert!(table.store(&mut eu) > 100);
    run(&mut eu, Scope::Once, |txn| txn.list_set(b"l", 5_000, b"x")).expect("a list");
    push(&mut eu, b"l", &["end"]);
    seal(&mut eu);
    assert!(table.store(&mut eu) <= 4, "the header, a page, and the end");
    assert_eq!(table.load().content(), eu.content());
    run(&mut eu, Scope::Once, |txn| txn.list_trim(b"l", 0..10)).expect("a list");
    seal(&mut eu);
    table.store(&mut eu);
    assert_eq!(table.len(), 1, "a small list lies in its header row");
    assert_eq!(table.load().content(), eu.content());
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, usize, usize),
    Pop(bool, usize),
    Trim(usize, usize),
    Set(usize),
    Delete,
    Store,
    Exchange,
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        6 => (any::<bool>(), 1usize..80, 0usize..300).prop_map(|(end, len, bytes)| Step::Push(end, len, bytes)),
        3 => (any::<bool>(), 1usize..100).prop_map(|(end, count)| Step::Pop(end, count)),
        2 => (0usize..100, 0usize..200).prop_map(|(start, len)| Step::Trim(start, len)),
        2 => (0usize..200).prop_map(Step::Set),
        1 => Just(Step::Delete),
        4 => Just(Step::Store),
        3 => Just(Step::Exchange),
    ];
    (any::<bool>(), step)
}

fn end(front: bool) -> ListEnd {
    if front { ListEnd::Front } else { ListEnd::Back }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn replicas_and_their_tables_agree(steps in prop::collection::vec(step(), 1..60)) {
        let (mut islands, mut table) = ([replica(1), replica(2)], Table::default());
        for (number, (which, step)) in steps.into_iter().enumerate() {
            let island = &mut islands[usize::from(which)];
            let value = vec![number as u8; 20];
            match step {
                Step::Push(front, len, bytes) => {
                    let value = vec![number as u8; bytes];
                    run(island, Scope::Once, |txn| txn.list_push(b"l", end(front), &vec![&value[..]; len])).expect("a list");
                }
                Step::Pop(front, count) => {
                    run(island, Scope::Many, |txn| txn.list_pop(b"l", end(front), count)).expect("a list");
                }
                Step::Trim(start, len) => {
                    run(island, Scope::Once, |txn| txn.list_trim(b"l", start..start + len)).expect("a list");
                }
                Step::Set(index) => {
                    run(island, Scope::Once, |txn| txn.list_set(b"l", index, &value)).expect("a list");
                }
                Step::Delete => {
                    run(island, Scope::Once, |txn| txn.delete(b"l"));
                }
                Step::Store => {
                    // Everything was sealed by the exchange before.
                    table.store(&mut islands[0]);
                    prop_assert_eq!(table.load().content(), islands[0].content());
                }
                Step::Exchange => {}
            }
            let [left, right] = &mut islands;
            exchange(left, right);
            prop_assert_eq!(left.digest(), right.digest());
            prop_assert_eq!(left.content(), right.content());
            prop_assert!(left.check().is_ok());
        }
    }
}

/// A step of a transaction on two lists; others are left out.
fn perform(txn: &mut Txn<'_>, key: &[u8], step: &Step, value: &[u8]) {
    match step {
        Step::Push(front, len, _) => txn
            .list_push(key, end(*front), &vec![value; len % 4 + 1])
            .map(drop),
        Step::Pop(front, count) => txn.list_pop(key, end(*front), count % 4).map(drop),
        Step::Trim(start, len) => txn.list_trim(key, start % 4..start % 4 + len),
        Step::Set(index) => txn.list_set(key, index % 8, value).map(drop),
        Step::Delete => {
            txn.delete(key);
            Ok(())
        }
        Step::Store => {
            txn.list_replace(key, &[value, b"r"]);
            Ok(())
        }
        Step::Exchange => return,
    }
    .expect("lists only");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn what_is_rolled_back_was_never_there(
        before in prop::collection::vec(step(), 0..8),
        between in prop::collection::vec(step(), 1..8),
        after in prop::collection::vec(step(), 0..8),
    ) {
        let (mut eu, mut us) = islands();
        let mut twin = replica(3);
        push(&mut twin, b"l", &["a", "b", "c"]);
        let steps = |txn: &mut Txn<'_>, steps: &[(bool, Step)], name: &str| {
            for (number, (other, step)) in steps.iter().enumerate() {
                let key: &[u8] = if *other { b"other" } else { b"l" };
                perform(txn, key, step, format!("{name}{number}").as_bytes());
            }
        };
        run(&mut eu, Scope::Many, |txn| {
            steps(txn, &before, "before");
            let savepoint = txn.savepoint();
            steps(txn, &between, "between");
            txn.roll_back(savepoint);
            steps(txn, &after, "after");
        });
        run(&mut twin, Scope::Many, |txn| {
            steps(txn, &before, "before");
            steps(txn, &after, "after");
        });
        exchange(&mut eu, &mut us);
        for key in [&b"l"[..], b"other"] {
            prop_assert_eq!(values(&mut eu, key), values(&mut twin, key));
            prop_assert_eq!(values(&mut eu, key), values(&mut us, key));
        }
        prop_assert_eq!(eu.digest(), us.digest());
        prop_assert_eq!(eu.content(), us.content());
        for replica in [&eu, &us] {
            prop_assert!(replica.check().is_ok());
        }
    }
}

/// What this version writes stays readable: its bytes are fixed.
#[test]
fn the_bytes_of_lists() {
    let mut eu = replica(0xa);
    push(&mut eu, b"l", &["a", "b", "c"]);
    push(&mut eu, b"long", &["x"; 70]);
    push(&mut eu, b"cut", &["x"; 20]);
    run(&mut eu, Scope::Many, |txn| {
        txn.list_pop(b"l", ListEnd::Front, 1).expect("a list");
        txn.list_set(b"l", 0, b"B").expect("a list");
        txn.list_insert(b"l", ListSide::After, b"B", b"i")
            .expect("there is a B");
        txn.list_push(b"l", ListEnd::Front, &[b"f"])
            .expect("a list");
        txn.list_trim(b"cut", 1..3).expect("a list");
    });
    let frame = seal(&mut eu).pop().expect("one frame");
    let mut table = Table::default();
    table.store(&mut eu);
    let (golden_frame, golden_rows) = (
        include_str!("golden/list_frame_v1.hex"),
        include_str!("golden/list_rows_v1.hex"),
    );
    assert_eq!(hex(frame.bytes()), golden_frame.trim());
    assert_eq!(table.hex(), golden_rows.trim());
    let read = Frame::decode(bytes_of(golden_frame).into()).expect("version 1 is read");
    assert_eq!(read.entries().filter(Result::is_ok).count(), 4);
    assert_eq!(values(&mut eu, b"l"), ["f", "B", "i", "c"]);
    assert_eq!(table.load().digest(), eu.digest());
}
