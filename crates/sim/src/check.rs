//! What must hold while a run goes on, and what must hold at its end.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use isles_clock::{Context, Dot, ReplicaId};
use isles_replica::inspect::KeyContent;
use isles_replica::op::Kind;
use isles_replica::{ConflictKind, ConflictRecord, Contender, Replica, StreamId};

use crate::command::Bytes;
use crate::engine::Engine;
use crate::failure::{Breaks, Checked, Invariant};
use crate::ledger::Ledger;
use crate::model::{Effect, Entry};
use crate::node::Node;
use crate::world::World;

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
        let content = replica.content();
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
        if replica.durable().get(replica.id()) != replica.applied().get(replica.id()) {
            return Ok(());
        }
        let clock: Vec<(ReplicaId, u64)> = replica.applied().iter().collect();
        let content = (replica.digest(), content_hash(replica));
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
        let replica = &mut process.engine.replica;
        let (mut content, now_ms) = (replica.content(), replica.latest().wall_ms().max(wall_ms));
        for key in keys {
            let version = replica.version(&key, wall_ms);
            let mut held = content.remove(&key).unwrap_or_default();
            // Readers of a set see its members, not who added them.
            let members = held.set.values_mut().chain(held.set_rw.values_mut());
            members.for_each(Vec::clear);
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
            if before.is_some_and(|before| before.0 == version && before.1 != seen) {
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
            self.check_conflicts(node)?;
        }
        self.check_settled()
    }

    /// What has settled a record is the same in every journal that has it.
    fn check_settled(&self) -> Checked {
        let mut known = BTreeMap::new();
        for (node, this) in self.nodes.iter().enumerate() {
            let replica = this.process.iter().map(|process| &process.engine.replica);
            // What was forgotten and lost again is open again.
            let whole = replica.filter(|replica| replica.conflicts().dropped().records == 0);
            let records = whole.flat_map(|replica| replica.conflicts().iter());
            for record in records.filter(|record| !outlives_deadline(&self.ledger, record)) {
                let (first, settled) = *known.entry(record.id).or_insert((node, record.settled()));
                if settled != record.settled() {
                    let what = format!(
                        "n{first} has the loss of {} settled by {settled:?}, n{node} by {:?}",
                        record.loser.dot,
                        record.settled()
                    );
                    return Err((Invariant::Conflicts, what));
                }
            }
        }
        Ok(())
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

    fn check_conflicts(&mut self, node: usize) -> Checked {
        let Some(process) = &self.nodes[node].process else {
            return Ok(());
        };
        let replica = &process.engine.replica;
        let mut recorded: BTreeMap<Lost<'_>, u128> = BTreeMap::new();
        for record in replica.conflicts().iter() {
            contenders(&self.ledger, record)
                .and_then(|contenders| match self.options.outside {
                    true => Ok(()),
                    false => check_values(contenders, record),
                })
                .map_err(|what| {
                    format!(
                        "at n{node}, conflict on \"{}\": {what}",
                        record.key.escape_ascii()
                    )
                })
                .breaks(Invariant::Conflicts)?;
            let lost = (
                &record.key[..],
                record.component,
                record.field.as_deref(),
                record.loser.dot,
            );
            if *recorded.entry(lost).or_insert(record.id) != record.id {
                let what = format!(
                    "n{node} records the loss of {} under two ids",
                    record.loser.dot
                );
                return Err((Invariant::Conflicts, what));
            }
        }
        self.counts.conflicts += recorded.len() as u64;
        let (bytes, limit) = (replica.conflicts().bytes(), self.options.journal_bytes);
        if bytes > limit {
            let what = format!("n{node} keeps {bytes} bytes of records, of {limit}");
            return Err((Invariant::Conflicts, what));
        }
        if replica.conflicts().dropped().records > 0 {
            return Ok(());
        }
        for (key, dot) in unseen_losses(&self.ledger, replica) {
            if !recorded.contains_key(&(&key[..], Some(Kind::RegisterLww), None, dot)) {
                let key = key.escape_ascii();
                let what = format!(
                    "n{node} has no record of {dot}, whose write of \"{key}\" was lost without having been seen"
                );
                return Err((Invariant::Conflicts, what));
            }
        }
        Ok(())
    }
}

/// What a record is about: key, component, field, and the write that lost.
type Lost<'a> = (&'a [u8], Option<Kind>, Option<&'a [u8]>, Dot);

fn content_hash(replica: &Replica) -> u64 {
    let mut hasher = DefaultHasher::new();
    replica.content().hash(&mut hasher);
    hasher.finish()
}

/// The writes that a record is about: only concurrent ones are reported.
fn contenders<'l>(ledger: &'l Ledger, record: &ConflictRecord) -> Result<[&'l Entry; 2], String> {
    let [winner, loser] =
        [&record.winner, &record.loser].map(|contender| ledger.get(contender.dot));
    let (Some(winner), Some(loser)) = (winner, loser) else {
        return Err(format!(
            "{} or {} was never written",
            record.winner.dot, record.loser.dot
        ));
    };
    if winner.observes(loser.dot) || loser.observes(winner.dot) {
        return Err(format!(
            "{} and {} are not concurrent ({})",
            winner.dot, loser.dot, record.kind
        ));
    }
    Ok([winner, loser])
}

/// They are what they are said to be.
fn check_values([winner, loser]: [&Entry; 2], record: &ConflictRecord) -> Result<(), String> {
    let is_value = matches!(
        record.kind,
        ConflictKind::WriteWrite | ConflictKind::WriteDelete
    );
    if !is_value || record.component == Some(Kind::Counter) {
        return Ok(());
    }
    for (entry, contender) in [(winner, &record.winner), (loser, &record.loser)] {
        if record.component == Some(Kind::Stream) {
            check_entry(entry, record, contender)?;
            continue;
        }
        if counts(entry, record) {
            // What an increment has lost beside text is a number that the model does not keep.
            continue;
        }
        let written = written(entry, record).ok_or(format!("{} did not write that", entry.dot))?;
        let kept = written
            .as_ref()
            .map(|written| &written[..written.len().min(contender.kept_bytes())]);
        if kept != contender.value.as_deref() {
            return Err(format!(
                "{} wrote {written:?}, recorded is {:?}",
                entry.dot, contender.value
            ));
        }
    }
    Ok(())
}

/// Whether a record is about a write that has outlived a deadline which it did not set: regions that met the write later
/// than what came in its place have none, and others cannot tell which came first.
fn outlives_deadline(ledger: &Ledger, record: &ConflictRecord) -> bool {
    let loser = ledger.get(record.loser.dot);
    let effect = loser.and_then(|entry| entry.effects.get(&record.key));
    let wrote = effect.and_then(|effect| effect.deadline?.1);
    let said = record.loser.value.as_deref();
    record.component.is_none()
        && wrote.map(|at_ms| at_ms.to_string().into_bytes()).as_deref() != said
}

/// An entry of a stream is what was added under the id that others chose too.
fn check_entry(
    entry: &Entry,
    record: &ConflictRecord,
    contender: &Contender,
) -> Result<(), String> {
    let adds = entry.effects.get(&record.key).into_iter();
    let mut adds = adds.flat_map(|effect| &effect.stream.adds);
    let wrote = |((id, _), texts): (&(StreamId, u32), &Vec<Bytes>)| {
        let is_it = record.field.as_deref() == Some(id.to_string().as_bytes());
        is_it && contender.value.as_ref() == Some(&texts.join(&b' '))
    };
    match adds.any(wrote) {
        true => Ok(()),
        false => Err(format!("{} did not add {:?}", entry.dot, contender.value)),
    }
}

/// Whether an entry only increments what a record is about.
fn counts(entry: &Entry, record: &ConflictRecord) -> bool {
    let effect = entry.effects.get(&record.key);
    let Some((effect, field)) = effect.zip(record.field.as_ref()) else {
        return false;
    };
    let of_map = effect.map.get(field);
    let of_set = effect.sorted_set.get(field);
    of_map.is_some_and(|it| it.put.is_none() && it.count.is_some())
        || of_set.is_some_and(|it| it.put.is_none() && it.add.is_some())
}

/// What an entry wrote where a record says that it did.
fn written(entry: &Entry, record: &ConflictRecord) -> Option<Option<Bytes>> {
    let effect = entry.effects.get(&record.key)?;
    match record.component? {
        Kind::RegisterLww => effect.lww.as_ref().map(|(_, value)| value.clone()),
        Kind::RegisterMv => effect.mv.clone().map(Some),
        Kind::Map => {
            let field = effect.map.get(record.field.as_ref()?)?;
            field.put.clone().map(Some)
        }
        Kind::SortedSet => {
            let member = effect.sorted_set.get(record.field.as_ref()?)?;
            member.put.map(|score| Some(score.to_string().into_bytes()))
        }
        Kind::List => {
            let element = record.field.as_ref()?;
            let mut writes = effect.list.writes.iter();
            let is_it = |(dot, ordinal)| format!("{dot}.{ordinal}").as_bytes() == &**element;
            let found = writes.find(|(id, _)| is_it(**id));
            found.map(|(_, (_, value))| Some(value.clone()))
        }
        _ => None,
    }
}

/// Values of registers that lost against a concurrent write, and that no write of that register has observed.
fn unseen_losses(ledger: &Ledger, replica: &Replica) -> Vec<(Bytes, Dot)> {
    let mut losses = Vec::new();
    for key in ledger.keys() {
        let applied: Vec<(&Entry, &Effect)> = ledger
            .of_key(key)
            .filter(|entry| replica.applied().covers(entry.dot))
            .filter_map(|entry| Some((entry, entry.effects.get(key)?)))
            .filter(|(_, effect)| effect.lww.is_some())
            .collect();
        let winner = ledger
            .state(key, replica.applied(), std::iter::empty())
            .lww
            .map(|lww| lww.0);
        for (entry, effect) in &applied {
            let has_value = effect
                .lww
                .as_ref()
                .is_some_and(|(_, value)| value.is_some());
            let seen = applied.iter().any(|(other, _)| other.observes(entry.dot));
            if has_value && !seen && winner != Some(entry.dot) {
                losses.push((key.clone(), entry.dot));
            }
        }
    }
    losses
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
