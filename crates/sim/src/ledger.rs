//! Every entry that anybody has written, with its context: what the definitions are evaluated on.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Context, Dot, Hlc, ReplicaId, VectorClock};
use isles_replica::frame::Frame;
use isles_replica::op::{Attribute, Base, KeyOp, Part};

use crate::command::Bytes;
use crate::model::{Entry, KeyState, state_of};

/// All entries.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Dot, Entry>,
    keys: BTreeMap<Bytes, BTreeSet<Dot>>,
    acknowledged: BTreeSet<Dot>,
    /// The content hash of every frame that may have left its writer, by its last dot and its number of entries.
    frames: BTreeMap<Dot, (u64, u64)>,
}

impl Ledger {
    /// A client's write, before anybody knows whether it will last.
    pub fn write(&mut self, entry: Entry) {
        for key in entry.effects.keys() {
            self.keys.entry(key.clone()).or_default().insert(entry.dot);
        }
        self.entries.insert(entry.dot, entry);
    }

    /// One entry.
    pub fn get(&self, dot: Dot) -> Option<&Entry> {
        self.entries.get(&dot)
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entries of one key.
    pub fn of_key(&self, key: &[u8]) -> impl Iterator<Item = &Entry> {
        let dots = self.keys.get(key).into_iter().flatten();
        dots.filter_map(|dot| self.entries.get(dot))
    }

    /// Every key that was ever written.
    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.keys.keys()
    }

    /// What a replica with this applied clock holds of a key, after further entries.
    pub fn state<'e>(
        &'e self,
        key: &[u8],
        clock: &'e VectorClock,
        further: impl Iterator<Item = &'e Entry>,
    ) -> KeyState {
        let applied = self.of_key(key).filter(|entry| clock.covers(entry.dot));
        state_of(key, applied.chain(further))
    }

    /// A client was told that this is done.
    pub fn acknowledge(&mut self, dot: Dot) {
        self.acknowledged.insert(dot);
    }

    /// The entries that clients were told of.
    pub fn acknowledged(&self) -> impl Iterator<Item = Dot> {
        self.acknowledged.iter().copied()
    }

    /// A crash took away entries of a replica after this one. Returns those that clients had been told of.
    pub fn lose_after(&mut self, replica: ReplicaId, sequence: u64) -> Vec<Dot> {
        let from = Dot::new(replica, sequence + 1);
        let to = Dot::new(replica, u64::MAX);
        let lost: Vec<Dot> = self.entries.range(from..=to).map(|(dot, _)| *dot).collect();
        for dot in &lost {
            self.entries.remove(dot);
            self.keys.values_mut().for_each(|dots| {
                dots.remove(dot);
            });
            self.frames.remove(dot);
        }
        lost.into_iter()
            .filter(|dot| self.acknowledged.remove(dot))
            .collect()
    }

    /// Compares a frame that its writer has just sealed with what its clients meant, and learns what the design leaves
    /// open.
    ///
    /// # Errors
    /// Names what the frame says otherwise.
    pub fn sealed(&mut self, frame: &Frame) -> Result<(), String> {
        for (index, entry) in frame.entries().enumerate() {
            let entry = entry.map_err(|error| error.to_string())?;
            let dot = Dot::new(frame.replica(), frame.first() + index as u64);
            let Some(meant) = self.entries.get_mut(&dot) else {
                return Err(format!("{dot} was logged, no client wrote it"));
            };
            let hlc = frame.header().base.as_u64() + entry.stamp_delta;
            if hlc != meant.hlc.as_u64() {
                return Err(format!(
                    "{dot} has another stamp in the log than when it was written"
                ));
            }
            let token = entry.attributes.iter().find_map(token);
            if token != meant.token.as_ref() {
                return Err(format!(
                    "{dot} names context {token:?}, not {:?}",
                    meant.token
                ));
            }
            let keys: Vec<&[u8]> = entry.ops.iter().map(|op| op.key.0).collect();
            if keys.len() != meant.effects.len() {
                return Err(format!(
                    "{dot} writes keys {keys:?}, its client {:?}",
                    meant.effects
                ));
            }
            for op in &entry.ops {
                check_op(op, meant).map_err(|what| format!("{dot}: {what}"))?;
            }
        }
        Ok(())
    }

    /// Notes of what a writer has just sealed what the frame alone says: its stamps, contexts of clients, and keys. Until
    /// now an entry's stamp was the last one that its writer had promised not to use.
    ///
    /// # Errors
    /// Nobody wrote it, or not then.
    pub fn learn(&mut self, frame: &Frame) -> Result<(), String> {
        let header = frame.header();
        for (index, entry) in frame.entries().enumerate() {
            let entry = entry.map_err(|error| error.to_string())?;
            let dot = Dot::new(frame.replica(), frame.first() + index as u64);
            let Some(written) = self.entries.get_mut(&dot) else {
                return Err(format!("{dot} was logged, no client wrote it"));
            };
            let mut others = written.context.clone();
            others.remove(dot.replica);
            if others != header.deps {
                let deps = &header.deps;
                return Err(format!("{dot} names {deps}, it was written after {others}"));
            }
            let hlc = Hlc::from_u64(header.base.as_u64() + entry.stamp_delta);
            if hlc <= written.hlc {
                let promised = written.hlc;
                return Err(format!(
                    "{dot} has stamp {hlc}, promised away was {promised}"
                ));
            }
            written.hlc = hlc;
            written.token = entry.attributes.iter().find_map(token).cloned();
            for op in &entry.ops {
                let key = op.key.0.to_vec();
                written.effects.entry(key.clone()).or_default();
                self.keys.entry(key).or_default().insert(dot);
            }
        }
        Ok(())
    }

    /// A frame may leave its writer now, or was applied by somebody. No dot may ever stand for two things.
    ///
    /// # Errors
    /// The frame's dots stood for something else before.
    pub fn note_frame(&mut self, frame: &Frame) -> Result<(), String> {
        let (last, first, hash) = (frame.last_dot(), frame.first(), content_hash(frame));
        let from = Dot::new(last.replica, first);
        if let Some((dot, known)) = self.frames.range(from..).next()
            && dot.replica == last.replica
            && (dot.sequence, known.0) == (last.sequence, first)
        {
            return match known.1 == hash {
                true => Ok(()),
                false => Err(format!("{last} stands for two different entries")),
            };
        }
        let overlaps = |(dot, known): (&Dot, &(u64, u64))| {
            dot.replica == last.replica && known.0 <= last.sequence && dot.sequence >= first
        };
        if self.frames.range(from..).take(2).any(overlaps) {
            return Err(format!("{last} lies in two different frames"));
        }
        self.frames.insert(last, (first, hash));
        Ok(())
    }

    /// Whether a frame is exactly one that its writer has logged.
    pub fn knows_frame(&self, frame: &Frame) -> bool {
        self.frames.get(&frame.last_dot()) == Some(&(frame.first(), content_hash(frame)))
    }
}

fn token<'a>(attribute: &'a Attribute<'_>) -> Option<&'a VectorClock> {
    match attribute {
        Attribute::Context(context) => Some(context),
        _ => None,
    }
}

/// What a frame says, without what links it to others.
fn content_hash(frame: &Frame) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let header = frame.header();
    (
        header.first,
        header.count,
        header.base,
        header.deps.to_string(),
    )
        .hash(&mut hasher);
    for entry in frame.entries() {
        format!("{entry:?}").hash(&mut hasher);
    }
    hasher.finish()
}

/// Stamps, registers and deadlines of an op against what was meant; the rest shows in the content.
fn check_op(op: &KeyOp<'_>, meant: &mut Entry) -> Result<(), String> {
    let hlc = meant.hlc;
    let Some(effect) = meant.effects.get_mut(op.key.0) else {
        return Err(format!("key {:?} was not written by its client", op.key));
    };
    let mut deadline = (op.base != Base::Keep).then_some((hlc, None));
    let mut lww = None;
    for part in &op.parts {
        match part {
            Part::Deadline { stamp, at_ms } => deadline = Some((stamp.unwrap_or(hlc), *at_ms)),
            Part::RegisterLww { stamp, value } => {
                lww = Some((stamp.unwrap_or(hlc), value.map(|value| value.0.to_vec())));
            }
            _ => {}
        }
    }
    if lww != effect.lww {
        return Err(format!(
            "register of {:?} is logged as {lww:?}, meant was {:?}",
            op.key, effect.lww
        ));
    }
    if std::mem::take(&mut effect.deadline_open) {
        effect.deadline = deadline;
    } else if deadline != effect.deadline {
        let meant = effect.deadline;
        return Err(format!(
            "deadline of {:?} is logged as {deadline:?}, meant was {meant:?}",
            op.key
        ));
    }
    Ok(())
}
