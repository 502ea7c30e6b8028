//! What the table knows of its rows without their being read: a restart, scans, and deadlines need no more.

mod support;

use std::collections::BTreeSet;

use isles_replica::image::{due_range, key_of_due};
use isles_replica::{Admitted, Eviction, Expiry, Listing, Replica, Scope, SetRule, Txn, ValueType};
use proptest::prelude::*;
use support::{NOW_MS, Table, replica, run_at, seal};

struct Node {
    replica: Replica,
    table: Table,
    now_ms: u64,
}

type Keys = BTreeSet<Vec<u8>>;

impl Node {
    fn new() -> Node {
        Node {
            replica: replica(1),
            table: Table::default(),
            now_ms: NOW_MS,
        }
    }

    fn run<R>(&mut self, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
        run_at(&mut self.replica, self.now_ms, Scope::Many, act)
    }

    /// Brings a key into memory, and runs something.
    fn run_on<R>(&mut self, key: &[u8], act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
        self.load(key);
        self.run(act)
    }

    fn load(&mut self, key: &[u8]) {
        for missing in self.replica.missing([key]) {
            let loaded = self.table.read(missing);
            assert_eq!(self.replica.admit(loaded, self.now_ms), Ok(Admitted::Known));
        }
    }

    fn checkpoint(&mut self) {
        seal(&mut self.replica);
        self.table.store(&mut self.replica);
    }

    fn evict(&mut self, rows: usize, seed: u64) {
        let which = Eviction {
            rows,
            idle_ms: 0,
            seed,
        };
        let evicted = self.replica.evict(which, self.now_ms);
        _ = evicted.expect("all images are written");
        self.replica.check().expect("what is derived adds up");
    }

    /// Stops, and starts again with nothing in memory.
    fn restart(&mut self) {
        let (applied, digest) = (self.replica.applied().clone(), self.replica.digest());
        let visible = self.replica.visible_keys();
        let mut next = self.table.open();
        next.restore(&isles_replica::Restored {
            record: self.replica.durable_record(),
            applied,
            hlc: self.replica.latest(),
            chains: Vec::new(),
        });
        assert_eq!(next.digest(), digest);
        assert_eq!(next.visible_keys(), visible);
        assert_eq!(next.expiring_keys(), self.replica.expiring_keys());
        self.replica = next;
    }

    fn listing(&self, cursor: u64, count: usize) -> Listing {
        let unlisted = self.replica.unlisted(cursor, count, &Listing::default());
        let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
            self.table.scan(prefix, each);
        };
        let listing = unlisted.list(&|_| true, scan);
        listing.expect("what was written is read")
    }

    /// All keys that a scan visits, each once.
    fn scan(&mut self, count: usize) -> Keys {
        let (mut cursor, mut seen) = (0, Keys::new());
        loop {
            let listing = self.listing(cursor, count);
            cursor = self.run(|txn| {
                txn.scan(cursor, count, &listing, &mut |key, _| {
                    assert!(seen.insert(key.to_vec()), "{key:?} is visited twice");
                })
            });
            if cursor == 0 {
                return seen;
            }
        }
    }
}

fn set(txn: &mut Txn<'_>, key: &[u8], expiry: Expiry) {
    txn.set_string(key, b"v", expiry);
}

fn name(number: u32) -> Vec<u8> {
    format!("k{number}").into_bytes()
}

#[test]
fn a_restart_reads_no_row_but_its_own() {
    let mut node = Node::new();
    node.run(|txn| {
        txn.keyspace_define(b"x", isles_resolve::Strategy::MultiValue, SetRule::AddWins);
        txn.set_add(b"set", &[b"a"]).expect("a set");
    });
    for number in 0..200 {
        node.run(|txn| set(txn, &name(number), Expiry::Clear));
    }
    node.checkpoint();
    let definitions = node.run(|txn| txn.keyspaces());
    assert_eq!(definitions.len(), 1);
    node.restart();
    assert_eq!(node.replica.cold_keys(), 201);
    assert_eq!(node.run(|txn| txn.keyspaces()), definitions);
    let value_type = node.run_on(b"set", |txn| txn.value_type(b"set"));
    assert_eq!(value_type, Some(ValueType::Set));
    assert_eq!(node.replica.cold_keys(), 200);
}

#[test]
fn a_deadline_that_passes_where_only_the_table_has_the_key_is_found_there() {
    let mut node = Node::new();
    for number in 0..10 {
        let expiry = Expiry::At(NOW_MS + 1_000 + u64::from(number) * 1_000);
        node.run(|txn| set(txn, &name(number), expiry));
    }
    node.run(|txn| set(txn, b"stays", Expiry::Clear));
    node.checkpoint();
    node.evict(100, 7);
    assert_eq!(node.replica.cold_keys(), 11);
    assert_eq!(node.replica.expiring_keys(), 10);
    node.restart();
    let later = NOW_MS + 3_500;
    node.now_ms = later;
    let (from, to) = due_range(later);
    let due = node.table.0.range(from..to);
    let due: Vec<Vec<u8>> = due
        .filter_map(|(key, _)| key_of_due(key).map(<[u8]>::to_vec))
        .collect();
    assert_eq!(due, [name(0), name(1), name(2)]);
    due.iter().for_each(|key| node.load(key));
    assert_eq!(node.replica.visible_keys(), 11);
    assert_eq!(node.replica.find_expired(later, 100), 3);
    assert_eq!(node.replica.visible_keys(), 8);
    node.replica.check().expect("what is derived adds up");
    node.checkpoint();
    let (from, to) = due_range(later);
    assert_eq!(node.table.0.range(from..to).count(), 0);
    // They are neither listed nor counted, also when they have left memory and come back.
    node.evict(100, 8);
    node.restart();
    assert_eq!(node.replica.visible_keys(), 8);
    node.load(&name(0));
    assert_eq!(node.replica.find_expired(later, 100), 0);
    assert_eq!(node.scan(3).len(), 8);
    node.replica.check().expect("what is derived adds up");
}

#[test]
fn a_random_key_may_be_one_that_is_not_in_memory() {
    let mut node = Node::new();
    for number in 0..50 {
        node.run(|txn| set(txn, &name(number), Expiry::Clear));
    }
    node.checkpoint();
    node.evict(100, 7);
    let (mut seen, mut state) = (Keys::new(), 1u64);
    for _ in 0..2_000 {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let random = state ^ state >> 29;
        let bucket = random % isles_replica::BUCKETS as u64;
        let listing = match node.listing(bucket, 1) {
            none if none.first_bucket().is_none() => node.listing(0, 1),
            listing => listing,
        };
        let key = node.run(|txn| txn.random_key(random, &listing));
        seen.extend(key);
    }
    assert!(seen.len() > 40, "{} of 50 keys came up", seen.len());
}

#[test]
fn a_table_of_an_earlier_build_has_its_lists_after_a_checkpoint() {
    let mut node = Node::new();
    for number in 0..100 {
        let expiry = match number % 3 {
            0 => Expiry::At(NOW_MS + 10_000),
            _ => Expiry::Clear,
        };
        node.run(|txn| set(txn, &name(number), expiry));
    }
    node.run(|txn| txn.delete(&name(7)));
    node.checkpoint();
    let whole = node.table.0.clone();
    node.table.0.retain(|key, _| !support::is_index(key));
    let (digest, mut earlier) = (node.replica.digest(), replica(1));
    let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
        node.table.scan(prefix, each);
    };
    let read = earlier.load_table_without_index(scan, NOW_MS);
    read.expect("what was written is read");
    assert_eq!(earlier.digest(), digest);
    assert_eq!(earlier.visible_keys(), 99);
    earlier.check().expect("what is derived adds up");
    node.replica = earlier;
    node.checkpoint();
    assert_eq!(node.table.0, whole);
    node.restart();
    assert_eq!(node.scan(10).len(), 99);
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, Option<u64>),
    Delete(u32),
    Checkpoint,
    Evict(usize, u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40u32, proptest::option::weighted(0.3, 1_000..2_000u64))
            .prop_map(|(number, at)| Step::Set(number, at)),
        3 => (0..40u32).prop_map(Step::Delete),
        2 => Just(Step::Checkpoint),
        2 => (1..30usize, any::<u64>()).prop_map(|(rows, seed)| Step::Evict(rows, seed)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_scan_visits_each_key_once_wherever_it_is(
        steps in proptest::collection::vec(step(), 1..80),
        count in 1..50usize,
    ) {
        let (mut node, mut keys) = (Node::new(), Keys::new());
        for step in steps {
            match step {
                Step::Set(number, at_ms) => {
                    let key = name(number);
                    let expiry = at_ms.map_or(Expiry::Clear, |at_ms| Expiry::At(NOW_MS + at_ms));
                    node.run_on(&key, |txn| set(txn, &key, expiry));
                    keys.insert(key);
                }
                Step::Delete(number) => {
                    let key = name(number);
                    let deleted = node.run_on(&key, |txn| txn.delete(&key));
                    prop_assert_eq!(deleted, keys.remove(&key));
                }
                Step::Checkpoint => node.checkpoint(),
                Step::Evict(rows, seed) => {
                    node.checkpoint();
                    node.evict(rows, seed);
                }
                Step::Restart => {
                    node.checkpoint();
                    node.restart();
                }
            }
            node.replica.check().expect("what is derived adds up");
            prop_assert_eq!(node.replica.visible_keys(), keys.len());
        }
        prop_assert_eq!(node.scan(count), keys.clone());
        // What the table lists is what is there, and when it goes.
        node.checkpoint();
        node.restart();
        prop_assert_eq!(node.scan(count), keys);
        let later = NOW_MS + 5_000;
        node.now_ms = later;
        let (from, to) = due_range(later);
        let due = node.table.0.range(from..to);
        let due: Vec<Vec<u8>> = due
            .filter_map(|(key, _)| key_of_due(key).map(<[u8]>::to_vec))
            .collect();
        prop_assert_eq!(due.len(), node.replica.expiring_keys());
        due.iter().for_each(|key| node.load(key));
        prop_assert_eq!(node.replica.find_expired(later, 1_000), due.len());
        node.replica.check().expect("what is derived adds up");
    }
}
