//! Changes of what is named by the entry that created it, sketches and bounded counters, and their loss with it.

use isles_clock::{Context, Dot, Hlc};
use isles_crdt::op::{HyperLogLogOp, OpBased};

use super::{Author, Outcome, change_component};
use crate::conflict::{Clash, ConflictKind, Contender};
use crate::escrow::moved_by;
use crate::op::{EscrowChange, Kind, SketchPart};
use crate::row::{Component, Row};
use crate::trail::{Change, Lost};

pub(super) fn raise_sketch<C: Context>(
    row: &mut Row,
    part: &SketchPart,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let there = |named: &Dot| row.sketches().is_some_and(|sketches| sketches.has(*named));
    if let Some(named) = part.named.filter(|named| !there(named)) {
        let lost = Change::new(named, author, Lost::Sketch(part.sketch.clone()));
        let loser = lost.contender(author.context, outcome.kept_bytes);
        return report_late(row, Kind::HyperLogLog, named, loser, author, outcome);
    }
    let op = match part.named {
        Some(named) => HyperLogLogOp::Raise(named, part.sketch.clone()),
        None => HyperLogLogOp::Create(part.sketch.clone()),
    };
    change_component(row, Kind::HyperLogLog, |component| {
        if let Component::HyperLogLog(sketches) = component {
            sketches.change(|sketches| sketches.effect(author.dot, author.context, op));
            if let Some(named) = part.named {
                let lost = Lost::Sketch(part.sketch.clone());
                let trail = sketches.trail.get_or_insert_default();
                trail.note(Change::new(named, author, lost));
            }
            let mut dots = sketches.sketches().iter().map(|(dot, _)| *dot);
            outcome.merged |= dots.any(|dot| dot != author.dot && !author.context.covers(dot));
        }
    });
}

pub(super) fn change_escrow<C: Context>(
    row: &mut Row,
    changes: &[EscrowChange],
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let mut late: Option<(Dot, Option<i128>)> = None;
    change_component(row, Kind::BoundedCounter, |component| {
        let Component::BoundedCounter(escrow) = component else {
            return;
        };
        for change in changes {
            let there = escrow.has(change);
            let moved = match (change.named, change.change) {
                (Some(named), Some(op)) if !there => {
                    let trail = escrow.trail.as_mut();
                    let counter = trail.and_then(|trail| trail.deleted_counter(named));
                    let moved = counter.map(|it| moved_by(it, author.dot, author.context, op));
                    let (_, sum) = late.get_or_insert((named, Some(0)));
                    *sum = sum.zip(moved).map(|(sum, moved)| sum.saturating_add(moved));
                    continue;
                }
                _ => escrow.apply(author.dot, author.context, change),
            };
            if let Some(named) = change.named {
                let trail = escrow.trail.get_or_insert_default();
                trail.note(Change::new(named, author, Lost::Amount(moved)));
            }
        }
        let mut dots = escrow.counters().iter().map(|(dot, _)| *dot);
        outcome.merged |= dots.any(|dot| dot != author.dot && !author.context.covers(dot));
    });
    if let Some((named, moved)) = late {
        let lost = Change::new(named, author, Lost::Amount(moved.unwrap_or_default()));
        // Beside what total it ran on is not known any more.
        let kept_bytes = if moved.is_some() {
            outcome.kept_bytes
        } else {
            0
        };
        let loser = lost.contender(author.context, kept_bytes);
        report_late(row, Kind::BoundedCounter, named, loser, author, outcome);
    }
}

/// What was named is gone, by somebody who had not seen these changes.
pub(super) fn report_deleted<C: Context>(
    kind: Kind,
    changes: &[Change],
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    for change in changes {
        let loser = change.contender(author.context, outcome.kept_bytes);
        report(kind, (author.dot, author.hlc), loser, outcome);
    }
}

/// What an op names is gone already, by somebody whom its author had not heard of.
fn report_late<C: Context>(
    row: &Row,
    kind: Kind,
    named: Dot,
    loser: Contender,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let component = row.components.iter().find(|each| each.kind() == kind);
    let trail = component.and_then(Component::trail);
    let deleted_by = trail.and_then(|trail| trail.deleted_by(named));
    // Every deletion and overwrite has set the deadline, unless one with a greater stamp was there.
    let deadline = (row.deadline.dot(), row.deadline.stamp.hlc);
    let register = row.lww().map(|cell| (cell.dot, cell.hlc));
    let mut unseen = [Some(deadline), register].into_iter().flatten();
    let unseen = || unseen.find(|(dot, _)| !author.context.covers(*dot));
    if let Some(winner) = deleted_by.or_else(unseen) {
        report(kind, winner, loser, outcome);
    }
}

fn report(kind: Kind, winner: (Dot, Hlc), loser: Contender, outcome: &mut Outcome) {
    let (dot, hlc) = winner;
    outcome.clashes.push(Clash {
        component: Some(kind),
        field: None,
        kind: ConflictKind::WriteDelete,
        kept: false,
        contenders: [Contender::new(dot, hlc, None, outcome.kept_bytes), loser],
    });
}
