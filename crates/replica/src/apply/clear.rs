//! What an op does that removes all its author has observed.

use isles_clock::Context;
use isles_crdt::op::Nested;
use smallvec::SmallVec;

use super::{Author, Outcome, listed, named, sorted_set};
use crate::bound::Bounded;
use crate::op::{Base, KeyOp, Kind, Part};
use crate::paged::PagedMap;
use crate::row::{Component, FieldMap, MemberSet, Row};
use crate::sum;

/// Removes what the author has observed. The `lww` register is not touched: its tombstone, having a stamp, is a part.
///
/// The row is summed anew from what is left, which of a large collection is nearly always nothing.
pub(super) fn clear<C: Context>(
    row: &mut Row,
    op: &KeyOp<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let is_register = |component: &Component| matches!(component, Component::Lww(_));
    if row.components.iter().all(is_register) {
        return;
    }
    let (context, create) = (author.context, op.base == Base::Create);
    let garbage = &mut outcome.garbage;
    let mut lost = SmallVec::<[_; 1]>::new();
    for component in &mut row.components {
        match component {
            Component::Lww(_) => {}
            Component::Mv(cell) => {
                cell.remove(context);
            }
            Component::MvSummed(summed) => {
                summed.remove(context);
                component.forget_sums();
            }
            Component::Set(set) => garbage.add(Component::Set(clear_set(set, context))),
            // A removal is kept, whatever has observed it.
            Component::SetRw(set) => {
                let before = set.withdraw(context);
                garbage.add(Component::SetRw(Box::new(before)));
            }
            Component::List(list) => {
                let before = list.clear(context);
                garbage.add(Component::List(Box::new(before)));
            }
            Component::Map(map) => garbage.add(Component::Map(clear_map(map, op, author, create))),
            Component::SortedSet(set) => {
                let before = sorted_set::clear(set, op, author, create);
                garbage.add(Component::SortedSet(before));
            }
            Component::Stream(stream) => {
                let before = stream.clear(context);
                garbage.add(Component::Stream(Box::new(before)));
            }
            Component::Counter(tally) if create => tally.cover(context, &op.resets),
            Component::Counter(_) => {}
            Component::FlagEw(flag) => flag.remove_observed(context, None),
            // A removal is kept until it is stable, whatever has observed it.
            Component::FlagDw(flag) => flag.withdraw(context),
            Component::HyperLogLog(sketches) => {
                lost.push((Kind::HyperLogLog, sketches.clear(author)));
            }
            Component::BoundedCounter(escrow) => {
                lost.push((Kind::BoundedCounter, escrow.clear(author)));
            }
        }
    }
    row.count_shared();
    for (kind, changes) in lost {
        named::report_deleted(kind, &changes, author, outcome);
    }
    row.sum = sum::kept_of_row(row);
}

/// What a clear leaves of the elements: `clear` changes those of which it may leave something, and says whether it does.
pub(super) fn left_of<V: Clone + Bounded>(
    elements: &PagedMap<V>,
    context: &impl Context,
    mut clear: impl FnMut(&[u8], &mut V) -> bool,
) -> PagedMap<V> {
    elements.rebuilt(
        |bound| bound.is_covered(context),
        |name, value| {
            if value.bound().is_covered(context) {
                return None;
            }
            let mut value = value.clone();
            clear(name, &mut value).then_some(value)
        },
    )
}

fn clear_set(set: &mut MemberSet, context: &impl Context) -> Box<MemberSet> {
    let members = left_of(&set.members, context, |_, presence| {
        presence.remove(context);
        !presence.is_empty()
    });
    Box::new(std::mem::replace(&mut set.members, members).into())
}

fn clear_map<C: Context>(
    map: &mut FieldMap,
    op: &KeyOp<'_>,
    author: &Author<'_, C>,
    create: bool,
) -> Box<FieldMap> {
    let listed = listed(op.parts.iter().find_map(|part| match part {
        Part::Map(part) => Some(&part.remove[..]),
        _ => None,
    }));
    let mut live = 0;
    let fields = left_of(&map.fields, author.context, |name, field| {
        field.clear(author.context, create, listed(name));
        live += usize::from(field.is_live());
        !field.is_residue_free()
    });
    Box::new(std::mem::replace(map, FieldMap { fields, live }))
}
