//! What a replica holds, as plain data: for tests, for the simulator, and for looking into a node that has gone astray.

use std::collections::BTreeMap;

use isles_clock::{Dot, Hlc, Stamp, VectorClock};
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::op::{BoundedCounter, Cell, Contribution, Tally, Version};
use isles_crdt::sorted_set::Score;
use isles_resolve::Sums;

use crate::apply::newest_unseen;
use crate::image::{self, ROWS, ScanTable, key_of_row};
use crate::list::Element;
use crate::replica::Replica;
use crate::row::{Component, Field, Row};
use crate::rows::{ColdBucket, bucket_of, hash_of};
use crate::sorted_set::Member;
use crate::stream::{Entry, Group, Groups, Pending, StreamId, StreamMark};
use crate::sum;

/// A value with the entry that wrote it: (dot, stamp's clock, value).
pub type Written = (Dot, Hlc, Vec<u8>);

/// Everything live of one key, hidden or not: what equal clocks must hold equally. Residue is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyContent {
    /// When the key goes, in milliseconds since 1970, and who said so.
    pub deadline: Option<(u64, Stamp)>,
    /// The value of the `lww` register.
    pub lww: Option<Written>,
    /// The siblings of the multi-value register, by dot.
    pub mv: Vec<Written>,
    /// What they know of differences of their numbers, by dot.
    pub sums: Vec<(Dot, Sums)>,
    /// The live fields of the map.
    pub map: BTreeMap<Vec<u8>, FieldContent>,
    /// The members of the set, with the additions that nothing has observed.
    pub set: BTreeMap<Vec<u8>, Vec<Dot>>,
    /// The members of the remove-wins set, with the additions that have observed every removal.
    pub set_rw: BTreeMap<Vec<u8>, Vec<Dot>>,
    /// The live members of the sorted set.
    pub sorted_set: BTreeMap<Vec<u8>, ScoreContent>,
    /// The elements of the list in their order: each one's name, see [`isles_crdt::list::Position::name`], and the values
    /// that nothing has observed, by dot.
    pub list: Vec<(Vec<u8>, Vec<Written>)>,
    /// The stream.
    pub stream: StreamContent,
    /// The uncovered contributions of the counter.
    pub counter: Vec<Contribution>,
    /// What enables the enable-wins flag.
    pub flag_ew: Vec<Dot>,
    /// What enables the disable-wins flag.
    pub flag_dw: Vec<Dot>,
    /// The sketches, each with the entry that created it.
    pub sketches: Vec<(Dot, Sketch)>,
    /// The bounded counters, each with the entry that created it.
    pub bounded: Vec<(Dot, BoundedCounter)>,
}

/// Everything live of one member of a sorted set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScoreContent {
    /// The base scores that nothing has observed, by dot.
    pub versions: Vec<(Dot, Hlc, Score)>,
    /// The uncovered contributions of its increments; the totals are bits of scores.
    pub counter: Vec<Contribution>,
}

/// Everything live of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamContent {
    /// The entries, by id and dot.
    pub entries: Vec<EntryContent>,
    /// What the stream knows of itself, as far as nothing has observed it, by dot.
    pub marks: Vec<(Dot, Hlc, StreamMark)>,
    /// The consumer groups, by name and by the entry that created them.
    pub groups: Vec<GroupContent>,
}

/// When a consumer was seen, by whom.
pub type ConsumerSeen = Vec<(Dot, u64)>;

/// A consumer group of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupContent {
    /// Its name.
    pub name: Vec<u8>,
    /// The log's entry that created it.
    pub dot: Dot,
    /// The greatest id up to which it has delivered.
    pub last: StreamId,
    /// What is pending, by id.
    pub pending: Vec<PendingContent>,
    /// Its consumers, by name; when they were seen, by dot.
    pub consumers: Vec<(Vec<u8>, ConsumerSeen)>,
}

/// A pending entry of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingContent {
    /// Its id.
    pub id: StreamId,
    /// The log's entry that added it.
    pub dot: Dot,
    /// Its place among what that entry added under this id.
    pub ordinal: u32,
    /// Every mark that no other has observed, by dot: the consumer, since when, and how often it was delivered.
    pub marks: Vec<(Dot, Vec<u8>, u64, u64)>,
}

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryContent {
    /// Its id.
    pub id: StreamId,
    /// The log's entry that added it.
    pub dot: Dot,
    /// When that was.
    pub hlc: Hlc,
    /// Field names and values in turn.
    pub fields: Vec<Vec<u8>>,
}

/// Everything live of one map field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldContent {
    /// The values that nothing has observed, by dot.
    pub versions: Vec<Written>,
    /// The uncovered contributions of its counter.
    pub counter: Vec<Contribution>,
}

impl Replica {
    /// Everything live that is in memory, by key. Costs a copy of all of it.
    pub fn content(&self) -> BTreeMap<Vec<u8>, KeyContent> {
        let rows = self.rows.iter();
        rows.map(|(_, row)| (row.key.to_vec(), content_of(&row)))
            .filter(|(_, content)| *content != KeyContent::default())
            .collect()
    }

    /// Everything live that is not in memory, by key, as the table has it. Costs a look at every row of the table, and a copy.
    ///
    /// # Errors
    /// Names what cannot be read, or the first bucket whose rows in memory and table are not what it counts.
    pub fn cold_content(
        &self,
        scan: &mut ScanTable<'_>,
    ) -> Result<BTreeMap<Vec<u8>, KeyContent>, String> {
        let mut stored = Vec::new();
        if self.cold_rows() > 0 {
            scan(ROWS, &mut |key, value| {
                let key = key_of_row(key).filter(|key| self.rows.is_cold(key, hash_of(key)));
                stored.extend(key.map(|key| (key.to_vec(), value.to_vec())));
            });
        }
        let (mut content, mut found) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in stored {
            let row = image::read(&key, &value, scan).map_err(|error| error.to_string())?;
            let bucket: &mut ColdBucket = found.entry(bucket_of(row.hash)).or_default();
            bucket.rows += 1;
            bucket.sum = bucket.sum.wrapping_add(row.sum);
            content.insert(key, content_of(&row));
        }
        let kept = self.rows.cold_buckets();
        if kept != found {
            let differ = kept
                .iter()
                .find(|(number, cold)| found.get(*number) != Some(*cold));
            return Err(format!(
                "of cold rows {differ:?} are counted, not all of them are in the table"
            ));
        }
        content.retain(|_, content| *content != KeyContent::default());
        Ok(content)
    }

    /// Whether something under a key was written by an entry that a clock does not cover: whoever has that clock has never
    /// seen it, and if it is not there, nobody has deleted it. Of keys in memory: see [`missing`](Self::missing).
    pub fn has_unseen(&self, key: &[u8], clock: &VectorClock) -> bool {
        let Some(row) = self.rows.look(key, hash_of(key)) else {
            return false;
        };
        let mut components = row.components.iter();
        components.any(|component| newest_unseen(component, clock).is_some())
    }

    /// The stamp of the last write of a key's deadline, also where that took the deadline away.
    pub fn deadline_stamp(&self, key: &[u8]) -> Option<Stamp> {
        let row = self.rows.look(key, hash_of(key))?;
        Some(row.deadline.stamp)
    }

    /// Recomputes everything that is derived from rows and compares it with what is kept.
    ///
    /// # Errors
    /// Names the first thing that does not add up.
    pub fn check(&self) -> Result<(), String> {
        for (_, row) in self.rows.iter() {
            check_row(&row)
                .map_err(|what| format!("key \"{}\": {what}", row.key.escape_ascii()))?;
        }
        self.journal.check()?;
        self.rows.check()
    }
}

fn check_row(row: &Row) -> Result<(), String> {
    let sum = sum::of_row(row);
    if sum != row.sum {
        return Err(format!("its sum is {:x}, its content's {sum:x}", row.sum));
    }
    let kinds: Vec<_> = row.components.iter().map(Component::kind).collect();
    if !kinds.is_sorted_by(|left, right| left < right) {
        return Err(format!("its components are out of order: {kinds:?}"));
    }
    if !row.is_shared_sound() {
        return Err("its sets share another number of members than is counted".to_owned());
    }
    for component in &row.components {
        let sound = match component {
            Component::Set(set) => set.members.is_sound(),
            Component::SetRw(set) => set.is_sound(),
            Component::List(list) => list.is_sound(row.hash),
            Component::Map(map) => {
                map.fields.is_sound()
                    && map.live
                        == map
                            .fields
                            .iter()
                            .filter(|(_, field)| field.is_live())
                            .count()
            }
            Component::SortedSet(set) => set.is_sound(),
            Component::Stream(stream) => stream.is_sound(),
            _ => true,
        };
        if !sound {
            return Err(format!("its {} is not sound", component.kind().name()));
        }
    }
    Ok(())
}

fn content_of(row: &Row) -> KeyContent {
    let mut content = KeyContent {
        deadline: row
            .deadline
            .is_set()
            .then_some((row.deadline.at_ms, row.deadline.stamp)),
        ..KeyContent::default()
    };
    for component in &row.components {
        match component {
            Component::Lww(cell) => {
                let value = cell.value.as_ref();
                content.lww = value.map(|value| (cell.dot, cell.hlc, value.to_vec()));
            }
            Component::Mv(cell) => content.mv = written(cell),
            Component::MvSummed(summed) => {
                content.mv = written(&summed.cell);
                content.sums = summed.sums().to_vec();
            }
            Component::Counter(tally) => content.counter = uncovered(tally),
            Component::FlagEw(flag) => content.flag_ew = flag.dots().to_vec(),
            Component::FlagDw(flag) => content.flag_dw = flag.present_by().collect(),
            Component::HyperLogLog(sketches) => content.sketches = sketches.sketches().to_vec(),
            Component::BoundedCounter(escrow) => content.bounded = escrow.counters().to_vec(),
            Component::Set(set) => {
                let members = set.members.iter();
                content.set = members
                    .map(|(member, presence)| (member.to_vec(), presence.dots().to_vec()))
                    .collect();
            }
            Component::SetRw(set) => {
                let members = set.iter();
                content.set_rw = members
                    .map(|(member, veto)| (member.to_vec(), veto.present_by().collect()))
                    .collect();
            }
            Component::List(list) => {
                let elements = list.elements().elements();
                let written = |version: Version<&Element>| {
                    (version.dot, version.hlc, version.value.0.to_vec())
                };
                content.list = elements
                    .map(|(position, versions)| {
                        (position.name().to_vec(), versions.map(written).collect())
                    })
                    .collect();
            }
            Component::Map(map) => {
                let live = map.fields.iter().filter(|(_, field)| field.is_live());
                content.map = live
                    .map(|(name, field)| (name.to_vec(), field_content(field)))
                    .collect();
            }
            Component::SortedSet(set) => {
                let live = set.members().iter();
                content.sorted_set = live
                    .filter(|(_, member)| member.is_live())
                    .map(|(name, member)| (name.to_vec(), score_content(member)))
                    .collect();
            }
            Component::Stream(stream) => {
                let marks = stream.marks.versions().iter();
                content.stream = StreamContent {
                    entries: stream.iter().map(entry_content).collect(),
                    marks: marks.map(|mark| (mark.dot, mark.hlc, mark.value)).collect(),
                    groups: group_contents(&stream.groups),
                };
            }
        }
    }
    content
}

fn group_contents(groups: &Groups) -> Vec<GroupContent> {
    let pending = |pending: &Pending| PendingContent {
        id: pending.name.id,
        dot: pending.name.dot,
        ordinal: pending.name.ordinal,
        marks: pending
            .marks
            .versions()
            .iter()
            .map(|version| {
                let mark = &version.value;
                (version.dot, mark.consumer.to_vec(), mark.at_ms, mark.count)
            })
            .collect(),
    };
    let content = |name: &[u8], dot: Dot, group: &Group| GroupContent {
        name: name.to_vec(),
        dot,
        last: group.last().0,
        pending: group.pending.iter().map(pending).collect(),
        consumers: group
            .consumers
            .iter()
            .map(|(name, seen)| {
                let seen = seen.versions().iter();
                (
                    name.to_vec(),
                    seen.map(|version| (version.dot, version.value)).collect(),
                )
            })
            .collect(),
    };
    let all = groups.iter();
    all.flat_map(|(name, groups)| {
        groups
            .iter()
            .map(move |(dot, group)| content(name, *dot, group))
    })
    .collect()
}

fn entry_content(entry: &Entry) -> EntryContent {
    EntryContent {
        id: entry.name.id,
        dot: entry.name.dot,
        hlc: entry.hlc,
        fields: entry.fields.iter().map(<[u8]>::to_vec).collect(),
    }
}

fn field_content(field: &Field) -> FieldContent {
    FieldContent {
        versions: written(&field.cell),
        counter: field.tally.as_deref().map_or_else(Vec::new, uncovered),
    }
}

fn score_content(member: &Member) -> ScoreContent {
    let versions = member.cell.versions().iter();
    ScoreContent {
        versions: versions
            .map(|version| (version.dot, version.hlc, version.value))
            .collect(),
        counter: member.tally.as_deref().map_or_else(Vec::new, uncovered),
    }
}

fn written(cell: &Cell<Box<[u8]>>) -> Vec<Written> {
    let versions = cell.versions().iter();
    versions
        .map(|version| (version.dot, version.hlc, version.value.to_vec()))
        .collect()
}

fn uncovered(tally: &Tally) -> Vec<Contribution> {
    tally.uncovered().copied().collect()
}
