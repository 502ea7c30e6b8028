//! Taking up a table at start-up.

use super::{ImageError, ROWS, ScanTable, decode_row, index, load_pages};
use crate::replica::Replica;
use crate::row::Row;
use crate::rows::RESERVED_PREFIX;
use crate::sum;

impl Replica {
    /// Takes up a table: what its buckets add up to, Isles' own keys, and the journal. All other rows stay where they are until
    /// somebody wants them; see `cold.rs`. `scan` calls back for every row whose key starts with a prefix, in order of keys.
    ///
    /// # Errors
    /// The first row that cannot be read, or whose content does not add up to its sum.
    pub fn open_table(&mut self, scan: &mut ScanTable<'_>, wall_ms: u64) -> Result<(), ImageError> {
        let mut failed = None;
        scan(
            &[index::BUCKET],
            &mut |key, value| match index::load_bucket(key, value) {
                Ok(image) => self.rows.note_stored(&image),
                Err(error) => failed = failed.take().or(Some(error)),
            },
        );
        failed.map_or(Ok(()), Err)?;
        let own = [ROWS, RESERVED_PREFIX].concat();
        self.admit_rows(&own, scan, wall_ms)?;
        self.load_journal(scan).map_err(ImageError::Content)
    }

    /// The same, and takes all rows into memory.
    ///
    /// # Errors
    /// As those of [`open_table`](Self::open_table).
    pub fn load_table(&mut self, scan: &mut ScanTable<'_>, wall_ms: u64) -> Result<(), ImageError> {
        self.open_table(scan, wall_ms)?;
        self.admit_rows(ROWS, scan, wall_ms)
    }

    /// Loads the rows of a table of an earlier build, which has no index: the next checkpoint writes all of them again, and
    /// then it has one.
    ///
    /// # Errors
    /// As those of [`open_table`](Self::open_table).
    pub fn load_table_without_index(
        &mut self,
        scan: &mut ScanTable<'_>,
        wall_ms: u64,
    ) -> Result<(), ImageError> {
        each_row(ROWS, scan, &mut |row, _| {
            self.rows.load(row, wall_ms);
            Ok(())
        })?;
        self.note_reserved_rows();
        self.load_journal(scan).map_err(ImageError::Content)
    }

    fn admit_rows(
        &mut self,
        prefix: &[u8],
        scan: &mut ScanTable<'_>,
        wall_ms: u64,
    ) -> Result<(), ImageError> {
        each_row(prefix, scan, &mut |mut row, scan| {
            if !self.rows.is_cold(&row.key, row.hash) {
                return Ok(());
            }
            index::note_row(&mut row, scan);
            row.contested = self.has_conflicts(row.hash);
            let id = self.rows.admit(row, wall_ms);
            self.note_reserved(id);
            Ok(())
        })
    }
}

/// What is done with a row, and may read the table.
type EachRow<'e> = dyn FnMut(Row, &mut ScanTable<'_>) -> Result<(), ImageError> + 'e;

/// Reads all rows whose table keys start with a prefix; those with pages last.
fn each_row(
    prefix: &[u8],
    scan: &mut ScanTable<'_>,
    each: &mut EachRow<'_>,
) -> Result<(), ImageError> {
    let mut failed = None;
    let mut rest = Vec::new();
    scan(prefix, &mut |key, value| {
        let read = decode_row(&key[1..], value).and_then(|(row, is_paged)| {
            if is_paged || row.deadline.is_set() {
                rest.push((row, is_paged));
                return Ok(());
            }
            each(summed(row)?, &mut |_, _| {})
        });
        failed = failed.take().or(read.err());
    });
    for (mut row, is_paged) in rest {
        if is_paged {
            load_pages(&mut row, scan)?;
        }
        each(summed(row)?, scan)?;
    }
    failed.map_or(Ok(()), Err)
}

/// The row, if it is what was written.
pub(super) fn summed(mut row: Row) -> Result<Row, ImageError> {
    if sum::of_row(&row) != row.sum {
        return Err(ImageError::Sum {
            key: row.key.escape_ascii().to_string(),
        });
    }
    // When readers last saw a set change is not stored; it was not after the newest entry that touched the row.
    row.note_members_changed();
    Ok(row)
}
