//! Rows at rest: the content of a small row as bytes in one piece.
//!
//! These bytes never leave the process, so they have no version. Replicas are named by numbers of a table that all rows
//! share, and a dot or a reading that repeats the one before it takes a byte, which is what most of a collection that one
//! command has written does. What can be computed from the rest is left out: hashes, and the sum.
//!
//! ```text
//! used:u32  flags:u8  listed:u8  key  position  component [deadline]
//! ```

mod content;
mod number;

use isles_clock::{Dot, Hlc, ReplicaId, Stamp};

use self::number::{put, put_signed, take, take_signed};
use crate::position::Position;
use crate::row::{Deadline, PATIENCE_MAX, Row, Tick};
use crate::rows::hash_of;
use crate::sum;

/// Longer rows stay as they are: what a row costs beside its content is little then.
const REST_BYTES_MAX: usize = 1 << 10;
/// Replicas that rows at rest may name; a cluster has a few, and some more over the years.
const AUTHORS_MAX: usize = u8::MAX as usize - 1;

const COUNTED: u8 = 1;
const CONTESTED: u8 = 2;
/// Somebody gave or took a deadline.
const DEADLINE: u8 = 4;
/// It has one now.
const EXPIRES: u8 = 8;
const KEPT: u8 = 16;
/// The table lists it under a deadline.
const STORED_DEADLINE: u8 = 32;
/// Its patience, in the highest bits.
const PATIENCE_SHIFT: u32 = 6;
const _: () = assert!(PATIENCE_MAX <= u8::MAX >> PATIENCE_SHIFT);

const USED_BYTES: usize = 4;
const FLAGS_AT: usize = USED_BYTES;
const LISTED_AT: usize = FLAGS_AT + 1;
const KEY_AT: usize = LISTED_AT + 1;
/// Bytes that processors read at once.
const LINE_BYTES: usize = 64;

/// The replicas that rows at rest name by number.
#[derive(Debug, Default)]
pub(super) struct Authors(Vec<ReplicaId>);

impl Authors {
    fn number(&mut self, replica: ReplicaId) -> Option<u8> {
        let known = self.0.iter().position(|other| *other == replica);
        if known.is_none() && self.0.len() < AUTHORS_MAX {
            self.0.push(replica);
        }
        let number = known.unwrap_or(self.0.len() - 1);
        (self.0.get(number) == Some(&replica)).then_some(number as u8)
    }
}

/// A row at rest.
#[derive(Debug)]
pub(crate) struct Packed(Box<[u8]>);

/// The row does not fit.
struct TooLong;

impl Packed {
    /// The row as bytes; none if it is of a kind or size that stays as it is, or does not add up to its sum.
    pub(super) fn of(row: &Row, authors: &mut Authors, scratch: &mut Vec<u8>) -> Option<Packed> {
        let [component] = row.components.as_slice() else {
            return None;
        };
        if row.dirty || !row.stored.pages().is_empty() || row.key.len() > REST_BYTES_MAX {
            return None;
        }
        scratch.clear();
        let mut packer = Packer {
            bytes: scratch,
            authors,
            last: Last::default(),
        };
        packer.head(row);
        packer.component(component).ok()?;
        if row.deadline != Deadline::unset() {
            packer.deadline(row.deadline).ok()?;
        }
        (sum::of_row(row) == row.sum).then(|| Packed(scratch.as_slice().into()))
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        let mut bytes = &self.0[KEY_AT..];
        take_bytes(&mut bytes)
    }

    pub(super) fn used(&self) -> Tick {
        let bytes = self.0.first_chunk().expect(WHOLE);
        Tick::from_number(u32::from_le_bytes(*bytes))
    }

    pub(super) fn set_used(&mut self, now: Tick) {
        let bytes = now.as_number().to_le_bytes();
        if self.0[..USED_BYTES] != bytes {
            self.0[..USED_BYTES].copy_from_slice(&bytes);
        }
    }

    /// Reads where it begins, and where its value does if it is of medium length; see `warm.rs`.
    #[inline]
    pub(crate) fn warm(&self) -> usize {
        let second = self.0.get(LINE_BYTES).copied().unwrap_or_default();
        usize::from(self.0[FLAGS_AT] ^ second)
    }

    /// The value and how durable it is, if this is a string that does not expire.
    #[inline]
    pub(super) fn string(&self) -> Option<(Position, &[u8])> {
        if self.0[FLAGS_AT] & (EXPIRES | COUNTED) != COUNTED {
            return None;
        }
        let mut bytes = &self.0[KEY_AT..];
        take_bytes(&mut bytes);
        let position = Position::from_u64(take(&mut bytes));
        if self.0[FLAGS_AT] & STORED_DEADLINE != 0 {
            take(&mut bytes);
        }
        Some((position, content::string(bytes)?))
    }

    /// The row as it was.
    pub(super) fn row(&self, authors: &Authors) -> Row {
        let flags = self.0[FLAGS_AT];
        let mut unpacker = Unpacker {
            bytes: &self.0[KEY_AT..],
            authors,
            last: Last::default(),
        };
        let key = take_bytes(&mut unpacker.bytes);
        let mut row = Row::new(key, hash_of(key));
        row.used = self.used();
        row.counted = flags & COUNTED != 0;
        row.contested = flags & CONTESTED != 0;
        row.kept = flags & KEPT != 0;
        row.patience = flags >> PATIENCE_SHIFT;
        row.listed = self.0[LISTED_AT];
        row.position = Position::from_u64(take(&mut unpacker.bytes));
        if flags & STORED_DEADLINE != 0 {
            row.stored.set_deadline_ms(Some(take(&mut unpacker.bytes)));
        }
        row.components.push(unpacker.component());
        if flags & DEADLINE != 0 {
            row.deadline = unpacker.deadline(flags & EXPIRES != 0);
        }
        row.sum = sum::of_row(&row);
        row
    }
}

/// What the next dot and reading are compared with.
#[derive(Default)]
struct Last {
    dot: Option<Dot>,
    hlc: u64,
}

struct Packer<'p> {
    bytes: &'p mut Vec<u8>,
    authors: &'p mut Authors,
    last: Last,
}

impl Packer<'_> {
    fn head(&mut self, row: &Row) {
        let mut flags = row.patience << PATIENCE_SHIFT;
        for (flag, is_set) in [
            (COUNTED, row.counted),
            (CONTESTED, row.contested),
            (KEPT, row.kept),
            (STORED_DEADLINE, row.stored.deadline_ms().is_some()),
            (DEADLINE, row.deadline != Deadline::unset()),
            (EXPIRES, row.deadline.is_set()),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        self.bytes.extend(row.used.as_number().to_le_bytes());
        self.bytes.push(flags);
        self.bytes.push(row.listed);
        self.bytes(&row.key);
        put(self.bytes, row.position.as_u64());
        if let Some(deadline_ms) = row.stored.deadline_ms() {
            put(self.bytes, deadline_ms);
        }
    }

    fn deadline(&mut self, deadline: Deadline) -> Result<(), TooLong> {
        if deadline.is_set() {
            put(self.bytes, deadline.at_ms);
        }
        self.dot(deadline.dot())?;
        self.hlc(deadline.stamp.hlc);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        put(self.bytes, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Zero for the one before; else the number of its replica and the difference of sequences.
    fn dot(&mut self, dot: Dot) -> Result<(), TooLong> {
        if self.bytes.len() > REST_BYTES_MAX {
            return Err(TooLong);
        }
        if self.last.dot == Some(dot) {
            self.bytes.push(0);
            return Ok(());
        }
        self.author(dot.replica)?;
        let before = self.last.dot.map_or(0, |last| last.sequence);
        put_signed(self.bytes, dot.sequence.wrapping_sub(before) as i64);
        self.last.dot = Some(dot);
        Ok(())
    }

    fn is_last(&self, dot: Dot, hlc: Hlc) -> bool {
        self.last.dot == Some(dot) && self.last.hlc == hlc.as_u64()
    }

    fn author(&mut self, replica: ReplicaId) -> Result<(), TooLong> {
        let number = self.authors.number(replica).ok_or(TooLong)?;
        self.bytes.push(number + 1);
        Ok(())
    }

    fn hlc(&mut self, hlc: Hlc) {
        let hlc = hlc.as_u64();
        put_signed(self.bytes, hlc.wrapping_sub(self.last.hlc) as i64);
        self.last.hlc = hlc;
    }
}

/// What the bytes are taken for: they were made here.
const WHOLE: &str = "invariant: a row at rest is what packing has made";

struct Unpacker<'p> {
    bytes: &'p [u8],
    authors: &'p Authors,
    last: Last,
}

impl<'p> Unpacker<'p> {
    fn deadline(&mut self, is_set: bool) -> Deadline {
        let at_ms = match is_set {
            true => take(&mut self.bytes),
            false => Deadline::NEVER_MS,
        };
        let dot = self.dot();
        let hlc = self.hlc();
        Deadline {
            at_ms,
            stamp: Stamp {
                hlc,
                replica: dot.replica,
            },
            sequence: dot.sequence,
        }
    }

    fn bytes(&mut self) -> &'p [u8] {
        take_bytes(&mut self.bytes)
    }

    fn count(&mut self) -> usize {
        take(&mut self.bytes) as usize
    }

    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.bytes.split_first().expect(WHOLE);
        self.bytes = rest;
        *byte
    }

    fn dot(&mut self) -> Dot {
        let author = self.byte();
        if author == 0 {
            return self.last.dot.expect(WHOLE);
        }
        let before = self.last.dot.map_or(0, |last| last.sequence);
        let sequence = before.wrapping_add(take_signed(&mut self.bytes) as u64);
        let dot = Dot::new(self.authors.0[usize::from(author - 1)], sequence);
        self.last.dot = Some(dot);
        dot
    }

    fn last(&self) -> (Dot, Hlc) {
        (self.last.dot.expect(WHOLE), Hlc::from_u64(self.last.hlc))
    }

    fn hlc(&mut self) -> Hlc {
        self.last.hlc = self
            .last
            .hlc
            .wrapping_add(take_signed(&mut self.bytes) as u64);
        Hlc::from_u64(self.last.hlc)
    }
}

fn take_bytes<'b>(bytes: &mut &'b [u8]) -> &'b [u8] {
    let len = take(bytes) as usize;
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}
