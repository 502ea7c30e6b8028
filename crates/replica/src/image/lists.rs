//! How a list lies in the table: in its header row while it is small, else in pages that keep their numbers.
//!
//! A page is a chunk of neighbours with the position of the first, so it says by itself where it belongs, and what is
//! inserted before it does not touch it.

use isles_crdt::list::ListPage;
use isles_crdt::op::List;
use serde::{Deserialize, Serialize};

use super::{ImageError, PAGE_NUMBER_BYTES, ScanTable, pages_prefix, versioned};
use crate::list::{Element, ListValue};
use crate::op::Kind;

/// A list with more elements than this lies in pages.
const HEADER_ELEMENTS_MAX: usize = 64;
/// The same for the bytes of its values: the header is written at every change.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// A list in a header row.
#[derive(Serialize, Deserialize)]
pub(super) enum StoredList {
    /// All of it.
    Whole(List<Element>),
    /// It lies in pages.
    Paged {
        /// Every page's number is below.
        bound: u32,
    },
}

/// What the table lacks of a list that lies in pages.
pub(super) struct Changes {
    pub(super) pages: Vec<(u32, ListPage<Element>)>,
    pub(super) gone: Vec<u32>,
    /// Every page's number is below.
    pub(super) bound: u32,
}

impl StoredList {
    /// The list as [`changes`] has left it.
    pub(super) fn of(list: &ListValue) -> StoredList {
        let elements = list.elements();
        match elements.pages_bound() {
            0 => StoredList::Whole(elements.clone()),
            bound => StoredList::Paged { bound },
        }
    }
}

fn is_small(list: &List<Element>) -> bool {
    let bytes = || {
        list.elements()
            .flat_map(|(_, versions)| versions)
            .map(|version| version.value.0.len())
    };
    list.len() <= HEADER_ELEMENTS_MAX && bytes().sum::<usize>() <= HEADER_BYTES_MAX
}

/// The changed pages of a large list; none for a small one.
pub(super) fn changes(list: &mut ListValue) -> Option<Changes> {
    let elements = list.elements_mut();
    if is_small(elements) {
        if elements.pages_bound() > 0 {
            elements.forget_pages();
        }
        return None;
    }
    let taken = elements.take_changes();
    Some(Changes {
        pages: taken.changed,
        gone: taken.gone,
        bound: elements.pages_bound(),
    })
}

/// Reads the pages of a list.
pub(super) fn load(
    key: &[u8],
    key_hash: u64,
    scan: &mut ScanTable<'_>,
) -> Result<ListValue, ImageError> {
    let mut failed = None;
    let mut pages: Vec<(u32, ListPage<Element>)> = Vec::new();
    scan(&pages_prefix(key, Kind::List), &mut |table_key, value| {
        let page = versioned(value, table_key).and_then(|bytes| {
            let number = table_key.last_chunk::<PAGE_NUMBER_BYTES>();
            let number =
                number.ok_or_else(|| ImageError::Content("a page has no number".to_owned()))?;
            Ok((u32::from_be_bytes(*number), postcard::from_bytes(bytes)?))
        });
        match page {
            Ok(page) => pages.push(page),
            Err(error) => failed = failed.take().or(Some(error)),
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let list = List::from_pages(pages)
        .map_err(|what| ImageError::Content(format!("key \"{}\": {what}", key.escape_ascii())))?;
    Ok(ListValue::new(list, key_hash))
}
