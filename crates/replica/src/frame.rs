//! A batch of consecutive entries of one replica: the unit that is logged and sent.
//!
//! A frame is encoded once by its writer and never changes: peers append the same bytes to their logs and forward
//! them verbatim. Its layout is drawn in `docs/format.md`.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use isles_clock::{Dot, Hlc, ReplicaId, VectorClock};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::op::Entry;
use crate::txn::KEY_BYTES_MAX;

/// The version of the frame layout that this crate writes, and the newest that it reads.
pub const FRAME_VERSION: u8 = 1;
/// A frame is closed when its entries reach this many bytes.
pub const FRAME_BYTES: usize = 64 << 10;
/// A frame is closed when it holds this many entries.
pub const FRAME_ENTRIES_MAX: u32 = 256;
/// The largest entry; a larger one is refused.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;
/// The largest frame: one entry of the largest size, and its header.
pub const FRAME_BYTES_MAX: usize = ENTRY_BYTES_MAX + (1 << 20);

const CHECK_BYTES: usize = 8;
const TRAILER_BYTES: usize = 16;

/// What a frame says about its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameHeader {
    /// The writer.
    pub replica: ReplicaId,
    /// Sequence of the first entry.
    pub first: u64,
    /// Number of entries, at least one.
    pub count: u32,
    /// Stamp that the entries' deltas are added to.
    pub base: Hlc,
    /// What the writer had applied of others when it wrote the entries. With the writer's own earlier entries this is
    /// the exact context of each entry.
    pub deps: VectorClock,
    /// Room for later versions; readers skip what they do not know.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// A sealed frame: its bytes, checked, and its header.
#[derive(Clone, Debug)]
pub struct Frame {
    header: FrameHeader,
    bytes: Bytes,
    body: std::ops::Range<usize>,
    chain: u64,
}

/// Entries that wait to be sealed, in the order written.
#[derive(Clone, Debug)]
pub struct OpenFrame {
    /// What is known of the frame already.
    pub header: FrameHeader,
    /// The encoded entries.
    pub body: Vec<u8>,
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes end early.
    #[error("frame is cut short: {bytes} bytes")]
    Short {
        /// How many there were.
        bytes: usize,
    },
    /// The bytes are longer than any frame.
    #[error("frame of {bytes} bytes exceeds the limit of {FRAME_BYTES_MAX} bytes")]
    Long {
        /// How many there were.
        bytes: usize,
    },
    /// The layout is newer than this program.
    #[error(
        "frame has format version {found}, this program reads up to {FRAME_VERSION}: upgrade it"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// The bytes were damaged on their way or on a disk.
    #[error("frame is damaged: its check does not match its bytes")]
    Check,
    /// The content does not decode, although the check matches.
    #[error("frame of {replica} at {first} does not decode: {what}")]
    Content {
        /// The writer.
        replica: ReplicaId,
        /// Sequence of the first entry.
        first: u64,
        /// What failed.
        what: String,
    },
    /// An entry writes a key that no table holds.
    #[error(
        "frame of {replica} at {first} writes a key of {bytes} bytes, the limit is {KEY_BYTES_MAX} bytes"
    )]
    LongKey {
        /// The writer.
        replica: ReplicaId,
        /// Sequence of the first entry of the frame.
        first: u64,
        /// The key's length.
        bytes: usize,
    },
    /// The header does not decode, although the check matches.
    #[error("frame header does not decode: {what}")]
    Header {
        /// What failed.
        what: String,
    },
}

impl OpenFrame {
    /// Closes the frame: appends `chain`, the link to this replica's previous frame, and the check.
    pub fn seal(&self, previous_chain: u64) -> Frame {
        let header = postcard::to_allocvec(&self.header)
            .expect("a header holds nothing that cannot be encoded");
        let mut bytes = Vec::with_capacity(2 + 5 + header.len() + self.body.len() + TRAILER_BYTES);
        bytes.extend_from_slice(&[FRAME_VERSION, 0]);
        put_varint(&mut bytes, header.len() as u64);
        bytes.extend_from_slice(&header);
        let body = bytes.len()..bytes.len() + self.body.len();
        bytes.extend_from_slice(&self.body);
        let chain = link(previous_chain, &bytes);
        bytes.extend_from_slice(&chain.to_le_bytes());
        let check = xxh3_64(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        Frame {
            header: self.header.clone(),
            bytes: bytes.into(),
            body,
            chain,
        }
    }
}

impl Frame {
    /// Checks and decodes the header of a frame; the entries are decoded when they are read.
    ///
    /// # Errors
    /// Says what is wrong with the bytes; nothing of a damaged frame is used.
    pub fn decode(bytes: Bytes) -> Result<Frame, FrameError> {
        if bytes.len() < 2 + 1 + TRAILER_BYTES {
            return Err(FrameError::Short { bytes: bytes.len() });
        }
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::Long { bytes: bytes.len() });
        }
        if bytes[0] != FRAME_VERSION {
            return Err(FrameError::Version { found: bytes[0] });
        }
        let (checked, check) = bytes.split_at(bytes.len() - CHECK_BYTES);
        if xxh3_64(checked).to_le_bytes() != check {
            return Err(FrameError::Check);
        }
        let content_end = bytes.len() - TRAILER_BYTES;
        let (length, header_start) = take_varint(&bytes[..content_end], 2)
            .ok_or(FrameError::Short { bytes: bytes.len() })?;
        let body_start = usize::try_from(length)
            .ok()
            .and_then(|length| header_start.checked_add(length))
            .filter(|end| *end <= content_end)
            .ok_or(FrameError::Short { bytes: bytes.len() })?;
        let header: FrameHeader =
            postcard::from_bytes(&bytes[header_start..body_start]).map_err(|error| {
                FrameError::Header {
                    what: error.to_string(),
                }
            })?;
        let last = header.first.checked_add(u64::from(header.count));
        if header.count == 0 || header.first == 0 || last.is_none() {
            return Err(FrameError::Header {
                what: "it holds no entries".to_owned(),
            });
        }
        let mut chain = [0; 8];
        chain.copy_from_slice(&bytes[content_end..content_end + 8]);
        Ok(Frame {
            header,
            body: body_start..content_end,
            chain: u64::from_le_bytes(chain),
            bytes,
        })
    }

    /// What the frame says about its entries.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The writer.
    pub fn replica(&self) -> ReplicaId {
        self.header.replica
    }

    /// Sequence of the first entry.
    pub fn first(&self) -> u64 {
        self.header.first
    }

    /// Sequence of the last entry.
    pub fn last(&self) -> u64 {
        self.header.first + u64::from(self.header.count) - 1
    }

    /// Dot of the last entry.
    pub fn last_dot(&self) -> Dot {
        Dot {
            replica: self.header.replica,
            sequence: self.last(),
        }
    }

    /// The frame as it is logged and sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The hash that links this frame to all earlier ones of its replica.
    pub fn chain(&self) -> u64 {
        self.chain
    }

    /// Whether this frame follows the one with the given chain.
    pub fn continues(&self, previous_chain: u64) -> bool {
        link(
            previous_chain,
            &self.bytes[..self.bytes.len() - TRAILER_BYTES],
        ) == self.chain
    }

    /// The entries, in order.
    ///
    /// # Errors
    /// An entry that does not decode ends the iteration with an error that names the frame.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'_>, FrameError>> {
        let mut rest = &self.bytes[self.body.clone()];
        let mut left = self.header.count;
        std::iter::from_fn(move || {
            if left == 0 && rest.is_empty() {
                return None;
            }
            let entry = match postcard::take_from_bytes::<Entry<'_>>(rest) {
                Ok((entry, tail)) if left > 0 => {
                    rest = tail;
                    left -= 1;
                    Ok(entry)
                }
                Ok(_) => Err(self.content_error("bytes follow the last entry".to_owned())),
                Err(error) => Err(self.content_error(error.to_string())),
            };
            if entry.is_err() {
                (left, rest) = (0, &[]);
            }
            Some(entry)
        })
    }

    /// Decodes every entry and refuses what this version does not know and keys that no table holds, so that a frame is applied whole or not at all.
    ///
    /// # Errors
    /// Names the frame and what is wrong with it.
    pub fn verify(&self) -> Result<(), FrameError> {
        for entry in self.entries() {
            let entry = entry?;
            let mut keys = entry.ops.iter().map(|op| op.key.0.len());
            if let Some(bytes) = keys.find(|bytes| *bytes > KEY_BYTES_MAX) {
                return Err(FrameError::LongKey {
                    replica: self.header.replica,
                    first: self.header.first,
                    bytes,
                });
            }
        }
        Ok(())
    }

    fn content_error(&self, what: String) -> FrameError {
        FrameError::Content {
            replica: self.header.replica,
            first: self.header.first,
            what,
        }
    }
}

fn link(previous_chain: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, previous_chain)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &[u8], start: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.get(start..)?.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, start + index + 1));
        }
    }
    None
}
