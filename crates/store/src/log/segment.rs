//! One segment file: its name, its header, and an index of where its records lie.

use std::io;

use xxhash_rust::xxh3::Xxh3;

use super::error::{Fault, OpenError};
use super::record::{u16_at, u32_at, u64_at};
use crate::storage::File;

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u16 = 1;

/// The longest [`LogConfig::identity`](super::LogConfig::identity).
pub const IDENTITY_BYTES_MAX: usize = 255;

/// The longest note in a segment header.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

const MAGIC: [u8; 8] = *b"ISLESLOG";
/// In every version the first 24 bytes mean the same: magic, version, spare, size of the header, check.
const PREFIX_BYTES: usize = 24;
const FIXED_BYTES: usize = 42;
const CHECK: std::ops::Range<usize> = 16..24;
const HEADER_BYTES_MAX: usize = FIXED_BYTES + IDENTITY_BYTES_MAX + 4 + NOTE_BYTES_MAX;

/// A note about the position of a record every so many bytes is enough to start a scan quickly.
const INDEX_STEP_BYTES: u64 = 64 << 10;

/// An open segment file.
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The number of its first record, also while it holds none.
    pub(crate) first: u64,
    pub(crate) name: String,
    pub(crate) header_bytes: u64,
    pub(crate) note: Vec<u8>,
    pub(crate) identity: Vec<u8>,
    pub(crate) file: Box<dyn File>,
}

/// Where some of a segment's records lie, in order, and where they end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    points: Vec<(u64, u64)>,
    pub(crate) end: u64,
}

impl Index {
    pub(crate) fn new(header_bytes: u64) -> Self {
        Index {
            points: Vec::new(),
            end: header_bytes,
        }
    }

    /// Takes note of a record that begins at the end and is `bytes` long.
    pub(crate) fn push(&mut self, number: u64, bytes: u64) {
        if self
            .points
            .last()
            .is_none_or(|(_, offset)| self.end - offset >= INDEX_STEP_BYTES)
        {
            self.points.push((number, self.end));
        }
        self.end += bytes;
    }

    /// The last known position at or before a record: its number and offset.
    pub(crate) fn before(&self, number: u64) -> Option<(u64, u64)> {
        let after = self.points.partition_point(|(known, _)| *known <= number);
        self.points[..after].last().copied()
    }
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:020}.log")
}

pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// A segment that is to begin.
pub(crate) struct Beginning {
    pub(crate) number: u64,
    pub(crate) first: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) identity: Vec<u8>,
    pub(crate) note: Vec<u8>,
}

impl Beginning {
    pub(crate) fn new(number: u64, first: u64, identity: &[u8], note: &[u8]) -> Self {
        let header = encode_header(number, first, identity, note);
        Beginning {
            number,
            first,
            header,
            identity: identity.to_vec(),
            note: note.to_vec(),
        }
    }
}

fn encode_header(number: u64, first: u64, identity: &[u8], note: &[u8]) -> Vec<u8> {
    let size = FIXED_BYTES + identity.len() + 4 + note.len();
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&0u16.to_le_bytes());
    bytes.extend_from_slice(&length_u32(size).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(
        &u16::try_from(identity.len())
            .expect("invariant: the config was checked")
            .to_le_bytes(),
    );
    bytes.extend_from_slice(identity);
    bytes.extend_from_slice(&length_u32(note.len()).to_le_bytes());
    bytes.extend_from_slice(note);
    let check = header_check(&bytes);
    bytes[CHECK].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads and checks the header of the segment that is named `number`, whomever it belongs to.
pub(crate) fn open_segment(
    file: Box<dyn File>,
    name: String,
    number: u64,
    place: &str,
) -> Result<Segment, OpenError> {
    let damaged = |fault| OpenError::damaged(place, 0, fault);
    let bytes = read_header(&*file).map_err(|source| OpenError::io(place, "read", source))?;
    if bytes.len() < FIXED_BYTES || bytes[..8] != MAGIC {
        return Err(damaged(Fault::Header));
    }
    if header_check(&bytes) != u64_at(&bytes, CHECK.start) {
        return Err(damaged(Fault::Header));
    }
    let version = u16_at(&bytes, 8);
    if version != FORMAT {
        return Err(OpenError::NewerFormat {
            file: place.to_owned(),
            found: version,
            known: FORMAT,
        });
    }
    if u64_at(&bytes, 24) != number {
        return Err(damaged(Fault::Renamed {
            number: u64_at(&bytes, 24),
        }));
    }
    let (identity, rest) = bytes[FIXED_BYTES..]
        .split_at_checked(usize::from(u16_at(&bytes, 40)))
        .ok_or_else(|| damaged(Fault::Header))?;
    if rest.len() < 4 || rest.len() - 4 != u32_at(rest, 0) as usize {
        return Err(damaged(Fault::Header));
    }
    Ok(Segment {
        number,
        first: u64_at(&bytes, 32),
        name,
        header_bytes: bytes.len() as u64,
        note: rest[4..].to_vec(),
        identity: identity.to_vec(),
        file,
    })
}

/// Exactly the bytes that the header says it has, or fewer if that cannot be.
fn read_header(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PREFIX_BYTES];
    if file.read_at(&mut bytes, 0)? < PREFIX_BYTES {
        return Ok(Vec::new());
    }
    let size = u32_at(&bytes, 12) as usize;
    if !(PREFIX_BYTES..=HEADER_BYTES_MAX).contains(&size) {
        return Ok(Vec::new());
    }
    bytes.resize(size, 0);
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn header_check(bytes: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&bytes[..CHECK.start]);
    hash.update(&bytes[CHECK.end..]);
    hash.digest()
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: identity and note are limited")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_ignored() {
        assert_eq!(segment_number(&segment_name(42)), Some(42));
        for other in [
            "42.log",
            "spare-00000000000000000042.log",
            "0000000000000000004x.log",
            "LOCK",
            ".log",
        ] {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }

    #[test]
    fn index_finds_the_last_point_at_or_before() {
        let mut index = Index::new(100);
        assert_eq!(index.before(7), None);
        for number in 7..10 {
            index.push(number, INDEX_STEP_BYTES / 2);
        }
        assert_eq!(index.before(6), None);
        assert_eq!(index.before(8), Some((7, 100)));
        assert_eq!(index.before(9), Some((9, 100 + INDEX_STEP_BYTES)));
    }
}
