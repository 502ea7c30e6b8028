//! A file: its bytes as they read now, and those that would survive a crash.

use super::random::Random;
use super::{Keep, Unsynced};

/// The unit that a disk writes atomically, when a crash tears a write by [`Keep::Sectors`].
const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) now: Image,
    pub(super) synced: Image,
    pub(super) unsynced: Vec<Write>,
}

#[derive(Clone)]
pub(super) enum Write {
    Bytes(u64, Vec<u8>),
    Size(u64),
}

impl Content {
    pub(super) fn write(&mut self, write: Write) {
        write.apply(&mut self.now);
        self.unsynced.push(write);
    }

    pub(super) fn after_crash(
        &self,
        name: &str,
        keep: &mut impl FnMut(&Unsynced<'_>) -> Keep,
    ) -> Image {
        let mut image = self.synced.clone();
        for write in &self.unsynced {
            let (offset, bytes) = match write {
                Write::Bytes(offset, bytes) => (*offset, bytes.as_slice()),
                Write::Size(size) => (*size, &[][..]),
            };
            let kept = keep(&Unsynced {
                name,
                offset,
                bytes: bytes.len(),
            });
            match (write, kept) {
                (_, Keep::Nothing) => {}
                (Write::Size(size), _) => image.set_size(*size),
                (Write::Bytes(..), Keep::All) => image.write(bytes, offset),
                (Write::Bytes(..), Keep::First(count)) => {
                    image.write(&bytes[..count.min(bytes.len())], offset)
                }
                (Write::Bytes(..), Keep::Sectors(seed)) => {
                    image.write_some_sectors(bytes, offset, seed)
                }
            }
        }
        image
    }
}

impl Write {
    pub(super) fn apply(&self, image: &mut Image) {
        match self {
            Write::Bytes(offset, bytes) => image.write(bytes, *offset),
            Write::Size(size) => image.set_size(*size),
        }
    }
}

/// The bytes of a file; what lies past `bytes` up to `size` is zero, so that a file sized ahead costs nothing.
#[derive(Clone, Default)]
pub(super) struct Image {
    bytes: Vec<u8>,
    pub(super) size: u64,
}

impl Image {
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let count = buffer.len().min(self.size.saturating_sub(offset) as usize);
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        if let Some(stored) = self.bytes.get(offset as usize..) {
            let stored = &stored[..stored.len().min(count)];
            buffer[..stored.len()].copy_from_slice(stored);
        }
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        self.size = self.size.max(end as u64);
    }

    pub(super) fn write_some_sectors(&mut self, bytes: &[u8], offset: u64, seed: u64) {
        let mut random = Random(seed);
        let mut start = 0;
        while start < bytes.len() {
            let to_boundary = SECTOR_BYTES - (offset + start as u64) % SECTOR_BYTES;
            let end = bytes.len().min(start + to_boundary as usize);
            if random.below(2) == 1 {
                self.write(&bytes[start..end], offset + start as u64);
            }
            start = end;
        }
    }

    pub(super) fn set_size(&mut self, size: u64) {
        self.bytes.truncate(size as usize);
        self.size = size;
    }
}
