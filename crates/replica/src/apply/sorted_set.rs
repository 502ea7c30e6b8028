//! What an op does to a sorted set: to each member what it would do to a map field, and to the order what follows.

use isles_clock::Context;

use super::{Author, Outcome, put_field};
use crate::op::{Blob, KeyOp, Kind, Part, SortedSetPart};
use crate::row::{Component, Row};
use crate::sorted_set::{Member, SortedSet};
use crate::sum;

pub(super) fn change<C: Context>(
    row: &mut Row,
    part: &SortedSetPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(Component::SortedSet(set)) = row.component_mut(Kind::SortedSet) else {
        return;
    };
    let mut delta = 0u128;
    if part.remove.len() >= MANY_MIN && 2 * part.remove.len() >= set.len() {
        remove_many(set, hash, part, &mut delta, author, outcome);
    } else {
        for removal in &part.remove {
            change_member(set, hash, removal.field.0, &mut delta, |member| {
                member.remove(author.context, &removal.resets);
                outcome.merged |= member.is_live();
            });
        }
    }
    for put in &part.put {
        let shown = |score: &_, _| {
            let text = f64::from(*score).to_string().into_bytes();
            let bytes = text.len() as u64;
            (text, bytes)
        };
        change_member(set, hash, put.field.0, &mut delta, |member| {
            put_field(
                member,
                put,
                put.value,
                Kind::SortedSet,
                shown,
                author,
                outcome,
            )
        });
    }
    for add in &part.add {
        change_member(set, hash, add.field.0, &mut delta, |member| {
            outcome.merged |= author.meets_another(member.tally.as_deref());
            let tally = member.tally.get_or_insert_default();
            tally.apply(author.dot, add.tally);
        });
    }
    row.sum = row.sum.wrapping_add(delta);
}

/// Fewer members are removed one by one.
const MANY_MIN: usize = 256;

/// Removes so many members that the order is put together anew.
fn remove_many<C: Context>(
    set: &mut SortedSet,
    hash: u64,
    part: &SortedSetPart<'_>,
    delta: &mut u128,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let names = part.remove.iter().map(|removal| removal.field.0);
    let names: Vec<&[u8]> = names.collect();
    let before = set.change_many(&names, |index, member| {
        let name = names[index];
        *delta = delta.wrapping_sub(sum::of_score(hash, name, member));
        member.remove(author.context, &part.remove[index].resets);
        outcome.merged |= member.is_live();
        *delta = delta.wrapping_add(sum::of_score(hash, name, member));
    });
    let before = Component::SortedSet(Box::new(before));
    outcome.garbage.add(before);
}

/// Removes what the author has observed, but for some members.
pub(super) fn keep<C: Context>(
    row: &mut Row,
    kept: &[Blob<'_>],
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let Some(Component::SortedSet(set)) = row.component_mut(Kind::SortedSet) else {
        return;
    };
    let mut left = super::clear::left_of(set.members(), author.context, |_, member| {
        let versions = member.cell.versions().len();
        member.cell.remove(author.context);
        outcome.merged |= member.is_live() && member.cell.versions().len() < versions;
        !member.is_residue_free()
    });
    for name in kept {
        if let Some(member) = set.members().get(name.0) {
            left.update(name.0, |slot| *slot = Some(member.clone()));
        }
    }
    let before = Component::SortedSet(Box::new(set.replace(left)));
    outcome.garbage.add(before);
    row.sum = sum::kept_of_row(row);
}

/// Removes what the author has observed; returns the set as it was.
pub(super) fn clear<C: Context>(
    set: &mut SortedSet,
    op: &KeyOp<'_>,
    author: &Author<'_, C>,
    create: bool,
) -> Box<SortedSet> {
    let listed = super::listed(op.parts.iter().find_map(|part| match part {
        Part::SortedSet(part) => Some(&part.remove[..]),
        _ => None,
    }));
    let left = super::clear::left_of(set.members(), author.context, |name, member| {
        member.clear(author.context, create, listed(name));
        !member.is_residue_free()
    });
    Box::new(set.replace(left))
}

fn change_member(
    set: &mut SortedSet,
    hash: u64,
    name: &[u8],
    delta: &mut u128,
    change: impl FnOnce(&mut Member),
) {
    set.change(name, |member| {
        *delta = delta.wrapping_sub(sum::of_score(hash, name, member));
        change(member);
        *delta = delta.wrapping_add(sum::of_score(hash, name, member));
    });
}
