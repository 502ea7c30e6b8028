//! What has been appended and not yet written, laid out as it will lie in its segments.

use super::record::{Place, RECORD_HEADER_BYTES, RecordKind, encode};
use super::segment::Beginning;

/// A buffer that one big record made larger than this is given back after the write.
const BYTES_KEPT: usize = 4 << 20;

pub(super) struct Pending {
    buffer: Vec<u8>,
    /// Which part of the buffer goes to which segment; all but the first begin a new one.
    parts: Vec<Part>,
    last: u64,
    cursor: Cursor,
}

/// Where the next record goes.
pub(super) struct Cursor {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// How long the file is. What does not fit begins the next segment, unless this one is empty.
    pub(super) capacity: u64,
    pub(super) empty: bool,
}

/// Records for one segment.
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) first: u64,
    /// The size of each record.
    pub(super) sizes: Vec<u64>,
    /// Present if the segment begins here.
    pub(super) begins: Option<Beginning>,
    /// Where its bytes begin in the buffer.
    start: usize,
}

impl Pending {
    pub(super) fn new(last: u64, cursor: Cursor) -> Self {
        Pending {
            buffer: Vec::new(),
            parts: Vec::new(),
            last,
            cursor,
        }
    }

    /// The last record appended.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn starts_segment(&self, payload_bytes: usize) -> bool {
        let end = self.cursor.offset + (RECORD_HEADER_BYTES + payload_bytes) as u64;
        !self.cursor.empty && end > self.cursor.capacity
    }

    pub(super) fn begin_segment(&mut self, capacity: u64, identity: &[u8], note: &[u8]) {
        self.end_part();
        let beginning = Beginning::new(self.cursor.segment + 1, self.last + 1, identity, note);
        self.cursor = Cursor {
            segment: beginning.number,
            offset: beginning.header.len() as u64,
            capacity,
            empty: true,
        };
        self.begin_part(Some(beginning));
    }

    pub(super) fn append(&mut self, kind: RecordKind, synced: u64, payload: &[u8]) -> u64 {
        if self.parts.is_empty() {
            self.begin_part(None);
        }
        self.last += 1;
        let Cursor {
            segment, offset, ..
        } = self.cursor;
        encode(
            &mut self.buffer,
            Place { segment, offset },
            kind,
            self.last,
            synced,
            payload,
        );
        let size = (RECORD_HEADER_BYTES + payload.len()) as u64;
        let part = self.parts.last_mut().expect("invariant: a part has begun");
        part.sizes.push(size);
        self.cursor.offset += size;
        self.cursor.empty = false;
        self.last
    }

    /// Hands out every part with its bytes, in order, until one fails; then nothing is pending any more.
    pub(super) fn drain<E>(
        &mut self,
        mut write: impl FnMut(Part, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.end_part();
        let mut parts = std::mem::take(&mut self.parts).into_iter().peekable();
        let mut result = Ok(());
        while let Some(part) = parts.next().filter(|_| result.is_ok()) {
            let end = parts.peek().map_or(self.buffer.len(), |next| next.start);
            let bytes = &self.buffer[part.start..end];
            result = write(part, bytes);
        }
        self.clear();
        result
    }

    /// Forgets what was appended; its numbers stay used.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.buffer.clear();
        self.buffer.shrink_to(BYTES_KEPT);
    }

    fn begin_part(&mut self, begins: Option<Beginning>) {
        self.parts.push(Part {
            offset: self.cursor.offset,
            first: self.last + 1,
            sizes: Vec::new(),
            begins,
            start: self.buffer.len(),
        });
    }

    /// Puts zeros behind the last record where another could follow: in a recycled file they are what tells the end
    /// of the log from the bytes of its earlier life. The next write covers them.
    fn end_part(&mut self) {
        let room = self.cursor.capacity.saturating_sub(self.cursor.offset);
        if !self.parts.is_empty() && room >= RECORD_HEADER_BYTES as u64 {
            self.buffer
                .resize(self.buffer.len() + RECORD_HEADER_BYTES, 0);
        }
    }
}
