//! Runs a script on a replica and, beside it, by definition; every answer must be the same.

mod groups;
mod lists;
mod resolvers;
mod sets;
mod small_kinds;
mod sorted_sets;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use isles_clock::{Context, Dot, Hlc, VectorClock};
use isles_replica::{
    ContextError, Expiry, IncrementError, Listing, Position, Replica, Scope, SetRule, StreamId,
    Txn, WriteRefused,
};
use isles_resolve::Strategy;

use crate::cold::Missed;
use crate::command::{Bytes, Command, PREFIX, Script, Ttl};
use crate::ledger::Ledger;
use crate::model::{Effect, Entry, KeyState, Known, ListEffect, Type, known_after};

/// Contexts that clients were given, by number.
pub type Tokens = Vec<Option<VectorClock>>;

/// What a script did.
#[derive(Debug)]
pub struct Outcome {
    /// The entries that it wrote, in order.
    pub entries: Vec<Entry>,
    /// The answers may leave when the log is durable through this place.
    pub barrier: Position,
    /// The keys that the answers tell of.
    pub keys: BTreeSet<Bytes>,
}

/// How far a script has got.
#[derive(Debug)]
pub enum Ran {
    /// To its end.
    Through(Outcome),
    /// To a key that is not in memory: nothing was done.
    Missed(Missed),
}

/// What answers are compared with.
#[derive(Clone, Copy, Debug)]
pub enum Truth<'l> {
    /// What the entries of this ledger mean.
    Ledger(&'l Ledger),
    /// Nothing: the node's history is not the one that others know.
    Unknown,
}

/// Runs a script.
///
/// # Errors
/// Names the first answer that is not what it is by definition.
pub fn run(
    replica: &mut Replica,
    truth: Truth<'_>,
    tokens: &mut Tokens,
    script: &Script,
    listing: &Listing,
    wall_ms: u64,
) -> Result<Ran, String> {
    let nothing = Ledger::default();
    let (ledger, is_blind) = match truth {
        Truth::Ledger(ledger) => (ledger, false),
        Truth::Unknown => (&nothing, true),
    };
    let clock = replica.applied().clone();
    let own = replica.id();
    let scope = if script.many {
        Scope::Many
    } else {
        Scope::Once
    };
    let tokens_before = tokens.clone();
    crate::resolvers::answer_beforehand(replica, script);
    let mut txn = replica.txn(wall_ms, scope);
    let mut draft = Draft {
        ledger,
        is_blind,
        listing,
        clock: &clock,
        now_ms: txn.now_ms(),
        finished: Vec::new(),
        entry: Entry {
            dot: Dot::new(own, clock.get(own) + 1),
            hlc: txn.hlc(),
            context: clock.clone(),
            token: None,
            effects: BTreeMap::new(),
        },
        keys: BTreeSet::new(),
    };
    for command in &script.commands {
        let ran = draft.run(&mut txn, command, tokens);
        let missed = matches!(
            txn.refusal(),
            Some(WriteRefused::NotResident | WriteRefused::Cold { .. })
        );
        if missed {
            *tokens = tokens_before;
            let missed = match txn.commit() {
                Err(WriteRefused::NotResident) => Missed::Keys(replica.take_missing()),
                _ => Missed::Everything,
            };
            return Ok(Ran::Missed(missed));
        }
        ran.map_err(|what| format!("{command:?} {what}"))?;
    }
    let barrier = txn.commit().map_err(|error| error.to_string())?;
    draft.finish_entry();
    let (entries, keys) = (draft.finished, draft.keys);
    let expected = clock.get(own) + entries.len() as u64;
    if !is_blind && replica.applied().get(own) != expected {
        let found = replica.applied().get(own);
        return Err(format!(
            "{script:?} made own entries through {found}, by definition {expected}"
        ));
    }
    Ok(Ran::Through(Outcome {
        entries,
        barrier,
        keys,
    }))
}

/// The entry that a script is making, as it is by definition.
struct Draft<'l> {
    ledger: &'l Ledger,
    is_blind: bool,
    listing: &'l Listing,
    clock: &'l VectorClock,
    now_ms: u64,
    finished: Vec<Entry>,
    entry: Entry,
    keys: BTreeSet<Bytes>,
}

impl Draft<'_> {
    /// A key as it was before this entry.
    fn before(&self, key: &[u8]) -> KeyState {
        let state = self.ledger.state(key, self.clock, self.finished.iter());
        state.read_by(self.strategy(key))
    }

    /// A key as this entry has left it so far.
    fn now(&self, key: &[u8]) -> KeyState {
        self.state(key).read_by(self.strategy(key))
    }

    fn state(&self, key: &[u8]) -> KeyState {
        let drafts = self.finished.iter().chain([&self.entry]);
        self.ledger.state(key, self.clock, drafts)
    }

    fn visible(&self, key: &[u8]) -> Option<Type> {
        self.now(key).visible(self.now_ms)
    }

    fn effect(&mut self, key: &[u8]) -> &mut Effect {
        self.entry.effects.entry(key.to_vec()).or_default()
    }

    fn finish_entry(&mut self) {
        if self.entry.effects.is_empty() {
            return;
        }
        let mut next = self.entry.clone();
        next.effects.clear();
        next.context.observe(self.entry.dot);
        next.dot.sequence += 1;
        self.finished.push(std::mem::replace(&mut self.entry, next));
    }

    /// The stamp of a write that replaces one with this stamp.
    fn raised(&self, replaced: Option<Hlc>) -> Hlc {
        match replaced {
            Some(replaced) if replaced >= self.entry.hlc => replaced.next(),
            _ => self.entry.hlc,
        }
    }

    fn lww_stamp(&self, before: &KeyState) -> Hlc {
        self.raised(before.lww.as_ref().map(|(_, hlc, _)| *hlc))
    }

    fn deadline_stamp(&self, before: &KeyState) -> Hlc {
        self.raised(before.deadline.map(|(stamp, _)| stamp.hlc))
    }

    /// Everything observed goes, and what this entry has added so far was never there.
    fn clear(&mut self, key: &[u8]) {
        let before = self.before(key);
        let tombstone = before
            .lww_value()
            .is_some()
            .then(|| (self.lww_stamp(&before), None));
        let deadline = (self.deadline_stamp(&before), None);
        let removed = self.removed_by_clearing(key, &before);
        let list = ListEffect {
            ordinals: self.effect(key).list.ordinals,
            ..ListEffect::default()
        };
        *self.effect(key) = Effect {
            clears: true,
            list,
            lww: tombstone,
            deadline: Some(deadline),
            set_rw: removed,
            ..Effect::default()
        };
    }

    /// An entry that finds nothing creates the key anew.
    fn create(&mut self, key: &[u8]) {
        if self.visible(key).is_none() {
            self.clear(key);
        }
    }

    fn set_deadline(&mut self, key: &[u8], at_ms: Option<u64>) {
        let stamp = self.deadline_stamp(&self.before(key));
        let effect = self.effect(key);
        effect.deadline = Some((stamp, at_ms));
        effect.deadline_open = false;
    }

    /// The strategy of the longest defined prefix.
    fn strategy(&self, key: &[u8]) -> Strategy {
        self.definition(key)
            .map_or(Strategy::Lww, |(strategy, _)| strategy)
    }

    /// What the longest defined prefix says.
    fn definition(&self, key: &[u8]) -> Option<(Strategy, SetRule)> {
        if key.starts_with(isles_replica::RESERVED_PREFIX) {
            return None;
        }
        let defined = |prefix: &[u8]| {
            let definition = self.state(&definition_key(prefix));
            let resolver = self.state(&crate::resolvers::register());
            let stored = resolver.lww_value().map(Vec::as_slice);
            let (lens, rule) = sets::rule_said(definition.lww_value()?);
            Some((crate::resolvers::reads_as(lens, stored)?, rule))
        };
        let special = key.starts_with(PREFIX).then(|| defined(PREFIX)).flatten();
        special.or_else(|| defined(b""))
    }

    /// Whether registers that come to be under this key are multi-value.
    fn is_multi_value(&self, key: &[u8]) -> bool {
        self.strategy(key) != Strategy::Lww
    }

    fn writes_multi_value(&self, key: &[u8]) -> bool {
        let state = self.now(key);
        match state.visible(self.now_ms) {
            Some(_) if state.lww_value().is_some() => false,
            Some(_) if !state.mv.is_empty() => true,
            _ => self.is_multi_value(key),
        }
    }

    /// What a write of this value knows of differences, over what the token covers.
    fn known_after(&self, key: &[u8], value: &[u8], token: Option<&VectorClock>) -> Option<Known> {
        let strategy = self.strategy(key);
        let (before, now) = (self.before(key).read_by(strategy), self.now(key));
        let is_there = |state: &KeyState| state.visible(self.now_ms).is_some();
        let replaces = is_there(&before) && is_there(&now) && !now.mv.is_empty();
        let counts = !before.counter.is_empty() && before.integer().is_some();
        if strategy != Strategy::JsonSum || !replaces || counts {
            return None;
        }
        let observed = before.mv.iter();
        let observed = observed.filter(|(dot, ..)| token.is_none_or(|token| token.covers(*dot)));
        known_after(observed, &before.known, self.entry.dot, value)
    }

    fn set(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let (before, now) = (self.before(key), self.now(key));
        let multi_value = self.writes_multi_value(key);
        let had = now.visible(self.now_ms).and_then(|_| now.deadline_ms());
        let fresh = now.visible(self.now_ms).is_none();
        let known = self.known_after(key, value, None);
        self.clear(key);
        let stamp = self.lww_stamp(&before);
        let deadline_stamp = self.deadline_stamp(&before);
        let effect = self.effect(key);
        match multi_value {
            true => (effect.mv, effect.known) = (Some(value.to_vec()), known),
            false => effect.lww = Some((stamp, Some(value.to_vec()))),
        }
        let at_ms = match expiry {
            Expiry::At(at_ms) => Some(at_ms),
            Expiry::Keep => had,
            Expiry::Clear => None,
        };
        effect.deadline = Some((deadline_stamp, at_ms));
        // Over a register of its own kind a SET need not clear, and then leaves a deadline that it is to keep.
        effect.deadline_open = !fresh && expiry == Expiry::Keep;
    }

    fn run(
        &mut self,
        txn: &mut Txn<'_>,
        command: &Command,
        tokens: &mut Tokens,
    ) -> Result<(), String> {
        match command {
            Command::Get(key) => self.get(txn, key).map(drop),
            Command::Set(key, value, ttl) => {
                let expiry = self.expiry(*ttl);
                self.note(key);
                self.set(key, value, expiry);
                txn.set_string(key, value, expiry);
                Ok(())
            }
            Command::Append(key, more) => {
                let Some(old) = self.get(txn, key)? else {
                    return Ok(());
                };
                let value = [&old[..], more].concat();
                self.set(key, &value, Expiry::Keep);
                txn.set_string(key, &value, Expiry::Keep);
                Ok(())
            }
            Command::Del(key) => self.delete(txn, key),
            Command::Incr(key, by) => self.increment(txn, key, *by),
            Command::Expire(key, ms) => {
                let at_ms = self.now_ms.saturating_add_signed(*ms);
                self.expire(txn, key, Some(at_ms))
            }
            Command::Persist(key) => self.expire(txn, key, None),
            Command::SetAdd(key, members) => self.set_add(txn, key, members),
            Command::SetRemove(key, members) => self.set_remove(txn, key, members),
            Command::SetMembers(key) => self.set_members(txn, key).map(drop),
            Command::SetScan(key, count) => self.set_scan(txn, key, *count),
            Command::SetMigrate(key) => self.set_migrate(txn, key),
            Command::HashPut(key, pairs) => self.hash_put(txn, key, pairs),
            Command::HashRemove(key, fields) => self.hash_remove(txn, key, fields),
            Command::HashIncr(key, field, by) => self.hash_increment(txn, key, field, *by),
            Command::HashAll(key) => self.hash_all(txn, key).map(drop),
            Command::SortedAdd(key, pairs, add_if) => self.sorted_add(txn, key, pairs, *add_if),
            Command::SortedIncr(key, name, by) => self.sorted_increment(txn, key, name, *by),
            Command::SortedRemove(key, names) => self.sorted_remove(txn, key, names),
            Command::SortedRemoveRanks(key, start, len) => {
                self.sorted_remove_ranks(txn, key, *start..start + len)
            }
            Command::SortedAll(key) => self.sorted_all(txn, key),
            Command::ListPush(key, end, values) => self.list_push(txn, key, *end, values),
            Command::ListPop(key, end, count) => self.list_pop(txn, key, *end, *count).map(drop),
            Command::ListSet(key, index, value) => self.list_set(txn, key, *index, value),
            Command::ListInsert(key, side, pivot, value) => {
                self.list_insert(txn, key, *side, pivot, value)
            }
            Command::ListRemove(key, count, value) => self.list_remove(txn, key, *count, value),
            Command::ListTrim(key, start, len) => self.list_trim(txn, key, *start, *len),
            Command::ListAll(key) => self.list_all(txn, key),
            Command::StreamAdd(key, choice, texts, bound) => {
                self.stream_add(txn, key, *choice, texts, *bound)
            }
            Command::StreamRemove(key, places) => self.stream_remove(txn, key, places),
            Command::StreamTrim(key, bound) => self.stream_trim(txn, key, *bound),
            Command::StreamSetId(key, ms) => self.stream_set_id(txn, key, *ms),
            Command::StreamAll(key) => self.stream_all(txn, key),
            Command::Group(key, command) => self.run_group(txn, key, command),
            Command::ListMove(from, to, from_end, to_end) => {
                self.list_move(txn, [from, to], [*from_end, *to_end])
            }
            Command::Copy(from, to) => self.copy(txn, from, to).map(drop),
            Command::Rename(from, to) => match self.copy(txn, from, to)? {
                true => self.delete(txn, from),
                false => Ok(()),
            },
            Command::Flush => self.flush(txn),
            Command::Keys => self.all_keys(txn),
            Command::Small(key, command) => self.run_small(txn, key, command),
            Command::Siblings(key, slot) => self.siblings(txn, key, *slot, tokens),
            Command::SetInContext(key, value, slot) => match tokens[*slot].clone() {
                Some(token) => self.set_in_context(txn, key, value, token),
                None => Ok(()),
            },
            Command::Keyspace(prefix, lens, rule) => {
                let text = sets::definition_text(lens, *rule);
                self.set(&definition_key(prefix), &text, Expiry::Keep);
                txn.keyspace_define(prefix, lens.clone(), *rule);
                Ok(())
            }
            Command::Resolver(rule) => self.run_resolver(txn, *rule),
        }
    }

    /// An answer must be what it is by definition.
    fn same<T: PartialEq + std::fmt::Debug>(&self, expected: &T, found: &T) -> Result<(), String> {
        if self.is_blind || expected == found {
            return Ok(());
        }
        Err(format!("answered {found:?}, by definition {expected:?}"))
    }

    fn note(&mut self, key: &[u8]) {
        self.keys.insert(key.to_vec());
    }

    fn expiry(&self, ttl: Ttl) -> Expiry {
        match ttl {
            Ttl::Keep => Expiry::Keep,
            Ttl::Clear => Expiry::Clear,
            Ttl::After(ms) => Expiry::At(self.now_ms.saturating_add_signed(ms)),
        }
    }

    /// The value of a string, empty if absent; none for another type.
    fn get(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<Option<Bytes>, String> {
        self.note(key);
        let state = self.now(key);
        let expected = match state.visible(self.now_ms) {
            None => Ok(None),
            Some(Type::String) => Ok(Some(state.string())),
            Some(Type::Sketch) => return self.sketch_string(txn, key, &state).map(Some),
            Some(_) => Err(()),
        };
        let found = txn
            .string(key)
            .map(|value| value.map(|value| value.into_owned()));
        self.same(&expected, &found.map_err(drop))?;
        Ok(expected.ok().map(Option::unwrap_or_default))
    }

    fn delete(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<(), String> {
        self.note(key);
        let there = self.visible(key).is_some();
        if there {
            self.clear(key);
        }
        self.same(&there, &txn.delete(key))
    }

    fn increment(&mut self, txn: &mut Txn<'_>, key: &[u8], by: i64) -> Result<(), String> {
        self.note(key);
        let state = self.now(key);
        let expected = match state.visible(self.now_ms) {
            None => Ok(by),
            Some(Type::String) => match state.integer() {
                Some(value) => Ok(value + by),
                None => Err(IncrementError::NotAnInteger),
            },
            Some(Type::Sketch) => Err(IncrementError::NotAnInteger),
            Some(_) => Err(IncrementError::WrongType),
        };
        if expected.is_ok() {
            self.create(key);
            *self.effect(key).count.get_or_insert(0) += i128::from(by);
        }
        self.same(&expected, &txn.increment(key, by))
    }

    fn expire(&mut self, txn: &mut Txn<'_>, key: &[u8], at_ms: Option<u64>) -> Result<(), String> {
        self.note(key);
        let there = self.visible(key).is_some();
        if there {
            self.set_deadline(key, at_ms);
        }
        self.same(&there, &txn.set_deadline(key, at_ms))
    }

    /// What the key holds, if it is absent or of this type.
    fn typed(&mut self, key: &[u8], wanted: Type) -> Option<KeyState> {
        self.note(key);
        match self.visible(key) {
            None => Some(KeyState::default()),
            Some(found) if found == wanted => Some(self.now(key)),
            Some(_) => None,
        }
    }

    fn hash_put(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        pairs: &[(Bytes, Bytes)],
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Hash);
        let last: BTreeMap<&Bytes, &Bytes> =
            pairs.iter().map(|(name, value)| (name, value)).collect();
        let expected = state.map(|state| {
            last.keys()
                .filter(|name| !state.map.contains_key(**name))
                .count()
        });
        if expected.is_some() {
            self.create(key);
            for (name, value) in last {
                let field = self.effect(key).map.entry(name.clone()).or_default();
                (field.resets, field.put, field.count) = (true, Some(value.clone()), None);
            }
        }
        let slices: Vec<(&[u8], &[u8])> = pairs
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        self.same(&expected, &txn.hash_put(key, &slices).ok())
    }

    fn hash_remove(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        fields: &[Bytes],
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Hash);
        let there = state.map(|state| {
            let distinct: BTreeSet<&Bytes> = fields.iter().collect();
            let there = distinct
                .into_iter()
                .filter(|name| state.map.contains_key(*name));
            there.cloned().collect::<Vec<Bytes>>()
        });
        for name in there.iter().flatten() {
            let field = self.effect(key).map.entry(name.clone()).or_default();
            (field.resets, field.put, field.count) = (true, None, None);
        }
        self.same(
            &there.map(|there| there.len()),
            &txn.hash_remove(key, &slices(fields)).ok(),
        )
    }

    fn hash_increment(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        by: i64,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Hash);
        let value = state.ok_or(IncrementError::WrongType).and_then(|state| {
            let field = state.map.get(name);
            field
                .map_or(Some(0), |field| field.integer())
                .ok_or(IncrementError::NotAnInteger)
        });
        let expected = value.map(|value| value + by);
        if expected.is_ok() {
            self.create(key);
            let field = self.effect(key).map.entry(name.to_vec()).or_default();
            *field.count.get_or_insert(0) += i128::from(by);
        }
        self.same(&expected, &txn.hash_increment(key, name, by))
    }

    fn hash_all(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
    ) -> Result<BTreeMap<Bytes, Bytes>, String> {
        let state = self.typed(key, Type::Hash);
        let expected = state.map(|state| {
            let fields = state.map.into_iter();
            fields
                .map(|(name, field)| (name, field.answer()))
                .collect::<BTreeMap<_, _>>()
        });
        let mut all = BTreeMap::new();
        let result = txn.hash_each(key, &mut |name, value| {
            all.insert(name.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        });
        self.same(&expected, &result.ok().map(|()| all))?;
        Ok(expected.unwrap_or_default())
    }

    fn copy(&mut self, txn: &mut Txn<'_>, from: &[u8], to: &[u8]) -> Result<bool, String> {
        self.note(from);
        let source = self.now(from);
        let visible = source.visible(self.now_ms);
        let expiry = source.deadline_ms().map_or(Expiry::Clear, Expiry::At);
        match visible {
            None => {}
            Some(Type::String) => self.set(to, &source.string(), expiry),
            Some(kind @ (Type::Flag | Type::Sketch | Type::Bounded)) => {
                self.copy_small(&source, kind, to);
                self.copy_deadline(to, expiry);
            }
            Some(Type::Set) => {
                self.clear(to);
                self.add_members(to, self.rule(to), source.members());
            }
            Some(Type::List) => {
                let values = self
                    .list_view(txn, from)?
                    .into_iter()
                    .map(|(_, value)| value);
                let values: Vec<Bytes> = values.collect();
                self.clear(to);
                self.insert_elements(to, &values);
            }
            Some(Type::Hash) => {
                self.clear(to);
                for (name, state) in source.map {
                    let field = self.effect(to).map.entry(name).or_default();
                    (field.resets, field.put) = (true, Some(state.answer()));
                }
            }
            Some(Type::Stream) => {
                let groups = self.copied_groups(&source.stream);
                self.clear(to);
                let (mark, deleted) = (source.stream.mark(), source.stream.max_deleted());
                let stream = &mut self.effect(to).stream;
                (stream.mark, stream.groups) = (Some(mark), groups);
                stream.deleted = (deleted > StreamId::ZERO).then_some(deleted);
                for ((id, ..), (_, texts)) in source.stream.entries {
                    let of_id = stream.adds.range((id, 0)..=(id, u32::MAX));
                    let ordinal = of_id.count() as u32;
                    stream.adds.insert((id, ordinal), texts);
                }
            }
            Some(Type::SortedSet) => {
                self.clear(to);
                for (name, state) in source.sorted_set {
                    let member = self.effect(to).sorted_set.entry(name).or_default();
                    (member.resets, member.put) = (true, Some(state.score()));
                }
            }
        }
        let is_collection = !matches!(visible, None | Some(Type::String));
        if let (true, Expiry::At(at_ms)) = (is_collection, expiry) {
            self.set_deadline(to, Some(at_ms));
        }
        self.same(&visible.is_some(), &txn.copy(from, to))?;
        Ok(visible.is_some())
    }

    fn flush(&mut self, txn: &mut Txn<'_>) -> Result<(), String> {
        self.finish_entry();
        for key in self.known_keys() {
            if self.visible(&key).is_some() {
                self.clear(&key);
                // That is the removal of no member.
                self.effect(&key).set_rw.clear();
            }
        }
        self.finish_entry();
        txn.clear().map_err(|error| error.to_string())
    }

    /// SCAN to its end, and DBSIZE.
    fn all_keys(&mut self, txn: &mut Txn<'_>) -> Result<(), String> {
        let known: BTreeSet<Bytes> = self.known_keys();
        let expected: BTreeSet<Bytes> = known
            .into_iter()
            .filter(|key| self.visible(key).is_some())
            .collect();
        let (mut found, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = txn.scan(cursor, 2, self.listing, &mut |key, _| {
                found.insert(key.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        self.keys.extend(expected.iter().cloned());
        self.same(&expected, &found)?;
        self.same(&expected.len(), &txn.len())
    }

    /// Every key that anybody has written, Isles' own left out.
    fn known_keys(&self) -> BTreeSet<Bytes> {
        let drafts = self.finished.iter().chain([&self.entry]);
        let keys = self
            .ledger
            .keys()
            .chain(drafts.flat_map(|entry| entry.effects.keys()));
        keys.filter(|key| !key.starts_with(isles_replica::RESERVED_PREFIX))
            .cloned()
            .collect()
    }

    fn siblings(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        slot: usize,
        tokens: &mut Tokens,
    ) -> Result<(), String> {
        self.note(key);
        let state = self.now(key);
        let there = state.visible(self.now_ms).is_some();
        let kept = state.mv.iter().map(|version| &version.2);
        let all = state.lww_value().into_iter().chain(kept);
        let expected: Vec<Bytes> = all.filter(|_| there).cloned().collect();
        let found = txn.siblings(key);
        let values = found.iter().flat_map(|found| &found.versions);
        self.same(
            &expected,
            &values.map(|version| version.value.clone()).collect(),
        )?;
        let counter = (there && !state.counter.is_empty()).then(|| {
            let sum: i128 = state.counter.values().sum();
            sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
        });
        self.same(&counter, &found.as_ref().and_then(|found| found.counter))?;
        // A client can only name what it was told, and it is told when that is durable.
        tokens[slot] = found.map(|found| found.context);
        Ok(())
    }

    fn set_in_context(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        value: &[u8],
        token: VectorClock,
    ) -> Result<(), String> {
        let before = self.before(key);
        // What a context covers of a counter is not in the model.
        if !before.counter.is_empty() {
            return Ok(());
        }
        let visible = before.visible(self.now_ms);
        let ahead = token
            .iter()
            .any(|(replica, last)| !self.clock.covers(Dot::new(replica, last)));
        let expected = match visible {
            _ if ahead => Err(ContextError::Ahead),
            None | Some(Type::String) => Ok(()),
            Some(_) => Err(ContextError::WrongType),
        };
        if !ahead {
            self.note(key);
        }
        if expected.is_ok() && visible.is_none() {
            self.set(key, value, Expiry::Clear);
        } else if expected.is_ok() {
            let stamp = self.lww_stamp(&before);
            let multi_value = self.writes_multi_value(key);
            let known = self.known_after(key, value, Some(&token));
            let effect = self.effect(key);
            match multi_value {
                true => (effect.mv, effect.known) = (Some(value.to_vec()), known),
                false => effect.lww = Some((stamp, Some(value.to_vec()))),
            }
            self.entry.token = Some(token.clone());
        }
        self.same(&expected, &txn.set_string_in_context(key, value, &token))
    }
}

fn definition_key(prefix: &[u8]) -> Bytes {
    [isles_replica::RESERVED_PREFIX, b"keyspace:", prefix].concat()
}

fn slices(items: &[Bytes]) -> Vec<&[u8]> {
    items.iter().map(Vec::as_slice).collect()
}
