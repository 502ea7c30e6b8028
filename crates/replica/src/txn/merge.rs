//! The net effect of two ops of one entry on one key.

use std::mem::discriminant;

use isles_crdt::Merge;
use smallvec::SmallVec;

use super::element_draft::{FieldsDraft, SetDraft};
use super::stream_draft::StreamDraft;
use crate::op::{Base, EscrowChange, EscrowPart, FieldsPart, KeyOp, Kind, Part, SetPart};

/// What `earlier` and then `later` do together, if nothing observes its own entry's dot.
///
/// Both were made in the same entry: their removals and resets speak of the row as it was before the entry.
pub(super) fn merge<'a>(earlier: KeyOp<'a>, later: KeyOp<'a>, was_visible: bool) -> KeyOp<'a> {
    let mut merged = KeyOp {
        key: earlier.key,
        base: earlier.base,
        resets: earlier.resets,
        parts: later.parts,
    };
    for reset in later.resets {
        if merged
            .resets
            .iter()
            .all(|known| known.replica != reset.replica)
        {
            merged.resets.push(reset);
        }
    }
    if later.base != Base::Keep {
        // Everything before the entry goes, and what the entry itself had added is not there yet.
        merged.base = if was_visible {
            Base::Clear
        } else {
            Base::Create
        };
        for part in earlier.parts {
            if let Part::SetRw(part) = part {
                merge_part(&mut merged.parts, Part::SetRw(removed(part)));
            }
        }
        return merged;
    }
    for part in earlier.parts {
        merge_part(&mut merged.parts, part);
    }
    merged
}

/// What a removal of the whole set makes of the entry's own changes of its members: they are removed, and that beats concurrent
/// additions.
fn removed(part: SetPart<'_>) -> SetPart<'_> {
    let mut draft = SetDraft::default();
    draft.absorb(part);
    draft.remove_all();
    draft.into_part()
}

/// Puts an earlier part under the later ones.
fn merge_part<'a>(parts: &mut SmallVec<[Part<'a>; 1]>, earlier: Part<'a>) {
    let is_mv = |part: &Part<'_>| part.kind() == Some(Kind::RegisterMv);
    let same = |part: &&mut Part<'a>| {
        discriminant(*part) == discriminant(&earlier) || is_mv(part) && is_mv(&earlier)
    };
    let Some(later) = parts.iter_mut().find(same) else {
        parts.push(earlier);
        return;
    };
    match (later, earlier) {
        (Part::Counter(later), Part::Counter(earlier)) => later.restart |= earlier.restart,
        (Part::SetAw(later), Part::SetAw(earlier)) => {
            let mut draft = SetDraft::default();
            draft.absorb(earlier);
            draft.absorb(std::mem::take(later));
            *later = draft.into_part();
        }
        (Part::SetRw(later), Part::SetRw(earlier)) => {
            let mut draft = SetDraft::default();
            draft.absorb(earlier);
            draft.absorb(std::mem::take(later));
            *later = draft.into_last();
        }
        (Part::Map(later), Part::Map(earlier)) => merge_fields(later, *earlier),
        (Part::SortedSet(later), Part::SortedSet(earlier)) => merge_fields(later, *earlier),
        (Part::Stream(later), Part::Stream(earlier)) => {
            let mut draft = StreamDraft::default();
            draft.absorb(*earlier);
            draft.absorb(std::mem::take(later));
            **later = draft.into_part();
        }
        (Part::HyperLogLog(later), Part::HyperLogLog(earlier)) => {
            // The sketch that the entry raises is the same one: the first that there is.
            debug_assert_eq!(later.named, earlier.named);
            later.sketch.merge(&earlier.sketch);
        }
        (Part::BoundedCounter(later), Part::BoundedCounter(earlier)) => {
            merge_escrow(later, earlier)
        }
        // A register, a flag or a deadline: the later write is what remains. What is kept of a sorted set is said by the first
        // op of an entry only.
        _ => {}
    }
}

/// Totals run on: of one count the later one includes the earlier one.
fn merge_escrow(later: &mut EscrowPart, earlier: EscrowPart) {
    use isles_crdt::op::BoundedCounterOp::{Granted, Moved, Spent};
    let same = |one: &EscrowChange, other: &EscrowChange| {
        one.named == other.named
            && match (one.change, other.change) {
                (Some(Granted(_)), Some(Granted(_))) | (Some(Spent(_)), Some(Spent(_))) => true,
                (Some(Moved { to: one, .. }), Some(Moved { to: other, .. })) => one == other,
                (one, other) => one == other,
            }
    };
    let kept: Vec<EscrowChange> = earlier
        .into_iter()
        .filter(|old| later.iter().all(|new| !same(new, old)))
        .collect();
    later.extend(kept);
}

fn merge_fields<'a, V>(later: &mut FieldsPart<'a, V>, earlier: FieldsPart<'a, V>) {
    let mut draft = FieldsDraft::default();
    draft.absorb(earlier);
    draft.absorb(std::mem::take(later));
    *later = draft.into_part();
}
