//! What is kept of one member of a sorted set.

use alloc::vec::Vec;
use core::fmt;

use isles_clock::{Context, Dot, DotContext, Hlc, ReplicaId, Stamp, VectorClock};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::score::Score;
use super::sum::Sum;
use crate::dots::{DotStore, Writer};
use crate::op::{Cell, Increment, Ledger, Nested, OpBased, Reset, Tally, Version};
use crate::update::RegisterUpdate;
use crate::{Crdt, decode, human};

/// The score of one member: a base, which is a register answered by the greatest stamp, and what every replica has added
/// since.
///
/// A write of the base resets the additions that it had observed; concurrent ones are added to it. The member is there
/// while there is a base, or an addition that nobody reset, be it of zero.
///
/// What a replica has added is summed up to 32 digits, or to 16 and infinities beside, so that resetting a large addition leaves
/// a small one that came after it. An addition that even so would change nothing is refused.
///
/// **Cost.** That of a [`Cell`] and a [`Ledger`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct MemberScore {
    base: Cell<Score>,
    // Invariant: the totals are those of sums. A ledger only moves them about, and zero is zero either way.
    added: Ledger,
}

/// Why something cannot be added to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdditionError {
    /// The result would not be a number, as that of infinity and minus infinity.
    NotANumber,
    /// It is too small beside what its replica has added before, or together they are too large: the sum could not hold
    /// it, and it would be lost.
    Lost,
}

impl fmt::Display for AdditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "a score must be a number",
            Self::Lost => "the addition is too small or too large beside what was added before",
        })
    }
}

impl core::error::Error for AdditionError {}

/// What is asked of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScoreUpdate {
    /// Have this score.
    Set(Score),
    /// Have so much more.
    Add(Score),
}

/// What the operation on a [`MemberScore`] carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScoreOp {
    /// A base score takes the place of what its writer had observed.
    Set {
        /// When, and later than everything observed.
        #[serde(deserialize_with = "decode::reading")]
        hlc: Hlc,
        /// The score.
        score: Score,
        /// What was observed of the additions.
        resets: SmallVec<[Reset; 1]>,
    },
    /// What the writer has added moves on.
    Add {
        /// The write that the total starts with, where it is not this one.
        start: Option<u64>,
        /// The total after it, as [`MemberScore::addition`] makes it.
        #[serde(with = "human::total")]
        total: i128,
    },
}

impl MemberScore {
    /// The base and all additions, rounded once.
    #[must_use]
    pub fn score(&self) -> Score {
        sum_up(&self.base, || {
            let parts = self.added.balances();
            parts.map(|(addition, taken)| (addition.total, taken))
        })
    }

    /// The score of a member that is kept in its parts, the additions as [`addition`](Self::addition) makes them; what
    /// else they hold reads as zero.
    #[must_use]
    pub fn read(base: &Cell<Score>, added: &Tally) -> Score {
        sum_up(base, || {
            let parts = added.contributions().iter();
            parts.map(|each| (each.total, each.reset_total))
        })
    }

    /// What `replica` says when it adds `by` to a member that is kept in its parts; `None` where the result would not be
    /// a number, or where the addition would be lost.
    #[must_use]
    pub fn addition(
        base: &Cell<Score>,
        added: &Tally,
        replica: ReplicaId,
        by: Score,
    ) -> Option<Increment> {
        let mut increment = added.next(replica, 0);
        let own = added.own(replica).filter(|own| !own.covered());
        let taken = own.map_or(0, |own| own.reset_total);
        let score = Self::read(base, added);
        increment.total = moved(score, (increment.total, taken), by).ok()?;
        Some(increment)
    }

    /// The base scores that no write has observed, in the order of their dots.
    pub fn bases(&self) -> impl Iterator<Item = &Version<Score>> {
        self.base.versions().iter()
    }

    /// The total of an addition made here.
    ///
    /// # Errors
    /// Where it would lead to no number, or be lost.
    pub(crate) fn next(&self, replica: ReplicaId, by: Score) -> Result<i128, AdditionError> {
        let mut balances = self.added.balances();
        let own = balances.find(|(addition, _)| addition.dot.replica == replica);
        let running = own.map_or((0, 0), |(addition, taken)| (addition.total, taken));
        moved(self.score(), running, by)
    }
}

/// By so much sums are made smaller where they become too large on the way: 2^-64, which takes no digit away.
const SMALLER: f64 = f64::from_bits((1023 - 64) << 52);

/// The sum of the base and of the differences of totals: the same number everywhere, because it is made of the same parts
/// in the same order. One beyond the greatest number is infinite.
fn sum_up<I: Iterator<Item = (i128, i128)>>(base: &Cell<Score>, parts: impl Fn() -> I) -> Score {
    let base = base.latest().map_or(Score::ZERO, |base| base.value);
    let (mut rises, mut falls) = (base.get() == f64::INFINITY, base.get() == f64::NEG_INFINITY);
    let mut finite = |scale: f64| {
        let mut sum = Some(Sum::of(base).finite().scaled(scale));
        for (total, taken) in parts() {
            let (total, taken) = (sum_of(total), sum_of(taken));
            rises |= total.infinite() > taken.infinite();
            falls |= total.infinite() < taken.infinite();
            let taken = taken.finite().scaled(scale);
            let difference = total.finite().scaled(scale).minus(taken);
            sum = sum.zip(difference).and_then(|(sum, each)| sum.plus(each));
        }
        sum.map(Sum::nearest)
    };
    // What is too large on the way may yet be taken away again.
    let finite = finite(1.0).or_else(|| finite(SMALLER).map(|sum| sum / SMALLER));
    match (rises, falls) {
        (false, false) => Score::of(finite.unwrap_or(0.0)),
        (true, false) => Score::of(f64::INFINITY),
        (false, true) => Score::of(f64::NEG_INFINITY),
        (true, true) => Score::ZERO,
    }
}

fn sum_of(total: i128) -> Sum {
    Sum::from_total(total).unwrap_or(Sum::ZERO)
}

/// The running total after `by` was added where `score` is read, and where a part of the total was taken away.
fn moved(score: Score, running: (i128, i128), by: Score) -> Result<i128, AdditionError> {
    let (before, taken, by_sum) = (sum_of(running.0), sum_of(running.1), Sum::of(by));
    // The own infinities could cancel each other out, where the score is read as zero because others' do.
    let own = before.minus(taken).map_or(0, Sum::infinite);
    let is_number = Score::try_from(score.get() + by.get()).is_ok();
    if !is_number || own.signum() * by_sum.infinite() < 0 {
        return Err(AdditionError::NotANumber);
    }
    let after = before.plus(by_sum).ok_or(AdditionError::Lost)?;
    if after == before && by != Score::ZERO {
        return Err(AdditionError::Lost);
    }
    Ok(after.to_total())
}

impl Crdt for MemberScore {
    type Update = ScoreUpdate;
    type Value = Score;

    fn value(&self) -> Score {
        self.score()
    }

    fn forget(&mut self, stable: &VectorClock) {
        self.added.forget(stable);
    }
}

impl OpBased for MemberScore {
    type Op = ScoreOp;

    fn prepare(&self, at: Stamp, update: ScoreUpdate) -> Option<ScoreOp> {
        match update {
            ScoreUpdate::Set(score) => Some(ScoreOp::Set {
                hlc: self.base.reading(at.hlc),
                score,
                resets: self.added.resets(),
            }),
            ScoreUpdate::Add(by) => {
                let total = self.next(at.replica, by).ok()?;
                let start = self.added.running(at.replica).map(|own| own.start);
                Some(ScoreOp::Add { start, total })
            }
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: ScoreOp) {
        match op {
            ScoreOp::Set { hlc, score, resets } => {
                let value = score;
                self.base.write(Version { dot, hlc, value }, ctx);
                self.added.reset(&resets);
            }
            ScoreOp::Add { start, total } => self.added.add(dot, start, total),
        }
    }
}

impl Nested for MemberScore {
    type Listed = SmallVec<[Reset; 1]>;

    fn is_live(&self) -> bool {
        !self.base.is_empty() || self.added.is_live()
    }

    fn is_empty(&self) -> bool {
        self.base.is_empty() && self.added.is_empty()
    }

    fn prepare_removal(&self) -> Option<Self::Listed> {
        self.added.prepare_removal()
    }

    fn remove_observed(&mut self, ctx: &impl Context, listed: Option<&Self::Listed>) {
        self.base.remove(ctx);
        self.added.remove_observed(ctx, listed);
    }

    fn forget_all(&mut self) {
        self.added.forget_all();
    }
}

impl DotStore for MemberScore {
    fn is_state(&self) -> bool {
        self.base.is_state() && self.added.is_state()
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.base.each_dot(visit);
        self.added.each_dot(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        self.base.join(seen, &other.base, theirs);
        self.added.join(seen, &other.added, theirs);
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: ScoreUpdate) -> Self {
        match update {
            ScoreUpdate::Set(score) => {
                let added = self.added.wipe(writer);
                let base = self.base.mutate(writer, RegisterUpdate::Write(score));
                Self { base, added }
            }
            ScoreUpdate::Add(by) => {
                let Ok(total) = self.next(writer.replica(), by) else {
                    return Self::unnamed();
                };
                let added = self.added.mutate_total(writer, total);
                let base = Cell::new();
                Self { base, added }
            }
        }
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let base = self.base.wipe(writer);
        let added = self.added.wipe(writer);
        Self { base, added }
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let base = self.base.lacking(theirs, kept);
        let added = self.added.lacking(theirs, kept);
        Self { base, added }
    }
}

/// What is read before the invariant is checked.
#[derive(Deserialize)]
struct Parts {
    base: Cell<Score>,
    added: Ledger,
}

impl TryFrom<Parts> for MemberScore {
    type Error = &'static str;

    fn try_from(Parts { base, added }: Parts) -> Result<Self, &'static str> {
        let additions = added.additions.iter().map(|addition| addition.total);
        let mut totals = additions.chain(added.resets.iter().map(|mark| mark.of.total));
        if totals.all(|total| Sum::from_total(total).is_some()) {
            Ok(Self { base, added })
        } else {
            Err("a total of additions to a score is no score")
        }
    }
}
