//! What another strategy would have answered for a conflict of the journal.

use isles_resolve::{Class, Failure, Resolution, Resolver, Sibling};

use crate::conflict::{ConflictKind, ConflictRecord};
use crate::lens::Lens;
use crate::op::Kind;

/// What readers would see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhatIfAnswer {
    /// One value.
    Value(Vec<u8>),
    /// Nothing: the deletion wins.
    Nothing,
    /// Both values, for the reader to decide.
    Siblings,
}

/// What a strategy would have made of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhatIf {
    /// It would have answered `then`, where readers were given `now`.
    Answer {
        /// What the strategy in force answered.
        now: WhatIfAnswer,
        /// What the other one would have.
        then: WhatIfAnswer,
    },
    /// The resolver should have answered and could not: readers would have got both values.
    Failed {
        /// What the strategy in force answered.
        now: WhatIfAnswer,
        /// Why it could not.
        failure: Failure,
    },
    /// The module that answered then is not loaded any more, so that nobody knows what readers were given.
    NoBaseline,
    /// One of the two strategies adds up differences of documents. The journal has none, only the documents.
    NoDifferences,
    /// The journal has only the first bytes of a value.
    Truncated,
    /// The conflict is not about the value of a string, and strategies are for no other.
    NoChoice,
}

impl ConflictRecord {
    /// What a resolver would have answered if the key had been under it, of this class. `in_force` is what the record's
    /// strategy names, where that is a module and is loaded: without it nobody knows what readers were given. Costs a
    /// resolution or two: that of a module takes as long as its fuel lasts, so it is not for those who hold the replica.
    pub fn what_if(
        &self,
        resolver: &dyn Resolver,
        class: Class,
        in_force: Option<&dyn Resolver>,
    ) -> WhatIf {
        let is_string = matches!(self.component, Some(Kind::RegisterLww | Kind::RegisterMv));
        let is_write = matches!(
            self.kind,
            ConflictKind::WriteWrite | ConflictKind::WriteDelete
        );
        if !is_string || !is_write {
            return WhatIf::NoChoice;
        }
        if self.winner.is_truncated() || self.loser.is_truncated() {
            return WhatIf::Truncated;
        }
        let now_class = if self.kept {
            Class::MultiValue
        } else {
            Class::Lww
        };
        let now: &dyn Resolver = match (&self.strategy, in_force) {
            (Lens::BuiltIn(strategy), _) => strategy,
            (Lens::Module(_), Some(module)) => module,
            (Lens::Module(_), None) => return WhatIf::NoBaseline,
        };
        let are_two = self.winner.value.is_some() && self.loser.value.is_some();
        let mut both = [(now, now_class), (resolver, class)].into_iter();
        if are_two && both.any(|(it, class)| class == Class::MultiValue && it.reads_sums()) {
            return WhatIf::NoDifferences;
        }
        // Where a module fails, readers are given the siblings.
        let now = self
            .answer(now, now_class)
            .unwrap_or(WhatIfAnswer::Siblings);
        match self.answer(resolver, class) {
            Ok(then) => WhatIf::Answer { now, then },
            Err(failure) => WhatIf::Failed { now, failure },
        }
    }

    fn answer(&self, resolver: &dyn Resolver, class: Class) -> Result<WhatIfAnswer, Failure> {
        if class == Class::Lww {
            let stamp = self.loser.stamp.max(self.winner.stamp);
            let newest = [&self.winner, &self.loser].into_iter();
            let newest = newest.filter(|contender| contender.stamp == stamp);
            let value = newest
                .filter_map(|contender| contender.value.clone())
                .next();
            return Ok(value.map_or(WhatIfAnswer::Nothing, WhatIfAnswer::Value));
        }
        // A deletion removes what it has seen, and so neither of the two.
        let siblings = [&self.winner, &self.loser].into_iter();
        let siblings = siblings.filter_map(|contender| {
            let value = contender.value.as_deref()?;
            Some(Sibling {
                dot: contender.dot,
                stamp: contender.stamp,
                value,
                sums: None,
            })
        });
        let mut siblings: Vec<Sibling<'_>> = siblings.collect();
        siblings.sort_by_key(|sibling| sibling.dot);
        match siblings[..] {
            [] => return Ok(WhatIfAnswer::Nothing),
            // Readers ask nobody about one value.
            [only] => return Ok(WhatIfAnswer::Value(only.value.to_vec())),
            _ => {}
        }
        match resolver.resolve(&siblings) {
            Resolution::One { value, .. } => Ok(WhatIfAnswer::Value(value.into_owned())),
            Resolution::Failed(failure) => Err(failure),
            _ => Ok(WhatIfAnswer::Siblings),
        }
    }
}
