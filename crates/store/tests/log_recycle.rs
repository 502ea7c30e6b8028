//! A segment is not written over while a scan reads it, however close the two come.

use std::io;
use std::sync::{Arc, Mutex};

use isles_store::{File, Log, LogConfig, MemoryStorage, RecordKind, RecordNumber, Storage};

type Hook = Box<dyn FnOnce() + Send>;

/// A storage that runs a hook just before the next read.
#[derive(Clone, Default)]
struct Hooked {
    disk: MemoryStorage,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl Hooked {
    fn file(&self, file: io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        Ok(Box::new(HookedFile {
            file: file?,
            hook: Arc::clone(&self.hook),
        }))
    }
}

impl Storage for Hooked {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.file(self.disk.create(name))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.file(self.disk.open(name))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn place(&self, name: &str) -> String {
        self.disk.place(name)
    }
}

struct HookedFile {
    file: Box<dyn File>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl File for HookedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let hook = self.hook.lock().expect("no test panics here").take();
        if let Some(hook) = hook {
            hook();
        }
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[test]
fn a_read_that_a_trim_overtakes_still_gets_its_record() {
    let storage = Hooked::default();
    let config = LogConfig::new("test").with_segment_bytes(1024);
    let (mut log, _) = Log::open(Arc::new(storage.clone()), config).unwrap();
    for _ in 0..20 {
        log.append(RecordKind::Frame, &[1; 200]);
    }
    log.write().unwrap();
    let reader = log.reader();
    // Between finding the place of record 1 and reading it: trimmed, and written over if it were allowed.
    let overtake = move || {
        assert!(log.trim(RecordNumber(20)).unwrap() > 2);
        for _ in 0..20 {
            log.append(RecordKind::Frame, &[2; 200]);
        }
        log.write().unwrap();
    };
    *storage.hook.lock().unwrap() = Some(Box::new(overtake));
    let record = reader.read(RecordNumber(1)).unwrap().unwrap();
    assert_eq!(record.bytes, [1; 200]);
}
