//! What must hold while a run goes on, and what must hold at its end.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use isles_clock::{Context, Dot, ReplicaId};
use isles_replica::inspect::KeyContent;

use crate::command::Bytes;
use crate::engine::Engine;
use crate::failure::{Breaks, Checked, Invariant};
use crate::node::{Node, Process};
use crate::world::World;

/// Everything live, by key.
type Content = BTreeMap<Bytes, KeyContent>;

impl World {
    /// A node that starts holds everything that was acknowledged or told to be durable here.
    pub(crate) fn check_recovery(
        &mut self,
        node: usize,
        engine: &Engine,
        is_new_id: bool,
    ) -> Checked {
        let this = &self.nodes[node];
        let Some(old) = this.id.filter(|_| !this.is_forked) else {
            return Ok(());
        };
        let applied = engine.replica.applied();
        let last = applied.get(old);
        if is_new_id && self.may_lose() {
            // Peers may hold more of the old id than is left here; what nobody holds is gone, as the policy allows.
            self.abandoned.insert(old, last);
            return Ok(());
        }
        if !applied.dominates(&this.told_durable) {
            let told = &this.told_durable;
            let what =
                format!("n{node} has told others that it holds {told}, and starts with {applied}");
            return Err((Invariant::Durability, what));
        }
        let lost = self.ledger.lose_after(old, last);
        self.forget_tokens(old, last);
        match lost.first() {
            None => Ok(()),
            Some(dot) => {
                let what = format!("n{node} starts without {dot}, which a client was told of");
                Err((Invariant::Durability, what))
            }
        }
    }

    /// A node holds what its entries mean, where the model knows that.
    pub(crate) fn check_definitions(&self, node: usize) -> Checked {
        if self.options.outside {
            return Ok(());
        }
        let Node {
            process: Some(process),
            is_forked: false,
            ..
        } = &self.nodes[node]
        else {
            return Ok(());
        };
        let replica = &process.engine.replica;
        let content = content_of(process, node)?;
        for key in self.ledger.keys() {
            let state = self
                .ledger
                .state(key, replica.applied(), std::iter::empty());
            let held = content.get(key).cloned().unwrap_or_default();
            let named = |what| format!("at n{node}, key \"{}\": {what}", key.escape_ascii());
            state
                .compare(&held)
                .map_err(named)
                .breaks(Invariant::Meaning)?;
        }
        match content
            .keys()
            .find(|key| self.ledger.of_key(key).next().is_none())
        {
            None => Ok(()),
            Some(key) => {
                let what = format!(
                    "n{node} holds key \"{}\", which nobody wrote",
                    key.escape_ascii()
                );
                Err((Invariant::Meaning, what))
            }
        }
    }

    /// Equal clocks hold equal content, whoever has them, whenever; and everything derived adds up.
    pub(crate) fn check_content(&mut self, node: usize) -> Checked {
        let Node {
            process: Some(process),
            is_forked: false,
            ..
        } = &self.nodes[node]
        else {
            return Ok(());
        };
        let replica = &process.engine.replica;
        replica
            .check()
            .map_err(|what| format!("at n{node}: {what}"))
            .breaks(Invariant::Bookkeeping)?;
        let content = content_of(process, node)?;
        if replica.durable().get(replica.id()) != replica.applied().get(replica.id()) {
            return Ok(());
        }
        let clock: Vec<(ReplicaId, u64)> = replica.applied().iter().collect();
        let content = (replica.digest(), hash_of(&content));
        let known = *self.contents.entry(clock).or_insert(content);
        if known == content {
            return Ok(());
        }
        let clock = replica.applied();
        let what = match known.0 == content.0 {
            true => format!("n{node} has the same digest as another at {clock}, but other content"),
            false => format!(
                "n{node} has digest {:x} at {clock}, another had {:x}",
                content.0, known.0
            ),
        };
        Err((Invariant::Convergence, what))
    }

    /// What WATCH goes by changes whenever what readers see of a key has changed.
    pub(crate) fn check_versions(&mut self, node: usize) -> Checked {
        let wall_ms = self.now(node).wall_ms;
        let keys: Vec<Bytes> = self.ledger.keys().cloned().collect();
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        let mut content = content_of(process, node)?;
        let replica = &mut process.engine.replica;
        let now_ms = replica.latest().wall_ms().max(wall_ms);
        for key in keys {
            let version = replica.version(&key, wall_ms);
            let mut held = content.remove(&key).unwrap_or_default();
            // Readers of a set see its members, not who added them, nor under which rule.
            held.set.append(&mut held.set_rw);
            held.set.values_mut().for_each(Vec::clear);
            let is_hidden = held.deadline.is_some_and(|(at_ms, _)| at_ms <= now_ms);
            let is_live = KeyContent {
                deadline: None,
                ..held.clone()
            } != KeyContent::default();
            let seen = (is_live && !is_hidden).then_some(held);
            let before = process.watched.insert(key.clone(), (version, seen.clone()));
            if let (Some((_, Some(before))), Some(seen)) = (&before, &seen)
                && !keeps_order(before, seen)
            {
                let what = format!(
                    "at n{node}, elements of key \"{}\" have changed places",
                    key.escape_ascii()
                );
                return Err((Invariant::Meaning, what));
            }
            // Of a key that only the table has nobody notes that its deadline passes.
            let is_unnoted = is_hidden && !replica.missing([&key[..]]).is_empty();
            if before.is_some_and(|before| before.0 == version && before.1 != seen) && !is_unnoted {
                let key = key.escape_ascii();
                let what =
                    format!("at n{node}, key \"{key}\" has changed, its version {version} has not");
                return Err((Invariant::Bookkeeping, what));
            }
        }
        Ok(())
    }

    /// What must hold when everything is everywhere.
    pub(crate) fn check_end(&mut self) -> Checked {
        for node in 0..self.nodes.len() {
            self.check_definitions(node)?;
            self.check_content(node)?;
            self.check_acknowledged(node)?;
            self.load_everything(node)?;
        }
        self.check_journals()
    }

    fn check_acknowledged(&self, node: usize) -> Checked {
        let Some(process) = &self.nodes[node].process else {
            return Ok(());
        };
        let applied = process.engine.replica.applied();
        let excused = |dot: &Dot| {
            self.abandoned
                .get(&dot.replica)
                .is_some_and(|left| dot.sequence > *left)
        };
        let missing = self
            .ledger
            .acknowledged()
            .find(|dot| !applied.covers(*dot) && !excused(dot));
        match missing {
            None => Ok(()),
            Some(dot) => {
                let what = format!("n{node} never got {dot}, which a client was told of");
                Err((Invariant::Durability, what))
            }
        }
    }
}

/// What a node holds, in memory and in its table.
fn content_of(process: &Process, node: usize) -> Checked<Content> {
    let content = process.engine.content();
    content
        .map_err(|what| format!("at n{node}: {what}"))
        .breaks(Invariant::Bookkeeping)
}

fn hash_of(content: &Content) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// Whether the elements of a list that are in both lie in the same order. Where they lie is not a matter of definition,
/// but two of them never change places.
fn keeps_order(before: &KeyContent, after: &KeyContent) -> bool {
    let places: BTreeMap<&Vec<u8>, usize> = before
        .list
        .iter()
        .enumerate()
        .map(|(place, (name, _))| (name, place))
        .collect();
    let common = after.list.iter().filter_map(|(name, _)| places.get(name));
    common.is_sorted()
}
