//! The names of neighbouring elements of one run, as spans.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::place::STEP;
use super::position::Slot;

/// How the names in a span follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stride {
    /// Writes one after the other, each to the right of the one before.
    Right,
    /// Writes one after the other, each to the left of the one before: the last one comes first.
    Left,
    /// Writes of one insertion, at one offset.
    Batch,
    /// One write, element by element.
    Ordinal,
}

/// Names that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: Slot,
    pub(crate) stride: Stride,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) const fn one(first: Slot) -> Self {
        Self::new(first, Stride::Right, 1)
    }

    /// A single name has no stride of its own.
    pub(crate) const fn new(first: Slot, stride: Stride, len: u32) -> Self {
        let stride = if len == 1 { Stride::Right } else { stride };
        Self { first, stride, len }
    }

    /// The name at `index`, which may be the first one after the span. `None` where numbers end.
    pub(crate) fn get(self, index: u32) -> Option<Slot> {
        let mut slot = self.first;
        if let Stride::Right | Stride::Left = self.stride {
            slot.offset = slot
                .offset
                .checked_add(STEP.checked_mul(i64::from(index))?)?;
        }
        let sequence = u64::from(index);
        match self.stride {
            Stride::Right | Stride::Batch => slot.sequence = slot.sequence.checked_add(sequence)?,
            Stride::Left => slot.sequence = slot.sequence.checked_sub(sequence)?,
            Stride::Ordinal => slot.ordinal = slot.ordinal.checked_add(index)?,
        }
        Some(slot)
    }

    /// Every name, in order.
    pub(crate) fn names(self) -> impl Iterator<Item = Slot> {
        (0..self.len).map(move |index| self.slot(index))
    }

    pub(super) fn slot(self, index: u32) -> Slot {
        self.get(index).expect("a span lies within its numbers")
    }

    /// Takes in a span that follows, as far as one stride goes through both; says whether it does.
    pub(crate) fn join(&mut self, next: Self) -> bool {
        let Some(stride) = self.stride_to(next) else {
            return false;
        };
        let fits = |span: Self| span.len == 1 || span.stride == stride;
        let len = self.len.checked_add(next.len);
        match len {
            Some(len) if fits(*self) && fits(next) => {
                (self.stride, self.len) = (stride, len);
                true
            }
            _ => false,
        }
    }

    /// The stride that leads from the end of this span to the start of the next.
    fn stride_to(self, next: Self) -> Option<Stride> {
        let last = self.slot(self.len - 1);
        [Stride::Right, Stride::Left, Stride::Batch, Stride::Ordinal]
            .into_iter()
            .find(|stride| Self::new(last, *stride, 2).get(1) == Some(next.first))
    }

    /// The latest write that is named.
    fn newest(self) -> u64 {
        match self.stride {
            Stride::Right | Stride::Batch => self.first.sequence + u64::from(self.len - 1),
            Stride::Left | Stride::Ordinal => self.first.sequence,
        }
    }

    fn cut(self, at: u32) -> (Self, Self) {
        let head = Self::new(self.first, self.stride, at);
        let tail = Self::new(self.slot(at), self.stride, self.len - at);
        (head, tail)
    }
}

/// Names of one run in the order of their elements. Names that follow each other take the place of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    // Invariant: no span is empty.
    spans: SmallVec<[Span; 1]>,
}

impl Ids {
    pub(crate) fn push(&mut self, span: Span) {
        if !self.spans.last_mut().is_some_and(|last| last.join(span)) {
            self.spans.push(span);
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        other.spans.into_iter().for_each(|span| self.push(span));
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The latest write that is named.
    pub(crate) fn newest(&self) -> u64 {
        let each = self.spans.iter().map(|span| span.newest());
        each.max().unwrap_or(0)
    }

    pub(crate) fn slot(&self, index: usize) -> Slot {
        let (span, rest) = self.locate(index);
        self.spans[span].slot(rest)
    }

    /// The number of elements that lie before `slot`, and whether the next one is there.
    pub(crate) fn search(&self, slot: Slot) -> Result<usize, usize> {
        let mut before = 0;
        for span in &self.spans {
            if slot <= span.slot(span.len - 1) {
                let (mut low, mut high) = (0, span.len);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if span.slot(middle) < slot {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                let index = before + low as usize;
                let found = span.slot(low) == slot;
                return if found { Ok(index) } else { Err(index) };
            }
            before += span.len as usize;
        }
        Err(before)
    }

    /// Cuts off the names from `index` on.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let (span, rest) = self.locate(index);
        let mut tail = Self::default();
        if span == self.spans.len() {
            return tail;
        }
        tail.spans.extend(self.spans.drain(span..));
        if rest > 0 {
            let (head, cut) = tail.spans[0].cut(rest);
            self.push(head);
            tail.spans[0] = cut;
        }
        tail
    }

    /// The names from the one at `start` on, `len` of them, span by span.
    pub(super) fn slice(&self, start: usize, len: usize) -> impl Iterator<Item = Span> {
        let (mut skip, mut left) = (start, len);
        self.spans.iter().filter_map(move |span| {
            let whole = span.len as usize;
            let from = skip.min(whole);
            let len = (whole - from).min(left);
            (skip, left) = (skip - from, left - len);
            (len > 0).then(|| Span::new(span.slot(from as u32), span.stride, len as u32))
        })
    }

    /// How many names from the one at `index` on are those of `span` from its `from`th on, as far as one look tells.
    pub(super) fn common(&self, index: usize, span: Span, from: u32) -> u32 {
        let (at, rest) = self.locate(index);
        let own = self.spans[at];
        if own.slot(rest) != span.slot(from) {
            return 0;
        }
        match own.stride == span.stride {
            true => (own.len - rest).min(span.len - from),
            false => 1,
        }
    }

    fn locate(&self, index: usize) -> (usize, u32) {
        let mut rest = index;
        for (at, span) in self.spans.iter().enumerate() {
            if rest < span.len as usize {
                return (at, rest as u32);
            }
            rest -= span.len as usize;
        }
        (self.spans.len(), 0)
    }
}

impl From<Span> for Ids {
    fn from(span: Span) -> Self {
        Self {
            spans: smallvec::smallvec![span],
        }
    }
}
