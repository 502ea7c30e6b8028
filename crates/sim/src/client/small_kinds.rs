//! Commands on flags, HyperLogLogs and bounded counters.

use isles_clock::Dot;
use isles_crdt::hyper_log_log::Sketch;
use isles_replica::{EscrowError, Expiry, FlagKind, Txn, hyll, sketch_hash};

use super::{Draft, slices};
use crate::command::Bytes;
use crate::model::{KeyState, Type};
use crate::small_kinds::{Change, Command};

impl Draft<'_> {
    pub(super) fn run_small(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        command: &Command,
    ) -> Result<(), String> {
        match command {
            Command::Flag(kind, on) => self.flag(txn, key, *kind, *on),
            Command::SketchAdd(elements) => self.sketch_add(txn, key, elements),
            Command::SketchCount => {
                let sketch = self.read_sketch(key);
                let expected = sketch.map(|sketch| sketch.map(|sketch| sketch.cardinality()));
                self.same(&expected, &txn.sketch_count(key).ok())
            }
            Command::SketchAsString => {
                if let Some(old) = self.get(txn, key)? {
                    self.set(key, &old, Expiry::Keep);
                    txn.set_string(key, &old, Expiry::Keep);
                }
                Ok(())
            }
            Command::Grant(by) => self.grant(txn, key, *by),
            Command::Spend(by) => {
                let value = self.spend(key, *by, Change::Spent);
                self.same(&value, &txn.bounded_decrement(key, *by).map_err(short))
            }
            Command::Transfer(rights, number) => {
                let replicas: Vec<_> = self.clock.iter().map(|(replica, _)| replica).collect();
                let Some(to) = replicas.get(number % replicas.len().max(1)).copied() else {
                    return Ok(());
                };
                let own = self.entry.dot.replica;
                let expected = match to == own {
                    // Nothing comes of it, if it is possible at all.
                    true => self.check_rights(key, *rights).map(drop),
                    false => self
                        .spend(key, *rights, |some| Change::Moved(to, some))
                        .map(drop),
                };
                let found = txn.bounded_transfer(key, *rights, to);
                self.same(&expected, &found.map_err(short))
            }
            Command::Rights => {
                let state = self.typed(key, Type::Bounded);
                let is_there = self.visible(key).is_some();
                let own = self.entry.dot.replica;
                let expected = state.map(|state| is_there.then(|| state.small.rights(own)));
                let found = txn.bounded_rights(key).ok().map(|rights| {
                    rights.map(|all| {
                        let own = all.iter().find(|(replica, _)| *replica == own);
                        own.map_or(0, |(_, rights)| *rights)
                    })
                });
                self.same(&expected, &found)
            }
        }
    }

    fn flag(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        kind: FlagKind,
        on: bool,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Flag);
        let was_on = self.visible(key).is_some();
        let is_logged = on || was_on || kind == FlagKind::DisableWins;
        if state.is_some() && is_logged {
            if on {
                self.create(key);
            }
            let effect = &mut self.effect(key).small;
            match kind {
                FlagKind::EnableWins => effect.flag_ew = Some(on),
                FlagKind::DisableWins => effect.flag_dw = Some(on),
            }
        }
        let expected = state.map(|_| was_on != on);
        self.same(&expected, &txn.set_flag(key, kind, on).ok())
    }

    /// The name of what this entry changes: none for what it creates itself.
    fn name(&self, dot: Option<Dot>) -> Option<Dot> {
        dot.filter(|dot| *dot != self.entry.dot)
    }

    /// What PFCOUNT counts: sketches, or a string that encodes one; an error for all else.
    fn read_sketch(&mut self, key: &[u8]) -> Option<Option<Sketch>> {
        if self.visible(key) == Some(Type::String) {
            self.note(key);
            return hyll::decode(&self.now(key).string()).ok().map(Some);
        }
        let state = self.typed(key, Type::Sketch)?;
        Some(self.visible(key).map(|_| state.small.union()))
    }

    /// What GET answers of a sketch: how that is encoded, and whether its count is known, is the replica's own.
    pub(super) fn sketch_string(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        state: &KeyState,
    ) -> Result<Bytes, String> {
        let found = txn.string(key).ok().flatten().unwrap_or_default();
        let found = found.into_owned();
        self.same(&Ok(state.small.union()), &hyll::decode(&found))?;
        Ok(found)
    }

    /// PFADD to a string that encodes a sketch: one with all of it takes the string's place.
    fn sketch_add_to_string(&mut self, key: &[u8], more: &Sketch) -> Option<bool> {
        use isles_crdt::Merge;
        let mut sketch = self.read_sketch(key)??;
        let lacks = !more.minus(&sketch).is_empty();
        if lacks {
            sketch.merge(more);
            let expiry = self
                .now(key)
                .deadline_ms()
                .map_or(Expiry::Clear, Expiry::At);
            self.clear(key);
            self.effect(key).small.sketch = Some((None, sketch));
            self.copy_deadline(key, expiry);
        }
        Some(lacks)
    }

    fn sketch_add(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        elements: &[Bytes],
    ) -> Result<(), String> {
        use isles_crdt::Merge;
        let more: Sketch = elements
            .iter()
            .map(|element| sketch_hash(element))
            .collect();
        if self.visible(key) == Some(Type::String) {
            let expected = self.sketch_add_to_string(key, &more);
            return self.same(&expected, &txn.sketch_add(key, &slices(elements)).ok());
        }
        let expected = self.typed(key, Type::Sketch).map(|state| {
            let sketches = match self.visible(key) {
                Some(_) => state.small.sketches.clone(),
                None => Default::default(),
            };
            let first = sketches.first_key_value();
            let lacks = first.is_none_or(|(_, sketch)| !more.minus(sketch).is_empty());
            if lacks {
                let named = self.name(first.map(|(dot, _)| *dot));
                let rise = first.map_or_else(|| more.clone(), |(_, sketch)| more.minus(sketch));
                self.create(key);
                match &mut self.effect(key).small.sketch {
                    Some((_, sketch)) => sketch.merge(&rise),
                    none => *none = Some((named, rise)),
                }
            }
            sketches.is_empty() || !more.minus(&state.small.union()).is_empty()
        });
        self.same(&expected, &txn.sketch_add(key, &slices(elements)).ok())
    }

    fn grant(&mut self, txn: &mut Txn<'_>, key: &[u8], by: u64) -> Result<(), String> {
        let expected = self.typed(key, Type::Bounded).map(|state| {
            let there = self.visible(key).is_some();
            let first = state.small.bounded.keys().next().copied();
            let named = self.name(first.filter(|_| there));
            self.create(key);
            let effect = &mut self.effect(key).small;
            effect.bounded.push((named, Change::Granted(by)));
            by as i64 + if there { state.small.value() } else { 0 }
        });
        let found = txn.bounded_increment(key, by);
        self.same(&expected, &found.ok())
    }

    fn check_rights(&mut self, key: &[u8], count: u64) -> Result<KeyState, Short> {
        let own = self.entry.dot.replica;
        let state = self.typed(key, Type::Bounded).ok_or(Short::WrongType)?;
        if self.visible(key).is_none() {
            return Err(Short::Absent);
        }
        match state.small.rights(own) < count {
            true => Err(Short::TooFew(state.small.rights(own))),
            false => Ok(state),
        }
    }

    /// Uses rights of one counter after the other, and returns the value.
    fn spend(
        &mut self,
        key: &[u8],
        count: u64,
        change: impl Fn(u64) -> Change,
    ) -> Result<i64, Short> {
        let state = self.check_rights(key, count)?;
        let own = self.entry.dot.replica;
        let mut left = count;
        for (dot, counter) in &state.small.bounded {
            let some = counter.rights(own).min(left);
            if some > 0 {
                let named = self.name(Some(*dot));
                let effect = &mut self.effect(key).small;
                effect.bounded.push((named, change(some)));
            }
            left -= some;
        }
        Ok(self.now(key).small.value())
    }

    /// What COPY makes of one of these kinds.
    pub(super) fn copy_small(&mut self, source: &KeyState, visible: Type, to: &[u8]) {
        self.clear(to);
        let effect = &mut self.effect(to).small;
        match visible {
            Type::Flag if !source.small.flag_ew.is_empty() => effect.flag_ew = Some(true),
            Type::Flag => effect.flag_dw = Some(true),
            Type::Sketch => effect.sketch = Some((None, source.small.union())),
            Type::Bounded => {
                let value = source.small.value() as u64;
                effect.bounded.push((None, Change::Granted(value)));
            }
            Type::String | Type::Hash | Type::Set | Type::SortedSet | Type::List | Type::Stream => {
            }
        }
    }

    /// Whether the deadline of a copy is said beside it.
    pub(super) fn copy_deadline(&mut self, to: &[u8], expiry: Expiry) {
        if let Expiry::At(at_ms) = expiry {
            self.set_deadline(to, Some(at_ms));
        }
    }
}

/// A refusal without what depends on how much is known of others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Short {
    WrongType,
    Absent,
    TooFew(u64),
    Other,
}

fn short(error: EscrowError) -> Short {
    match error {
        EscrowError::WrongType => Short::WrongType,
        EscrowError::Absent => Short::Absent,
        EscrowError::NotEnoughRights { held, .. } => Short::TooFew(held),
        _ => Short::Other,
    }
}
