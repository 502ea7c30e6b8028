//! Sums of content: equal clocks must give equal sums.
//!
//! A sum adds up hashes, so that a change costs what changed; it wraps in 128 bits. It covers what readers could see,
//! expired or not: live dots and values and uncovered contributions, never residue, which replicas drop at different
//! times.

use isles_clock::{Dot, Stamp};
use isles_crdt::op::{Cell, Contribution, DwFlag, EwFlag, HyperLogLog, Presence, Tally, Veto};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::escrow::Escrow;
use crate::op::Kind;
use crate::row::{Component, Field, LwwCell, Row};
use crate::sorted_set::{Member, SortedSet};
use crate::stream::{Delivery, Entry, Mark, Name, Pending, Stream};
use crate::summed::SummedCell;

const ITEM_BYTES: usize = 8 + 1 + 8 + 16 + 8 + 16;
/// Stands where a component's kind stands, for the deadline.
const DEADLINE_TAG: u8 = u8::MAX;
/// The same for consumer groups of a stream.
const GROUP_TAG: u8 = u8::MAX - 1;
/// The same for what versions of a register know of differences.
const SUMS_TAG: u8 = u8::MAX - 2;

/// Hash of one dotted value of one element.
fn item(key_hash: u64, tag: u8, element: u64, dot: Dot, value: u128) -> u128 {
    let mut bytes = [0; ITEM_BYTES];
    bytes[0..8].copy_from_slice(&key_hash.to_le_bytes());
    bytes[8] = tag;
    bytes[9..17].copy_from_slice(&element.to_le_bytes());
    bytes[17..33].copy_from_slice(dot.replica.as_bytes());
    bytes[33..41].copy_from_slice(&dot.sequence.to_le_bytes());
    bytes[41..57].copy_from_slice(&value.to_le_bytes());
    xxh3_128(&bytes)
}

pub(crate) fn of_lww(key_hash: u64, cell: &LwwCell) -> u128 {
    let Some(value) = &cell.value else { return 0 };
    item(
        key_hash,
        Kind::RegisterLww as u8,
        0,
        cell.dot,
        xxh3_128(value),
    )
}

pub(crate) fn of_cell(key_hash: u64, kind: Kind, element: u64, cell: &Cell<Box<[u8]>>) -> u128 {
    cell.versions().iter().fold(0, |sum: u128, version| {
        sum.wrapping_add(item(
            key_hash,
            kind as u8,
            element,
            version.dot,
            xxh3_128(&version.value),
        ))
    })
}

/// A register as any other, and what its versions know.
fn of_summed(key_hash: u64, summed: &SummedCell) -> u128 {
    let values = of_cell(key_hash, Kind::RegisterMv, 0, &summed.cell);
    summed.sums().iter().fold(values, |sum, (dot, sums)| {
        sum.wrapping_add(item(key_hash, SUMS_TAG, 0, *dot, content(sums)))
    })
}

pub(crate) fn of_tally(key_hash: u64, kind: Kind, element: u64, tally: &Tally) -> u128 {
    tally
        .uncovered()
        .fold(0, |sum: u128, contribution: &Contribution| {
            let dot = Dot {
                replica: contribution.replica,
                sequence: contribution.sequence,
            };
            sum.wrapping_add(item(
                key_hash,
                kind as u8,
                element,
                dot,
                contribution.value() as u128,
            ))
        })
}

/// The element that stands for a member or field in [`of_member`] and [`of_field`].
pub(crate) fn element(name: &[u8]) -> u64 {
    xxh3_64(name) | 1
}

pub(crate) fn of_member(key_hash: u64, member: &[u8], presence: &Presence) -> u128 {
    let dots = presence.dots().iter().copied();
    of_dots(key_hash, Kind::SetAw, element(member), dots)
}

/// Only of what makes it present, as [`of_flag_dw`].
pub(crate) fn of_member_rw(key_hash: u64, member: &[u8], veto: &Veto) -> u128 {
    of_dots(key_hash, Kind::SetRw, element(member), veto.present_by())
}

pub(crate) fn of_field(key_hash: u64, name: &[u8], field: &Field) -> u128 {
    let element = element(name);
    let tally = field
        .tally
        .as_ref()
        .map_or(0, |tally| of_tally(key_hash, Kind::Map, element, tally));
    of_cell(key_hash, Kind::Map, element, &field.cell).wrapping_add(tally)
}

pub(crate) fn of_score(key_hash: u64, name: &[u8], member: &Member) -> u128 {
    let (kind, element) = (Kind::SortedSet, element(name));
    let tally = member.tally.as_ref();
    let tally = tally.map_or(0, |tally| of_tally(key_hash, kind, element, tally));
    member.cell.versions().iter().fold(tally, |sum, version| {
        let bits = f64::from(version.value).to_bits();
        let item = item(key_hash, kind as u8, element, version.dot, u128::from(bits));
        sum.wrapping_add(item)
    })
}

pub(crate) fn of_sorted_set(key_hash: u64, set: &SortedSet) -> u128 {
    let members = set.members().iter();
    members.fold(0, |sum, (name, member)| {
        sum.wrapping_add(of_score(key_hash, name, member))
    })
}

/// One value of a list element; `name` is the element's, see [`Position::name`](isles_crdt::list::Position::name).
pub(crate) fn of_element(key_hash: u64, name: &[u8], dot: Dot, value: &[u8]) -> u128 {
    item(
        key_hash,
        Kind::List as u8,
        element(name),
        dot,
        xxh3_128(value),
    )
}

pub(crate) fn of_entry(key_hash: u64, entry: &Entry) -> u128 {
    let mut name = [0; 20];
    name[..16].copy_from_slice(&entry.name.id.as_bytes());
    name[16..].copy_from_slice(&entry.name.ordinal.to_le_bytes());
    let element = element(&name);
    let fields = xxh3_128(entry.fields.as_bytes());
    item(
        key_hash,
        Kind::Stream as u8,
        element,
        entry.name.dot,
        fields,
    )
}

/// What a stream adds beside its entries; see [`of_entry`].
pub(crate) fn of_marks(key_hash: u64, stream: &Stream) -> u128 {
    stream.marks.versions().iter().fold(0, |sum, version| {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&version.value.last.as_bytes());
        bytes[16..].copy_from_slice(&version.value.added.to_le_bytes());
        let mark = xxh3_128(&bytes);
        sum.wrapping_add(item(key_hash, Kind::Stream as u8, 0, version.dot, mark))
    })
}

pub(crate) fn of_stream(key_hash: u64, stream: &Stream) -> u128 {
    let groups = stream.groups.computed_sum(key_hash);
    stream.iter().fold(
        of_marks(key_hash, stream).wrapping_add(groups),
        |sum, entry| sum.wrapping_add(of_entry(key_hash, entry)),
    )
}

/// What a consumer group adds by being there, and by which all that it holds is told from what other groups hold.
pub(crate) fn group_salt(key_hash: u64, name: &[u8], dot: Dot) -> u128 {
    item(key_hash, GROUP_TAG, element(name), dot, 0)
}

/// What a consumer group has passed over or delivered.
pub(crate) fn of_delivery(salt: u128, delivery: &Delivery) -> u128 {
    let start = content(&(salt, 0u8, &delivery.start));
    let reaches = delivery.reaches.iter();
    let each = reaches.map(|reach| content(&(salt, 1u8, reach)));
    each.fold(start, u128::wrapping_add)
}

/// How often an entry was made pending by force.
pub(crate) fn of_life(salt: u128, name: &Name, life: u32) -> u128 {
    content(&(salt, 2u8, name.id, name.dot, name.ordinal, life))
}

/// A pending entry of a consumer group.
pub(crate) fn of_pending(salt: u128, pending: &Pending) -> u128 {
    let name = &pending.name;
    let name = (name.id, name.dot, name.ordinal, pending.life);
    let marks = pending.marks.versions().iter().map(|version| {
        let Mark {
            consumer,
            at_ms,
            count,
        } = &version.value;
        content(&(salt, 3u8, name, version.dot, (&**consumer, at_ms, count)))
    });
    marks.fold(0, u128::wrapping_add)
}

/// A consumer of a consumer group.
pub(crate) fn of_consumer(salt: u128, name: &[u8], seen: &Cell<u64>) -> u128 {
    let versions = seen.versions().iter();
    let each = versions.map(|version| content(&(salt, 4u8, name, version.dot, version.value)));
    each.fold(0, u128::wrapping_add)
}

pub(crate) fn of_flag_ew(key_hash: u64, flag: &EwFlag) -> u128 {
    of_dots(key_hash, Kind::FlagEw, 0, flag.dots().iter().copied())
}

/// Only of what enables it: a removal that has beaten everything is residue.
pub(crate) fn of_flag_dw(key_hash: u64, flag: &DwFlag) -> u128 {
    of_dots(key_hash, Kind::FlagDw, 0, flag.present_by())
}

fn of_dots(key_hash: u64, kind: Kind, element: u64, dots: impl Iterator<Item = Dot>) -> u128 {
    dots.fold(0, |sum: u128, dot| {
        sum.wrapping_add(item(key_hash, kind as u8, element, dot, 0))
    })
}

/// A sketch has 12 KiB at most, and is hashed whole.
pub(crate) fn of_sketches(key_hash: u64, sketches: &HyperLogLog) -> u128 {
    let each = sketches.sketches().iter();
    each.fold(0, |sum: u128, (dot, sketch)| {
        let content = content(sketch);
        sum.wrapping_add(item(key_hash, Kind::HyperLogLog as u8, 0, *dot, content))
    })
}

pub(crate) fn of_escrow(key_hash: u64, escrow: &Escrow) -> u128 {
    let each = escrow.counters().iter();
    each.fold(0, |sum: u128, (dot, counter)| {
        let content = content(counter);
        sum.wrapping_add(item(key_hash, Kind::BoundedCounter as u8, 0, *dot, content))
    })
}

/// Equal values have equal bytes.
fn content(value: &impl serde::Serialize) -> u128 {
    let bytes = postcard::to_allocvec(value).expect("it holds nothing that cannot be encoded");
    xxh3_128(&bytes)
}

pub(crate) fn of_deadline(key_hash: u64, at_ms: u64, stamp: Stamp) -> u128 {
    let dot = Dot {
        replica: stamp.replica,
        sequence: stamp.hlc.as_u64(),
    };
    item(key_hash, DEADLINE_TAG, 0, dot, u128::from(at_ms))
}

/// The sum of a whole row, computed afresh; what [`Row::sum`] must equal at all times.
pub(crate) fn of_row(row: &Row) -> u128 {
    fold(row, |component| match component {
        Component::List(list) => list.computed_sum(row.hash),
        other => of_component(row.hash, other),
    })
}

/// The same from what is kept, as far as it is.
pub(crate) fn kept_of_row(row: &Row) -> u128 {
    fold(row, |component| of_component(row.hash, component))
}

fn fold(row: &Row, of: impl Fn(&Component) -> u128) -> u128 {
    let each = row.components.iter().map(of);
    let content = each.fold(0, u128::wrapping_add);
    match row.deadline.is_set() {
        true => content.wrapping_add(of_deadline(
            row.hash,
            row.deadline.at_ms,
            row.deadline.stamp,
        )),
        false => content,
    }
}

/// What a component adds to its row's sum. Walks collections, but not lists, which keep theirs.
pub(crate) fn of_component(hash: u64, component: &Component) -> u128 {
    match component {
        Component::Lww(cell) => of_lww(hash, cell),
        Component::Mv(cell) => of_cell(hash, Kind::RegisterMv, 0, cell),
        Component::MvSummed(summed) => of_summed(hash, summed),
        Component::Counter(tally) => of_tally(hash, Kind::Counter, 0, tally),
        Component::FlagEw(flag) => of_flag_ew(hash, flag),
        Component::FlagDw(flag) => of_flag_dw(hash, flag),
        Component::HyperLogLog(sketches) => of_sketches(hash, sketches),
        Component::BoundedCounter(escrow) => of_escrow(hash, escrow),
        Component::Set(set) => set.members.iter().fold(0, |sum: u128, (member, presence)| {
            sum.wrapping_add(of_member(hash, member, presence))
        }),
        Component::SetRw(set) => set.iter().fold(0, |sum: u128, (member, veto)| {
            sum.wrapping_add(of_member_rw(hash, member, veto))
        }),
        Component::List(list) => list.sum(),
        Component::Map(map) => map.fields.iter().fold(0, |sum: u128, (name, field)| {
            sum.wrapping_add(of_field(hash, name, field))
        }),
        Component::SortedSet(set) => of_sorted_set(hash, set),
        Component::Stream(stream) => of_stream(hash, stream),
    }
}
