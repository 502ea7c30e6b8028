//! A replica with its log and its table, as plain values: it can be restarted from either.

use std::collections::BTreeMap;

use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind};
use isles_replica::image::TableChange;
use isles_replica::{
    Expiry, Frame, Journal, JournalLimits, JournalRecord, Note, Origin, Replica, ReplicaConfig,
    Restored, Scope, Txn, UnloggedContent,
};

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

enum Logged {
    Frame(Frame),
    Note(Note),
}

pub(crate) struct Island {
    pub(crate) replica: Replica,
    pub(crate) now_ms: u64,
    id: u128,
    limits: JournalLimits,
    log: Vec<(u64, Logged)>,
    own: Vec<Frame>,
    table: BTreeMap<Vec<u8>, Vec<u8>>,
    restored: Restored,
}

impl Island {
    pub(crate) fn new(id: u128) -> Island {
        Island::with(id, JournalLimits::default())
    }

    pub(crate) fn with(id: u128, limits: JournalLimits) -> Island {
        let mut island = Island {
            replica: replica(id, limits),
            now_ms: NOW_MS,
            id,
            limits,
            log: Vec::new(),
            own: Vec::new(),
            table: BTreeMap::new(),
            restored: Restored::default(),
        };
        for (id, region) in [(1, "eu"), (2, "us"), (3, "ap")] {
            let origin = Origin {
                node: format!("{region}-1"),
                region: region.to_owned(),
                ahead_ms: Some(id as i64),
            };
            island.replica.note_origin(ReplicaId::from_u128(id), origin);
        }
        island
    }

    pub(crate) fn run<R>(&mut self, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
        let mut txn = self.replica.txn(self.now_ms, Scope::Many);
        let result = act(&mut txn);
        txn.commit().expect("the entry is small");
        result
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.run(|txn| txn.set_string(key.as_bytes(), value.as_bytes(), Expiry::Clear));
    }

    pub(crate) fn string(&mut self, key: &str) -> Option<String> {
        self.run(|txn| {
            let value = txn.string(key.as_bytes()).expect("it is a string");
            value.map(|value| String::from_utf8_lossy(&value).into_owned())
        })
    }

    /// Seals what is open and calls everything durable.
    pub(crate) fn flush(&mut self) {
        let mut chain = self.replica.delivery().previous_chain(self.replica.id());
        let (mut frames, mut last) = (Vec::new(), 0);
        for unlogged in self.replica.take_unlogged() {
            last = unlogged.number;
            let frame = match unlogged.content {
                UnloggedContent::Note(note) => {
                    self.log.push((last, Logged::Note(note)));
                    continue;
                }
                UnloggedContent::Remote(frame) => frame,
                UnloggedContent::Own(open) => {
                    let frame = open.seal(chain);
                    chain = frame.chain();
                    self.own.push(frame.clone());
                    frame
                }
            };
            self.log.push((last, Logged::Frame(frame.clone())));
            frames.push(frame);
        }
        if last > 0 {
            self.replica.note_durable(last, &frames);
        }
    }

    /// Takes everything that `other` has written itself.
    pub(crate) fn learn(&mut self, other: &mut Island) {
        other.flush();
        self.flush();
        let lane = Lane {
            peer: other.replica.id(),
            kind: LaneKind::Direct,
        };
        for frame in &other.own {
            let offered = self.replica.offer(frame.clone(), lane);
            _ = offered.expect("what was sealed is known");
        }
        while self.replica.apply_ready(self.now_ms) > 0 {}
        self.flush();
    }

    /// Writes to the table what has changed, and lets a restart begin here.
    pub(crate) fn checkpoint(&mut self) {
        self.flush();
        let (restored, _) = self.replica.begin_checkpoint();
        self.write_table();
        self.restored = restored;
    }

    /// Writes to the table what has changed; a restart begins where it did.
    pub(crate) fn write_table(&mut self) {
        let images = self.replica.take_images(usize::MAX);
        let table = &mut self.table;
        images.encode(&mut |change| match change {
            TableChange::Put(key, value) => _ = table.insert(key, value),
            TableChange::Delete(key) => _ = table.remove(&key),
        });
    }

    /// What the table takes.
    pub(crate) fn table_bytes(&self) -> usize {
        let rows = self.table.iter();
        rows.map(|(key, value)| key.len() + value.len()).sum()
    }

    /// A restart finds the log without its last record.
    pub(crate) fn lose_last_record(&mut self) {
        self.log.pop().expect("there is one");
    }

    /// What comes up later from the table and the log.
    pub(crate) fn restarted(&self, wall_ms: u64) -> Replica {
        let mut replica = replica(self.id, self.limits);
        replica.restore(&self.restored);
        let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
            let rows = self.table.range(prefix.to_vec()..);
            let rows = rows.take_while(|(key, _)| key.starts_with(prefix));
            rows.for_each(|(key, value)| each(key, value));
        };
        replica
            .load_table(scan, wall_ms)
            .expect("the table is sound");
        for (number, logged) in &self.log {
            if *number <= self.restored.record {
                continue;
            }
            match logged {
                Logged::Frame(frame) => {
                    let replayed = replica.replay(*number, frame, wall_ms);
                    replayed.expect("the log goes on where the table ends");
                }
                Logged::Note(note) => replica.replay_note(*number, note),
            }
        }
        replica.check().expect("what is derived fits the content");
        replica
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.replica.conflicts()
    }

    pub(crate) fn records(&self) -> Vec<JournalRecord> {
        self.journal().iter().cloned().collect()
    }

    /// The only record that there is.
    pub(crate) fn only(&self) -> JournalRecord {
        let records = self.records();
        assert_eq!(records.len(), 1, "{records:#?}");
        records.into_iter().next().expect("there is one")
    }
}

fn replica(id: u128, limits: JournalLimits) -> Replica {
    let config = ReplicaConfig {
        journal: limits,
        ..ReplicaConfig::default()
    };
    Replica::new(ReplicaId::from_u128(id), config)
}

pub(crate) fn pair() -> (Island, Island) {
    (Island::new(1), Island::new(2))
}

pub(crate) fn meet(a: &mut Island, b: &mut Island) {
    a.learn(b);
    b.learn(a);
    assert_eq!(a.replica.applied(), b.replica.applied());
    assert_eq!(a.replica.digest(), b.replica.digest());
    for island in [a, b] {
        let checked = island.replica.check();
        checked.expect("what is derived fits the content");
    }
}

/// Everybody learns everything.
pub(crate) fn meet_all(islands: &mut [Island]) {
    for _ in 0..2 {
        for to in 0..islands.len() {
            for from in 0..islands.len() {
                if let Ok([to, from]) = islands.get_disjoint_mut([to, from]) {
                    to.learn(from);
                }
            }
        }
    }
    for island in islands.iter() {
        assert_eq!(island.replica.digest(), islands[0].replica.digest());
    }
}
