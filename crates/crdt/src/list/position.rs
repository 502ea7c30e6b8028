//! Where an element is: an identity and a place in one, ordered the same everywhere.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use isles_clock::{Dot, ReplicaId};
use serde::{Deserialize, Serialize};

/// How deep runs may hang below each other. Only inserting again and again between the two newest neighbours gets
/// there; see [`List`](crate::List) for what it costs to.
pub(crate) const DEPTH_MAX: u32 = 1 << 16;

/// Bytes of an element's [name](Position::name): the run's replica (16), sequence (8) and ordinal (4), and the element's
/// offset (8), sequence (8) and ordinal (4) in it, little-endian.
pub const NAME_BYTES: usize = 16 + 8 + 4 + 8 + 8 + 4;

/// Before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A place within a run: an offset, and what lies at it in the order of writes and within one write. An insertion of
/// several elements takes one offset for all; the next one goes a step further, or half-way between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) offset: i64,
    pub(crate) sequence: u64,
    pub(crate) ordinal: u32,
}

impl Slot {
    pub(crate) const fn new(offset: i64, sequence: u64, ordinal: u32) -> Self {
        Self {
            offset,
            sequence,
            ordinal,
        }
    }
}

/// The write that opened a run, and whose run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Root {
    pub(crate) replica: ReplicaId,
    pub(crate) sequence: u64,
    pub(crate) ordinal: u32,
}

impl Root {
    /// What names an element of its run; see [`Position::name`].
    pub(crate) fn name(&self, slot: Slot) -> [u8; NAME_BYTES] {
        let mut name = [0; NAME_BYTES];
        name[..16].copy_from_slice(self.replica.as_bytes());
        name[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        name[24..28].copy_from_slice(&self.ordinal.to_le_bytes());
        name[28..36].copy_from_slice(&slot.offset.to_le_bytes());
        name[36..44].copy_from_slice(&slot.sequence.to_le_bytes());
        name[44..].copy_from_slice(&slot.ordinal.to_le_bytes());
        name
    }
}

/// Elements that one replica inserted one beside the other. Only that replica ever adds to it.
#[derive(Debug)]
pub(crate) struct Run {
    /// The element it hangs at, on one side; none for the runs at the top.
    pub(crate) above: Option<Hook>,
    /// 1 at the top.
    pub(crate) depth: u32,
    /// The place among the runs that hang at the same side of the same element, before the root decides.
    pub(crate) step: i64,
    pub(crate) root: Root,
}

/// One side of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) element: Position,
    pub(crate) side: Side,
}

impl Run {
    pub(crate) fn new(above: Option<Hook>, step: i64, root: Root) -> Self {
        let depth = above.as_ref().map_or(1, |hook| hook.element.depth() + 1);
        Self {
            above,
            depth,
            step,
            root,
        }
    }

    /// Whether an element can be there: nothing in a run is older than its root.
    pub(crate) fn allows(&self, slot: Slot) -> bool {
        (slot.sequence, slot.ordinal) >= (self.root.sequence, self.root.ordinal)
    }

    /// The place among the runs that hang at the same element.
    fn rank(&self) -> (Option<Side>, i64, Root) {
        let side = self.above.as_ref().map(|hook| hook.side);
        (side, self.step, self.root)
    }
}

impl Drop for Run {
    /// Takes the chain above apart one by one: dropping it in the ordinary way would go as deep into the stack.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(hook) = above {
            let Some(mut run) = Arc::into_inner(hook.element.run) else {
                return;
            };
            above = run.above.take();
        }
    }
}

/// Which element of a [`List`](crate::List), and where it is, or was.
///
/// A position is made once, when its element is inserted, and stays what it is whatever happens around it. It says
/// where the element was even after its removal, without a tombstone: so it serves as a cursor, and as the end of a
/// selection. Positions of one list are ordered as the elements are, at every replica.
///
/// Cloning is O(1). Comparing is O(1) between neighbours, and never more than the nesting of the two.
#[derive(Clone)]
pub struct Position {
    pub(crate) run: Arc<Run>,
    pub(crate) slot: Slot,
}

impl Position {
    pub(crate) const fn new(run: Arc<Run>, slot: Slot) -> Self {
        Self { run, slot }
    }

    /// The write that inserted the element.
    #[must_use]
    pub fn dot(&self) -> Dot {
        Dot::new(self.run.root.replica, self.slot.sequence)
    }

    /// The place among the elements that this write inserted; 0 where every element has a dot of its own.
    #[must_use]
    pub const fn ordinal(&self) -> u32 {
        self.slot.ordinal
    }

    /// How many runs lie between the element and the top, its own included: what the length of its encoding grows by.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.run.depth
    }

    /// What names the element, in bytes that are the same everywhere; see [`NAME_BYTES`]. Only the elements of one list
    /// are told apart by it.
    #[must_use]
    pub fn name(&self) -> [u8; NAME_BYTES] {
        self.run.root.name(self.slot)
    }

    /// The element that the same write inserted so many places further, in one go with this one; `None` where
    /// ordinals end.
    #[must_use]
    pub fn further(&self, by: u32) -> Option<Self> {
        let ordinal = self.slot.ordinal.checked_add(by)?;
        let slot = Slot {
            ordinal,
            ..self.slot
        };
        Some(Self::new(Arc::clone(&self.run), slot))
    }

    /// The element at `depth` below which this one hangs, or this one itself.
    pub(crate) fn ancestor(&self, depth: u32) -> &Self {
        self.climb(depth).0
    }

    /// Whether this one follows `left` and belongs to it: hangs at its right, or at what the run grew to on its right.
    pub(crate) fn hangs_right_of(&self, left: &Self) -> bool {
        if self.depth() < left.depth() {
            return false;
        }
        let (here, side) = self.climb(left.depth());
        if !here.run.is(&left.run) {
            return false;
        }
        match here.slot.cmp(&left.slot) {
            Ordering::Equal => side == Some(Side::Right),
            Ordering::Greater => left.slot.offset >= 0,
            Ordering::Less => false,
        }
    }

    /// The depth of the lowest element that both hang at, or are; 0 where there is none.
    pub(crate) fn common_depth(&self, other: &Self) -> u32 {
        let depth = self.depth().min(other.depth());
        let (mut here, mut there) = (self.ancestor(depth), other.ancestor(depth));
        while here != there {
            match (&here.run.above, &there.run.above) {
                (Some(above), Some(other_above)) => {
                    (here, there) = (&above.element, &other_above.element);
                }
                _ => return 0,
            }
        }
        here.depth()
    }

    /// How this one lies to an element of the run at `depth` that it hangs below: the place of that element in its run,
    /// and the side.
    pub(crate) fn below(&self, run: &Arc<Run>) -> Option<(Slot, Option<Side>)> {
        if self.depth() < run.depth {
            return None;
        }
        let (here, side) = self.climb(run.depth);
        here.run.is(run).then_some((here.slot, side))
    }

    /// The element at `depth` below which this one hangs, and on which side it does.
    fn climb(&self, depth: u32) -> (&Self, Option<Side>) {
        let (mut here, mut below) = (self, None);
        while here.depth() > depth
            && let Some(hook) = &here.run.above
        {
            (here, below) = (&hook.element, Some(hook.side));
        }
        (here, below)
    }
}

impl Run {
    /// Whether both are the same run, also where it was read twice.
    pub(crate) fn is(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || (self.depth == other.depth
                && self.rank() == other.rank()
                && self.above.as_ref().map(|hook| &hook.element)
                    == other.above.as_ref().map(|hook| &hook.element))
    }
}

/// Where a descendant lies to the element it hangs at.
const fn beside(side: Option<Side>) -> Ordering {
    match side {
        Some(Side::Left) => Ordering::Less,
        None => Ordering::Equal,
        Some(Side::Right) => Ordering::Greater,
    }
}

impl Ord for Position {
    /// The topmost difference decides. The walk goes upwards, so each level overrules what was found below it.
    fn cmp(&self, other: &Self) -> Ordering {
        let depth = self.depth().min(other.depth());
        let (mut here, below) = self.climb(depth);
        let (mut there, other_below) = other.climb(depth);
        let mut order = beside(below).then(beside(other_below).reverse());
        loop {
            if Arc::ptr_eq(&here.run, &there.run) {
                return here.slot.cmp(&there.slot).then(order);
            }
            let runs = here.run.rank().cmp(&there.run.rank());
            order = runs.then(here.slot.cmp(&there.slot)).then(order);
            match (&here.run.above, &there.run.above) {
                (Some(above), Some(other_above)) => {
                    (here, there) = (&above.element, &other_above.element);
                }
                _ => return order,
            }
        }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.run.root == other.run.root && self.cmp(other).is_eq()
    }
}

impl Eq for Position {}

impl Hash for Position {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.run.root, self.slot).hash(state);
    }
}

impl fmt::Debug for Position {
    /// The element's name: debug output of the whole way down to it could be very long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dot())?;
        if self.slot.ordinal > 0 {
            write!(f, ".{}", self.slot.ordinal)?;
        }
        write!(f, "/{}", self.depth())
    }
}
