//! The members of a set, whatever its rule, or its rules.
//!
//! Regions that create one key under different rules make a set of each kind, and so does a set that is on its way from
//! one rule to the other. To readers they are one: a member is there if either says so.

use std::cell::Cell;
use std::ops::ControlFlow;

use isles_crdt::op::Presence;

use crate::keyspace::SetRule;
use crate::op::{Base, KeyOp, Kind, Part};
use crate::paged::PagedMap;
use crate::remove_wins::RemoveWinsSet;
use crate::row::{Component, MemberSet, Row};

/// What readers see of the sets under a key.
#[derive(Clone, Copy)]
pub(crate) enum Members<'r> {
    AddWins(&'r PagedMap<Presence>),
    RemoveWins(&'r RemoveWinsSet),
    // Invariant: neither is empty.
    Both(&'r PagedMap<Presence>, &'r RemoveWinsSet),
}

impl<'r> Members<'r> {
    /// Those that readers see of a row; none if they see another type.
    pub(crate) fn of(row: &'r Row) -> Option<Members<'r>> {
        match row.visible()? {
            Component::Set(_) | Component::SetRw(_) => Members::held_by(row),
            _ => None,
        }
    }

    /// The same, also where another type hides them.
    pub(crate) fn held_by(row: &'r Row) -> Option<Members<'r>> {
        let (add_wins, remove_wins) = row.sets();
        let add_wins = add_wins.map(|set| &set.members);
        let add_wins = add_wins.filter(|set| set.len() > 0);
        match (add_wins, remove_wins.filter(|set| set.len() > 0)) {
            (Some(set), None) => Some(Members::AddWins(set)),
            (None, Some(set)) => Some(Members::RemoveWins(set)),
            (Some(one), Some(other)) => Some(Members::Both(one, other)),
            (None, None) => None,
        }
    }

    /// The rule that all of them are under; none if there are members of both.
    pub(crate) fn rule(self) -> Option<SetRule> {
        match self {
            Members::AddWins(_) => Some(SetRule::AddWins),
            Members::RemoveWins(_) => Some(SetRule::RemoveWins),
            Members::Both(..) => None,
        }
    }

    /// Those whose additions win.
    pub(crate) fn add_wins(self) -> Option<&'r PagedMap<Presence>> {
        match self {
            Members::AddWins(set) | Members::Both(set, _) => Some(set),
            Members::RemoveWins(_) => None,
        }
    }

    /// Those whose removals win.
    pub(crate) fn remove_wins(self) -> Option<&'r RemoveWinsSet> {
        match self {
            Members::RemoveWins(set) | Members::Both(_, set) => Some(set),
            Members::AddWins(_) => None,
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Members::AddWins(set) => set.len(),
            Members::RemoveWins(set) => set.len(),
            Members::Both(one, other) => one.len() + other.len() - other.shared(),
        }
    }

    pub(crate) fn contains(self, member: &[u8]) -> bool {
        self.add_wins().is_some_and(|set| set.get(member).is_some())
            || self.remove_wins().is_some_and(|set| set.contains(member))
    }

    /// Visits the members, each once, until it breaks.
    pub(crate) fn each(self, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let add_wins = self.add_wins();
        let of_add_wins = add_wins.into_iter().flat_map(PagedMap::iter);
        let of_add_wins = of_add_wins.map(|(member, _)| member);
        let is_other = |member: &[u8]| add_wins.is_none_or(|set| set.get(member).is_none());
        let others = self.remove_wins().into_iter().flat_map(RemoveWinsSet::iter);
        let others = others.map(|(member, _)| member);
        let others = others.filter(|member| is_other(member));
        _ = of_add_wins.chain(others).try_for_each(each);
    }

    /// As [`PagedMap::scan`], whatever the kinds have been at earlier calls: a cursor is a place among the hashes of names.
    pub(crate) fn scan(self, cursor: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        match self {
            Members::AddWins(set) => set.scan(cursor, count, &mut |member, _| each(member)),
            Members::RemoveWins(set) => set.scan(cursor, count, each),
            Members::Both(one, other) => scan_both(one, other, cursor, count, each),
        }
    }

    /// A member chosen by `random`; nearly uniform.
    pub(crate) fn random(self, random: u64) -> Option<&'r [u8]> {
        match self {
            Members::AddWins(set) => set.random(random).map(|(member, _)| member),
            Members::RemoveWins(set) => set.random(random),
            Members::Both(one, other) => {
                let place = mixed(random) % self.len() as u64;
                match place < one.len() as u64 {
                    true => one.random(random).map(|(member, _)| member),
                    false => other.random_where(random, other.len() - other.shared(), |name| {
                        one.get(name).is_none()
                    }),
                }
            }
        }
    }
}

/// Scans sets of both kinds as one. The pages of both are cut by the same bits of the same hashes: where one has more of
/// them, it takes several steps to the end of each page of the other.
fn scan_both(
    one: &PagedMap<Presence>,
    other: &RemoveWinsSet,
    mut cursor: u64,
    count: usize,
    each: &mut dyn FnMut(&[u8]),
) -> u64 {
    let other_is_finer = one.pages_len() < other.names().pages_len();
    let seen = Cell::new(0);
    let mut step = |in_finer: bool, cursor| match in_finer == other_is_finer {
        true => other.names().scan(cursor, 0, &mut |name, veto| {
            seen.set(seen.get() + 1);
            if veto.is_present() && one.get(name).is_none() {
                each(name);
            }
        }),
        false => one.scan(cursor, 0, &mut |member, _| {
            seen.set(seen.get() + 1);
            each(member);
        }),
    };
    loop {
        let end = step(false, cursor);
        loop {
            cursor = step(true, cursor);
            if cursor == end {
                break;
            }
        }
        if end == 0 || seen.get() >= count {
            return end;
        }
    }
}

/// Bits that depend on all of these.
fn mixed(random: u64) -> u64 {
    let folded = (random ^ (random >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    folded ^ (folded >> 33)
}

/// Which members some names were of, before an op that changes sets of both kinds and nothing else.
///
/// What such an op takes from one kind and adds to the other, readers do not see change.
pub(crate) struct Named<'o> {
    names: Vec<(&'o [u8], bool)>,
}

impl<'o> Named<'o> {
    /// None for any other op.
    pub(crate) fn by(row: &Row, op: &'o KeyOp<'_>) -> Option<Named<'o>> {
        let is_of_sets = |part: &Part<'_>| matches!(part, Part::SetAw(_) | Part::SetRw(_));
        let is_it = op.base == Base::Keep
            && op.parts.len() > 1
            && op.resets.is_empty()
            && op.parts.iter().all(is_of_sets);
        if !is_it {
            return None;
        }
        let parts = op.parts.iter().filter_map(|part| match part {
            Part::SetAw(part) | Part::SetRw(part) => Some(part),
            _ => None,
        });
        let names = parts.flat_map(|part| part.remove.iter().chain(&part.add));
        let members = Members::held_by(row);
        let is_member = |name: &[u8]| members.is_some_and(|set| set.contains(name));
        let names = names.map(|name| (name.0, is_member(name.0)));
        Some(Named {
            names: names.collect(),
        })
    }

    /// Whether the same of them are members of what the op has left.
    pub(crate) fn are_the_same(&self, row: &Row) -> bool {
        let members = Members::held_by(row);
        let is_member = |name: &[u8]| members.is_some_and(|set| set.contains(name));
        let mut names = self.names.iter();
        names.all(|(name, was_member)| is_member(name) == *was_member)
    }
}

impl Row {
    /// The sets of both kinds, empty or not.
    pub(crate) fn sets(&self) -> (Option<&MemberSet>, Option<&RemoveWinsSet>) {
        let place = |set: &Component| matches!(set, Component::Set(_) | Component::SetRw(_));
        match self
            .components
            .iter()
            .position(place)
            .map(|at| &self.components[at..])
        {
            Some([Component::Set(one), Component::SetRw(other), ..]) => (Some(one), Some(other)),
            Some([Component::Set(one), ..]) => (Some(one), None),
            Some([Component::SetRw(other), ..]) => (None, Some(other)),
            _ => (None, None),
        }
    }

    /// The same, to be changed; the one that is changed is made empty if it is not there.
    pub(crate) fn sets_mut(
        &mut self,
        changed: SetRule,
    ) -> (Option<&mut MemberSet>, Option<&mut RemoveWinsSet>) {
        let kind = match changed {
            SetRule::AddWins => Kind::SetAw,
            SetRule::RemoveWins => Kind::SetRw,
        };
        _ = self.component_mut(kind);
        let mut sets = (None, None);
        for component in &mut self.components {
            match component {
                Component::Set(set) => sets.0 = Some(&mut **set),
                Component::SetRw(set) => sets.1 = Some(&mut **set),
                _ => {}
            }
        }
        sets
    }

    /// Readers may see other members since the entry that has touched the row last.
    pub(crate) fn note_members_changed(&mut self) {
        let position = self.position;
        for component in &mut self.components {
            match component {
                Component::Set(set) => set.changed = position,
                Component::SetRw(set) => set.changed = position,
                _ => {}
            }
        }
    }

    /// Counts the members that are in the sets of both kinds, after either was made anew.
    pub(crate) fn count_shared(&mut self) {
        for place in 1..self.components.len() {
            if let [Component::Set(one), Component::SetRw(other)] =
                &mut self.components[place - 1..=place]
            {
                other.count_shared(&one.members);
            }
        }
    }

    /// Whether what is counted of the members fits them.
    pub(crate) fn is_shared_sound(&self) -> bool {
        match self.sets() {
            (one, Some(other)) => {
                let none = PagedMap::new();
                other.is_shared_sound(one.map_or(&none, |set| &set.members))
            }
            _ => true,
        }
    }
}
