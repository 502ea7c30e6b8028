//! Replicas that write, seal, exchange frames and lie in a table, without a log or a network.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind, Offer};
use isles_replica::image::{INDEX_PREFIXES, TableChange};
use isles_replica::{Frame, Loaded, Missing, Replica, ReplicaConfig, Scope, Txn, UnloggedContent};

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) fn replica(id: u128) -> Replica {
    Replica::new(ReplicaId::from_u128(id), ReplicaConfig::default())
}

pub(crate) fn run<R>(
    replica: &mut Replica,
    scope: Scope,
    act: impl FnOnce(&mut Txn<'_>) -> R,
) -> R {
    run_at(replica, NOW_MS, scope, act)
}

pub(crate) fn run_at<R>(
    replica: &mut Replica,
    wall_ms: u64,
    scope: Scope,
    act: impl FnOnce(&mut Txn<'_>) -> R,
) -> R {
    let mut txn = replica.txn(wall_ms, scope);
    let result = act(&mut txn);
    txn.commit().expect("the entry is small enough");
    result
}

/// Seals what is open and calls everything durable; the own frames among it.
pub(crate) fn seal(replica: &mut Replica) -> Vec<Frame> {
    let mut chain = replica.delivery().previous_chain(replica.id());
    let mut own = Vec::new();
    for unlogged in replica.take_unlogged() {
        let frame = match unlogged.content {
            UnloggedContent::Own(open) => {
                let frame = open.seal(chain);
                chain = frame.chain();
                own.push(frame.clone());
                frame
            }
            UnloggedContent::Remote(frame) => frame,
            UnloggedContent::Note(_) => continue,
        };
        replica.note_durable(unlogged.number, [&frame]);
    }
    own
}

/// Applies a frame of another replica.
pub(crate) fn receive(replica: &mut Replica, frame: &Frame) {
    let lane = Lane {
        peer: frame.replica(),
        kind: LaneKind::Direct,
    };
    let offer = replica.offer(frame.clone(), lane);
    assert_eq!(offer.expect("the frame is sound"), Offer::Accepted);
    while replica.apply_ready(NOW_MS) > 0 {}
}

/// The same, and seals everything.
pub(crate) fn take(replica: &mut Replica, frame: &Frame) {
    receive(replica, frame);
    seal(replica);
}

/// Both learn what the other has written since the last time, neither having seen it.
pub(crate) fn exchange(left: &mut Replica, right: &mut Replica) {
    let frames = [seal(left), seal(right)];
    for (target, frames) in [(right, &frames[0]), (left, &frames[1])] {
        frames.iter().for_each(|frame| take(target, frame));
    }
}

/// A table in memory.
#[derive(Default)]
pub(crate) struct Table(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

impl Table {
    /// Takes what has changed; says how many rows were written.
    pub(crate) fn store(&mut self, replica: &mut Replica) -> usize {
        let mut written = 0;
        let images = replica.take_images(usize::MAX);
        images.encode(&mut |change| match change {
            TableChange::Put(key, value) => {
                written += usize::from(!is_index(&key));
                self.0.insert(key, value);
            }
            TableChange::Delete(key) => drop(self.0.remove(&key)),
        });
        replica.note_written(images.receipt());
        written
    }

    /// What it has of a key.
    pub(crate) fn read(&self, missing: Missing) -> Loaded {
        let get = &mut |key: &[u8]| Ok(self.0.get(key).cloned());
        missing.load(get, &mut |prefix, each| self.scan(prefix, each))
    }

    pub(crate) fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
        let matching = self.0.iter().filter(|(key, _)| key.starts_with(prefix));
        matching.for_each(|(key, value)| each(key, value));
    }

    /// What a restart finds.
    pub(crate) fn load(&self) -> Replica {
        let mut loaded = replica(9);
        let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| self.scan(prefix, each);
        let read = match self.0.keys().any(|key| is_index(key)) {
            true => loaded.load_table(scan, NOW_MS),
            false => loaded.load_table_without_index(scan, NOW_MS),
        };
        read.expect("what was written is read");
        loaded.check().expect("what is derived fits the content");
        loaded
    }

    /// What a restart finds that reads no row without need.
    pub(crate) fn open(&self) -> Replica {
        let mut opened = replica(9);
        let read = opened.open_table(&mut |prefix, each| self.scan(prefix, each), NOW_MS);
        read.expect("what was written is read");
        opened.check().expect("what is derived fits the content");
        opened
    }

    /// Number of rows and pages.
    pub(crate) fn len(&self) -> usize {
        self.0.keys().filter(|key| !is_index(key)).count()
    }

    /// The rows, as golden files have them.
    pub(crate) fn hex(&self) -> String {
        let rows = self.0.iter().filter(|(key, _)| !is_index(key));
        let rows = rows.map(|(key, value)| format!("{} {}", hex(key), hex(value)));
        rows.collect::<Vec<_>>().join("\n")
    }
}

/// Whether a table key is of what the table knows of its rows.
pub(crate) fn is_index(key: &[u8]) -> bool {
    INDEX_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hex digits"))
        .collect()
}
