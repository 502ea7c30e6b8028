//! What an op loses, or makes others lose, besides the values of registers and fields: types, deadlines, increments.

use isles_clock::{Context, Dot, Hlc};
use isles_crdt::op::{Cell, Contribution, Tally};
use isles_crdt::update::FlagUpdate;

use super::{Author, Outcome};
use crate::conflict::{Clash, ConflictKind, Contender};
use crate::op::{GroupStep, KeyOp, Kind, Part};
use crate::row::{Component, Deadline, Row};
use crate::txn::parse_integer;

/// The types of values under a key that readers could see; a register and its counter are one.
#[derive(Clone, Copy)]
pub(crate) struct Types {
    /// As bits.
    live: u16,
    /// The one that they see.
    visible: Option<Kind>,
}

impl Types {
    pub(crate) fn of(row: &Row) -> Types {
        let live = row.components.iter().filter(|each| each.is_live());
        Types {
            live: live.fold(0, |types, each| types | bit(type_class(row, each.kind()))),
            visible: visible_class(row),
        }
    }

    pub(crate) fn count(self) -> usize {
        self.live.count_ones() as usize
    }
}

/// The type that readers see.
pub(crate) fn visible_class(row: &Row) -> Option<Kind> {
    Some(type_class(row, row.visible()?.kind()))
}

fn bit(kind: Kind) -> u16 {
    1 << kind as u8
}

/// Two types live under one key: the visible one wins by precedence, and what the author wrote is one of the two.
///
/// What the author had seen is no conflict: a key that held two types when it was written to is reported once, by the
/// op that brought the second one about, and by one that brings a hidden type to light: text, beside increments
/// that a set hides. `before` are the types that were there before it.
pub(super) fn report_type<C: Context>(
    row: &Row,
    op: &KeyOp<'_>,
    before: Types,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let written = op.parts.iter().filter_map(added_kind).next();
    let is_new = |kind: &Kind| {
        let class = type_class(row, *kind);
        let was_hidden = before.visible.is_some_and(|visible| visible != class);
        before.live & bit(class) == 0 || was_hidden && visible_class(row) == Some(class)
    };
    let Some(written) = written.filter(is_new) else {
        return;
    };
    let unseen = row
        .components
        .iter()
        .filter(|component| {
            component.is_live() && type_class(row, component.kind()) != type_class(row, written)
        })
        .find_map(|component| Some((component.kind(), newest_unseen(component, author.context)?)));
    let (Some((other, (dot, hlc))), Some(visible)) = (unseen, row.visible()) else {
        return;
    };
    let contender = |dot: Dot, hlc: Hlc, kind: Kind| {
        Contender::new(dot, hlc, Some(kind.name().as_bytes()), usize::MAX)
    };
    let new = contender(author.dot, author.hlc, written);
    let old = contender(dot, hlc, other);
    let wins = type_class(row, visible.kind()) == type_class(row, written);
    outcome.clashes.push(Clash {
        component: Some(if wins { other } else { written }),
        field: None,
        kind: ConflictKind::Type,
        kept: true,
        contenders: if wins { [new, old] } else { [old, new] },
    });
}

/// Two deadlines of which neither's writer had seen the other; the one with the greater stamp holds.
pub(super) fn report_deadline(old: Deadline, new: Deadline, outcome: &mut Outcome) {
    let contender = |deadline: Deadline| {
        let at_ms = deadline.is_set().then(|| deadline.at_ms.to_string());
        let at_ms = at_ms.as_ref().map(|text| text.as_bytes());
        Contender::new(deadline.dot(), deadline.stamp.hlc, at_ms, usize::MAX)
    };
    let (old, new, wins) = (contender(old), contender(new), new.stamp > old.stamp);
    outcome.clashes.push(Clash {
        component: None,
        field: None,
        kind: ConflictKind::Expiry,
        kept: false,
        contenders: if wins { [new, old] } else { [old, new] },
    });
}

/// What is left of a key that its creator had found expired was written without its knowledge, and outlives its deadline.
///
/// A deadline that the creator had not seen has not expired for it: of two deadlines one loses.
pub(super) fn report_unhidden<C: Context>(
    row: &Row,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    if !author.context.covers(row.deadline.dot()) {
        return;
    }
    let live = row.components.iter().filter(|each| each.is_live());
    let unseen = live.filter_map(|each| newest_unseen(each, author.context));
    let Some((dot, hlc)) = unseen.max() else {
        return;
    };
    let at_ms = row.deadline.at_ms.to_string();
    outcome.clashes.push(Clash {
        component: None,
        field: None,
        kind: ConflictKind::Expiry,
        kept: false,
        contenders: [
            Contender::new(author.dot, author.hlc, None, usize::MAX),
            Contender::new(dot, hlc, Some(at_ms.as_bytes()), usize::MAX),
        ],
    });
}

/// Increments beside a register that is no integer: they are kept, and nobody sees them.
#[inline]
pub(super) fn report_increments<C: Context>(
    row: &Row,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    if row.components.len() < 2 {
        return;
    }
    let Some(tally) = row.tally() else { return };
    let lww = row.lww().and_then(|cell| {
        let value = cell.value.as_deref()?;
        Some((cell.dot, cell.hlc, value))
    });
    let register = lww.or_else(|| row.mv().and_then(latest_of));
    hidden_increments(Kind::Counter, None, register, Some(tally), author, outcome);
}

/// The value of a cell that readers see, where its strategy is `lww`.
pub(crate) fn latest_of(cell: &Cell<Box<[u8]>>) -> Option<(Dot, Hlc, &[u8])> {
    let latest = cell.latest()?;
    Some((latest.dot, latest.hlc, &*latest.value))
}

/// The same for a register or a field, and the counter beside it. One of each pair is what the author has just written.
pub(super) fn hidden_increments<C: Context>(
    component: Kind,
    field: Option<&[u8]>,
    register: Option<(Dot, Hlc, &[u8])>,
    tally: Option<&Tally>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let (Some((dot, hlc, value)), Some(tally)) = (register, tally) else {
        return;
    };
    let unseen = |contribution: &&Contribution| {
        let increment = Dot::new(contribution.replica, contribution.sequence);
        increment == author.dot && !author.context.covers(dot)
            || dot == author.dot && !author.context.covers(increment)
    };
    for contribution in tally.uncovered().filter(unseen) {
        if parse_integer(value).is_some() {
            return;
        }
        let increment = Dot::new(contribution.replica, contribution.sequence);
        let is_own = increment == author.dot;
        let sum = contribution.value().to_string();
        let loser_hlc = if is_own { author.hlc } else { Hlc::ZERO };
        outcome.clashes.push(Clash {
            component: Some(component),
            field: field.map(Box::from),
            kind: ConflictKind::WriteWrite,
            kept: true,
            contenders: [
                Contender::new(dot, hlc, Some(value), outcome.kept_bytes),
                Contender::new(increment, loser_hlc, Some(sum.as_bytes()), usize::MAX),
            ],
        });
    }
}

/// A write whose value has lost needs no other record for its deadline.
#[inline]
pub(super) fn keep_one_per_write(clashes: &mut Vec<Clash>) {
    if clashes.len() < 2 {
        return;
    }
    let is_deadline = |clash: &Clash| clash.component.is_none();
    let lost: Vec<Dot> = clashes
        .iter()
        .filter(|clash| !is_deadline(clash))
        .map(|clash| clash.contenders[1].dot)
        .collect();
    clashes.retain(|clash| !is_deadline(clash) || !lost.contains(&clash.contenders[1].dot));
}

/// Kinds that readers see as one: a counter is part of the register that is read with it, and the sets of both rules have
/// their members together. Two kinds of register are two types: of each other's values neither shows anything.
pub(crate) fn type_class(row: &Row, kind: Kind) -> Kind {
    match kind {
        Kind::Counter if is_live(row, Kind::RegisterMv) && !is_live(row, Kind::RegisterLww) => {
            Kind::RegisterMv
        }
        Kind::Counter => Kind::RegisterLww,
        Kind::SetRw => Kind::SetAw,
        other => other,
    }
}

fn is_live(row: &Row, kind: Kind) -> bool {
    let mut components = row.components.iter();
    components.any(|each| each.kind() == kind && each.is_live())
}

/// The kind of which a part brings something; none for one that only takes away.
fn added_kind(part: &Part<'_>) -> Option<Kind> {
    let adds = match part {
        Part::RegisterLww { value, .. } => value.is_some(),
        Part::Map(part) => part.adds(),
        Part::SortedSet(part) => part.adds(),
        Part::SetAw(part) | Part::SetRw(part) => !part.add.is_empty(),
        Part::SortedSetKept(_) => false,
        Part::List(part) => part.adds(),
        Part::Stream(part) => {
            let creates = |step: &GroupStep<'_>| matches!(step, GroupStep::Create(_));
            part.mark.is_some() || part.groups.iter().any(creates)
        }
        Part::FlagEw(update) | Part::FlagDw(update) => *update == FlagUpdate::Enable,
        _ => true,
    };
    part.kind().filter(|_| adds)
}

/// A dot that stands for a component in a conflict record: the greatest that the author had not seen.
pub(crate) fn newest_unseen<C: Context>(component: &Component, context: &C) -> Option<(Dot, Hlc)> {
    let unseen = |dot: &Dot| !context.covers(*dot);
    let of_tally = |tally: &Tally| {
        let dots = tally
            .uncovered()
            .map(|each| Dot::new(each.replica, each.sequence));
        dots.filter(unseen).max().map(|dot| (dot, Hlc::ZERO))
    };
    match component {
        Component::FlagEw(flag) => newest(flag.dots().iter().copied(), context),
        Component::FlagDw(flag) => newest(flag.present_by(), context),
        Component::HyperLogLog(sketches) => {
            newest(sketches.sketches().iter().map(|(dot, _)| *dot), context)
        }
        Component::BoundedCounter(escrow) => {
            newest(escrow.counters().iter().map(|(dot, _)| *dot), context)
        }
        Component::Lww(cell) => unseen(&cell.dot).then_some((cell.dot, cell.hlc)),
        Component::Mv(cell) => newest_version(cell, context),
        Component::MvSummed(summed) => newest_version(&summed.cell, context),
        Component::Counter(tally) => of_tally(tally),
        Component::Set(set) => {
            let dots = set
                .members
                .iter()
                .flat_map(|(_, presence)| presence.dots().iter().copied());
            dots.filter(unseen).max().map(|dot| (dot, Hlc::ZERO))
        }
        Component::SetRw(set) => {
            let dots = set.iter().flat_map(|(_, veto)| veto.present_by());
            newest(dots, context)
        }
        Component::List(list) => list.dots().filter(|(dot, _)| unseen(dot)).max(),
        Component::Map(map) => {
            let fields = map.fields.iter().map(|(_, field)| field);
            fields
                .filter_map(|field| {
                    newest_version(&field.cell, context)
                        .max(field.tally.as_deref().and_then(of_tally))
                })
                .max()
        }
        Component::SortedSet(set) => {
            let members = set.members().iter().map(|(_, member)| member);
            members
                .filter_map(|member| {
                    newest_version(&member.cell, context)
                        .max(member.tally.as_deref().and_then(of_tally))
                })
                .max()
        }
        Component::Stream(stream) => {
            let marks = stream.marks.versions().iter();
            let dots = marks.map(|version| (version.dot, version.hlc));
            let groups = stream.groups.iter().flat_map(|(_, groups)| groups);
            let dots = dots.chain(groups.map(|(dot, _)| (*dot, Hlc::ZERO)));
            dots.filter(|(dot, _)| unseen(dot)).max()
        }
    }
}

fn newest_version<V, C: Context>(cell: &Cell<V>, context: &C) -> Option<(Dot, Hlc)> {
    let versions = cell.versions().iter();
    let dots = versions.map(|version| (version.dot, version.hlc));
    dots.filter(|(dot, _)| !context.covers(*dot)).max()
}

/// The greatest of some dots that a context does not cover; they have no stamps.
fn newest(dots: impl Iterator<Item = Dot>, context: &impl Context) -> Option<(Dot, Hlc)> {
    let unseen = dots.filter(|dot| !context.covers(*dot));
    unseen.max().map(|dot| (dot, Hlc::ZERO))
}
