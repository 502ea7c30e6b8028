//! Sets in which a removal wins.
//!
//! A name that was ever removed stays, with the removal's dot: an addition that has not observed it may still be on its
//! way. So there are names that readers do not see, and nothing but writing the members elsewhere sheds them.

use isles_crdt::op::{Nested, Presence, Veto};

use crate::paged::PagedMap;
use crate::position::Position;

/// So many names are drawn in the hope of a member before members are counted.
const DRAWS: u32 = 16;

/// The members of a set, and the names that were removed from it.
#[derive(Clone, Debug)]
pub(crate) struct RemoveWinsSet {
    // Invariant: nothing under a name is empty.
    names: PagedMap<Veto>,
    // Invariant: how many of the names readers see.
    live: usize,
    // Invariant: how many members are also in the add-wins set under the same key.
    shared: usize,
    /// The newest entry after which readers may see another set; what changes none of its members is logged, but not seen.
    pub(crate) changed: Position,
}

impl Default for RemoveWinsSet {
    fn default() -> Self {
        RemoveWinsSet::from(PagedMap::new())
    }
}

impl From<PagedMap<Veto>> for RemoveWinsSet {
    /// Counts the members; none is shared.
    fn from(names: PagedMap<Veto>) -> Self {
        RemoveWinsSet {
            live: count(&names),
            names,
            shared: 0,
            changed: Position::ZERO,
        }
    }
}

impl RemoveWinsSet {
    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Number of members that are also in the add-wins set under the same key.
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    pub(crate) fn contains(&self, member: &[u8]) -> bool {
        self.names.get(member).is_some_and(Veto::is_present)
    }

    /// The members, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Veto)> {
        self.names.iter().filter(|(_, veto)| veto.is_present())
    }

    /// As [`PagedMap::scan`]; names that were removed count as visited.
    pub(crate) fn scan(&self, cursor: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        self.names.scan(cursor, count, &mut |name, veto| {
            if veto.is_present() {
                each(name);
            }
        })
    }

    /// A member chosen by `random`; nearly uniform. Costs O(1) unless nearly all names were removed.
    pub(crate) fn random(&self, random: u64) -> Option<&[u8]> {
        self.random_where(random, self.live, |_| true)
    }

    /// The same, of so many members that are `wanted`.
    pub(crate) fn random_where(
        &self,
        random: u64,
        count: usize,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Option<&[u8]> {
        let draws = (0..DRAWS).map(|draw| {
            random
                .rotate_left(draw * 5)
                .wrapping_mul(2 * u64::from(draw) + 1)
        });
        let mut drawn = draws.filter_map(|random| self.names.random(random));
        let member = drawn.find(|(name, veto)| veto.is_present() && wanted(name));
        let place = || (random % count.max(1) as u64) as usize;
        let mut all = self.iter().filter(|(name, _)| wanted(name));
        let member = member.or_else(|| all.nth(place()));
        member.map(|(name, _)| name)
    }

    /// All names, those that were removed too.
    pub(crate) fn names(&self) -> &PagedMap<Veto> {
        &self.names
    }

    /// The pages, to store those that have changed.
    pub(crate) fn pages_mut(&mut self) -> &mut PagedMap<Veto> {
        &mut self.names
    }

    /// Changes what is known of a name, and keeps the invariants; `in_other` says whether the add-wins set under the same key
    /// has it.
    pub(crate) fn change(
        &mut self,
        name: &[u8],
        in_other: impl FnOnce() -> bool,
        change: impl FnOnce(&mut Veto),
    ) {
        let (mut was_present, mut is_present) = (false, false);
        self.names.update(name, |slot| {
            let veto = slot.get_or_insert_default();
            was_present = veto.is_present();
            change(veto);
            is_present = veto.is_present();
            if Nested::is_empty(veto) {
                *slot = None;
            }
        });
        if was_present != is_present {
            step(&mut self.live, is_present);
            if in_other() {
                step(&mut self.shared, is_present);
            }
        }
    }

    /// The add-wins set under the same key has a name now, or has it no more.
    pub(crate) fn note_other(&mut self, name: &[u8], has_it: bool) {
        if self.contains(name) {
            step(&mut self.shared, has_it);
        }
    }

    /// Counts the members that are also in this add-wins set, of which the smaller one is walked.
    pub(crate) fn count_shared(&mut self, other: &PagedMap<Presence>) {
        self.shared = self.shared_with(other);
    }

    fn shared_with(&self, other: &PagedMap<Presence>) -> usize {
        match self.names.len() < other.len() {
            true => self
                .iter()
                .filter(|(name, _)| other.get(name).is_some())
                .count(),
            false => other.iter().filter(|(name, _)| self.contains(name)).count(),
        }
    }

    /// Takes away the additions that a context covers, and no removal; returns the names as they were.
    pub(crate) fn withdraw(&mut self, context: &impl isles_clock::Context) -> RemoveWinsSet {
        let names = self.names.rebuilt(
            |_| false,
            |_, veto| {
                let mut veto = veto.clone();
                veto.withdraw(context);
                (!Nested::is_empty(&veto)).then_some(veto)
            },
        );
        std::mem::replace(self, RemoveWinsSet::from(names))
    }

    /// Whether what is derived fits the names.
    pub(crate) fn is_sound(&self) -> bool {
        self.names.is_sound() && self.live == count(&self.names)
    }

    /// The same of what is counted beside this add-wins set.
    pub(crate) fn is_shared_sound(&self, other: &PagedMap<Presence>) -> bool {
        self.shared == self.shared_with(other)
    }
}

/// One more, or one less.
fn step(number: &mut usize, up: bool) {
    match up {
        true => *number += 1,
        false => *number -= 1,
    }
}

fn count(names: &PagedMap<Veto>) -> usize {
    names.iter().filter(|(_, veto)| veto.is_present()).count()
}
