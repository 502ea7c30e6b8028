//! Moving elements between the ends of lists: one entry, and no other lists than popping and pushing makes.

mod support;

use std::ops::ControlFlow;

use isles_replica::{ListEnd, Replica, Scope, Txn};
use proptest::prelude::*;
use support::{NOW_MS, exchange, replica, run, seal};

const KEYS: [&[u8]; 2] = [b"one", b"two"];

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

fn push(replica: &mut Replica, key: &[u8], count: usize) {
    let items: Vec<String> = (0..count).map(|item| item.to_string()).collect();
    let items: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
    run(replica, Scope::Once, |txn| {
        txn.list_push(key, ListEnd::Back, &items)
    })
    .expect("a list");
}

fn pop_and_push(txn: &mut Txn<'_>, [source, destination]: [&[u8]; 2], [from, to]: [ListEnd; 2]) {
    if let Some(element) = txn.list_pop(source, from, 1).expect("a list").pop() {
        txn.list_push(destination, to, &[&element]).expect("a list");
    }
}

fn an_end() -> impl Strategy<Value = ListEnd> {
    prop_oneof![Just(ListEnd::Front), Just(ListEnd::Back)]
}

proptest! {
    #[test]
    fn a_move_is_a_pop_and_a_push(
        lens in [0..4_usize, 0..4_usize],
        moves in prop::collection::vec(([0..2_usize, 0..2], [an_end(), an_end()], any::<bool>()), 1..20),
    ) {
        let (mut eu, mut us, mut model) = (replica(1), replica(2), replica(3));
        for replica in [&mut eu, &mut model] {
            KEYS.iter().zip(lens).for_each(|(key, len)| push(replica, key, len));
        }
        exchange(&mut eu, &mut us);
        for (keys, ends, whole) in moves {
            let keys = keys.map(|key| KEYS[key]);
            // Inside a transaction the same is done otherwise.
            let scope = if whole { Scope::Once } else { Scope::Many };
            run(&mut eu, scope, |txn| txn.list_move(keys[0], ends[0], keys[1], ends[1])).expect("a list");
            run(&mut model, Scope::Many, |txn| pop_and_push(txn, keys, ends));
        }
        exchange(&mut eu, &mut us);
        for key in KEYS {
            prop_assert_eq!(values(&mut eu, key), values(&mut model, key));
            prop_assert_eq!(values(&mut us, key), values(&mut model, key));
        }
        prop_assert_eq!(eu.digest(), us.digest());
        for replica in [&eu, &us] {
            replica.check().expect("what is derived fits the content");
        }
    }
}

#[test]
fn a_move_is_one_entry() {
    let mut eu = replica(1);
    push(&mut eu, b"one", 100);
    seal(&mut eu);
    for destination in KEYS {
        run(&mut eu, Scope::Once, |txn| {
            txn.list_move(b"one", ListEnd::Front, destination, ListEnd::Back)
        })
        .expect("a list");
    }
    let frames = seal(&mut eu);
    let entries: usize = frames.iter().map(|frame| frame.entries().count()).sum();
    assert_eq!(entries, 2);
}

#[test]
fn a_list_of_one_element_that_is_moved_within_keeps_its_deadline() {
    let mut eu = replica(1);
    push(&mut eu, b"one", 1);
    run(&mut eu, Scope::Once, |txn| {
        txn.set_deadline(b"one", Some(NOW_MS + 1_000))
    });
    run(&mut eu, Scope::Once, |txn| {
        txn.list_move(b"one", ListEnd::Front, b"one", ListEnd::Back)
    })
    .expect("a list");
    let deadline = run(&mut eu, Scope::Once, |txn| txn.deadline_ms(b"one"));
    assert_eq!(deadline, Some(Some(NOW_MS + 1_000)));
}
