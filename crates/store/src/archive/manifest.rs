//! The file of a backup: what it is of, and its chunks.

use xxhash_rust::xxh3::xxh3_64;

use super::ArchiveError;
use super::chunk::Chunk;

const MAGIC: [u8; 8] = *b"ISLESBAK";
/// The format that this build writes, and the newest that it reads.
const FORMAT: u16 = 1;
const CHUNK_BYTES: usize = 24;
const CHECK_BYTES: usize = 8;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Number of keys.
    pub items: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// What its maker noted of it; the archive does not look into it.
    pub about: Vec<u8>,
    pub(super) chunks: Vec<Chunk>,
}

impl Manifest {
    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let length = |count: usize| u32::try_from(count).expect("a backup has fewer parts");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(self.items.to_le_bytes());
        bytes.extend(self.bytes.to_le_bytes());
        bytes.extend(length(self.about.len()).to_le_bytes());
        bytes.extend(&self.about);
        bytes.extend(length(self.chunks.len()).to_le_bytes());
        for chunk in &self.chunks {
            bytes.extend(chunk.hash.to_le_bytes());
            bytes.extend(chunk.bytes.to_le_bytes());
        }
        let check = xxh3_64(&bytes);
        bytes.extend(check.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8], file: &str) -> Result<Manifest, ArchiveError> {
        let damaged = |reason: &str| ArchiveError::damaged(file, reason);
        let mut reader = Reader(bytes);
        let cut = || damaged("it is cut off");
        if reader.take(MAGIC.len()).ok_or_else(cut)? != MAGIC {
            return Err(damaged("it is no backup"));
        }
        let format = reader.u16().ok_or_else(cut)?;
        if format != FORMAT {
            return Err(ArchiveError::NewerFormat {
                file: file.to_owned(),
                found: format,
                known: FORMAT,
            });
        }
        let checked = bytes.len().checked_sub(CHECK_BYTES).ok_or_else(cut)?;
        let (content, check) = bytes.split_at(checked);
        if xxh3_64(content).to_le_bytes() != check {
            return Err(damaged("it does not verify"));
        }
        reader.whole().ok_or_else(cut)
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.number().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.number().map(u64::from_le_bytes)
    }

    /// What comes after the format; none if it is not all there.
    fn whole(mut self) -> Option<Manifest> {
        let (items, bytes) = (self.u64()?, self.u64()?);
        let about = self.u32()? as usize;
        let about = self.take(about)?.to_vec();
        let count = self.u32()? as usize;
        if self.0.len() != count * CHUNK_BYTES + CHECK_BYTES {
            return None;
        }
        let mut chunks = Vec::with_capacity(count);
        for _ in 0..count {
            chunks.push(Chunk {
                hash: self.number().map(u128::from_le_bytes)?,
                bytes: self.u64()?,
            });
        }
        Some(Manifest {
            items,
            bytes,
            about,
            chunks,
        })
    }
}
