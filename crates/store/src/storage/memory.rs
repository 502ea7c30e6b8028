//! A simulated disk that loses, tears, flips and refuses, all by a seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, Storage};

/// The unit that a disk writes atomically, when a crash tears a write by [`Keep::Sectors`].
const SECTOR_BYTES: u64 = 512;

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

type SharedContent = Arc<Mutex<Content>>;
type Names = BTreeMap<String, SharedContent>;

#[derive(Default)]
struct Disk {
    names: Names,
    names_synced: Names,
    /// Directory changes since the last `sync_dir`, in order.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Link(String, SharedContent),
    Unlink(String),
    Rename(String, String),
}

impl Change {
    fn apply(self, names: &mut Names) {
        match self {
            Change::Link(name, content) => {
                names.insert(name, content);
            }
            Change::Unlink(name) => {
                names.remove(&name);
            }
            Change::Rename(from, to) => {
                if let Some(content) = names.remove(&from) {
                    names.insert(to, content);
                }
            }
        }
    }
}

impl Disk {
    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }

    fn plant(&mut self, name: &str, content: SharedContent) {
        self.names.insert(name.to_owned(), Arc::clone(&content));
        self.names_synced.insert(name.to_owned(), content);
    }

    fn crash(&mut self, names_kept: usize, mut keep: impl FnMut(&Unsynced<'_>) -> Keep) {
        let mut survivors = std::mem::take(&mut self.names_synced);
        for change in std::mem::take(&mut self.pending)
            .into_iter()
            .take(names_kept)
        {
            change.apply(&mut survivors);
        }
        // Fresh contents, so that a handle from before the crash writes into nothing.
        let survivors: Names = survivors
            .into_iter()
            .map(|(name, content)| {
                let image = lock(&content).after_crash(&name, &mut keep);
                let content = Content {
                    now: image.clone(),
                    synced: image,
                    unsynced: Vec::new(),
                };
                (name, Arc::new(Mutex::new(content)))
            })
            .collect();
        *self = Disk {
            names: survivors.clone(),
            names_synced: survivors,
            pending: Vec::new(),
        };
    }

    /// Keeps the sharing between the three views of the directory: a file is copied once.
    fn fork(&self) -> Disk {
        let mut copies: BTreeMap<*const Mutex<Content>, SharedContent> = BTreeMap::new();
        let mut copy = |content: &SharedContent| {
            let copied = copies.entry(Arc::as_ptr(content)).or_insert_with(|| {
                let copied: Content = lock(content).clone();
                Arc::new(Mutex::new(copied))
            });
            Arc::clone(copied)
        };
        Disk {
            names: self
                .names
                .iter()
                .map(|(name, content)| (name.clone(), copy(content)))
                .collect(),
            names_synced: self
                .names_synced
                .iter()
                .map(|(name, content)| (name.clone(), copy(content)))
                .collect(),
            pending: self
                .pending
                .iter()
                .map(|change| match change {
                    Change::Link(name, content) => Change::Link(name.clone(), copy(content)),
                    other => other.clone(),
                })
                .collect(),
        }
    }
}

#[derive(Clone, Default)]
struct Content {
    now: Image,
    synced: Image,
    unsynced: Vec<Write>,
}

#[derive(Clone)]
enum Write {
    Bytes(u64, Vec<u8>),
    Size(u64),
}

impl Content {
    fn write(&mut self, write: Write) {
        write.apply(&mut self.now);
        self.unsynced.push(write);
    }

    fn after_crash(&self, name: &str, keep: &mut impl FnMut(&Unsynced<'_>) -> Keep) -> Image {
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
    fn apply(&self, image: &mut Image) {
        match self {
            Write::Bytes(offset, bytes) => image.write(bytes, *offset),
            Write::Size(size) => image.set_size(*size),
        }
    }
}

/// The bytes of a file; what lies past `bytes` up to `size` is zero, so that a file sized ahead costs nothing.
#[derive(Clone, Default)]
struct Image {
    bytes: Vec<u8>,
    size: u64,
}

impl Image {
    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let count = buffer.len().min(self.size.saturating_sub(offset) as usize);
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        if let Some(stored) = self.bytes.get(offset as usize..) {
            let stored = &stored[..stored.len().min(count)];
            buffer[..stored.len()].copy_from_slice(stored);
        }
        count
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        self.size = self.size.max(end as u64);
    }

    fn write_some_sectors(&mut self, bytes: &[u8], offset: u64, seed: u64) {
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

    fn set_size(&mut self, size: u64) {
        self.bytes.truncate(size as usize);
        self.size = size;
    }
}

#[derive(Default)]
struct Faults {
    writes_left: Option<u64>,
    syncs_left: Option<u64>,
    free_bytes: Option<u64>,
}

impl Faults {
    /// How many of `bytes` go to the disk, and the error for the rest.
    fn write(&mut self, bytes: usize) -> (usize, io::Result<()>) {
        if count_down(&mut self.writes_left) {
            return (bytes / 2, Err(io::Error::other("injected write failure")));
        }
        match &mut self.free_bytes {
            Some(free) if *free < bytes as u64 => {
                let fits = std::mem::take(free) as usize;
                (fits, Err(io::ErrorKind::StorageFull.into()))
            }
            Some(free) => {
                *free -= bytes as u64;
                (bytes, Ok(()))
            }
            None => (bytes, Ok(())),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if count_down(&mut self.syncs_left) {
            return Err(io::Error::other("injected sync failure"));
        }
        Ok(())
    }
}

fn count_down(left: &mut Option<u64>) -> bool {
    match left {
        Some(count) if *count <= 1 => {
            *left = None;
            true
        }
        Some(count) => {
            *count -= 1;
            false
        }
        None => false,
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

/// SplitMix64: enough to choose what a crash keeps, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
