//! Making a backup: cutting what comes into chunks, and writing those that are not there yet.

use xxhash_rust::xxh3::xxh3_64;

use super::chunk::{self, Chunk, encode_item};
use super::{Archive, ArchiveError, CHUNKS, Manifest, sync_folder, write_whole};

/// A chunk ends after a key of which one in so many is chosen, once it has [`CHUNK_BYTES_MIN`]...
const CUT_ONE_IN: u64 = 1 << 10;
const CHUNK_BYTES_MIN: usize = 256 << 10;
/// ... and at the latest when it has so many bytes, or with the one item that has more.
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// A backup that is being made.
#[derive(Debug)]
pub struct ArchiveWriter<'a> {
    archive: &'a Archive,
    manifest: Manifest,
    /// Of the chunk that comes next.
    items: Vec<u8>,
    last_key: Option<Vec<u8>>,
    new_chunks: u64,
    new_bytes: u64,
}

/// What a backup took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it says of itself.
    pub manifest: Manifest,
    /// How many of its chunks no earlier one had.
    pub new_chunks: u64,
    /// Bytes written for these.
    pub new_bytes: u64,
}

impl<'a> ArchiveWriter<'a> {
    pub(super) fn new(archive: &'a Archive) -> Self {
        ArchiveWriter {
            archive,
            manifest: Manifest {
                items: 0,
                bytes: 0,
                about: Vec::new(),
                chunks: Vec::new(),
            },
            items: Vec::new(),
            last_key: None,
            new_chunks: 0,
            new_bytes: 0,
        }
    }

    /// Puts a key after those before it.
    ///
    /// # Errors
    /// It is not greater than the one before it, or a chunk cannot be written.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        if self.last_key.as_deref().is_some_and(|last| last >= key) {
            return Err(ArchiveError::Order);
        }
        let last = self.last_key.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        self.manifest.items += 1;
        self.manifest.bytes += (key.len() + value.len()) as u64;
        encode_item(key, value, &mut self.items);
        let is_cut = self.items.len() >= CHUNK_BYTES_MIN && xxh3_64(key).is_multiple_of(CUT_ONE_IN);
        match is_cut || self.items.len() >= CHUNK_BYTES_MAX {
            true => self.end_chunk(),
            false => Ok(()),
        }
    }

    fn end_chunk(&mut self) -> Result<(), ArchiveError> {
        let chunk = Chunk::of(&self.items);
        let path = self.archive.chunk_path(chunk.hash);
        // One that is there and damaged is written anew.
        let is_known = match path.exists() {
            true => chunk::load(&path, &chunk).is_ok_and(|known| known == self.items),
            false => false,
        };
        if !is_known {
            let bytes = chunk::encode(&self.items);
            write_whole(&path, &bytes)?;
            self.new_chunks += 1;
            self.new_bytes += bytes.len() as u64;
        }
        self.manifest.chunks.push(chunk);
        self.items.clear();
        Ok(())
    }

    /// Ends the backup and gives it its name, under which it is there from now on, whole and on the disk.
    ///
    /// # Errors
    /// The name is taken or none, or something cannot be written.
    pub fn finish(mut self, name: &str, about: &[u8]) -> Result<Written, ArchiveError> {
        let path = self.archive.manifest_path(name)?;
        if path.exists() {
            return Err(ArchiveError::Exists {
                name: name.to_owned(),
            });
        }
        if !self.items.is_empty() {
            self.end_chunk()?;
        }
        self.manifest.about = about.to_vec();
        sync_folder(&self.archive.folder.join(CHUNKS))?;
        write_whole(&path, &self.manifest.encode())?;
        sync_folder(&self.archive.folder)?;
        Ok(Written {
            manifest: self.manifest,
            new_chunks: self.new_chunks,
            new_bytes: self.new_bytes,
        })
    }
}
