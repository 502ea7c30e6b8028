//! One row of the table, on its own.

use super::{ImageError, ROW, ScanTable, decode_row, load_pages};
use crate::cold::GetRow;
use crate::row::Row;
use crate::sum;

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
    let stored = get(&[ROWS, key].concat()).map_err(ImageError::Table)?;
    let loaded = stored.map(|bytes| read(key, &bytes, scan));
    loaded.transpose()
}

/// Makes a row of the bytes of its header and of its pages.
pub(crate) fn read(key: &[u8], bytes: &[u8], scan: &mut ScanTable<'_>) -> Result<Row, ImageError> {
    let (mut row, is_paged) = decode_row(key, bytes)?;
    if is_paged {
        load_pages(&mut row, scan)?;
    }
    if sum::of_row(&row) != row.sum {
        return Err(ImageError::Sum {
            key: key.escape_ascii().to_string(),
        });
    }
    // When readers last saw a set change is not stored; it was not after the newest entry that touched the row.
    row.note_members_changed();
    Ok(row)
}
