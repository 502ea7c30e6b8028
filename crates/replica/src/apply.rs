//! What an op does to a row: the one place where content changes.
//!
//! Local and remote entries, replay and a transaction's second thoughts all come through [`apply`], so that what a
//! replica holds depends on the ops that it applied, and on nothing else.

mod clear;
mod losses;
mod named;
mod set_rw;
mod sorted_set;
mod stream;

use std::collections::HashMap;

use isles_clock::{Context, Dot, Hlc, Stamp};
use isles_crdt::op::{Cell, OpBased, Presence, Reset, Tally, Version};
use isles_resolve::Sums;
use smallvec::SmallVec;

pub(crate) use self::losses::{Types, latest_of, newest_unseen, type_class, visible_class};
use crate::conflict::{Clash, ConflictKind, Contender};
use crate::garbage::Garbage;
use crate::keyspace::SetRule;
use crate::members::Named;
use crate::observer::rivals;
use crate::op::{Base, FieldPut, FieldRemoval, KeyOp, Kind, ListPart, MapPart, Part, SetPart};
use crate::row::{Component, Deadline, Field, FieldMap, LwwCell, Row};
use crate::sum;

/// Who wrote an op, when, and what it had observed.
pub(crate) struct Author<'c, C> {
    pub(crate) dot: Dot,
    pub(crate) hlc: Hlc,
    pub(crate) context: &'c C,
}

impl<C> Author<'_, C> {
    pub(crate) fn stamp(&self, raised: Option<Hlc>) -> Stamp {
        Stamp {
            hlc: raised.unwrap_or(self.hlc),
            replica: self.dot.replica,
        }
    }
}

impl<C: Context> Author<'_, C> {
    /// Whether somebody else has added to a counter what the author had not seen.
    fn meets_another(&self, tally: Option<&Tally>) -> bool {
        let uncovered = tally.into_iter().flat_map(Tally::uncovered);
        uncovered
            .filter(|other| other.replica != self.dot.replica)
            .any(|other| !self.context.covers(Dot::new(other.replica, other.sequence)))
    }
}

/// What applying ops has shown.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Conflicts, for the journal.
    pub(crate) clashes: Vec<Clash>,
    /// Concurrent updates met and merged without a loser.
    pub(crate) merged: bool,
    /// Readers see the same members as before: those that were added were all there already, and those that were removed were not.
    pub(crate) repeats: bool,
    /// Values that stood beside each other before and after.
    pub(crate) rivals: [usize; 2],
    /// What was removed and takes long to free.
    pub(crate) garbage: Garbage,
    /// Of the contenders' values so many bytes are kept.
    pub(crate) kept_bytes: usize,
}

/// Applies one op to its row and keeps the row's sum.
///
/// Clashes are reported where the op meets a current dot that is not in its context; a local op has observed all there
/// is and never clashes.
pub(crate) fn apply<C: Context>(
    row: &mut Row,
    op: &KeyOp<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let types_before = Types::of(row);
    let named = Named::by(row, op);
    outcome.rivals[0] = rivals(row, types_before.count());
    match op.base {
        Base::Keep => {}
        Base::Clear | Base::Create => {
            let was_hidden = row.is_hidden(author.hlc.wall_ms());
            clear::clear(row, op, author, outcome);
            if op.base == Base::Create && was_hidden {
                losses::report_unhidden(row, author, outcome);
            }
            if !op
                .parts
                .iter()
                .any(|part| matches!(part, Part::Deadline { .. }))
            {
                set_deadline(row, Deadline::NEVER_MS, None, author, outcome);
            }
        }
    }
    if op.base != Base::Create && !op.resets.is_empty() {
        change_tally(row, |tally| tally.reset(&op.resets));
    }
    for part in &op.parts {
        if let Part::SortedSetKept(kept) = part {
            sorted_set::keep(row, kept, author, outcome);
        }
    }
    for part in &op.parts {
        apply_part(row, part, author, outcome);
    }
    row.sweep();
    outcome.repeats = match named {
        Some(named) => named.are_the_same(row),
        // Only if this is all that the op did.
        None => outcome.repeats && op.base == Base::Keep && op.parts.len() == 1,
    };
    let types = Types::of(row).count();
    outcome.rivals[1] = rivals(row, types);
    if types > 1 {
        losses::report_type(row, op, types_before, author, outcome);
    }
    losses::report_increments(row, author, outcome);
    losses::keep_one_per_write(&mut outcome.clashes);
}

/// What removals say of the counter of each field; nothing of a field that they do not name.
fn listed<'r>(removals: Option<&'r [FieldRemoval<'r>]>) -> impl Fn(&[u8]) -> &'r [Reset] {
    let removals = removals.unwrap_or_default().iter();
    let by_name: HashMap<&[u8], &[Reset]> = removals
        .map(|removal| (removal.field.0, &removal.resets[..]))
        .collect();
    move |name| by_name.get(name).copied().unwrap_or_default()
}

fn apply_part<C: Context>(
    row: &mut Row,
    part: &Part<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    match part {
        Part::RegisterLww { stamp, value } => {
            write_lww(row, *stamp, value.map(|value| value.0), author, outcome)
        }
        Part::RegisterMv { value } => write_mv(row, value.0, None, author, outcome),
        Part::RegisterMvSummed(part) => {
            write_mv(row, part.value.0, Some(&part.sums), author, outcome)
        }
        Part::Counter(increment) => {
            change_tally(row, |tally| {
                outcome.merged |= author.meets_another(Some(tally));
                tally.apply(author.dot, *increment);
            });
        }
        Part::SetAw(part) => change_set(row, part, author, outcome),
        Part::SetRw(part) => set_rw::change(row, part, author, outcome),
        Part::Map(part) => change_map(row, part, author, outcome),
        Part::SortedSet(part) => sorted_set::change(row, part, author, outcome),
        // Before all others.
        Part::SortedSetKept(_) => {}
        Part::List(part) => change_list(row, part, author, outcome),
        Part::Stream(part) => stream::change(row, part, author, outcome),
        Part::Deadline { stamp, at_ms } => {
            let at_ms = at_ms.unwrap_or(Deadline::NEVER_MS);
            set_deadline(row, at_ms, *stamp, author, outcome);
        }
        Part::FlagEw(_) | Part::FlagDw(_) => change_flag(row, part, author, outcome),
        Part::HyperLogLog(part) => named::raise_sketch(row, part, author, outcome),
        Part::BoundedCounter(changes) => named::change_escrow(row, changes, author, outcome),
    }
}

/// The greater stamp wins, whether or not the older one was observed; the deadline's place in the sum moves with it.
fn set_deadline<C: Context>(
    row: &mut Row,
    at_ms: u64,
    raised: Option<Hlc>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let new = Deadline {
        at_ms,
        stamp: author.stamp(raised),
        sequence: author.dot.sequence,
    };
    if row.deadline.at_ms != at_ms && !author.context.covers(row.deadline.dot()) {
        losses::report_deadline(row.deadline, new, outcome);
    }
    if new.stamp <= row.deadline.stamp {
        return;
    }
    let part = |deadline: Deadline| match deadline.is_set() {
        true => sum::of_deadline(row.hash, deadline.at_ms, deadline.stamp),
        false => 0,
    };
    row.sum = row
        .sum
        .wrapping_sub(part(row.deadline))
        .wrapping_add(part(new));
    row.deadline = new;
}

fn write_lww<C: Context>(
    row: &mut Row,
    raised: Option<Hlc>,
    value: Option<&[u8]>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let stamp = author.stamp(raised);
    let alone = (row.components.len() == 1 && !row.deadline.is_set()).then_some(row.sum);
    let Some(Component::Lww(cell)) = row.components.first_mut() else {
        let cell = LwwCell {
            dot: author.dot,
            hlc: stamp.hlc,
            value: value.map(Box::from),
        };
        row.sum = row.sum.wrapping_add(sum::of_lww(row.hash, &cell));
        row.components.insert(0, Component::Lww(cell));
        return;
    };
    let wins = stamp > cell.stamp();
    if !author.context.covers(cell.dot) && (cell.value.is_some() || value.is_some()) {
        let kind = match cell.value.is_some() && value.is_some() {
            true => ConflictKind::WriteWrite,
            false => ConflictKind::WriteDelete,
        };
        let kept_bytes = outcome.kept_bytes;
        let old = Contender::new(cell.dot, cell.hlc, cell.value.as_deref(), kept_bytes);
        let new = Contender::new(author.dot, stamp.hlc, value, kept_bytes);
        let contenders = if wins { [new, old] } else { [old, new] };
        outcome.clashes.push(Clash {
            component: Some(Kind::RegisterLww),
            field: None,
            kind,
            kept: false,
            contenders,
        });
    }
    if !wins {
        return;
    }
    // Nearly always the register is all there is, and its part of the sum need not be computed again.
    let before = alone.unwrap_or_else(|| sum::of_lww(row.hash, cell));
    (cell.dot, cell.hlc) = (author.dot, stamp.hlc);
    match (&mut cell.value, value) {
        (Some(old), Some(new)) if old.len() == new.len() => old.copy_from_slice(new),
        (old, new) => *old = new.map(Box::from),
    }
    let after = sum::of_lww(row.hash, cell);
    row.sum = row.sum.wrapping_sub(before).wrapping_add(after);
}

fn write_mv<C: Context>(
    row: &mut Row,
    value: &[u8],
    sums: Option<&Sums>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(component) = row.component_mut(Kind::RegisterMv) else {
        return;
    };
    let before = sum::of_component(hash, component);
    if sums.is_some() {
        component.remember_sums();
    }
    let cell = match component {
        Component::Mv(cell) => &mut **cell,
        Component::MvSummed(summed) => &mut summed.cell,
        _ => return,
    };
    let clashes = write_cell(
        cell,
        value.into(),
        |value, kept| shown_bytes(value, kept),
        author,
        outcome.kept_bytes,
    );
    if let Component::MvSummed(summed) = component {
        summed.note_written(author.dot, sums);
        component.forget_sums();
    }
    let after = sum::of_component(hash, component);
    row.sum = row.sum.wrapping_sub(before).wrapping_add(after);
    outcome
        .clashes
        .extend(clashes.into_iter().map(|contenders| Clash {
            component: Some(Kind::RegisterMv),
            field: None,
            kind: ConflictKind::WriteWrite,
            kept: true,
            contenders,
        }));
}

/// The bytes of a value that a record keeps, and the length of the whole.
type Shown = (Vec<u8>, u64);

fn shown_bytes(value: &[u8], kept_bytes: usize) -> Shown {
    let kept = &value[..value.len().min(kept_bytes)];
    (kept.to_vec(), value.len() as u64)
}

/// Writes a multi-value cell; the pairs that it reports have the greater stamp first.
fn write_cell<V, C: Context>(
    cell: &mut Cell<V>,
    value: V,
    shown: impl Fn(&V, usize) -> Shown,
    author: &Author<'_, C>,
    kept_bytes: usize,
) -> SmallVec<[[Contender; 2]; 1]> {
    cell.write(
        Version {
            dot: author.dot,
            hlc: author.hlc,
            value,
        },
        author.context,
    );
    let [_, _, ..] = cell.versions() else {
        return SmallVec::new();
    };
    let stamp = author.stamp(None);
    let contender = |each: &Version<V>| {
        let (value, value_bytes) = shown(&each.value, kept_bytes);
        Contender {
            dot: each.dot,
            stamp: each.stamp(),
            origin: None,
            value: Some(value),
            value_bytes,
        }
    };
    let versions = cell.versions().iter();
    let own = versions.clone().find(|each| each.dot == author.dot);
    let others = versions.filter(|each| each.dot != author.dot);
    let pairs = others.flat_map(|other| own.map(|own| (other, own)));
    pairs
        .map(|(other, own)| {
            let (old, new) = (contender(other), contender(own));
            if stamp > other.stamp() {
                [new, old]
            } else {
                [old, new]
            }
        })
        .collect()
}

fn change_tally(row: &mut Row, change: impl FnOnce(&mut Tally)) {
    let hash = row.hash;
    let Some(Component::Counter(tally)) = row.component_mut(Kind::Counter) else {
        return;
    };
    let before = sum::of_tally(hash, Kind::Counter, 0, tally);
    change(tally);
    let after = sum::of_tally(hash, Kind::Counter, 0, tally);
    row.sum = row.sum.wrapping_sub(before).wrapping_add(after);
}

fn change_set<C: Context>(
    row: &mut Row,
    part: &SetPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let (Some(set), mut other) = row.sets_mut(SetRule::AddWins) else {
        return;
    };
    let mut delta = 0u128;
    outcome.repeats = part.remove.is_empty();
    let remove = |index: usize, slot: &mut Option<Presence>| {
        let (Some(presence), member) = (&mut *slot, part.remove[index].0) else {
            return;
        };
        delta = delta.wrapping_sub(sum::of_member(hash, member, presence));
        presence.remove(author.context);
        delta = delta.wrapping_add(sum::of_member(hash, member, presence));
        outcome.merged |= !presence.is_empty();
        if presence.is_empty() {
            *slot = None;
            if let Some(other) = &mut other {
                other.note_other(member, false);
            }
        }
    };
    set.members
        .change_each(&part.remove, |member| member.0, remove);
    for member in &part.add {
        set.members.update(member.0, |slot| {
            if slot.is_none() {
                let in_other = other.as_ref().is_some_and(|set| set.contains(member.0));
                outcome.repeats &= in_other;
                if let Some(other) = &mut other {
                    other.note_other(member.0, true);
                }
            }
            let presence = slot.get_or_insert_default();
            delta = delta.wrapping_sub(sum::of_member(hash, member.0, presence));
            outcome.merged |= presence.add(author.dot, author.context);
            delta = delta.wrapping_add(sum::of_member(hash, member.0, presence));
        });
    }
    row.sum = row.sum.wrapping_add(delta);
}

fn change_list<C: Context>(
    row: &mut Row,
    part: &ListPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(Component::List(list)) = row.component_mut(Kind::List) else {
        return;
    };
    let before = list.sum();
    list.apply(hash, part, author, outcome);
    let after = list.sum();
    row.sum = row.sum.wrapping_sub(before).wrapping_add(after);
}

fn change_map<C: Context>(
    row: &mut Row,
    part: &MapPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(Component::Map(map)) = row.component_mut(Kind::Map) else {
        return;
    };
    let mut delta = 0u128;
    let FieldMap { fields, live } = &mut **map;
    let remove = |index: usize, slot: &mut Option<Field>| {
        let removal = &part.remove[index];
        change_slot(slot, live, hash, removal.field.0, &mut delta, |field| {
            field.remove(author.context, &removal.resets);
            outcome.merged |= field.is_live();
        });
    };
    fields.change_each(&part.remove, |removal| removal.field.0, remove);
    for put in &part.put {
        change_field(map, hash, put.field.0, &mut delta, |field| {
            let name = Some(put.field.0);
            let value = Box::from(put.value.0);
            put_field(
                field,
                put,
                value,
                Kind::Map,
                |value, kept_bytes| shown_bytes(value, kept_bytes),
                author,
                outcome,
            );
            let (value, tally) = (losses::latest_of(&field.cell), field.tally.as_deref());
            losses::hidden_increments(Kind::Map, name, value, tally, author, outcome);
        });
    }
    for add in &part.add {
        change_field(map, hash, add.field.0, &mut delta, |field| {
            let (name, cell) = (Some(add.field.0), &field.cell);
            let tally = field.tally.get_or_insert_default();
            tally.apply(author.dot, add.tally);
            let value = losses::latest_of(cell);
            losses::hidden_increments(Kind::Map, name, value, Some(&**tally), author, outcome);
        });
    }
    row.sum = row.sum.wrapping_add(delta);
}

fn put_field<V, P, C: Context>(
    field: &mut Field<V>,
    put: &FieldPut<'_, P>,
    value: V,
    component: Kind,
    shown: impl Fn(&V, usize) -> Shown,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let clashes = write_cell(&mut field.cell, value, shown, author, outcome.kept_bytes);
    if let Some(tally) = &mut field.tally {
        tally.reset(&put.resets);
    }
    outcome
        .clashes
        .extend(clashes.into_iter().map(|contenders| Clash {
            component: Some(component),
            field: Some(put.field.0.into()),
            kind: ConflictKind::WriteWrite,
            kept: false,
            contenders,
        }));
}

/// Changes the component of a kind, and the row's sum with it.
fn change_component(row: &mut Row, kind: Kind, change: impl FnOnce(&mut Component)) {
    let hash = row.hash;
    let Some(component) = row.component_mut(kind) else {
        return;
    };
    let before = sum::of_component(hash, component);
    change(component);
    let after = sum::of_component(hash, component);
    row.sum = row.sum.wrapping_sub(before).wrapping_add(after);
}

fn change_flag<C: Context>(
    row: &mut Row,
    part: &Part<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let (Some(kind), Part::FlagEw(update) | Part::FlagDw(update)) = (part.kind(), part) else {
        return;
    };
    change_component(row, kind, |component| match component {
        Component::FlagEw(flag) => {
            flag.effect(author.dot, author.context, *update);
            outcome.merged |= flag.dots().iter().any(|dot| *dot != author.dot);
        }
        Component::FlagDw(flag) => {
            flag.effect(author.dot, author.context, *update);
            let mut removals = flag.removals().iter();
            outcome.merged |=
                removals.any(|removal| *removal != author.dot && !author.context.covers(*removal));
        }
        _ => {}
    });
}

fn change_field(
    map: &mut FieldMap,
    hash: u64,
    name: &[u8],
    delta: &mut u128,
    change: impl FnOnce(&mut Field),
) {
    let live = &mut map.live;
    map.fields.update(name, |slot| {
        change_slot(slot, live, hash, name, delta, change);
    });
}

fn change_slot(
    slot: &mut Option<Field>,
    live: &mut usize,
    hash: u64,
    name: &[u8],
    delta: &mut u128,
    change: impl FnOnce(&mut Field),
) {
    let field = slot.get_or_insert_default();
    *delta = delta.wrapping_sub(sum::of_field(hash, name, field));
    *live -= usize::from(field.is_live());
    change(field);
    *live += usize::from(field.is_live());
    *delta = delta.wrapping_add(sum::of_field(hash, name, field));
    if field.is_residue_free() {
        *slot = None;
    }
}
