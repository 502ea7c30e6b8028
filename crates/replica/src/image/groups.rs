//! How the consumer groups of a stream lie in its header row: whole, so their number, and what is pending, is limited.

use std::collections::HashMap;
use std::sync::Arc;

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_crdt::op::{Cell, Version};
use serde::{Deserialize, Serialize};

use super::ImageError;
use super::stream::content;
use crate::op::{EntryRef, GroupReach};
use crate::stream::{Group, Groups, Mark, Name, Pending};

/// When a consumer was seen, by whom.
type Seen = Vec<(Dot, Hlc, u64)>;

/// A consumer group in a header row.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredGroup<'a> {
    name: &'a [u8],
    dot: Dot,
    start: GroupReach,
    reaches: Vec<GroupReach>,
    #[serde(borrow)]
    consumers: Vec<(&'a [u8], Seen)>,
    /// Whom the names of entries count.
    writers: Vec<ReplicaId>,
    lives: Vec<(EntryRef, u32)>,
    /// Whom the marks count; some may no longer be among the consumers.
    holders: Vec<&'a [u8]>,
    pending: Vec<(EntryRef, u32, Vec<Dot>, Vec<StoredMark>)>,
}

#[derive(Serialize, Deserialize)]
struct StoredMark {
    dot: Dot,
    hlc: Hlc,
    holder: u32,
    at_ms: u64,
    count: u64,
}

pub(super) fn stored(groups: &Groups) -> Vec<StoredGroup<'_>> {
    let all = groups.iter();
    let all =
        all.flat_map(|(name, groups)| groups.iter().map(move |(dot, group)| (name, dot, group)));
    all.filter_map(|(name, dot, group)| {
        let mut writers = Places::default();
        let mut holders = Places::default();
        let lives = group.lives.iter();
        let lives = lives
            .map(|(name, life)| (entry_ref(name, &mut writers), *life))
            .collect();
        let pending = group.pending.iter().map(|pending| {
            let marks = pending.marks.versions().iter().map(|version| StoredMark {
                dot: version.dot,
                hlc: version.hlc,
                holder: holders.place(&*version.value.consumer),
                at_ms: version.value.at_ms,
                count: version.value.count,
            });
            let marks = marks.collect();
            let delivered = pending.delivered.to_vec();
            (
                entry_ref(&pending.name, &mut writers),
                pending.life,
                delivered,
                marks,
            )
        });
        let pending = pending.collect();
        let consumers = group.consumers.iter().map(|(name, seen)| {
            let versions = seen.versions().iter();
            let versions = versions.map(|version| (version.dot, version.hlc, version.value));
            (&**name, versions.collect())
        });
        let delivery = group.deliveries.first()?;
        Some(StoredGroup {
            name,
            dot: *dot,
            start: delivery.start.clone(),
            reaches: delivery.reaches.to_vec(),
            consumers: consumers.collect(),
            writers: writers.all,
            lives,
            holders: holders.all,
            pending,
        })
    })
    .collect()
}

/// Values and the order in which they first came.
struct Places<T> {
    places: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Places {
            places: HashMap::new(),
            all: Vec::new(),
        }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Places<T> {
    fn place(&mut self, value: T) -> u32 {
        let all = &mut self.all;
        *self.places.entry(value).or_insert_with(|| {
            all.push(value);
            all.len() as u32 - 1
        })
    }
}

fn entry_ref(name: &Name, writers: &mut Places<ReplicaId>) -> EntryRef {
    EntryRef {
        id: name.id,
        writer: writers.place(name.dot.replica),
        sequence: name.dot.sequence,
        ordinal: name.ordinal,
    }
}

impl StoredGroup<'_> {
    /// Takes the group in.
    pub(super) fn load(self, key_hash: u64, groups: &mut Groups) -> Result<(), ImageError> {
        let writers = self.writers;
        let name_of = |entry: &EntryRef| {
            let writer = writers.get(entry.writer as usize);
            let writer = writer.ok_or(content("an entry of a consumer group names no writer"))?;
            Ok::<Name, ImageError>(Name {
                id: entry.id,
                dot: Dot::new(*writer, entry.sequence),
                ordinal: entry.ordinal,
            })
        };
        let mut group = Group::new(self.start);
        let reaches = self.reaches.iter();
        group
            .deliveries
            .iter_mut()
            .for_each(|each| reaches.clone().for_each(|reach| each.reach(reach)));
        let lives = self
            .lives
            .iter()
            .map(|(entry, life)| Ok((name_of(entry)?, *life)));
        group.lives = Arc::new(lives.collect::<Result<_, ImageError>>()?);
        let consumers = self.consumers.into_iter().map(|(name, seen)| {
            let versions = seen.into_iter();
            let seen: Cell<u64> = versions
                .map(|(dot, hlc, value)| Version { dot, hlc, value })
                .collect();
            (Arc::from(name), seen)
        });
        group.consumers = Arc::new(consumers.collect());
        let holders: Vec<Arc<[u8]>> = self.holders.iter().map(|name| Arc::from(*name)).collect();
        for (entry, life, delivered, marks) in self.pending {
            let mark = |stored: StoredMark| {
                let consumer = holders.get(stored.holder as usize).cloned();
                let value = Mark {
                    consumer: consumer.ok_or(content("a pending entry is at no consumer"))?,
                    at_ms: stored.at_ms,
                    count: stored.count,
                };
                let (dot, hlc) = (stored.dot, stored.hlc);
                Ok(Version { dot, hlc, value })
            };
            let marks: Cell<Mark> = marks
                .into_iter()
                .map(mark)
                .collect::<Result<_, ImageError>>()?;
            let name = name_of(&entry)?;
            if marks.is_empty() || group.last_pending().is_some_and(|last| *last >= name) {
                return Err(content(
                    "pending entries of a consumer group are out of order",
                ));
            }
            group.put(Pending {
                name,
                life,
                delivered: delivered.into(),
                marks,
            });
        }
        groups.load(key_hash, self.name, self.dot, group);
        Ok(())
    }
}
