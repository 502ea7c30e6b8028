//! A disk of which a test can see every moment.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use isles_store::{File, MemoryStorage, Storage};

/// A storage that keeps a copy of the disk before every call that changes it.
#[derive(Clone, Default)]
pub struct Recorder {
    pub disk: MemoryStorage,
    /// What the log's owner was told to be synced.
    pub promised: Arc<AtomicU64>,
    pub moments: Arc<Mutex<Vec<(MemoryStorage, u64)>>>,
}

impl Recorder {
    pub fn record(&self) {
        let moment = (self.disk.fork(), self.promised.load(Ordering::Relaxed));
        self.moments.lock().unwrap().push(moment);
    }

    fn file(&self, file: io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RecordedFile {
            file: file?,
            recorder: self.clone(),
        }))
    }
}

impl Storage for Recorder {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.record();
        self.file(self.disk.create(name))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.file(self.disk.open(name))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.record();
        self.disk.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.record();
        self.disk.rename(from, to)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.record();
        self.disk.sync_dir()
    }
    fn place(&self, name: &str) -> String {
        self.disk.place(name)
    }
}

struct RecordedFile {
    file: Box<dyn File>,
    recorder: Recorder,
}

impl File for RecordedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.recorder.record();
        self.file.write_at(bytes, offset)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.recorder.record();
        self.file.set_len(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.recorder.record();
        self.file.sync_data()
    }
}
