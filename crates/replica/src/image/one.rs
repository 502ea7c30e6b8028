//! One row of the table, on its own.

use super::{ImageError, ROW, ScanTable, decode_row, index, load_pages, summed};
use crate::cold::GetRow;
use crate::row::Row;

/// What the table keys of rows start with.
pub const ROWS: &[u8] = &[ROW];

/// The key whose row lies under a table key, if one does.
pub fn key_of_row(table_key: &[u8]) -> Option<&[u8]> {
    table_key.strip_prefix(ROWS)
}

/// Reads the row of a key, whose content must add up to its sum.
pub(crate) fn load_row(
    key: &[u8],
    get: &mut GetRow<'_>,
    scan: &mut ScanTable<'_>,
) -> Result<Option<Row>, ImageError> {
    let Some(stored) = get(&[ROWS, key].concat()).map_err(ImageError::Table)? else {
        return Ok(None);
    };
    let mut row = read(key, &stored, scan)?;
    let is_listed = match row.deadline.is_set() {
        true => get(&index::listed_key(key))
            .map_err(ImageError::Table)?
            .is_some(),
        false => true,
    };
    index::note_listed(&mut row, is_listed);
    Ok(Some(row))
}

/// Makes a row of the bytes of its header and of its pages.
pub(crate) fn read(key: &[u8], bytes: &[u8], scan: &mut ScanTable<'_>) -> Result<Row, ImageError> {
    let (mut row, is_paged) = decode_row(key, bytes)?;
    if is_paged {
        load_pages(&mut row, scan)?;
    }
    summed(row)
}
