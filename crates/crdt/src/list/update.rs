//! What is asked of a list, and what travels.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use isles_clock::Hlc;
use serde::{Deserialize, Serialize};

use super::ids::Span;
use super::place::Place;
use super::position::Position;

/// What is asked of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListUpdate<T> {
    /// Insert these before the element at the index, as one run.
    Insert {
        /// The element that will follow; the length of the list for its end.
        index: usize,
        /// What is inserted, in this order.
        values: Vec<T>,
    },
    /// Insert these before everything, in this order.
    PushFront(Vec<T>),
    /// Insert these behind everything, in this order.
    PushBack(Vec<T>),
    /// Write this to the element at the index, in the place of everything observed here.
    Set {
        /// Which element.
        index: usize,
        /// What is written.
        value: T,
    },
    /// Remove the elements at these indices.
    Remove {
        /// Which elements; what lies beyond the end is left out.
        range: Range<usize>,
    },
    /// Remove every element that is here.
    Clear,
}

/// What the operation on a [`List`](crate::op::List) carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListOp<T> {
    /// Insert these, in this order.
    Insert {
        /// Where; the operation's dot makes it positions.
        place: Place,
        /// What.
        values: Vec<T>,
    },
    /// Write to an element.
    Set {
        /// Which.
        position: Position,
        /// When, for readers that want the latest of concurrent values.
        #[serde(deserialize_with = "crate::decode::reading")]
        hlc: Hlc,
        /// What.
        value: T,
    },
    /// Remove these elements as far as they were observed.
    Remove(Positions),
    /// Remove every element as far as it was observed.
    Clear,
}

/// All that lies from one position of a list to another one, both included, at whatever replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    // Invariant: the first is not greater.
    first: Position,
    last: Position,
}

impl Stretch {
    /// The stretch between two positions; none where the first one comes after the other.
    #[must_use]
    pub fn new(first: Position, last: Position) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// Where it starts.
    #[must_use]
    pub const fn first(&self) -> &Position {
        &self.first
    }

    /// Where it ends.
    #[must_use]
    pub const fn last(&self) -> &Position {
        &self.last
    }

    /// Whether a position lies in it.
    #[must_use]
    pub fn contains(&self, position: &Position) -> bool {
        (&self.first..=&self.last).contains(&position)
    }
}

/// Positions of one list in their order, those of a run in the space of one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Positions {
    // Invariant: in the order of the list. Each span with the position of its first element.
    pub(super) spans: Vec<(Position, Span)>,
}

impl Positions {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let lens = self.spans.iter().map(|(_, span)| span.len as usize);
        lens.fold(0, usize::saturating_add)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The positions in their order.
    pub fn iter(&self) -> impl Iterator<Item = Position> {
        self.spans.iter().flat_map(|(first, span)| {
            span.names()
                .map(|slot| Position::new(first.run.clone(), slot))
        })
    }
}

impl Positions {
    /// How many spans the positions take: what their encoding grows by.
    #[must_use]
    pub fn spans_len(&self) -> usize {
        self.spans.len()
    }

    /// Adds positions that follow all of these in the list.
    pub fn append(&mut self, more: Self) {
        for (first, span) in more.spans {
            self.push(first, span);
        }
    }

    /// How deep the deepest of them is nested.
    #[must_use]
    pub fn depth(&self) -> u32 {
        let depths = self.spans.iter().map(|(first, _)| first.depth());
        depths.max().unwrap_or(0)
    }

    /// Adds elements that follow.
    pub(super) fn push(&mut self, first: Position, span: Span) {
        let joined = self
            .spans
            .last_mut()
            .is_some_and(|(last, into)| last.run.is(&first.run) && into.join(span));
        if !joined {
            self.spans.push((first, span));
        }
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut positions: Vec<Position> = positions.into_iter().collect();
        if !positions.is_sorted() {
            positions.sort();
        }
        positions.dedup();
        let mut spans = Self::default();
        for position in positions {
            let name = Span::one(position.slot);
            spans.push(position, name);
        }
        spans
    }
}

impl fmt::Debug for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
