//! Segment files that begin and end: new ones are made from trimmed ones where there are some.

use std::io;

use super::record::RECORD_HEADER_BYTES;
use super::segment::{Beginning, Segment, segment_name};
use crate::storage::Storage;

/// How many trimmed segments are kept to be written over: that is faster than growing a new file.
const SPARES_MAX: usize = 2;

const PREFIX: &str = "spare-";
const NEW: &str = "spare-new.log";

/// The names of the files that wait to become segments.
#[derive(Default)]
pub(super) struct Spares(Vec<String>);

impl Spares {
    /// Whether this is the name of a spare; if so it is remembered.
    pub(super) fn claim(&mut self, name: &str) -> bool {
        let spare = name.starts_with(PREFIX);
        if spare {
            self.0.push(name.to_owned());
        }
        spare
    }

    /// Begins a segment. It is prepared as a spare and gets its name when its header is durable, so that a file with
    /// a segment's name always has a sound header.
    pub(super) fn begin(
        &mut self,
        storage: &dyn Storage,
        beginning: Beginning,
        segment_bytes: u64,
    ) -> io::Result<Segment> {
        let Beginning {
            number,
            first,
            header,
            identity,
            note,
        } = beginning;
        let (spare, file) = match self.0.pop() {
            Some(spare) => {
                let file = storage.open(&spare)?;
                (spare, file)
            }
            None => (NEW.to_owned(), storage.create(NEW)?),
        };
        let header_bytes = header.len() as u64;
        file.set_len(segment_bytes)?;
        // The zeros behind the header say that there is no record yet.
        let mut bytes = header;
        bytes.resize(bytes.len() + RECORD_HEADER_BYTES, 0);
        file.write_at(&bytes, 0)?;
        file.sync_data()?;
        let name = segment_name(number);
        storage.rename(&spare, &name)?;
        storage.sync_dir()?;
        Ok(Segment {
            number,
            first,
            name,
            header_bytes,
            note,
            identity,
            file,
        })
    }

    /// Takes a segment's name away: the file becomes a spare if it may be written over and one is wanted.
    pub(super) fn end(
        &mut self,
        storage: &dyn Storage,
        name: &str,
        writable: bool,
    ) -> io::Result<()> {
        if !writable || self.0.len() >= SPARES_MAX {
            return storage.remove(name);
        }
        let spare = format!("{PREFIX}{name}");
        storage.rename(name, &spare)?;
        self.0.push(spare);
        Ok(())
    }
}
