//! Failures that a test has planned.

use std::io;

#[derive(Default)]
pub(super) struct Faults {
    pub(super) writes_left: Option<u64>,
    pub(super) syncs_left: Option<u64>,
    pub(super) free_bytes: Option<u64>,
}

impl Faults {
    /// How many of `bytes` go to the disk, and the error for the rest.
    pub(super) fn write(&mut self, bytes: usize) -> (usize, io::Result<()>) {
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

    pub(super) fn sync(&mut self) -> io::Result<()> {
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
