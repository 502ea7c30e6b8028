//! Choosing where a new element goes between two neighbours.

use alloc::sync::Arc;

use isles_clock::{Dot, ReplicaId};

use super::position::{DEPTH_MAX, Hook, Position, Root, Run, Side, Slot};

/// Below this depth an insertion steps to the side where it can, instead of hanging one run deeper.
const NESTING_MAX: u32 = 16;
/// How far such a step goes, and one within a run: the room between two is halved up to 32 times before it
/// is used up.
pub(crate) const STEP: i64 = 1 << 32;

/// Where new elements go; their write makes it a [`Position`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub(crate) Spot);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// In a run of the writer, at this offset.
    Grow { run: OneRun, offset: i64 },
    /// A new run.
    Open { above: Option<Hook>, step: i64 },
}

/// A run that is compared as one.
#[derive(Clone, Debug)]
pub(crate) struct OneRun(pub(crate) Arc<Run>);

impl PartialEq for OneRun {
    fn eq(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

impl Eq for OneRun {}

impl Place {
    /// Where an element already is, for the write that put it there.
    #[must_use]
    pub fn of(position: &Position) -> Self {
        Self(Spot::Grow {
            run: OneRun(Arc::clone(&position.run)),
            offset: position.slot.offset,
        })
    }

    /// How many runs lie between elements here and the top, their own included.
    #[must_use]
    pub fn depth(&self) -> u32 {
        match &self.0 {
            Spot::Grow { run, .. } => run.0.depth,
            Spot::Open { above, .. } => above.as_ref().map_or(1, |hook| hook.element.depth() + 1),
        }
    }

    /// Where the first of the elements is that `dot` inserts here. Only the replica whose run it is can grow it: for
    /// any other there is no such place.
    #[must_use]
    pub fn position(&self, dot: Dot, ordinal: u32) -> Option<Position> {
        let (run, offset) = match &self.0 {
            Spot::Grow { run, offset } => (Arc::clone(&run.0), *offset),
            Spot::Open { above, step } => {
                let root = Root {
                    replica: dot.replica,
                    sequence: dot.sequence,
                    ordinal,
                };
                (Arc::new(Run::new(above.clone(), *step, root)), 0)
            }
        };
        let slot = Slot::new(offset, dot.sequence, ordinal);
        let valid = run.root.replica == dot.replica && run.allows(slot);
        valid.then_some(Position { run, slot })
    }

    pub(crate) fn is_too_deep(&self) -> bool {
        self.depth() > DEPTH_MAX
    }
}

/// How insertions at one place relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As in a text: what is typed after something stays with it.
    Type,
    /// As in a queue: one step further at the end, whoever was there before.
    Push,
}

impl Manner {
    const fn nesting_max(self) -> u32 {
        match self {
            Self::Type => NESTING_MAX,
            Self::Push => 1,
        }
    }

    const fn step(self) -> i64 {
        match self {
            Self::Type => STEP,
            Self::Push => 1,
        }
    }
}

/// A gap between two elements that are neighbours at the writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap<'a> {
    pub(crate) left: Option<&'a Position>,
    pub(crate) right: Option<&'a Position>,
}

impl<'a> Gap<'a> {
    /// Where elements of the write `dot` go from `ordinal` on; `None` where the nesting has no more room.
    ///
    /// What belongs to the left neighbour goes before the right one if that belongs to it too, and else directly after
    /// it: this is the rule of Fugue. First a run that the writer may grow, then a step to the side where the nesting
    /// is deep, then a new run that hangs at the neighbour.
    pub(crate) fn place(self, dot: Dot, ordinal: u32, manner: Manner) -> Option<Place> {
        if let Some(grown) = self.grow(dot, ordinal) {
            return Some(grown);
        }
        let hung = self.hang();
        if hung.depth() > manner.nesting_max()
            && let Some(stepped) = self.step(dot, ordinal, manner)
        {
            return Some(stepped);
        }
        (!hung.is_too_deep()).then_some(hung)
    }

    /// The neighbour that the new elements will belong to, and on which side of it they go.
    fn anchor(self) -> Option<(&'a Position, Side)> {
        match (self.left, self.right) {
            (Some(left), Some(right)) if right.hangs_right_of(left) => Some((right, Side::Left)),
            (Some(left), _) => Some((left, Side::Right)),
            (None, Some(right)) => Some((right, Side::Left)),
            (None, None) => None,
        }
    }

    fn grow(self, dot: Dot, ordinal: u32) -> Option<Place> {
        let grown = |position: &Position, offset: i64| {
            let run = OneRun(Arc::clone(&position.run));
            let place = Place(Spot::Grow { run, offset });
            let at = place.position(dot, ordinal)?;
            self.holds(&at).then_some(place)
        };
        if let (Some(left), Some(right)) = (self.left, self.right)
            && left.run.is(&right.run)
            && let Some(room @ 2..) = right.slot.offset.checked_sub(left.slot.offset)
        {
            return grown(left, left.slot.offset + room / 2);
        }
        let (anchor, side) = self.anchor()?;
        match side {
            Side::Left => grown(anchor, anchor.slot.offset.checked_sub(STEP)?),
            Side::Right => grown(anchor, anchor.slot.offset.checked_add(STEP)?),
        }
    }

    fn hang(self) -> Place {
        let above = self.anchor().map(|(element, side)| Hook {
            element: element.clone(),
            side,
        });
        Place(Spot::Open { above, step: 0 })
    }

    /// A new run beside an existing one, as far up as there is room. Above the place where the ways to the two
    /// neighbours part there is none.
    fn step(self, dot: Dot, ordinal: u32, manner: Manner) -> Option<Place> {
        let (anchor, _) = self.anchor()?;
        let parted = match (self.left, self.right) {
            (Some(left), Some(right)) => left.common_depth(right) + 1,
            _ => 1,
        };
        (parted..=anchor.depth())
            .filter_map(|depth| self.beside(anchor.ancestor(depth), manner.step()))
            .find(|place| {
                place
                    .position(dot, ordinal)
                    .is_some_and(|position| self.holds(&position))
            })
    }

    /// A new run at the side of the one that `ancestor` is in: half-way to the next one if that bounds the gap.
    fn beside(self, ancestor: &Position, far: i64) -> Option<Place> {
        let run = &ancestor.run;
        let bound = |neighbour: Option<&Position>| {
            let other = &neighbour?.ancestor(run.depth).run;
            (other.depth == run.depth && other.above == run.above).then_some(other.step)
        };
        let step = match (bound(self.left), bound(self.right)) {
            (Some(left), Some(right)) => {
                let room = right.checked_sub(left)?;
                (room >= 2).then_some(left + room / 2)?
            }
            (Some(left), None) => left.checked_add(far)?,
            (None, Some(right)) => right.checked_sub(far)?,
            (None, None) => return None,
        };
        let above = run.above.clone();
        Some(Place(Spot::Open { above, step }))
    }

    fn holds(self, position: &Position) -> bool {
        self.left.is_none_or(|left| left < position)
            && self.right.is_none_or(|right| position < right)
    }
}

/// Any dot that `replica` has not used yet, for the choice of a place before the dot is known.
pub(crate) const fn later(replica: ReplicaId) -> Dot {
    Dot::new(replica, u64::MAX)
}
