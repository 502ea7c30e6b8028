//! Rows leave memory and come back, and nobody can tell.

mod support;

use std::collections::BTreeMap;

use isles_replica::inspect::KeyContent;
use isles_replica::{
    Admitted, Evicted, Eviction, Expiry, Frame, ListEnd, Missing, ReplayError, Replica, Resting,
    Scope, SetRule, Txn, ValueType, WriteRefused,
};
use proptest::prelude::*;
use support::{NOW_MS, Table, replica, seal};

/// A replica and its table.
struct Node {
    replica: Replica,
    table: Table,
    seed: u64,
    /// Transactions that were refused.
    refused: usize,
}

impl Node {
    fn new(id: u128) -> Node {
        Node {
            replica: replica(id),
            table: Table::default(),
            seed: 0,
            refused: 0,
        }
    }

    /// Runs something that needs nothing which is not in memory.
    fn run<R>(&mut self, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
        support::run(&mut self.replica, Scope::Many, act)
    }

    /// Runs something until all that it needs is in memory.
    fn run_anyhow<R>(&mut self, scope: Scope, act: impl Fn(&mut Txn<'_>) -> R) -> R {
        loop {
            let mut txn = self.replica.txn(NOW_MS, scope);
            let result = act(&mut txn);
            match txn.commit() {
                Ok(_) => return result,
                Err(refused) => assert_eq!(refused, WriteRefused::NotResident),
            }
            self.refused += 1;
            let missing = self.replica.take_missing();
            assert!(!missing.is_empty());
            self.load(missing);
        }
    }

    fn load(&mut self, missing: Vec<Missing>) {
        for missing in missing {
            let loaded = self.table.read(missing);
            let admitted = self.replica.admit(loaded, NOW_MS);
            assert_eq!(admitted, Ok(Admitted::Known));
        }
    }

    /// Logs and writes everything.
    fn checkpoint(&mut self) -> Vec<Frame> {
        let frames = seal(&mut self.replica);
        self.table.store(&mut self.replica);
        frames
    }

    fn evict(&mut self, rows: usize) -> Evicted {
        self.seed += 1;
        let which = Eviction {
            rows,
            idle_ms: 0,
            seed: self.seed,
        };
        let evicted = self.replica.evict(which, NOW_MS);
        self.check();
        evicted.expect("all images are written")
    }

    /// Writes everything and has it leave.
    fn forget_all(&mut self) -> Vec<Frame> {
        let frames = self.checkpoint();
        while self.evict(100) != Evicted::default() {}
        frames
    }

    /// Puts rows to rest that the table has.
    fn rest(&mut self, rows: usize) -> usize {
        let which = Resting {
            idle_ms: 0,
            looked: usize::MAX,
            rested: rows,
        };
        let rested = self.replica.rest(which, NOW_MS).rested;
        self.check();
        rested
    }

    fn one_missing(&self, key: &[u8]) -> Missing {
        let mut missing = self.replica.missing([key]);
        assert_eq!(missing.len(), 1);
        missing.remove(0)
    }

    /// Everything, wherever it is.
    fn content(&self) -> BTreeMap<Vec<u8>, KeyContent> {
        let mut content = self.replica.content();
        let cold = self
            .replica
            .cold_content(&mut |prefix, each| self.table.scan(prefix, each));
        content.extend(cold.expect("what is counted as cold is in the table"));
        content
    }

    fn check(&self) {
        self.replica.check().expect("what is derived adds up");
        self.content();
    }

    /// A key that was never written and shares its bucket with one that is cold.
    fn neighbour(&self) -> Vec<u8> {
        let mut names = (0u64..).map(|number| format!("absent-{number}").into_bytes());
        names
            .find(|name| !self.replica.missing([&name[..]]).is_empty())
            .expect("names do not end")
    }
}

fn get(txn: &mut Txn<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let value = txn.string(key).expect("it is a string");
    value.map(|value| value.into_owned())
}

fn set(txn: &mut Txn<'_>, key: &[u8], value: &[u8]) {
    txn.set_string(key, value, Expiry::Clear);
}

/// One key of most kinds, some of them with pages of their own.
fn write_all_kinds(txn: &mut Txn<'_>) {
    let names: Vec<Vec<u8>> = (0..500u32)
        .map(|number| format!("n{number}").into_bytes())
        .collect();
    let slices: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let pairs: Vec<(&[u8], &[u8])> = slices.iter().map(|name| (*name, *name)).collect();
    set(txn, b"string", b"value");
    txn.increment(b"counter", 7).expect("it is a counter");
    txn.set_add(b"set", &slices).expect("it is a set");
    txn.set_add(b"small set", &slices[..3])
        .expect("it is a set");
    txn.hash_put(b"hash", &pairs).expect("it is a hash");
    txn.list_push(b"list", ListEnd::Back, &slices)
        .expect("it is a list");
    txn.delete(b"tombstone");
}

#[test]
fn what_has_left_comes_back_as_it_was() {
    let mut node = Node::new(1);
    node.run(|txn| txn.keyspace_define(b"", isles_resolve::Strategy::Lww, SetRule::AddWins));
    node.run(write_all_kinds);
    node.run(|txn| {
        set(txn, b"tombstone", b"x");
        txn.delete(b"tombstone")
    });
    let (before, digest, keys) = (
        node.content(),
        node.replica.digest(),
        node.replica.visible_keys(),
    );
    node.forget_all();
    assert_eq!(node.replica.cold_keys(), keys);
    assert_eq!(node.replica.cold_rows(), keys + 1);
    assert_eq!(
        (node.replica.digest(), node.replica.visible_keys()),
        (digest, keys)
    );
    assert_eq!(node.content(), before);
    for key in before.keys().filter(|key| !key.starts_with(b"\0")) {
        let missing = node.one_missing(key);
        node.load(vec![missing]);
        node.check();
    }
    assert_eq!(node.replica.cold_keys(), 0);
    let held = node.replica.content();
    assert!(held == before, "all of it is in memory again");
    node.run_anyhow(Scope::Many, write_all_kinds);
    node.forget_all();
    assert_eq!(node.replica.visible_keys(), keys);
}

#[test]
fn an_unknown_key_is_not_taken_for_an_absent_one() {
    let mut node = Node::new(1);
    node.run(|txn| txn.increment(b"k", 5)).expect("a counter");
    node.forget_all();
    let (applied, digest) = (node.replica.applied().clone(), node.replica.digest());
    for scope in [Scope::Once, Scope::Many] {
        let mut txn = node.replica.txn(NOW_MS, scope);
        if scope == Scope::Many {
            set(&mut txn, b"other", b"undone");
        }
        assert_eq!(txn.increment(b"k", 1), Ok(1), "as if it were absent");
        assert_eq!(txn.refusal(), Some(WriteRefused::NotResident));
        assert_eq!(txn.commit(), Err(WriteRefused::NotResident));
        let missing = node.replica.take_missing();
        let keys: Vec<&[u8]> = missing.iter().map(Missing::key).collect();
        assert_eq!(keys, [b"k"]);
        assert_eq!(*node.replica.applied(), applied);
        assert_eq!(node.replica.digest(), digest);
        node.check();
    }
    let value = node.run_anyhow(Scope::Once, |txn| txn.increment(b"k", 1));
    assert_eq!(value, Ok(6));
    node.check();
}

#[test]
fn an_element_is_not_moved_onto_a_list_that_is_not_in_memory() {
    let mut node = Node::new(1);
    let push = |txn: &mut Txn<'_>, key: &[u8]| txn.list_push(key, ListEnd::Back, &[key]);
    node.run(|txn| push(txn, b"to")).expect("a list");
    node.forget_all();
    node.run(|txn| push(txn, b"from")).expect("a list");
    let (front, back) = (ListEnd::Front, ListEnd::Back);
    let moved = node.run_anyhow(Scope::Once, |txn| {
        let moved = txn.list_move(b"from", front, b"to", back);
        moved
            .expect("both are lists")
            .as_deref()
            .map(<[u8]>::to_vec)
    });
    assert_eq!(moved.as_deref(), Some(&b"from"[..]));
    assert_eq!(node.refused, 1);
    assert_eq!(node.run(|txn| txn.list_len(b"to")), Ok(2));
    node.check();
}

#[test]
fn a_key_that_the_table_lacks_is_remembered_to_be_absent_and_counts_nowhere() {
    let mut node = Node::new(1);
    node.run(|txn| set(txn, b"k", b"v"));
    node.forget_all();
    let absent = node.neighbour();
    let (content, digest) = (node.content(), node.replica.digest());
    let seen = node.run_anyhow(Scope::Once, |txn| get(txn, &absent));
    assert_eq!(seen, None);
    assert_eq!(node.replica.missing([&absent[..]]), []);
    assert_eq!(node.content(), content);
    assert_eq!(node.replica.digest(), digest);
    assert_eq!(node.run(|txn| txn.len()), 1);
    let bucket = (0..=u16::MAX).flat_map(|bucket| node.replica.bucket_keys(bucket));
    assert_eq!(bucket.count(), 0);
    assert_eq!(node.evict(10), Evicted { rows: 0, absent: 1 });
    assert_eq!(node.replica.missing([&absent[..]]).len(), 1);
    node.run_anyhow(Scope::Once, |txn| set(txn, &absent, b"here"));
    node.forget_all();
    let seen = node.run_anyhow(Scope::Once, |txn| get(txn, &absent));
    assert_eq!(seen.as_deref(), Some(&b"here"[..]));
}

#[test]
fn a_stale_copy_is_never_admitted() {
    let mut node = Node::new(1);
    node.run(|txn| set(txn, b"k", b"old"));
    node.forget_all();
    let slow = node.table.read(node.one_missing(b"k"));
    node.run_anyhow(Scope::Once, |txn| set(txn, b"k", b"new"));
    node.forget_all();
    let admitted = node.replica.admit(slow, NOW_MS);
    let Ok(Admitted::Stale(again)) = admitted else {
        panic!("the copy is old: {admitted:?}");
    };
    node.load(vec![again]);
    assert_eq!(node.run(|txn| get(txn, b"k")).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_copy_of_what_was_deleted_meanwhile_is_stale() {
    let mut node = Node::new(1);
    let add = |node: &mut Node, key: &[u8]| {
        node.run_anyhow(Scope::Once, |txn| txn.set_add(key, &[b"m"]).expect("a set"))
    };
    add(&mut node, b"k");
    add(&mut node, b"other");
    node.forget_all();
    let slow = node.table.read(node.one_missing(b"k"));
    node.run_anyhow(Scope::Once, |txn| {
        txn.set_remove(b"k", &[b"m"]).expect("a set")
    });
    node.forget_all();
    // Nothing of it is left anywhere; whether that is known or asked again, it is not what it was.
    let _ = node.replica.admit(slow, NOW_MS);
    node.check();
    let there = node.run_anyhow(Scope::Once, |txn| {
        txn.set_contains(b"k", b"m").expect("a set")
    });
    assert!(!there);
}

#[test]
fn a_key_that_came_back_meanwhile_stays_as_it_is() {
    let mut node = Node::new(1);
    node.run(|txn| set(txn, b"k", b"old"));
    node.forget_all();
    let slow = node.table.read(node.one_missing(b"k"));
    node.run_anyhow(Scope::Once, |txn| set(txn, b"k", b"new"));
    assert_eq!(node.replica.admit(slow, NOW_MS), Ok(Admitted::Known));
    assert_eq!(node.run(|txn| get(txn, b"k")).as_deref(), Some(&b"new"[..]));
}

#[test]
fn nothing_leaves_while_images_are_on_their_way() {
    let mut node = Node::new(1);
    node.run(|txn| set(txn, b"k", b"v"));
    seal(&mut node.replica);
    let images = node.replica.take_images(10);
    let which = Eviction {
        rows: 1,
        idle_ms: 0,
        seed: 7,
    };
    assert!(node.replica.evict(which, NOW_MS).is_err());
    let receipt = images.receipt();
    assert!(node.replica.evict(which, NOW_MS).is_err());
    node.replica.note_written(receipt);
    let evicted = node.replica.evict(which, NOW_MS);
    assert_eq!(evicted, Ok(Evicted { rows: 1, absent: 0 }));
}

#[test]
fn what_must_stay_stays() {
    let mut node = Node::new(1);
    node.run(|txn| {
        txn.keyspace_define(b"x", isles_resolve::Strategy::MultiValue, SetRule::AddWins);
    });
    node.checkpoint();
    node.run(|txn| set(txn, b"dirty", b"v"));
    assert_eq!(node.evict(100), Evicted::default());
    node.run(|txn| set(txn, b"used", b"v"));
    node.checkpoint();
    let which = |idle_ms| Eviction {
        rows: 100,
        idle_ms,
        seed: 7,
    };
    let evicted = node.replica.evict(which(2_000), NOW_MS);
    assert_eq!(evicted, Ok(Evicted::default()), "it has just been used");
    let evicted = node.replica.evict(which(2_000), NOW_MS + 5_000);
    assert_eq!(evicted.map(|evicted| evicted.rows), Ok(2));
    let missing = node.replica.missing([&b"\0isles:keyspace:none"[..]]);
    assert_eq!(missing, []);
}

#[test]
fn those_that_were_not_used_for_long_leave_first() {
    let mut node = Node::new(1);
    let key = |number: u64| format!("k{number}").into_bytes();
    for number in 0..2_000 {
        let wall_ms = NOW_MS + number / 100 * 2_048;
        support::run_at(&mut node.replica, wall_ms, Scope::Once, |txn| {
            set(txn, &key(number), b"v");
        });
    }
    node.checkpoint();
    for seed in 0..10 {
        let which = Eviction {
            rows: 50,
            idle_ms: 0,
            seed,
        };
        let evicted = node.replica.evict(which, NOW_MS + 100_000);
        assert_eq!(evicted.map(|evicted| evicted.rows), Ok(50));
    }
    let older = (0..1_000).filter(|number| !node.replica.missing([&key(*number)[..]]).is_empty());
    let older = older.count();
    assert!(
        older >= 490,
        "of 500 that left {older} were of the older half"
    );
}

#[test]
fn a_frame_waits_for_the_rows_that_it_changes_and_others_do_not() {
    let (mut eu, mut us, mut ap) = (Node::new(1), Node::new(2), Node::new(3));
    us.run(|txn| txn.increment(b"k", 1)).expect("a counter");
    for frame in us.checkpoint() {
        support::take(&mut eu.replica, &frame);
    }
    eu.forget_all();
    us.run(|txn| txn.increment(b"k", 2)).expect("a counter");
    us.run(|txn| set(txn, b"l", b"v"));
    ap.run(|txn| set(txn, b"m", b"v"));
    let frames = [us.checkpoint(), ap.checkpoint()].concat();
    let applied = eu.replica.applied().clone();
    for frame in &frames {
        support::receive(&mut eu.replica, frame);
    }
    assert_eq!(eu.replica.awaited().len(), 1);
    assert_eq!(eu.replica.awaited()[0].key(), b"k");
    let us_id = us.replica.id();
    assert_eq!(eu.replica.applied().get(us_id), applied.get(us_id));
    assert_eq!(eu.replica.applied().get(ap.replica.id()), 1);
    let awaited = eu.replica.awaited().to_vec();
    eu.load(awaited);
    assert_eq!(eu.replica.apply_ready(NOW_MS), 1);
    assert_eq!(eu.replica.awaited(), []);
    seal(&mut eu.replica);
    assert_eq!(eu.run(|txn| get(txn, b"k")).as_deref(), Some(&b"3"[..]));
    eu.check();
}

#[test]
fn a_log_is_replayed_onto_rows_that_have_left() {
    let mut node = Node::new(9);
    node.run(|txn| txn.increment(b"k", 1)).expect("a counter");
    let mut frames = node.checkpoint();
    node.run(|txn| txn.increment(b"k", 2)).expect("a counter");
    frames.extend(seal(&mut node.replica));
    let mut again = Node {
        replica: node.table.load(),
        table: node.table,
        ..Node::new(9)
    };
    assert_eq!(again.evict(10), Evicted { rows: 1, absent: 0 });
    for (number, frame) in (1..).zip(&frames) {
        let mut replayed = again.replica.replay(number, frame, NOW_MS);
        if number == 1 {
            assert_eq!(replayed, Err(ReplayError::NotResident));
            assert_eq!(again.replica.applied().get(node.replica.id()), 0);
            let awaited = again.replica.awaited().to_vec();
            again.load(awaited);
            replayed = again.replica.replay(number, frame, NOW_MS);
        }
        assert_eq!(replayed, Ok(()));
    }
    assert_eq!(again.replica.digest(), node.replica.digest());
    assert_eq!(again.run(|txn| get(txn, b"k")).as_deref(), Some(&b"3"[..]));
    again.check();
}

#[test]
fn a_watched_version_survives_nothing_that_changed() {
    let mut node = Node::new(1);
    let add = |txn: &mut Txn<'_>, member: &[u8]| txn.set_add(b"k", &[member]).expect("a set");
    node.run(|txn| add(txn, b"a"));
    node.forget_all();
    let cold = node.replica.version(b"k", NOW_MS);
    assert_eq!(node.replica.version(b"k", NOW_MS), cold);
    node.run_anyhow(Scope::Once, |txn| {
        txn.set_contains(b"k", b"a").expect("a set")
    });
    let warm = node.replica.version(b"k", NOW_MS);
    node.run(|txn| add(txn, b"b"));
    node.forget_all();
    assert_ne!(node.replica.version(b"k", NOW_MS), cold);
    node.run_anyhow(Scope::Once, |txn| {
        txn.set_contains(b"k", b"a").expect("a set")
    });
    assert_ne!(node.replica.version(b"k", NOW_MS), warm);
}

#[test]
fn clearing_is_refused_unless_it_says_that_it_means_what_is_in_memory() {
    let mut node = Node::new(1);
    node.run(|txn| set(txn, b"cold", b"v"));
    node.forget_all();
    node.run(|txn| set(txn, b"warm", b"v"));
    let refused = Err(WriteRefused::Cold { rows: 1 });
    let mut txn = node.replica.txn(NOW_MS, Scope::Many);
    assert_eq!(txn.clear(), Err(WriteRefused::Cold { rows: 1 }));
    assert_eq!(txn.commit(), refused);
    assert_eq!(node.run(|txn| txn.len()), 2);
    node.run(|txn| txn.clear_resident()).expect("it fits");
    assert_eq!(node.replica.visible_keys(), 1);
    let missing = node.one_missing(b"cold");
    node.load(vec![missing]);
    node.run(|txn| txn.clear()).expect("all rows are in memory");
    assert_eq!(node.replica.visible_keys(), 0);
    node.check();
}

#[test]
fn a_damaged_copy_is_an_error_unless_the_row_has_moved_on() {
    let mut node = Node::new(1);
    node.run(|txn| set(txn, b"k", b"value"));
    node.forget_all();
    let sound = node.table.0.clone();
    let row = node.table.0.get_mut(&b"rk"[..]).expect("it is there");
    *row.last_mut().expect("it is not empty") ^= 1;
    let damaged = || node.table.read(node.one_missing(b"k"));
    let (first, second) = (damaged(), damaged());
    assert!(node.replica.admit(first, NOW_MS).is_err());
    assert_eq!(node.replica.cold_rows(), 1);
    node.table.0 = sound;
    node.run_anyhow(Scope::Once, |txn| set(txn, b"k", b"other"));
    node.forget_all();
    let admitted = node.replica.admit(second, NOW_MS);
    assert!(matches!(admitted, Ok(Admitted::Stale(_))), "{admitted:?}");
}

#[test]
fn rows_at_rest_leave_too_and_come_back() {
    let mut node = Node::new(1);
    let until = Expiry::At(NOW_MS + 1000);
    node.run(|txn| {
        set(txn, b"a", b"1");
        txn.set_string(b"b", b"2", until);
        txn.increment(b"n", 7).expect("a counter");
    });
    node.checkpoint();
    let before = node.content();
    assert_eq!(node.rest(2), 2);
    let all = |rows| Evicted { rows, absent: 0 };
    let evicted = [node.evict(1), node.evict(1), node.evict(1), node.evict(1)];
    assert_eq!(evicted, [all(1), all(1), all(1), all(0)]);
    assert_eq!((node.replica.cold_rows(), node.replica.rows_len()), (3, 0));
    assert_eq!(node.replica.next_deadline(), None, "it left with its row");
    let n = node.run_anyhow(Scope::Once, |txn| txn.increment(b"n", 1));
    assert_eq!(n, Ok(8));
    let missing = vec![node.one_missing(b"a"), node.one_missing(b"b")];
    node.load(missing);
    let rested = node.rest(9) + node.rest(9);
    assert_eq!(rested, 2, "what came back comes to rest again");
    assert_eq!(node.replica.next_deadline(), Some(NOW_MS + 1000));
    let after = node.content();
    for key in [&b"a"[..], b"b"] {
        assert_eq!(after[key], before[key]);
    }
}

#[derive(Clone, Debug)]
enum Act {
    Set(u8, u8),
    Increment(u8),
    Add(u8, u8),
    Remove(u8, u8),
    Delete(u8),
    Type(u8),
    Copy(u8, u8),
    /// Checkpoint and eviction of so many rows.
    Forget(usize),
    Evict(usize),
    /// So many rows come to rest at most; they may leave as others do.
    Rest(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = 0..8u8;
    let act = prop_oneof![
        (key.clone(), 0..4u8).prop_map(|(key, value)| Act::Set(key, value)),
        key.clone().prop_map(Act::Increment),
        (key.clone(), 0..4u8).prop_map(|(key, member)| Act::Add(key, member)),
        (key.clone(), 0..4u8).prop_map(|(key, member)| Act::Remove(key, member)),
        key.clone().prop_map(Act::Delete),
        key.clone().prop_map(Act::Type),
        (key.clone(), key).prop_map(|(from, to)| Act::Copy(from, to)),
        (0..8usize).prop_map(Act::Forget),
        (0..4usize).prop_map(Act::Evict),
        (0..8usize).prop_map(Act::Rest),
    ];
    prop::collection::vec(act, 1..60)
}

/// What an act answers.
fn answer(txn: &mut Txn<'_>, act: &Act) -> String {
    let key = |number: &u8| vec![b'a' + number];
    match act {
        Act::Set(number, value) => {
            set(txn, &key(number), &[b'0' + value]);
            String::new()
        }
        Act::Increment(number) => format!("{:?}", txn.increment(&key(number), 1)),
        Act::Add(number, member) => format!("{:?}", txn.set_add(&key(number), &[&[*member]])),
        Act::Remove(number, member) => format!("{:?}", txn.set_remove(&key(number), &[&[*member]])),
        Act::Delete(number) => format!("{}", txn.delete(&key(number))),
        Act::Type(number) => format!("{:?}", txn.value_type(&key(number)) == Some(ValueType::Set)),
        Act::Copy(from, to) if from != to => format!("{}", txn.copy(&key(from), &key(to))),
        Act::Copy(..) | Act::Forget(_) | Act::Evict(_) | Act::Rest(_) => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_replica_whose_rows_leave_answers_as_one_whose_rows_stay(acts in acts()) {
        let (mut node, mut twin) = (Node::new(1), Node::new(1));
        for act in &acts {
            match act {
                Act::Forget(rows) => {
                    node.checkpoint();
                    node.evict(*rows);
                    twin.checkpoint();
                }
                Act::Evict(rows) => drop(node.evict(*rows)),
                Act::Rest(rows) => drop(node.rest(*rows)),
                _ => {
                    let found = node.run_anyhow(Scope::Many, |txn| answer(txn, act));
                    // A refused transaction has taken a stamp.
                    (0..std::mem::take(&mut node.refused)).for_each(|_| twin.run(|_| ()));
                    prop_assert_eq!(twin.run(|txn| answer(txn, act)), found);
                }
            }
            prop_assert_eq!(node.replica.digest(), twin.replica.digest());
            prop_assert_eq!(node.replica.visible_keys(), twin.replica.visible_keys());
        }
        prop_assert!(node.content() == twin.content());
        node.checkpoint();
        let again = node.table.load();
        prop_assert!(again.content() == twin.content());
    }
}
