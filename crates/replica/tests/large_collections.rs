//! Collections of thousands of elements that go at once, at two replicas and in the table.

mod support;

use isles_replica::{
    AddIf, Expiry, ListEnd, NewStreamId, Replica, Scope, Score, ScoreIf, StreamTrim,
    StreamTrimBound, Txn,
};
use support::{NOW_MS, Table, exchange, replica, run, seal};

/// So many that maps have several levels, and trees too.
const ELEMENTS: usize = 4_000;
const KEY: &[u8] = b"big";

#[derive(Clone, Copy, Debug)]
enum Kind {
    Set,
    Hash,
    SortedSet,
    List,
    Stream,
}

const KINDS: [Kind; 5] = [
    Kind::Set,
    Kind::Hash,
    Kind::SortedSet,
    Kind::List,
    Kind::Stream,
];

/// Adds the elements with these numbers.
fn add(txn: &mut Txn<'_>, kind: Kind, numbers: std::ops::Range<usize>) {
    let names: Vec<String> = numbers.map(|number| format!("m:{number}")).collect();
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    match kind {
        Kind::Set => drop(txn.set_add(KEY, &names).expect("a set")),
        Kind::Hash => {
            let pairs: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
            txn.hash_put(KEY, &pairs).expect("a hash");
        }
        Kind::SortedSet => {
            let scored = names.iter().enumerate();
            let scored = scored.map(|(rank, name)| (*name, score(rank)));
            let pairs: Vec<_> = scored.collect();
            txn.sorted_set_add(KEY, &pairs, AddIf::Always, ScoreIf::Any)
                .expect("a sorted set");
        }
        Kind::List => drop(txn.list_push(KEY, ListEnd::Back, &names).expect("a list")),
        Kind::Stream => names.iter().for_each(|name| {
            txn.stream_add(KEY, NewStreamId::Generated, &[b"f", name], None)
                .expect("a stream");
        }),
    }
}

fn score(rank: usize) -> Score {
    Score::try_from(rank as f64).expect("a number")
}

/// Two replicas that both hold the collection, and a write that only the second one knows.
fn islands(kind: Kind, unseen: usize) -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(1), replica(2));
    for first in (0..ELEMENTS).step_by(500) {
        let writer = if first % 1000 == 0 { &mut eu } else { &mut us };
        run(writer, Scope::Many, |txn| {
            add(txn, kind, first..first + 500);
        });
        exchange(&mut eu, &mut us);
    }
    run(&mut us, Scope::Many, |txn| {
        add(txn, kind, ELEMENTS..ELEMENTS + unseen);
    });
    drop((eu.take_garbage(), us.take_garbage()));
    (eu, us)
}

fn len(replica: &mut Replica, kind: Kind) -> usize {
    let mut txn = replica.txn(NOW_MS, Scope::Once);
    match kind {
        Kind::Set => txn.set_len(KEY).expect("a set"),
        Kind::Hash => txn.hash_len(KEY).expect("a hash"),
        Kind::SortedSet => txn
            .sorted_set(KEY)
            .expect("a sorted set")
            .map_or(0, |set| set.len()),
        Kind::List => txn.list_len(KEY).expect("a list"),
        Kind::Stream => txn.stream_len(KEY).expect("a stream"),
    }
}

fn check_equal(eu: &mut Replica, us: &mut Replica) {
    exchange(eu, us);
    assert_eq!((eu.digest(), eu.content()), (us.digest(), us.content()));
    for replica in [eu, us] {
        replica.check().expect("what is derived fits the content");
    }
}

#[test]
fn a_deletion_leaves_what_it_has_not_seen_and_hands_back_the_rest() {
    for kind in KINDS {
        for unseen in [0, 3] {
            let (mut eu, mut us) = islands(kind, unseen);
            let mut table = Table::default();
            table.store(&mut us);
            assert!(run(&mut eu, Scope::Once, |txn| txn.delete(KEY)));
            assert_eq!(eu.take_garbage().len(), 1, "{kind:?}");
            check_equal(&mut eu, &mut us);
            assert_eq!(us.take_garbage().len(), 1, "{kind:?}");
            assert_eq!(len(&mut us, kind), unseen, "{kind:?}");
            table.store(&mut us);
            assert_eq!(table.load().content(), us.content(), "{kind:?}");
            assert!(table.len() <= 1, "{kind:?}: a small one lies in its header");
        }
    }
}

#[test]
fn what_is_deleted_in_a_transaction_is_handed_back_when_it_ends() {
    for kind in KINDS {
        let (mut eu, mut us) = islands(kind, 0);
        exchange(&mut eu, &mut us);
        run(&mut eu, Scope::Many, |txn| {
            add(txn, kind, 7..8);
            assert!(txn.delete(KEY));
            add(txn, kind, 0..2);
        });
        assert_eq!(len(&mut eu, kind), 2);
        assert!(eu.has_garbage(), "{kind:?}");
        check_equal(&mut eu, &mut us);
    }
}

#[test]
fn a_write_in_a_transaction_leaves_no_garbage() {
    for kind in KINDS {
        let (mut eu, mut us) = islands(kind, 0);
        exchange(&mut eu, &mut us);
        run(&mut eu, Scope::Many, |txn| {
            let savepoint = txn.savepoint();
            add(txn, kind, 7..8);
            txn.release(savepoint);
        });
        assert!(!eu.has_garbage(), "{kind:?}");
        check_equal(&mut eu, &mut us);
    }
}

#[test]
fn what_a_transaction_undoes_is_as_it_was() {
    for kind in KINDS {
        let (mut eu, mut us) = islands(kind, 0);
        exchange(&mut eu, &mut us);
        let before = eu.content();
        run(&mut eu, Scope::Many, |txn| {
            let savepoint = txn.savepoint();
            txn.delete(KEY);
            txn.set_string(KEY, b"value", Expiry::Clear);
            txn.roll_back(savepoint);
        });
        assert_eq!(eu.content(), before, "{kind:?}");
        eu.check().expect("what is derived fits the content");
    }
}

/// Removes nearly all elements, each of them named or the last one.
fn remove_most(txn: &mut Txn<'_>, kind: Kind) {
    match kind {
        Kind::Set | Kind::Hash => {
            let names: Vec<String> = (10..ELEMENTS).map(|number| format!("m:{number}")).collect();
            let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            let removed = match kind {
                Kind::Set => txn.set_remove(KEY, &names),
                _ => txn.hash_remove(KEY, &names),
            };
            removed.expect("a collection");
        }
        Kind::SortedSet => {
            let removed = txn.sorted_set_remove_ranks(KEY, 10..ELEMENTS);
            assert_eq!(removed.expect("a sorted set"), ELEMENTS - 10);
        }
        Kind::List => txn.list_trim(KEY, 5..15).expect("a list"),
        Kind::Stream => {
            let bound = StreamTrimBound::Len(10);
            let trim = StreamTrim { bound, units: None };
            txn.stream_trim(KEY, trim).expect("a stream");
        }
    }
}

#[test]
fn removing_most_leaves_the_same_everywhere() {
    for kind in KINDS {
        for unseen in [0, 3] {
            let (mut eu, mut us) = islands(kind, unseen);
            let mut table = Table::default();
            table.store(&mut us);
            run(&mut eu, Scope::Once, |txn| remove_most(txn, kind));
            assert_eq!(len(&mut eu, kind), 10, "{kind:?}");
            check_equal(&mut eu, &mut us);
            assert_eq!(len(&mut us, kind), 10 + unseen, "{kind:?}");
            seal(&mut us);
            table.store(&mut us);
            assert_eq!(table.load().content(), us.content(), "{kind:?}");
        }
    }
}
