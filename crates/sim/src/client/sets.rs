//! Commands on sets, of both rules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use isles_replica::{Lens, Migration, SetRule, Txn};

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

    /// The rule under which members are added to a set that may be there.
    fn rule_of(&self, key: &[u8], state: &KeyState) -> SetRule {
        match (state.set.is_empty(), state.set_rw.is_empty()) {
            (false, true) => SetRule::AddWins,
            (true, false) => SetRule::RemoveWins,
            (false, false) | (true, true) => self.rule(key),
        }
    }

    /// Whether a removal names members under the rule by which it wins.
    fn removals_win(&self, key: &[u8], state: &KeyState) -> bool {
        !state.set_rw.is_empty() || self.rule(key) == SetRule::RemoveWins
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
        let seen = before.visible(self.now_ms).is_some() && self.removals_win(key, before);
        let there = before.members().into_iter().filter(|_| seen);
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
            let removals_win = self.removals_win(key, &state);
            for member in there.into_iter().filter(|it| state.set.contains_key(it)) {
                let each = self.effect(key).set.entry(member).or_default();
                (each.removes, each.adds) = (true, false);
            }
            if removals_win {
                // Also what is not there.
                let removals = distinct.into_iter().map(|member| (member, false));
                self.effect(key).set_rw.extend(removals);
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

    /// What is there from the first call to the last is found, whatever its rule, and nothing that is not.
    pub(super) fn set_scan(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        count: usize,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Set);
        let expected = state.map(|state| state.members());
        let (mut found, mut cursor) = (BTreeSet::new(), 0);
        let result = loop {
            let each = &mut |member: &[u8]| {
                found.insert(member.to_vec());
            };
            match txn.set_scan(key, cursor, count, each) {
                Ok(0) => break Ok(()),
                Ok(next) => cursor = next,
                Err(wrong_type) => break Err(wrong_type),
            }
        };
        let is_set = result.is_ok();
        self.same(&expected, &result.ok().map(|()| found))?;
        let Some(expected) = expected.filter(|_| is_set) else {
            return Ok(());
        };
        let len = txn.set_len(key).map_err(|error| error.to_string())?;
        self.same(&expected.len(), &len)?;
        let drawn = txn.set_random(key, (count as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let drawn = drawn.map_err(|error| error.to_string())?;
        let is_member = drawn.is_none_or(|member| expected.contains(&member));
        self.same(&true, &is_member)
    }

    /// Members go from one rule to the other, and readers see no change.
    pub(super) fn set_migrate(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<(), String> {
        if self.visible(key) != Some(Type::Set) {
            // Of strings the model knows no migration.
            return Ok(());
        }
        self.note(key);
        let (state, rule) = (self.now(key), self.rule(key));
        let moved: BTreeSet<Bytes> = match rule {
            SetRule::AddWins => state.set_rw.keys().cloned().collect(),
            SetRule::RemoveWins => state.set.keys().cloned().collect(),
        };
        for member in &moved {
            let effect = self.effect(key);
            match rule {
                SetRule::AddWins => drop(effect.set_rw.insert(member.clone(), false)),
                SetRule::RemoveWins => {
                    let each = effect.set.entry(member.clone()).or_default();
                    (each.removes, each.adds) = (true, false);
                }
            }
        }
        let is_any = !moved.is_empty();
        if is_any {
            self.add_members(key, rule, moved);
        }
        let is_done = matches!(txn.migrate(key), Migration::Done(_));
        self.same(&is_any, &is_done)?;
        self.set_members(txn, key).map(drop)
    }
}
