//! A buffer over a part of a file, so that walking over records costs few reads.

use std::io;

use super::record::{Head, Place, RECORD_BYTES_MAX, RECORD_HEADER_BYTES};
use crate::storage::File;

const WINDOW_BYTES: u64 = 128 << 10;

/// What lies at a position of a segment.
pub(crate) enum Found<'a> {
    Record(Head, &'a [u8]),
    /// Zeros, or no room for another record.
    End,
    /// Something that does not verify.
    Bad,
}

/// The bytes of one file from `start` on, as they were when read.
#[derive(Default)]
pub(crate) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Reads and verifies the record at `place`; nothing at or past `limit` belongs to it.
    pub(crate) fn record(
        &mut self,
        file: &dyn File,
        place: Place,
        limit: u64,
    ) -> io::Result<Found<'_>> {
        let header = self.get(file, place.offset, RECORD_HEADER_BYTES as u64, limit)?;
        let Ok(header) = <&[u8; RECORD_HEADER_BYTES]>::try_from(header) else {
            return Ok(Found::End);
        };
        if Head::is_end(header) {
            return Ok(Found::End);
        }
        let head = Head::decode(header);
        if head.length as usize > RECORD_BYTES_MAX || place.offset + head.record_bytes() > limit {
            return Ok(Found::Bad);
        }
        let record = self.get(file, place.offset, head.record_bytes(), limit)?;
        match record.get(RECORD_HEADER_BYTES..) {
            Some(payload)
                if payload.len() == head.length as usize && head.verifies(place, payload) =>
            {
                Ok(Found::Record(head, payload))
            }
            _ => Ok(Found::Bad),
        }
    }

    /// The `count` bytes at `offset`; fewer at the limit or at the end of the file.
    fn get(&mut self, file: &dyn File, offset: u64, count: u64, limit: u64) -> io::Result<&[u8]> {
        let count = count.min(limit.saturating_sub(offset));
        let held = self.start..self.start + self.bytes.len() as u64;
        if !(held.start <= offset && offset + count <= held.end) {
            let wanted = count.max(WINDOW_BYTES.min(limit.saturating_sub(offset)));
            self.bytes.resize(wanted as usize, 0);
            self.start = offset;
            // Emptied first, so that an error does not leave bytes behind that were never read.
            let mut bytes = std::mem::take(&mut self.bytes);
            let read = file.read_at(&mut bytes, offset)?;
            bytes.truncate(read);
            self.bytes = bytes;
        }
        let from = ((offset - self.start) as usize).min(self.bytes.len());
        let to = (from + count as usize).min(self.bytes.len());
        Ok(&self.bytes[from..to])
    }
}
