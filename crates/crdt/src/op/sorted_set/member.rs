//! What is kept of one member of a sorted set.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Hlc, ReplicaId, Stamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::score::Score;
use crate::Crdt;
use crate::dots::{DotStore, Writer};
use crate::op::{Cell, Contribution, Increment, Nested, OpBased, Reset, Tally, Version};
use crate::update::RegisterUpdate;

/// The score of one member: a base, which is a register answered by the greatest stamp, and what every replica has added
/// since.
///
/// A write of the base resets the additions that it had observed; concurrent ones are added to it. The member is there
/// while there is a base, or an addition that nobody reset, be it of zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct MemberScore {
    base: Cell<Score>,
    // Invariant: the totals are the bits of scores. A tally only moves them about, and zero is zero either way.
    added: Tally,
}

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
        hlc: Hlc,
        /// The score.
        score: Score,
        /// What was observed of the additions.
        resets: SmallVec<[Reset; 1]>,
    },
    /// What the writer has added moves on.
    Add(Increment),
}

impl MemberScore {
    /// The base and all additions, as [`read`](Self::read) sums them up.
    #[must_use]
    pub fn score(&self) -> Score {
        Self::read(&self.base, &self.added)
    }

    /// The score of a member that is kept in its parts: the base, and all additions, each one's difference first, in the
    /// order of replicas, so that it is the same number everywhere. The additions are bits of scores, as
    /// [`addition`](Self::addition) makes them; what else they hold reads as zero.
    #[must_use]
    pub fn read(base: &Cell<Score>, added: &Tally) -> Score {
        let base = base.latest().map_or(Score::ZERO, |base| base.value);
        let contributions = added.contributions().iter();
        let sum = contributions.fold(base.get(), |sum, each| sum + difference(each).get());
        Score::of(sum)
    }

    /// What `replica` says when it adds `by` to a member that is kept in its parts; `None` where the result would not be
    /// a number.
    #[must_use]
    pub fn addition(
        base: &Cell<Score>,
        added: &Tally,
        replica: ReplicaId,
        by: Score,
    ) -> Option<Increment> {
        Score::try_from(Self::read(base, added).get() + by.get()).ok()?;
        let mut increment = added.next(replica, 0);
        let total = Score::try_from(number(increment.total).get() + by.get()).ok()?;
        increment.total = bits(total);
        Some(increment)
    }

    /// The base scores that no write has observed, in the order of their dots.
    pub fn bases(&self) -> impl Iterator<Item = &Version<Score>> {
        self.base.versions().iter()
    }

    /// The increment of an addition made here; `None` where the result would not be a number.
    fn next(&self, replica: ReplicaId, by: Score) -> Option<Increment> {
        Self::addition(&self.base, &self.added, replica, by)
    }

    fn reading(&self, hlc: Hlc) -> Hlc {
        let successors = self.base.versions().iter().map(|base| base.hlc.next());
        successors.fold(hlc, Hlc::max)
    }
}

fn difference(contribution: &Contribution) -> Score {
    Score::of(number(contribution.total).get() - number(contribution.reset_total).get())
}

fn bits(score: Score) -> i128 {
    i128::from(score.get().to_bits())
}

fn number(total: i128) -> Score {
    u64::try_from(total).map_or(Score::ZERO, |bits| Score::of(f64::from_bits(bits)))
}

impl Crdt for MemberScore {
    type Update = ScoreUpdate;
    type Value = Score;

    fn value(&self) -> Score {
        self.score()
    }
}

impl OpBased for MemberScore {
    type Op = ScoreOp;

    fn prepare(&self, at: Stamp, update: ScoreUpdate) -> Option<ScoreOp> {
        match update {
            ScoreUpdate::Set(score) => Some(ScoreOp::Set {
                hlc: self.reading(at.hlc),
                score,
                resets: self.added.resets(),
            }),
            ScoreUpdate::Add(by) => self.next(at.replica, by).map(ScoreOp::Add),
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: ScoreOp) {
        match op {
            ScoreOp::Set { hlc, score, resets } => {
                let value = score;
                self.base.write(Version { dot, hlc, value }, ctx);
                self.added.reset(&resets);
            }
            ScoreOp::Add(increment) => self.added.apply(dot, increment),
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
        true
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
                let replica = writer.replica();
                let Some(increment) = self.next(replica, by) else {
                    return Self::unnamed();
                };
                if let Some(own) = self.added.own(replica) {
                    writer.supersede(Dot::new(replica, own.sequence));
                }
                self.added.apply(writer.dot(), increment);
                let added = self.added.own(replica).copied().into_iter().collect();
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
    added: Tally,
}

impl TryFrom<Parts> for MemberScore {
    type Error = &'static str;

    fn try_from(Parts { base, added }: Parts) -> Result<Self, &'static str> {
        let is_score = |total: i128| bits(number(total)) == total;
        let mut contributions = added.contributions().iter();
        if contributions.all(|each| is_score(each.total) && is_score(each.reset_total)) {
            Ok(Self { base, added })
        } else {
            Err("a total of additions to a score is no score")
        }
    }
}
