//! Flags, HyperLogLogs and bounded counters: what clients ask for, and what it means by definition.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Dot, ReplicaId};
use isles_crdt::Merge;
use isles_crdt::hyper_log_log::Sketch;
use isles_replica::FlagKind;
use isles_replica::inspect::KeyContent;

use crate::command::Bytes;
use crate::model::{Effect as KeyEffect, Entry};
use crate::random::Random;

/// One command on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// ISLES.FLAG.ENABLE and DISABLE.
    Flag(FlagKind, bool),
    /// PFADD.
    SketchAdd(Vec<Bytes>),
    /// PFCOUNT.
    SketchCount,
    /// GET, and SET of what that has answered.
    SketchAsString,
    /// ISLES.BCOUNTER.INCR.
    Grant(u64),
    /// ISLES.BCOUNTER.DECR.
    Spend(u64),
    /// ISLES.BCOUNTER.TRANSFER, to one of the replicas that are known, by number.
    Transfer(u64, usize),
    /// ISLES.BCOUNTER.RIGHTS.
    Rights,
}

/// Draws a command.
pub fn draw(random: &mut Random) -> Command {
    let kind = match random.percent(50) {
        true => FlagKind::EnableWins,
        false => FlagKind::DisableWins,
    };
    let element = |random: &mut Random| vec![b'a' + random.below(12) as u8];
    match random.weighted(&[
        (4, 0),
        (4, 1),
        (5, 2),
        (1, 3),
        (5, 4),
        (5, 5),
        (3, 6),
        (1, 7),
        (4, 8),
    ]) {
        0 => Command::Flag(kind, true),
        1 => Command::Flag(kind, false),
        2 => {
            let count = random.index(3);
            Command::SketchAdd((0..count).map(|_| element(random)).collect())
        }
        3 => Command::SketchCount,
        4 => Command::Grant(1 + random.below(5)),
        5 => Command::Spend(1 + random.below(4)),
        6 => Command::Transfer(1 + random.below(3), random.index(8)),
        7 => Command::Rights,
        _ => Command::SketchAsString,
    }
}

/// What one entry does to the kinds of this file, net.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Whether the enable-wins flag is switched on or off.
    pub flag_ew: Option<bool>,
    /// Whether the disable-wins flag is switched on or off.
    pub flag_dw: Option<bool>,
    /// The sketch that rises, none for a new one, and by what.
    pub sketch: Option<(Option<Dot>, Sketch)>,
    /// Changes of bounded counters: of which one, none for a new one, and by how much.
    pub bounded: Vec<(Option<Dot>, Change)>,
}

/// A change of a bounded counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Rights are made.
    Granted(u64),
    /// Rights are used.
    Spent(u64),
    /// Rights change hands.
    Moved(ReplicaId, u64),
}

/// What a key holds of these kinds.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What enables the enable-wins flag.
    pub flag_ew: BTreeSet<Dot>,
    /// What enables the disable-wins flag.
    pub flag_dw: BTreeSet<Dot>,
    /// Sketches by the entries that created them.
    pub sketches: BTreeMap<Dot, Sketch>,
    /// Bounded counters by the entries that created them.
    pub bounded: BTreeMap<Dot, Escrow>,
}

/// A bounded counter.
#[derive(Clone, Debug, Default)]
pub struct Escrow {
    value: i128,
    rights: BTreeMap<ReplicaId, i128>,
}

impl Escrow {
    fn change(&mut self, writer: ReplicaId, change: Change) {
        let (value, own) = match change {
            Change::Granted(by) => (i128::from(by), i128::from(by)),
            Change::Spent(by) => (-i128::from(by), -i128::from(by)),
            Change::Moved(to, by) => {
                *self.rights.entry(to).or_default() += i128::from(by);
                (0, -i128::from(by))
            }
        };
        self.value += value;
        *self.rights.entry(writer).or_default() += own;
    }

    /// The rights that a replica holds.
    pub fn rights(&self, replica: ReplicaId) -> u64 {
        let rights = self.rights.get(&replica).copied().unwrap_or(0);
        u64::try_from(rights).expect("invariant: nobody uses rights that they do not hold")
    }
}

/// What remains of these effects.
pub fn state_of(all: &[(&Entry, &KeyEffect)]) -> State {
    let mut state = State::default();
    for (entry, effect) in all {
        let later = || {
            let later = all.iter().filter(|(other, _)| other.dot != entry.dot);
            later
                .filter(|(other, _)| other.observes(entry.dot))
                .map(|(_, effect)| *effect)
        };
        let cleared = later().any(|later| later.clears);
        if effect.small.flag_ew == Some(true)
            && !cleared
            && !later().any(|later| later.small.flag_ew.is_some())
        {
            state.flag_ew.insert(entry.dot);
        }
        if effect.small.flag_dw == Some(true)
            && !cleared
            && !later().any(|later| later.small.flag_dw.is_some())
            && has_seen_every_removal(entry, all)
        {
            state.flag_dw.insert(entry.dot);
        }
        if let Some((None, sketch)) = &effect.small.sketch
            && !cleared
        {
            state.sketches.insert(entry.dot, sketch.clone());
        }
        let creates = effect
            .small
            .bounded
            .iter()
            .any(|(named, _)| named.is_none());
        if creates && !cleared {
            state.bounded.insert(entry.dot, Escrow::default());
        }
    }
    for (entry, effect) in all {
        if let Some((Some(named), sketch)) = &effect.small.sketch
            && let Some(there) = state.sketches.get_mut(named)
        {
            there.merge(sketch);
        }
        for (named, change) in &effect.small.bounded {
            if let Some(there) = state.bounded.get_mut(&named.unwrap_or(entry.dot)) {
                there.change(entry.dot.replica, *change);
            }
        }
    }
    state
}

fn has_seen_every_removal(entry: &Entry, all: &[(&Entry, &KeyEffect)]) -> bool {
    let mut removals = all
        .iter()
        .filter(|(_, effect)| effect.small.flag_dw == Some(false));
    removals.all(|(removal, _)| entry.observes(removal.dot))
}

impl State {
    /// The union of all sketches.
    pub fn union(&self) -> Sketch {
        let mut union = Sketch::new();
        self.sketches
            .values()
            .for_each(|sketch| union.merge(sketch));
        union
    }

    /// The value of all bounded counters.
    pub fn value(&self) -> i64 {
        self.bounded.values().map(|each| each.value as i64).sum()
    }

    /// The rights that a replica holds in all of them.
    pub fn rights(&self, replica: ReplicaId) -> u64 {
        self.bounded.values().map(|each| each.rights(replica)).sum()
    }

    /// Whether a replica holds exactly this.
    ///
    /// # Errors
    /// Names the first difference.
    pub fn compare(&self, content: &KeyContent) -> Result<(), String> {
        let dots = |dots: &[Dot]| dots.iter().copied().collect::<BTreeSet<Dot>>();
        let counters = |state: &State| {
            let each = state.bounded.iter().map(|(dot, counter)| {
                let rights = counter
                    .rights
                    .keys()
                    .map(|replica| (*replica, counter.rights(*replica)));
                let rights: BTreeMap<_, _> = rights.filter(|(_, rights)| *rights > 0).collect();
                (*dot, (counter.value as u128, rights))
            });
            each.collect::<BTreeMap<_, _>>()
        };
        let held = content.bounded.iter().map(|(dot, counter)| {
            let rights: BTreeMap<_, _> = counter.all_rights().into_iter().collect();
            (*dot, (counter.value(), rights))
        });
        let held: BTreeMap<_, _> = held.collect();
        let sketches: BTreeMap<_, _> = content.sketches.iter().cloned().collect();
        let same = [
            ("flag-ew", self.flag_ew == dots(&content.flag_ew)),
            ("flag-dw", self.flag_dw == dots(&content.flag_dw)),
            ("sketches", self.sketches == sketches),
            ("bounded counters", counters(self) == held),
            (
                "a bounded counter below zero",
                self.bounded.values().all(|each| each.value >= 0),
            ),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(format!(
                "{what}: found {content:?}, by definition it is {self:?}"
            )),
            None => Ok(()),
        }
    }
}
