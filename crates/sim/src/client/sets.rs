//! Commands on sets, of both rules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use isles_replica::{Lens, SetRule, Txn};

use super::{Draft, slices};
use crate::command::Bytes;
use crate::model::{KeyState, Type};

/// What is stored of a keyspace's definition, by definition.
pub(super) fn definition_text(lens: &Lens, rule: SetRule) -> Bytes {
    let text = match rule {
        SetRule::AddWins => lens.name().to_owned(),
        SetRule::RemoveWins => format!("v2 {} sets=remove-wins", lens.name()),
    };
    text.into_bytes()
}

/// The lens and the rule of a definition.
pub(super) fn rule_said(definition: &[u8]) -> (&[u8], SetRule) {
    let lens = definition.strip_prefix(b"v2 ");
    let lens = lens.and_then(|rest| rest.strip_suffix(b" sets=remove-wins"));
    match lens {
        Some(lens) => (lens, SetRule::RemoveWins),
        None => (definition, SetRule::AddWins),
    }
}

impl Draft<'_> {
    /// The rule that a set gets that is created under a key.
    pub(super) fn rule(&self, key: &[u8]) -> SetRule {
        self.definition(key)
            .map_or(SetRule::AddWins, |(_, rule)| rule)
    }

    /// The rule of a set that may be there.
    fn rule_of(&self, key: &[u8], state: &KeyState) -> SetRule {
        match (state.set.is_empty(), state.set_rw.is_empty()) {
            (false, _) => SetRule::AddWins,
            (true, false) => SetRule::RemoveWins,
            (true, true) => self.rule(key),
        }
    }

    pub(super) fn add_members(&mut self, key: &[u8], rule: SetRule, members: BTreeSet<Bytes>) {
        let effect = self.effect(key);
        for member in members {
            match rule {
                SetRule::AddWins => effect.set.entry(member).or_default().adds = true,
                SetRule::RemoveWins => drop(effect.set_rw.insert(member, true)),
            }
        }
    }

    /// Who removes a whole set where removals win removes each member that readers see, and those that the entry has named.
    pub(super) fn removed_by_clearing(
        &mut self,
        key: &[u8],
        before: &KeyState,
    ) -> BTreeMap<Bytes, bool> {
        let named: Vec<Bytes> = self.effect(key).set_rw.keys().cloned().collect();
        let seen = before.visible(self.now_ms).is_some();
        let there = before.set_rw.keys().filter(|_| seen).cloned();
        let removed = there.chain(named).map(|member| (member, false));
        removed.collect()
    }

    pub(super) fn set_add(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        members: &[Bytes],
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Set);
        let distinct: BTreeSet<Bytes> = members.iter().cloned().collect();
        let expected = state.map(|state| {
            let there = state.members();
            let rule = self.rule_of(key, &state);
            let new = distinct.difference(&there).count();
            self.create(key);
            self.add_members(key, rule, distinct);
            new
        });
        self.same(&expected, &txn.set_add(key, &slices(members)).ok())
    }

    pub(super) fn set_remove(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        members: &[Bytes],
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Set);
        let distinct: BTreeSet<Bytes> = members.iter().cloned().collect();
        let expected = state.map(|state| {
            let there: BTreeSet<Bytes> = state.members().intersection(&distinct).cloned().collect();
            let removed = there.len();
            match self.rule_of(key, &state) {
                SetRule::AddWins => {
                    for member in there {
                        let each = self.effect(key).set.entry(member).or_default();
                        (each.removes, each.adds) = (true, false);
                    }
                }
                // Also what is not there.
                SetRule::RemoveWins => {
                    let removals = distinct.into_iter().map(|member| (member, false));
                    self.effect(key).set_rw.extend(removals);
                }
            }
            removed
        });
        self.same(&expected, &txn.set_remove(key, &slices(members)).ok())
    }

    pub(super) fn set_members(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
    ) -> Result<Vec<Bytes>, String> {
        let state = self.typed(key, Type::Set);
        let expected = state.map(|state| state.members());
        let mut members = BTreeSet::new();
        let result = txn.set_members(key, &mut |member| {
            members.insert(member.to_vec());
            ControlFlow::Continue(())
        });
        self.same(&expected, &result.ok().map(|()| members))?;
        Ok(expected.into_iter().flatten().collect())
    }
}
