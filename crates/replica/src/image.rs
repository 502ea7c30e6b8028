//! Rows as the table keeps them, and the checkpoint that writes them.
//!
//! An image is taken under the lock by cloning references, encoded outside it, and written once the log is durable
//! through the row's position. The small components of a key lie in its header row; of a large set or map only the
//! changed pages are written. The layout is drawn in `docs/format.md`.

mod decode;
mod groups;
mod index;
mod journal;
mod lists;
mod load;
mod meta;
mod one;
mod sets;
mod sorted_set;
mod stream;
mod summed;
mod trails;

use std::borrow::Cow;

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::list::ListPage;
use isles_crdt::op::{BoundedCounter, Cell, Contribution, DwFlag, Presence, Veto};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use self::decode::{decode_row, load_pages, loaded_cell, loaded_tally};
use self::index::Relisting;
pub use self::index::{INDEX_PREFIXES, due_range, key_of_due};
pub(crate) use self::index::{Listed, listed_prefix, load_listed};
use self::lists::StoredList;
use self::load::summed;
pub use self::meta::{META_VERSION, Meta};
pub use self::one::{ROWS, key_of_row};
pub(crate) use self::one::{load_row, read};
use self::summed::StoredSummed;
use crate::bound::Bounded;
use crate::cold::Receipt;
use crate::journal::{Head, JournalChange};
use crate::list::Element;
use crate::op::Kind;
use crate::paged::{ChangedPages, Page, PagedMap};
use crate::position::Position;
use crate::replica::{Replica, Restored};
use crate::row::{Component, Field, Row, Stored, StoredParts};
use crate::rows::{BucketImage, RowId};
use crate::sorted_set::Member;
use crate::stream::Page as StreamPage;
use crate::trail::Trail;
use crate::txn::KEY_BYTES_MAX;

/// The version of the row layout that this crate writes, and the newest that it reads.
pub const ROW_VERSION: u8 = 1;

/// First bytes of table keys.
const META: &[u8] = b"m";
const ROW: u8 = b'r';
const PAGE: u8 = b'p';
const CONFLICT: u8 = b'j';
const SETTLED: u8 = b'k';
const JOURNAL: &[u8] = b"h";

/// A change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableChange {
    /// Write a row.
    Put(Vec<u8>, Vec<u8>),
    /// Remove a row.
    Delete(Vec<u8>),
}

/// Images of some rows, and the conflicts that go with them: written in one batch.
#[derive(Debug, Default)]
pub struct Images {
    rows: Vec<RowImage>,
    buckets: Vec<BucketImage>,
    conflicts: Vec<JournalChange>,
    journal: Option<Head>,
    position: Position,
}

#[derive(Debug)]
struct RowImage {
    key: Box<[u8]>,
    header: Option<Vec<u8>>,
    pages: SmallVec<[PagesImage; 1]>,
    dropped: Vec<(Kind, std::ops::Range<u32>)>,
    listing: Relisting,
}

/// The pages of a component that the table lacks.
#[derive(Debug)]
enum PagesImage {
    Set(ChangedPages<Presence>),
    SetRw(ChangedPages<Veto>),
    Map(ChangedPages<Field>),
    SortedSet(ChangedPages<Member>),
    List(Vec<(u32, ListPage<Element>)>),
    Stream(Vec<(u32, StreamPage)>),
}

#[derive(Serialize, Deserialize)]
struct StoredRow<'a> {
    position: u64,
    deadline_ms: Option<u64>,
    deadline_hlc: Hlc,
    deadline_replica: ReplicaId,
    deadline_sequence: u64,
    sum: u128,
    /// Greatest op dot per origin; nothing uses it yet.
    touched: Vec<(ReplicaId, u64)>,
    #[serde(borrow)]
    components: Vec<StoredComponent<'a>>,
}

#[derive(Serialize, Deserialize)]
enum StoredComponent<'a> {
    Lww {
        dot: Dot,
        hlc: Hlc,
        #[serde(borrow)]
        value: Option<&'a [u8]>,
    },
    Mv(#[serde(borrow)] Vec<(Dot, Hlc, &'a [u8])>),
    Map {
        pages: u32,
        #[serde(borrow)]
        only: Vec<StoredField<'a>>,
    },
    Set {
        pages: u32,
        #[serde(borrow)]
        only: Vec<sets::StoredMember<'a>>,
    },
    Counter(Vec<Contribution>),
    SortedSet {
        pages: u32,
        #[serde(borrow)]
        only: Vec<sorted_set::StoredScore<'a>>,
    },
    List(StoredList),
    Stream(#[serde(borrow)] stream::StoredStream<'a>),
    FlagEw(Vec<Dot>),
    FlagDw(DwFlag),
    HyperLogLog(Vec<(Dot, Sketch)>),
    BoundedCounter(Vec<(Dot, BoundedCounter)>),
    SetRw {
        pages: u32,
        #[serde(borrow)]
        only: Vec<sets::StoredName<'a>>,
    },
    /// What is known of recent changes and deletions in the component of this kind, which is before it if there is one.
    Trail(u8, Cow<'a, Trail>),
    MvSummed(#[serde(borrow)] StoredSummed<'a>),
}

#[derive(Serialize, Deserialize)]
struct StoredField<'a> {
    name: &'a [u8],
    #[serde(borrow)]
    versions: Vec<(Dot, Hlc, &'a [u8])>,
    contributions: Vec<Contribution>,
}

/// Why a table row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Written by a newer program.
    #[error(
        "table row {key} has format version {found}, this program reads up to {known}: upgrade it"
    )]
    Version {
        /// The row's key in the table.
        key: String,
        /// The version found.
        found: u8,
        /// The newest that is known.
        known: u8,
    },
    /// The bytes are not what they should be.
    #[error("table row does not decode: {0}")]
    Content(String),
    /// A row's content does not add up to its sum.
    #[error("table row of key \"{key}\" is damaged: its content does not match its sum")]
    Sum {
        /// The key.
        key: String,
    },
    /// The table cannot be read.
    #[error("table cannot be read: {0}")]
    Table(String),
}

impl From<postcard::Error> for ImageError {
    fn from(error: postcard::Error) -> Self {
        ImageError::Content(error.to_string())
    }
}

impl Replica {
    /// Starts a checkpoint: where it will stand, and how many buckets of rows it has to write at least.
    pub fn begin_checkpoint(&self) -> (Restored, usize) {
        (self.restored(), self.rows.dirty_buckets())
    }

    /// Number of rows that changed since their last image.
    pub fn dirty_rows(&self) -> usize {
        self.rows.dirty_len()
    }

    /// Images of changed rows, of all that a bucket has, bucket by bucket until there are so many. Rows of which nothing is left
    /// are forgotten here and in the table.
    ///
    /// No row leaves memory until they are reported as written: see [`Images::receipt`].
    pub fn take_images(&mut self, rows: usize) -> Images {
        let mut images = Images::default();
        while images.rows.len() < rows
            && let Some((bucket, ids)) = self.rows.take_dirty()
        {
            for id in ids {
                images.rows.push(self.take_image(id));
                images.position = images.position.max(self.rows.get(id).position);
                self.forget_gone(id);
            }
            images.buckets.push(self.rows.bucket_image(bucket));
        }
        self.unwritten += images.receipts();
        (images.conflicts, images.journal) = self.journal.take_changes();
        if let Some(head) = &images.journal {
            images.position = images.position.max(Position::from_u64(head.position));
        }
        images
    }

    fn take_image(&mut self, id: RowId) -> RowImage {
        self.rows.image_mut(id).prune(&self.stable);
        self.rows.recount(id);
        image_of(self.rows.image_mut(id))
    }

    /// Forgets a row of which nothing is left, unless somebody has to know that, or how durable it is.
    fn forget_gone(&mut self, id: RowId) {
        let row = self.rows.get(id);
        if !row.is_gone() {
            return;
        }
        let hash = row.hash;
        if row.position.frame() > self.durable_record() {
            self.rows.mark_dirty(id);
        } else if self.rows.has_cold_beside(hash) {
            self.rows.keep_absent(id);
        } else {
            self.rows.remove(id);
        }
    }
}

/// Calls back with key and value of every table row whose key starts with a prefix.
pub type ScanTable<'s> = dyn FnMut(&[u8], &mut dyn FnMut(&[u8], &[u8])) + 's;

impl Images {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.conflicts.is_empty()
    }

    /// Of how many buckets they are.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The log must be durable through this place before the images are written.
    pub fn position(&self) -> Position {
        self.position
    }

    fn receipts(&self) -> u64 {
        u64::from(!self.rows.is_empty())
    }

    /// Lets go of the images, which writers have to copy pages for, once they are encoded. The receipt goes to
    /// [`Replica::note_written`] when the changes are in the table.
    pub fn receipt(self) -> Receipt {
        Receipt(self.receipts())
    }

    /// Encodes everything as changes of the table.
    pub fn encode(&self, each: &mut dyn FnMut(TableChange)) {
        self.encode_journal(each);
        for row in &self.rows {
            row.encode(each);
        }
        for bucket in &self.buckets {
            each(index::put_bucket(bucket));
        }
    }
}

impl RowImage {
    fn encode(&self, each: &mut dyn FnMut(TableChange)) {
        let key = [&[ROW], &*self.key].concat();
        match &self.header {
            Some(header) => each(TableChange::Put(key, header.clone())),
            None => each(TableChange::Delete(key)),
        }
        self.listing.encode(&self.key, each);
        for (kind, numbers) in &self.dropped {
            for number in numbers.clone() {
                each(TableChange::Delete(page_key(&self.key, *kind, number)));
            }
        }
        for pages in &self.pages {
            pages.encode(&mut |kind, number, bytes| {
                each(TableChange::Put(page_key(&self.key, kind, number), bytes));
            });
        }
    }
}

impl PagesImage {
    fn encode(&self, each: &mut dyn FnMut(Kind, u32, Vec<u8>)) {
        match self {
            PagesImage::Set(pages) => pages.iter().for_each(|(number, page)| {
                each(Kind::SetAw, number, to_bytes(&sets::stored(page)));
            }),
            PagesImage::SetRw(pages) => pages.iter().for_each(|(number, page)| {
                each(Kind::SetRw, number, to_bytes(&sets::stored_names(page)));
            }),
            PagesImage::Map(pages) => pages.iter().for_each(|(number, page)| {
                each(Kind::Map, number, to_bytes(&stored_fields(page)));
            }),
            PagesImage::SortedSet(pages) => pages.iter().for_each(|(number, page)| {
                each(Kind::SortedSet, number, to_bytes(&sorted_set::stored(page)));
            }),
            PagesImage::List(pages) => pages.iter().for_each(|(number, page)| {
                each(Kind::List, *number, to_bytes(page));
            }),
            PagesImage::Stream(pages) => pages.iter().for_each(|(number, page)| {
                let entries = stream::StoredEntries::of(page.entries().iter());
                each(Kind::Stream, *number, to_bytes(&entries));
            }),
        }
    }
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![ROW_VERSION];
    bytes.extend(postcard::to_allocvec(value).expect("a row holds nothing that cannot be encoded"));
    bytes
}

fn pages_prefix(key: &[u8], kind: Kind) -> Vec<u8> {
    [
        &[PAGE][..],
        &(key.len() as u32).to_be_bytes(),
        key,
        &[kind as u8],
    ]
    .concat()
}

/// A page's number ends its key in the table.
const PAGE_NUMBER_BYTES: usize = 4;
/// What the key of a page has beside the row's: its kind of table key, the length, the kind of component, the number.
const PAGE_KEY_EXTRA_BYTES: usize = 1 + 4 + 1 + PAGE_NUMBER_BYTES;

// Tables hold keys whose length fits into sixteen bits.
const _: () = assert!(KEY_BYTES_MAX + PAGE_KEY_EXTRA_BYTES <= u16::MAX as usize);

fn page_key(key: &[u8], kind: Kind, number: u32) -> Vec<u8> {
    [&pages_prefix(key, kind)[..], &number.to_be_bytes()].concat()
}

fn versioned<'a>(bytes: &'a [u8], key: &[u8]) -> Result<&'a [u8], ImageError> {
    match bytes.split_first() {
        Some((&ROW_VERSION, rest)) => Ok(rest),
        Some((&found, _)) => Err(ImageError::Version {
            key: key.escape_ascii().to_string(),
            found,
            known: ROW_VERSION,
        }),
        None => Err(ImageError::Content("it is empty".to_owned())),
    }
}

/// Takes the image of a row: small components are encoded, of large ones the changed pages are referenced.
fn image_of(row: &mut Row) -> RowImage {
    let mut pages = SmallVec::new();
    let mut dropped = Vec::new();
    let mut stored: SmallVec<[Stored; 1]> = SmallVec::new();
    for component in &mut row.components {
        let kind = component.kind();
        let taken = match component {
            Component::List(list) => lists::changes(list).map(|changes| {
                let gone = changes.gone.into_iter();
                dropped.extend(gone.map(|number| (kind, number..number + 1)));
                (changes.bound, PagesImage::List(changes.pages))
            }),
            Component::Set(set) => {
                paged_image(&mut set.members, kind, PagesImage::Set, row.stored.pages())
            }
            Component::SetRw(set) => {
                paged_image(set.pages_mut(), kind, PagesImage::SetRw, row.stored.pages())
            }
            Component::Map(map) => {
                paged_image(&mut map.fields, kind, PagesImage::Map, row.stored.pages())
            }
            Component::SortedSet(set) => {
                let pages = set.pages_mut();
                paged_image(pages, kind, PagesImage::SortedSet, row.stored.pages())
            }
            Component::Stream(stream) => stream::changes(stream).map(|changes| {
                let gone = changes.gone.into_iter();
                dropped.extend(gone.map(|number| (kind, number..number + 1)));
                (changes.bound, PagesImage::Stream(changes.pages))
            }),
            _ => continue,
        };
        if let Some((count, changed)) = taken {
            stored.push(Stored { kind, pages: count });
            pages.push(changed);
        }
    }
    let fewer = row.stored.pages().iter().filter_map(|old| {
        let kept = stored
            .iter()
            .find(|new| new.kind == old.kind)
            .map_or(0, |new| new.pages);
        (kept < old.pages).then_some((old.kind, kept..old.pages))
    });
    dropped.extend(fewer);
    let listing = Relisting::of(row);
    row.stored = StoredParts::new(stored, listing.deadline_ms());
    let header = (!row.is_gone()).then(|| to_bytes(&stored_row(row)));
    RowImage {
        key: row.key.clone(),
        header,
        pages,
        dropped,
        listing,
    }
}

/// The pages of a collection that the table lacks; none if it is small enough to lie in the header row.
fn paged_image<V: Clone + Bounded>(
    map: &mut PagedMap<V>,
    kind: Kind,
    image: impl Fn(ChangedPages<V>) -> PagesImage,
    stored: &[Stored],
) -> Option<(u32, PagesImage)> {
    let known = stored.iter().any(|stored| stored.kind == kind);
    let pages = match known {
        true => map.take_changed(),
        false => map.take_all(),
    };
    let count = map.pages_len() as u32;
    (count > 1).then(|| (count, image(pages)))
}

fn stored_row(row: &Row) -> StoredRow<'_> {
    StoredRow {
        position: row.position.as_u64(),
        deadline_ms: row.deadline.is_set().then_some(row.deadline.at_ms),
        deadline_hlc: row.deadline.stamp.hlc,
        deadline_replica: row.deadline.stamp.replica,
        deadline_sequence: row.deadline.sequence,
        sum: row.sum,
        touched: Vec::new(),
        components: trails::stored_components(row),
    }
}

fn stored_component(component: &Component) -> StoredComponent<'_> {
    match component {
        Component::Lww(cell) => StoredComponent::Lww {
            dot: cell.dot,
            hlc: cell.hlc,
            value: cell.value.as_deref(),
        },
        Component::Mv(cell) => StoredComponent::Mv(stored_versions(cell)),
        Component::MvSummed(summed) => StoredComponent::MvSummed(StoredSummed::of(summed)),
        Component::Counter(tally) => StoredComponent::Counter(tally.contributions().to_vec()),
        Component::FlagEw(flag) => StoredComponent::FlagEw(flag.dots().to_vec()),
        Component::FlagDw(flag) => StoredComponent::FlagDw((**flag).clone()),
        Component::HyperLogLog(sketches) => {
            StoredComponent::HyperLogLog(sketches.sketches().to_vec())
        }
        Component::BoundedCounter(escrow) => {
            StoredComponent::BoundedCounter(escrow.counters().to_vec())
        }
        Component::Set(set) => {
            let only = set.members.only_page().map_or(Vec::new(), sets::stored);
            StoredComponent::Set {
                pages: set.members.pages_len() as u32,
                only,
            }
        }
        Component::SetRw(set) => {
            let only = set.names().only_page();
            StoredComponent::SetRw {
                pages: set.names().pages_len() as u32,
                only: only.map_or(Vec::new(), sets::stored_names),
            }
        }
        Component::List(list) => StoredComponent::List(StoredList::of(list)),
        Component::Map(map) => {
            let only = map.fields.only_page().map_or(Vec::new(), stored_fields);
            StoredComponent::Map {
                pages: map.fields.pages_len() as u32,
                only,
            }
        }
        Component::SortedSet(set) => {
            let only = set.members().only_page();
            StoredComponent::SortedSet {
                pages: set.members().pages_len() as u32,
                only: only.map_or(Vec::new(), sorted_set::stored),
            }
        }
        Component::Stream(stream) => StoredComponent::Stream(stream::StoredStream::of(stream)),
    }
}

fn stored_versions(cell: &Cell<Box<[u8]>>) -> Vec<(Dot, Hlc, &[u8])> {
    cell.versions()
        .iter()
        .map(|version| (version.dot, version.hlc, &*version.value))
        .collect()
}

fn stored_fields(page: &Page<Field>) -> Vec<StoredField<'_>> {
    page.items()
        .iter()
        .map(|item| StoredField {
            name: &item.key,
            versions: stored_versions(&item.value.cell),
            contributions: contributions(&item.value),
        })
        .collect()
}

fn contributions<V>(field: &Field<V>) -> Vec<Contribution> {
    field
        .tally
        .as_ref()
        .map_or(Vec::new(), |t| t.contributions().to_vec())
}
