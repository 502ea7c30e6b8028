//! A simulated disk that loses, tears, flips and refuses, all by a seed.

mod content;
mod disk;
mod faults;
mod random;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, Storage};
use content::{Content, Image, Write};
use disk::{Change, Disk, SharedContent};
use faults::Faults;
use random::Random;

/// A directory in memory that remembers what has been synced and what has not.
///
/// Clones share the directory; [`MemoryStorage::fork`] copies it. It models the faults that a log must survive:
/// - a crash keeps any part of what was not synced, in any order between writes, torn inside a write;
/// - directory changes become durable in order, so a crash keeps a prefix of them;
/// - after a failed sync the data stays readable, yet a later sync no longer writes it (as Linux does);
/// - a failed write leaves half of its bytes.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
    faults: Arc<Mutex<Faults>>,
}

/// A write that was not synced when the machine crashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsynced<'a> {
    /// The file.
    pub name: &'a str,
    /// Where the write began.
    pub offset: u64,
    /// How many bytes it had; zero for a change of the file's size.
    pub bytes: usize,
}

/// What a crash leaves of one unsynced write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// Its first so many bytes.
    First(usize),
    /// Some of its 512-byte sectors, chosen by this seed.
    Sectors(u64),
}

impl MemoryStorage {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// An independent copy, synced and unsynced state alike, without planned faults.
    pub fn fork(&self) -> Self {
        let disk = lock(&self.disk).fork();
        MemoryStorage {
            disk: Arc::new(Mutex::new(disk)),
            faults: Arc::default(),
        }
    }

    /// The machine crashes: of everything unsynced a part survives that `seed` chooses. Handles from before the
    /// crash no longer reach the disk. Planned faults are forgotten.
    pub fn crash(&self, seed: u64) {
        let mut random = Random(seed);
        let names = lock(&self.disk).pending.len() as u64;
        let names_kept = random.below(names + 1) as usize;
        // A third of the crashes lose everything unsynced, a third keep it all: the extremes find the most bugs.
        let mood = random.below(3);
        self.crash_with(names_kept, |_| match mood {
            0 => Keep::Nothing,
            1 => Keep::All,
            _ => match random.below(4) {
                0 => Keep::Nothing,
                1 => Keep::All,
                _ => Keep::Sectors(random.next()),
            },
        });
    }

    /// The machine crashes: the first `names_kept` unsynced directory changes survive, and of each unsynced write,
    /// file by file in the order written, what `keep` says.
    pub fn crash_with(&self, names_kept: usize, keep: impl FnMut(&Unsynced<'_>) -> Keep) {
        lock(&self.disk).crash(names_kept, keep);
        *lock(&self.faults) = Faults::default();
    }

    /// The `nth` write from now fails half-way (1 is the next one).
    pub fn fail_write(&self, nth: u64) {
        lock(&self.faults).writes_left = Some(nth);
    }

    /// The `nth` sync from now, of a file or of the directory, fails (1 is the next one).
    pub fn fail_sync(&self, nth: u64) {
        lock(&self.faults).syncs_left = Some(nth);
    }

    /// From now on so many bytes can be written before the disk is full; `None` is no limit.
    pub fn set_free_bytes(&self, bytes: Option<u64>) {
        lock(&self.faults).free_bytes = bytes;
    }

    /// Flips one bit of a file, on the disk and in the cache.
    ///
    /// # Panics
    /// If the file does not exist or is shorter.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u32) {
        let file = lock(&self.disk)
            .names
            .get(name)
            .cloned()
            .expect("the file exists");
        let mut content = lock(&file);
        assert!(
            offset < content.now.size,
            "offset {offset} is past the end of {name}"
        );
        let Content { now, synced, .. } = &mut *content;
        for image in [now, synced] {
            let mut byte = [0];
            if image.read(&mut byte, offset) == 1 {
                image.write(&[byte[0] ^ (1 << (bit % 8))], offset);
            }
        }
    }

    /// The bytes of a file as a reader sees them now.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let file = lock(&self.disk).names.get(name).cloned()?;
        let content = lock(&file);
        let mut bytes = vec![0; content.now.size as usize];
        content.now.read(&mut bytes, 0);
        Some(bytes)
    }

    /// Replaces the bytes of a file, durably, creating it if it is absent: for planting what a test needs.
    pub fn set_contents(&self, name: &str, bytes: &[u8]) {
        let mut image = Image::default();
        image.write(bytes, 0);
        let content = Content {
            now: image.clone(),
            synced: image,
            unsynced: Vec::new(),
        };
        lock(&self.disk).plant(name, Arc::new(Mutex::new(content)));
    }

    fn handle(&self, content: SharedContent) -> Box<dyn File> {
        Box::new(MemoryFile {
            content,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl Storage for MemoryStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.disk).names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut disk = lock(&self.disk);
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = SharedContent::default();
        disk.change(Change::Link(name.to_owned(), Arc::clone(&content)));
        Ok(self.handle(content))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let content = lock(&self.disk)
            .names
            .get(name)
            .cloned()
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(content))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        if !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        if !disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        lock(&self.faults).sync()?;
        let mut disk = lock(&self.disk);
        for change in std::mem::take(&mut disk.pending) {
            change.apply(&mut disk.names_synced);
        }
        Ok(())
    }

    fn place(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

struct MemoryFile {
    content: SharedContent,
    faults: Arc<Mutex<Faults>>,
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(lock(&self.content).now.read(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (count, result) = lock(&self.faults).write(bytes.len());
        lock(&self.content).write(Write::Bytes(offset, bytes[..count].to_vec()));
        result
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.content).now.size)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        lock(&self.content).write(Write::Size(bytes));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = lock(&self.faults).sync();
        let mut content = lock(&self.content);
        // Taken in both cases: after a failed sync the kernel marks the pages clean, and they are never written.
        let unsynced = std::mem::take(&mut content.unsynced);
        if result.is_ok() {
            for write in unsynced {
                write.apply(&mut content.synced);
            }
        }
        result
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
