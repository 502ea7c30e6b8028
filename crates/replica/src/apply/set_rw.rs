//! Changes of the members of a remove-wins set.

use isles_clock::Context;
use isles_crdt::op::{OpBased, Veto};
use isles_crdt::update::FlagUpdate;

use super::{Author, Outcome};
use crate::op::{Kind, SetPart};
use crate::row::{Component, Row};
use crate::sum;

/// Removals take effect whether or not the member is there: each beats the additions that have not observed it.
pub(super) fn change<C: Context>(
    row: &mut Row,
    part: &SetPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(Component::SetRw(set)) = row.component_mut(Kind::SetRw) else {
        return;
    };
    let mut delta = 0u128;
    outcome.repeats = true;
    let removals = part.remove.iter().map(|name| (name, FlagUpdate::Disable));
    let additions = part.add.iter().map(|name| (name, FlagUpdate::Enable));
    for (name, update) in removals.chain(additions) {
        set.change(name.0, |veto| {
            let was_present = veto.is_present();
            delta = delta.wrapping_sub(sum::of_member_rw(hash, name.0, veto));
            veto.effect(author.dot, author.context, update);
            delta = delta.wrapping_add(sum::of_member_rw(hash, name.0, veto));
            outcome.repeats &= veto.is_present() == was_present;
            outcome.merged |= meets_another(veto, author);
        });
    }
    row.sum = row.sum.wrapping_add(delta);
}

/// Whether a removal is there that the author had not seen.
fn meets_another<C: Context>(veto: &Veto, author: &Author<'_, C>) -> bool {
    let mut removals = veto.removals().iter();
    removals.any(|removal| *removal != author.dot && !author.context.covers(*removal))
}
