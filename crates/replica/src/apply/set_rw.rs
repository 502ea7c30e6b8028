//! Changes of the members of a remove-wins set.

use isles_clock::Context;
use isles_crdt::op::{OpBased, Veto};
use isles_crdt::update::FlagUpdate;

use super::{Author, Outcome};
use crate::keyspace::SetRule;
use crate::op::SetPart;
use crate::row::Row;
use crate::sum;

/// Removals take effect whether or not the member is there: each beats the additions that have not observed it.
pub(super) fn change<C: Context>(
    row: &mut Row,
    part: &SetPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let (other, Some(set)) = row.sets_mut(SetRule::RemoveWins) else {
        return;
    };
    let other = other.map(|set| &set.members);
    let in_other = |name: &[u8]| other.is_some_and(|set| set.get(name).is_some());
    let mut delta = 0u128;
    outcome.repeats = true;
    let removals = part.remove.iter().map(|name| (name, FlagUpdate::Disable));
    let additions = part.add.iter().map(|name| (name, FlagUpdate::Enable));
    for (name, update) in removals.chain(additions) {
        let change = |veto: &mut Veto| {
            let was_present = veto.is_present();
            delta = delta.wrapping_sub(sum::of_member_rw(hash, name.0, veto));
            veto.effect(author.dot, author.context, update);
            delta = delta.wrapping_add(sum::of_member_rw(hash, name.0, veto));
            outcome.repeats &= veto.is_present() == was_present || in_other(name.0);
            outcome.merged |= meets_another(veto, author);
        };
        set.change(name.0, || in_other(name.0), change);
    }
    row.sum = row.sum.wrapping_add(delta);
}

/// Whether a removal is there that the author had not seen.
fn meets_another<C: Context>(veto: &Veto, author: &Author<'_, C>) -> bool {
    let mut removals = veto.removals().iter();
    removals.any(|removal| *removal != author.dot && !author.context.covers(*removal))
}
