//! Where a row lies: open, as everybody uses it, or at rest.

use std::cell::OnceCell;
use std::ops::Deref;

use super::packed::{Authors, Packed};
use crate::row::{Row, Tick};

/// A row. One that is only looked at is opened beside its bytes, which stay true; whoever may change it takes it out of them.
#[derive(Debug)]
pub(super) struct Slot {
    // Invariant: where both are there, they say the same.
    open: OnceCell<Box<Row>>,
    rest: Packed,
}

/// A row that is looked at and stays as it lies: what was at rest is opened for as long as this is there.
pub(crate) enum Seen<'r> {
    Open(&'r Row),
    AtRest(Box<Row>),
}

impl Deref for Seen<'_> {
    type Target = Row;

    fn deref(&self) -> &Row {
        match self {
            Seen::Open(row) => row,
            Seen::AtRest(row) => row,
        }
    }
}

impl From<Row> for Slot {
    fn from(row: Row) -> Self {
        Slot {
            open: OnceCell::from(Box::new(row)),
            rest: Packed::default(),
        }
    }
}

impl Slot {
    #[inline]
    pub(super) fn row(&self, authors: &Authors) -> &Row {
        self.open.get_or_init(|| opened(&self.rest, authors))
    }

    /// The row, to be changed: from here on it is open.
    #[inline]
    pub(super) fn row_mut(&mut self, authors: &Authors) -> &mut Row {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.open.get_or_init(|| opened(&rest, authors));
        }
        self.open.get_mut().expect(SOMEWHERE)
    }

    pub(super) fn into_row(mut self, authors: &Authors) -> Row {
        self.row_mut(authors);
        *self.open.into_inner().expect(SOMEWHERE)
    }

    pub(super) fn seen(&self, authors: &Authors) -> Seen<'_> {
        match self.open.get() {
            Some(row) => Seen::Open(row),
            None => Seen::AtRest(opened(&self.rest, authors)),
        }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        match self.open.get() {
            Some(row) => &row.key,
            None => self.rest.key(),
        }
    }

    /// When it was last used.
    pub(super) fn used(&self) -> Tick {
        match self.open.get() {
            Some(row) => row.used,
            None => self.rest.used(),
        }
    }

    /// Whether the checkpoint has yet to take an image; what is at rest has one.
    pub(super) fn is_dirty(&self) -> bool {
        self.open.get().is_some_and(|row| row.dirty)
    }

    /// Whether it is open, and was not used after `latest`.
    pub(super) fn is_idle(&self, latest: Tick) -> bool {
        self.open
            .get()
            .is_some_and(|row| !row.dirty && row.used <= latest)
    }

    /// Puts the row to rest, if it is one that can be.
    pub(super) fn put_to_rest(&mut self, authors: &mut Authors, scratch: &mut Vec<u8>) -> bool {
        if self.rest.is_empty()
            && let Some(row) = self.open.get()
            && let Some(rest) = Packed::of(row, authors, scratch)
        {
            self.rest = rest;
        }
        let rests = !self.rest.is_empty();
        if rests {
            self.open.take();
        }
        rests
    }
}

const SOMEWHERE: &str = "invariant: a row is open or at rest";

#[cold]
fn opened(rest: &Packed, authors: &Authors) -> Box<Row> {
    Box::new(rest.row(authors))
}
