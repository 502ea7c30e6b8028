//! Sorted sets, beside their definition.

use std::collections::BTreeSet;
use std::ops::Range;

use isles_replica::{AddIf, Added, Score, ScoreIf, Txn};

use super::{Draft, slices};
use crate::command::Bytes;
use crate::model::Type;

fn number(score: f64) -> Score {
    Score::try_from(score).expect("the grammar has numbers only")
}

impl Draft<'_> {
    pub(super) fn sorted_add(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        pairs: &[(Bytes, f64)],
        add_if: AddIf,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::SortedSet);
        let expected = state.map(|mut state| {
            let mut added = Added::default();
            for (name, score) in pairs {
                let old = state.sorted_set.get(name).map(|member| member.score());
                let allowed = match add_if {
                    AddIf::Always => true,
                    AddIf::Absent => old.is_none(),
                    AddIf::Present => old.is_some(),
                };
                if !allowed {
                    continue;
                }
                added.new += usize::from(old.is_none());
                added.changed += usize::from(old.is_some_and(|old| old != *score));
                self.create(key);
                let member = self.effect(key).sorted_set.entry(name.clone()).or_default();
                (member.resets, member.put, member.add) = (true, Some(*score), None);
                state = self.now(key);
            }
            added
        });
        let pairs: Vec<(&[u8], Score)> = pairs
            .iter()
            .map(|(name, score)| (&name[..], number(*score)))
            .collect();
        let found = txn.sorted_set_add(key, &pairs, add_if, ScoreIf::Any);
        self.same(&expected, &found.ok())
    }

    pub(super) fn sorted_increment(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        by: f64,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::SortedSet);
        let expected = state.map(|state| {
            let old = state.sorted_set.get(name);
            number(old.map_or(0.0, |member| member.score()) + by)
        });
        if expected.is_some() {
            self.create(key);
            let member = self
                .effect(key)
                .sorted_set
                .entry(name.to_vec())
                .or_default();
            *member.add.get_or_insert(0.0) += by;
        }
        let found = txn.sorted_set_increment(key, name, number(by), AddIf::Always, ScoreIf::Any);
        let found = found.ok().map(|sum| sum.map_err(|error| error.to_string()));
        self.same(&expected.map(|sum| Ok(Some(sum))), &found)
    }

    pub(super) fn sorted_remove(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        names: &[Bytes],
    ) -> Result<(), String> {
        let state = self.typed(key, Type::SortedSet);
        let there = state.map(|state| {
            let distinct: BTreeSet<&Bytes> = names.iter().collect();
            let there = distinct
                .into_iter()
                .filter(|name| state.sorted_set.contains_key(*name));
            there.cloned().collect::<Vec<Bytes>>()
        });
        self.take_members(key, there.iter().flatten());
        self.same(
            &there.map(|there| there.len()),
            &txn.sorted_set_remove(key, &slices(names)).ok(),
        )
    }

    pub(super) fn sorted_remove_ranks(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        ranks: Range<usize>,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::SortedSet);
        let gone = state.map(|state| {
            let members = state.in_order().into_iter();
            let names = members.map(|(name, _)| name);
            let gone = names.skip(ranks.start).take(ranks.len());
            gone.collect::<Vec<Bytes>>()
        });
        self.take_members(key, gone.iter().flatten());
        let found = txn.sorted_set_remove_ranks(key, ranks);
        self.same(&gone.map(|gone| gone.len()), &found.ok())
    }

    fn take_members<'n>(&mut self, key: &[u8], names: impl Iterator<Item = &'n Bytes>) {
        for name in names {
            let member = self.effect(key).sorted_set.entry(name.clone()).or_default();
            (member.resets, member.put, member.add) = (true, None, None);
        }
    }

    pub(super) fn sorted_all(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<(), String> {
        let state = self.typed(key, Type::SortedSet);
        let expected = state.map(|state| {
            let members = state.in_order().into_iter().enumerate();
            members
                .map(|(rank, (name, score))| (name, score, Some(rank)))
                .collect::<Vec<_>>()
        });
        let found = txn.sorted_set(key).ok().map(|set| {
            let members = set.into_iter().flat_map(|set| {
                set.iter()
                    .map(|(name, score)| (name.to_vec(), f64::from(score), set.rank(name)))
            });
            members.collect()
        });
        self.same(&expected, &found)
    }
}
