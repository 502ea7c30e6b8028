//! Registers whose versions know of differences, as the table keeps them.

use std::borrow::Cow;

use isles_clock::{Dot, Hlc};
use isles_resolve::Sums;
use serde::{Deserialize, Serialize};

use super::{ImageError, loaded_cell, stored_versions};
use crate::summed::SummedCell;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredSummed<'a> {
    #[serde(borrow)]
    versions: Vec<(Dot, Hlc, &'a [u8])>,
    /// What they know.
    sums: Cow<'a, [(Dot, Sums)]>,
    /// The last writes that knew something.
    newest: Cow<'a, [Dot]>,
}

impl<'a> StoredSummed<'a> {
    pub(super) fn of(summed: &'a SummedCell) -> Self {
        StoredSummed {
            versions: stored_versions(&summed.cell),
            sums: Cow::Borrowed(summed.sums()),
            newest: Cow::Borrowed(summed.newest()),
        }
    }

    pub(super) fn load(self, key: &[u8]) -> Result<SummedCell, ImageError> {
        let (sums, newest) = (self.sums.into_owned(), self.newest.into_owned());
        let loaded = SummedCell::from_parts(loaded_cell(self.versions), sums, newest);
        loaded.ok_or_else(|| {
            let name = key.escape_ascii();
            ImageError::Content(format!(
                "key \"{name}\" has differences that belong to none of its values"
            ))
        })
    }
}
