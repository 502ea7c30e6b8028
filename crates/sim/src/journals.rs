//! What must hold of the journals of conflicts at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Context, Dot, Hlc};
use isles_replica::inspect::{EntryContent, KeyContent};
use isles_replica::op::Kind;
use isles_replica::{
    ConflictKind, ConflictRecord, Contender, Replica, Settled, Settling, StreamId, hyll,
};

use crate::command::Bytes;
use crate::failure::{Breaks, Checked, Invariant};
use crate::ledger::Ledger;
use crate::model::{Effect, Entry};
use crate::small_kinds::Change;
use crate::world::World;

impl World {
    /// The journals have recorded what they must, and agree.
    pub(crate) fn check_journals(&mut self) -> Checked {
        for node in 0..self.nodes.len() {
            self.check_conflicts(node)?;
        }
        self.check_settled()?;
        self.check_open()
    }

    /// Of two values, what is open is open in every region that has forgotten nothing; and no open loss is read.
    fn check_open(&self) -> Checked {
        let mut known: Option<(usize, OpenLosses)> = None;
        for (node, replica) in self.remembering() {
            let open = open_losses(replica)
                .map_err(|named| format!("n{node} has an open loss of {named}, which is read"))
                .breaks(Invariant::Conflicts)?;
            let (first, expected) = known.get_or_insert_with(|| (node, open.clone()));
            let both = |id| open.contains_key(id) && expected.contains_key(id);
            let mut values = open.iter().chain(&*expected);
            let alone = values.find(|(id, (_, is_of_values))| *is_of_values && !both(*id));
            if let Some((_, (named, _))) = alone {
                let what = format!("of n{first} and n{node} only one has an open loss of {named}");
                return Err((Invariant::Conflicts, what));
            }
        }
        Ok(())
    }

    /// The replicas whose journals have forgotten nothing: what was forgotten and lost again is open again.
    fn remembering(&self) -> impl Iterator<Item = (usize, &Replica)> {
        let nodes = self.nodes.iter().enumerate();
        let replicas =
            nodes.filter_map(|(node, this)| Some((node, &this.process.as_ref()?.engine.replica)));
        replicas.filter(|(_, replica)| replica.conflicts().dropped().records == 0)
    }

    /// What has settled a record is the same in every journal that has it.
    fn check_settled(&self) -> Checked {
        let mut known = BTreeMap::new();
        for (node, replica) in self.remembering() {
            let records = replica.conflicts().iter();
            for record in records.filter(|record| !outlives_deadline(&self.ledger, record)) {
                // Which of several takes away what had won last is another in each region.
                let by_who_saw = |by: &Settled| by.how != Settling::Reinstated;
                let this = record.settled().filter(by_who_saw);
                let (first, settled) = *known.entry(record.id).or_insert((node, this));
                if settled != this {
                    let what = format!(
                        "n{first} has the loss of {} settled by {settled:?}, n{node} by {:?}",
                        record.loser.dot, this
                    );
                    return Err((Invariant::Conflicts, what));
                }
            }
        }
        Ok(())
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
        let mut losses = unseen_losses(&self.ledger, replica);
        losses.extend(unseen_losses_by_name(&self.ledger, replica));
        for (key, kind, dot) in losses {
            if !recorded.contains_key(&(&key[..], Some(kind), None, dot)) {
                let key = key.escape_ascii();
                let what = format!(
                    "n{node} has no record of {dot}, whose write of \"{key}\" ({}) was lost without having been seen",
                    kind.name()
                );
                return Err((Invariant::Conflicts, what));
            }
        }
        Ok(())
    }
}

/// What a record is about: key, component, field, and the write that lost.
type Lost<'a> = (&'a [u8], Option<Kind>, Option<&'a [u8]>, Dot);

/// Open losses by the ids of their records: what to call one, and whether it is about values.
type OpenLosses = BTreeMap<u128, (String, bool)>;

/// The open losses of a replica, or one that is open although it is read.
fn open_losses(replica: &Replica) -> Result<OpenLosses, String> {
    let content = replica.content();
    let mut open = BTreeMap::new();
    for record in replica.conflicts().iter().filter(|record| record.is_open()) {
        let (loser, winner) = (record.loser.dot, record.winner.dot);
        let named = format!("{loser} to {winner} ({})", record.kind);
        let held = content.get(&record.key).cloned().unwrap_or_default();
        if reads(&held, record) {
            return Err(named);
        }
        open.insert(record.id, (named, is_of_values(record)));
    }
    Ok(open)
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
        if counts(entry, record) || is_of_several(entry, record) {
            // What an increment has lost beside text is a number that the model does not keep; and of several counters
            // under a key some may be left.
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

/// Whether a record is about a value that was lost to another write of its place. Which of several entries stand for a type,
/// a deadline, a deletion or a sum of increments depends on what a region met first.
fn is_of_values(record: &ConflictRecord) -> bool {
    let is_value = matches!(
        record.kind,
        ConflictKind::WriteWrite | ConflictKind::WriteDelete
    );
    let counts = record.component == Some(Kind::Counter)
        || record.component == Some(Kind::Map) && record.kept;
    is_value && !counts && record.loser.value.is_some()
}

/// Whether readers see what a record calls lost.
fn reads(held: &KeyContent, record: &ConflictRecord) -> bool {
    let loser = record.loser.dot;
    let field = record.field.as_deref().unwrap_or_default();
    let is_latest = |versions: &[(Dot, Hlc, Vec<u8>)]| {
        let latest = versions.iter().max_by_key(|(dot, hlc, _)| (*hlc, *dot));
        latest.is_some_and(|(dot, ..)| *dot == loser)
    };
    match record.component {
        Some(Kind::RegisterLww) if record.kind != ConflictKind::Type => match &record.loser.value {
            Some(_) => held.lww.as_ref().is_some_and(|(dot, ..)| *dot == loser),
            None => held.lww.is_none(),
        },
        _ if !is_of_values(record) => false,
        Some(Kind::RegisterMv) => is_latest(&held.mv),
        Some(Kind::Map) => held
            .map
            .get(field)
            .is_some_and(|field| is_latest(&field.versions)),
        Some(Kind::SortedSet) => held.sorted_set.get(field).is_some_and(|member| {
            let latest = member
                .versions
                .iter()
                .max_by_key(|(dot, hlc, _)| (*hlc, *dot));
            latest.is_some_and(|(dot, ..)| *dot == loser)
        }),
        Some(Kind::Stream) => {
            let with_id = |entry: &&EntryContent| entry.id.to_string().as_bytes() == field;
            let mut twins = held.stream.entries.iter().filter(with_id);
            twins.next().is_some_and(|first| first.dot == loser) && twins.next().is_none()
        }
        _ => false,
    }
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

/// Whether an entry changes several bounded counters of the key that a record is about.
fn is_of_several(entry: &Entry, record: &ConflictRecord) -> bool {
    let effect = entry.effects.get(&record.key);
    let effect = effect.filter(|_| record.component == Some(Kind::BoundedCounter));
    let names: BTreeSet<Option<Dot>> = effect
        .into_iter()
        .flat_map(|effect| effect.small.bounded.iter().map(|(named, _)| *named))
        .collect();
    names.len() > 1
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
        Kind::HyperLogLog => match &effect.small.sketch {
            Some((Some(_), sketch)) if !effect.clears => {
                let bytes = hyll::encode(sketch, None, hyll::SPARSE_BYTES_MAX_DEFAULT);
                Some(Some(bytes))
            }
            _ => effect.clears.then_some(None),
        },
        Kind::BoundedCounter => {
            let changes = effect.small.bounded.iter();
            let mut changes = changes.filter(|(named, _)| named.is_some()).peekable();
            if effect.clears || changes.peek().is_none() {
                return effect.clears.then_some(None);
            }
            let amounts = changes.map(|(_, change)| match change {
                Change::Granted(by) => i128::from(*by),
                Change::Spent(by) => -i128::from(*by),
                Change::Moved(..) => 0,
            });
            Some(Some(amounts.sum::<i128>().to_string().into_bytes()))
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
fn unseen_losses(ledger: &Ledger, replica: &Replica) -> Vec<(Bytes, Kind, Dot)> {
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
                losses.push((key.clone(), Kind::RegisterLww, entry.dot));
            }
        }
    }
    losses
}

/// Changes of a sketch or bounded counter that somebody deleted who had not seen them, and of which nobody who deletes has.
fn unseen_losses_by_name(ledger: &Ledger, replica: &Replica) -> Vec<(Bytes, Kind, Dot)> {
    let mut losses = Vec::new();
    for key in ledger.keys() {
        let applied: Vec<(&Entry, &Effect)> = ledger
            .of_key(key)
            .filter(|entry| replica.applied().covers(entry.dot))
            .filter_map(|entry| Some((entry, entry.effects.get(key)?)))
            .collect();
        for (entry, effect) in &applied {
            for (kind, named) in named(effect) {
                let clears = applied.iter().filter(|(_, effect)| effect.clears);
                let mut deletes = clears
                    .map(|(other, _)| *other)
                    .filter(|other| other.observes(named))
                    .peekable();
                let is_deleted = deletes.peek().is_some();
                if is_deleted && !deletes.any(|other| other.observes(entry.dot)) {
                    losses.push((key.clone(), kind, entry.dot));
                }
            }
        }
    }
    losses
}

/// The names of what an effect changes, sketches and bounded counters.
fn named(effect: &Effect) -> Vec<(Kind, Dot)> {
    let sketch = effect.small.sketch.iter().filter_map(|(named, _)| *named);
    let sketch = sketch.map(|named| (Kind::HyperLogLog, named));
    let counters = effect.small.bounded.iter().filter_map(|(named, _)| *named);
    let counters = counters.map(|named| (Kind::BoundedCounter, named));
    sketch.chain(counters).collect()
}
