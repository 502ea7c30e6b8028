//! Opening a log may itself be interrupted; the next open goes on where it stopped.

use std::sync::Arc;

use isles_store::storage::Keep;
use isles_store::{Log, LogConfig, MemoryStorage, RecordKind};

fn open(storage: &MemoryStorage) -> Result<(Log, isles_store::Recovered), isles_store::OpenError> {
    Log::open(
        Arc::new(storage.clone()),
        LogConfig::new("repair").with_segment_bytes(4 << 10),
    )
}

// An open that had marked a cut and then failed to sync it left the same cut for the next one, which remembered its
// marker twice: the first sync after it failed to remove it a second time and poisoned the log, at every start.
#[test]
fn a_cut_that_could_not_be_finished_is_finished_by_the_next_open() {
    let storage = MemoryStorage::new();
    let (mut log, _) = open(&storage).expect("the directory is empty");
    log.append(RecordKind::Frame, b"kept");
    log.write().expect("the disk works");
    log.sync().expect("the disk works");
    log.append(RecordKind::Frame, &[7; 100]);
    log.write().expect("the disk works");
    drop(log);
    storage.crash_with(usize::MAX, |_| Keep::First(60));

    for sync in 1.. {
        let storage = storage.fork();
        storage.fail_sync(sync);
        if open(&storage).is_ok() {
            assert!(sync > 2, "the repair syncs its marker and what it leaves");
            break;
        }
        let (mut log, recovered) = open(&storage).expect("the disk works again");
        assert!(recovered.cut.is_some());
        log.append(RecordKind::Frame, b"after");
        log.write().expect("the disk works");
        log.sync().expect("the cut is forgotten once");
        drop(log);
        let (_, recovered) = open(&storage).expect("nothing was torn");
        assert_eq!((recovered.last.0, recovered.cut), (2, None));
    }
}
