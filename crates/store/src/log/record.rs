//! The bytes of one record: a header of 32 bytes, then the payload. Drawn in `docs/format.md`.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// The bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 32;

/// The longest payload: an entry of 64 MiB, and slack for its frame.
pub const RECORD_BYTES_MAX: usize = (64 << 20) + (1 << 20);

const _: () = assert!(
    RECORD_BYTES_MAX <= u32::MAX as usize,
    "the length field has 32 bits"
);

/// The place of a record in log order. The first record is 1; 0 stands for "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordNumber(pub u64);

impl RecordNumber {
    /// Before the first record.
    pub const ZERO: RecordNumber = RecordNumber(0);

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        RecordNumber(self.0 + 1)
    }
}

impl fmt::Display for RecordNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record is; the log stores the kind and never looks into the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum RecordKind {
    /// A sealed frame; the only kind that peers ever see.
    Frame = 1,
    /// A start of the node: boot id and nonce.
    Start = 2,
    /// A reservation of promises.
    Reservation = 3,
    /// A granted leadership epoch.
    Epoch = 4,
    /// A checkpoint of the table.
    Checkpoint = 5,
}

impl RecordKind {
    /// Every kind that this build knows.
    pub const ALL: [RecordKind; 5] = [
        RecordKind::Frame,
        RecordKind::Start,
        RecordKind::Reservation,
        RecordKind::Epoch,
        RecordKind::Checkpoint,
    ];

    /// The kind behind a number on disk; `None` if a newer build wrote it.
    pub fn from_u32(kind: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u32 == kind)
    }
}

/// One record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in log order.
    pub number: RecordNumber,
    /// What it is.
    pub kind: RecordKind,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// Where a record lies. Part of its check, so that the bytes of a recycled segment, or of a misdirected write, are
/// never taken for a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// The header of a record, as raw as it lies on disk: nothing in it is checked yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) length: u32,
    pub(crate) kind: u32,
    pub(crate) number: u64,
    /// The last record known to be synced when this one was appended: recovery must not cut at or before it.
    pub(crate) synced: u64,
    check: u64,
}

impl Head {
    pub(crate) fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Head {
        Head {
            length: u32_at(bytes, 0),
            kind: u32_at(bytes, 4),
            number: u64_at(bytes, 8),
            synced: u64_at(bytes, 16),
            check: u64_at(bytes, 24),
        }
    }

    /// A header of zeros is where a segment ends: no record has kind 0.
    pub(crate) fn is_end(bytes: &[u8; RECORD_HEADER_BYTES]) -> bool {
        bytes == &[0; RECORD_HEADER_BYTES]
    }

    pub(crate) fn record_bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.length)
    }

    pub(crate) fn verifies(&self, place: Place, payload: &[u8]) -> bool {
        self.check
            == check(
                place,
                self.length,
                self.kind,
                self.number,
                self.synced,
                payload,
            )
    }
}

/// Appends a whole record to `out`.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    place: Place,
    kind: RecordKind,
    number: u64,
    synced: u64,
    payload: &[u8],
) {
    let length =
        u32::try_from(payload.len()).expect("invariant: append refuses payloads above the limit");
    let kind = kind as u32;
    out.reserve(RECORD_HEADER_BYTES + payload.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(&check(place, length, kind, number, synced, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

fn check(place: Place, length: u32, kind: u32, number: u64, synced: u64, payload: &[u8]) -> u64 {
    let mut bound = [0; 48];
    bound[0..8].copy_from_slice(&place.segment.to_le_bytes());
    bound[8..16].copy_from_slice(&place.offset.to_le_bytes());
    bound[16..20].copy_from_slice(&length.to_le_bytes());
    bound[20..24].copy_from_slice(&kind.to_le_bytes());
    bound[24..32].copy_from_slice(&number.to_le_bytes());
    bound[32..40].copy_from_slice(&synced.to_le_bytes());
    bound[40..48].copy_from_slice(&xxh3_64(payload).to_le_bytes());
    xxh3_64(&bound)
}

/// Reads a little-endian number; the caller has checked that it is there.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(
        bytes[offset..offset + 8]
            .try_into()
            .expect("a slice of eight bytes"),
    )
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(
        bytes[offset..offset + 4]
            .try_into()
            .expect("a slice of four bytes"),
    )
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(
        bytes[offset..offset + 2]
            .try_into()
            .expect("a slice of two bytes"),
    )
}
