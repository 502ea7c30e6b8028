//! Rows as the table keeps them, and the checkpoint that writes them.
//!
//! An image is taken under the lock by cloning references, encoded outside it, and written once the log is durable
//! through the row's position. The small components of a key lie in its header row; of a large set or map only the
//! changed pages are written. The layout is drawn in `docs/format.md`.

mod groups;
mod index;
mod journal;
mod lists;
mod meta;
mod one;
mod sets;
mod sorted_set;
mod stream;
mod trails;

use std::borrow::Cow;

use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp};
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::list::ListPage;
use isles_crdt::op::{
    BoundedCounter, Cell, Contribution, DwFlag, EwFlag, HyperLogLog, HyperLogLogOp, OpBased,
    Presence, Tally, Version, Veto,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use self::index::Relisting;
pub use self::index::{INDEX_PREFIXES, due_range, key_of_due};
pub(crate) use self::index::{Listed, listed_prefix, load_listed};
use self::lists::StoredList;
pub use self::meta::{META_VERSION, Meta};
pub use self::one::{ROWS, key_of_row};
pub(crate) use self::one::{load_row, read};
use crate::bound::Bounded;
use crate::cold::{Receipt, set_changed};
use crate::journal::{Head, JournalChange};
use crate::list::{Element, ListValue};
use crate::op::Kind;
use crate::paged::{ChangedPages, Page, PagedMap};
use crate::position::Position;
use crate::replica::{Replica, Restored};
use crate::row::{
    Component, Deadline, Field, FieldMap, LwwCell, MemberSet, Row, Stored, StoredParts,
};
use crate::rows::{BucketImage, RESERVED_PREFIX, RowId, hash_of};
use crate::sorted_set::{Member, SortedSet};
use crate::stream::Page as StreamPage;
use crate::sum;
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
fn summed(mut row: Row) -> Result<Row, ImageError> {
    if sum::of_row(&row) != row.sum {
        return Err(ImageError::Sum {
            key: row.key.escape_ascii().to_string(),
        });
    }
    set_changed(&mut row);
    Ok(row)
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

fn decode_row(key: &[u8], bytes: &[u8]) -> Result<(Row, bool), ImageError> {
    let stored: StoredRow<'_> = postcard::from_bytes(versioned(bytes, key)?)?;
    let mut row = Row::new(key, hash_of(key));
    row.position = Position::from_u64(stored.position);
    row.deadline = Deadline {
        at_ms: stored.deadline_ms.unwrap_or(Deadline::NEVER_MS),
        stamp: Stamp {
            hlc: stored.deadline_hlc,
            replica: stored.deadline_replica,
        },
        sequence: stored.deadline_sequence,
    };
    row.sum = stored.sum;
    let mut is_paged = false;
    for component in stored.components {
        let component = match component {
            StoredComponent::Lww { dot, hlc, value } => Component::Lww(LwwCell {
                dot,
                hlc,
                value: value.map(Box::from),
            }),
            StoredComponent::Mv(versions) => Component::Mv(Box::new(loaded_cell(versions))),
            StoredComponent::Counter(contributions) => {
                Component::Counter(Box::new(contributions.into_iter().collect::<Tally>()))
            }
            StoredComponent::Set { pages, only } => {
                note_pages(&mut row, Kind::SetAw, pages, &mut is_paged);
                Component::Set(Box::new(MemberSet::from(PagedMap::from_pages(vec![
                    sets::loaded(only),
                ]))))
            }
            StoredComponent::SetRw { pages, only } => {
                note_pages(&mut row, Kind::SetRw, pages, &mut is_paged);
                let names = PagedMap::from_pages(vec![sets::loaded_names(only)]);
                Component::SetRw(Box::new(names.into()))
            }
            StoredComponent::Map { pages, only } => {
                note_pages(&mut row, Kind::Map, pages, &mut is_paged);
                Component::Map(Box::new(loaded_map(vec![loaded_fields(only)])))
            }
            StoredComponent::SortedSet { pages, only } => {
                note_pages(&mut row, Kind::SortedSet, pages, &mut is_paged);
                let set = SortedSet::from_pages(vec![sorted_set::loaded(only)]);
                Component::SortedSet(Box::new(set))
            }
            StoredComponent::List(StoredList::Whole(list)) => {
                Component::List(Box::new(ListValue::new(list, row.hash)))
            }
            StoredComponent::List(StoredList::Paged { bound }) => {
                row.stored.push(Stored {
                    kind: Kind::List,
                    pages: bound,
                });
                is_paged = true;
                Component::List(Box::default())
            }
            StoredComponent::Stream(stored) => {
                let (bound, stream) = stored.load(row.hash)?;
                if bound > 0 {
                    let (kind, pages) = (Kind::Stream, bound);
                    row.stored.push(Stored { kind, pages });
                    is_paged = true;
                }
                Component::Stream(Box::new(stream))
            }
            StoredComponent::FlagEw(dots) => {
                Component::FlagEw(Box::new(dots.into_iter().collect::<EwFlag>()))
            }
            StoredComponent::FlagDw(flag) => Component::FlagDw(Box::new(flag)),
            StoredComponent::HyperLogLog(stored) => {
                Component::HyperLogLog(Box::new(loaded_sketches(stored).into()))
            }
            StoredComponent::BoundedCounter(counters) => {
                Component::BoundedCounter(Box::new(counters.into_iter().collect()))
            }
            StoredComponent::Trail(kind, trail) => {
                trails::load(&mut row, kind, trail.into_owned())?;
                continue;
            }
        };
        row.components.push(component);
    }
    Ok((row, is_paged))
}

fn note_pages(row: &mut Row, kind: Kind, pages: u32, is_paged: &mut bool) {
    if pages > 1 {
        row.stored.push(Stored { kind, pages });
        *is_paged = true;
    }
}

fn load_pages(row: &mut Row, scan: &mut ScanTable<'_>) -> Result<(), ImageError> {
    let key = row.key.clone();
    for stored in row.stored.clone().pages() {
        if stored.kind == Kind::List {
            let loaded = lists::load(&key, row.hash, scan)?;
            if let Some(Component::List(list)) = row.component_mut(Kind::List) {
                **list = loaded;
            }
            continue;
        }
        if stored.kind == Kind::Stream {
            if let Some(Component::Stream(stream)) = row.component_mut(Kind::Stream) {
                stream::load_pages(stream, &key, scan)?;
            }
            continue;
        }
        let mut failed = None;
        let mut members = Vec::new();
        let mut names = Vec::new();
        let mut fields = Vec::new();
        let mut scores = Vec::new();
        scan(&pages_prefix(&key, stored.kind), &mut |table_key, value| {
            let loaded = versioned(value, table_key).and_then(|bytes| {
                match stored.kind {
                    Kind::SetAw => members.push(sets::loaded(postcard::from_bytes(bytes)?)),
                    Kind::SetRw => names.push(sets::loaded_names(postcard::from_bytes(bytes)?)),
                    Kind::SortedSet => {
                        scores.push(sorted_set::loaded(postcard::from_bytes(bytes)?))
                    }
                    _ => fields.push(loaded_fields(postcard::from_bytes(bytes)?)),
                }
                Ok(())
            });
            failed = failed.take().or(loaded.err());
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let found = [members.len(), names.len(), fields.len(), scores.len()];
        let found = found.into_iter().sum::<usize>();
        if found != stored.pages as usize {
            let name = key.escape_ascii();
            return Err(ImageError::Content(format!(
                "key \"{name}\" has {found} of {} pages",
                stored.pages
            )));
        }
        let sound = match row.component_mut(stored.kind) {
            Some(Component::Set(set)) => {
                **set = PagedMap::from_pages(members).into();
                set.members.is_sound()
            }
            Some(Component::SetRw(set)) => {
                **set = PagedMap::from_pages(names).into();
                set.is_sound()
            }
            Some(Component::Map(map)) => {
                **map = loaded_map(fields);
                map.fields.is_sound()
            }
            Some(Component::SortedSet(set)) => {
                **set = SortedSet::from_pages(scores);
                set.members().is_sound()
            }
            _ => false,
        };
        if !sound {
            return Err(ImageError::Sum {
                key: key.escape_ascii().to_string(),
            });
        }
    }
    Ok(())
}

fn loaded_cell(versions: Vec<(Dot, Hlc, &[u8])>) -> Cell<Box<[u8]>> {
    versions
        .into_iter()
        .map(|(dot, hlc, value)| Version {
            dot,
            hlc,
            value: value.into(),
        })
        .collect()
}

fn loaded_sketches(stored: Vec<(Dot, Sketch)>) -> HyperLogLog {
    let mut sketches = HyperLogLog::new();
    for (dot, sketch) in stored {
        sketches.effect(dot, &Everything, HyperLogLogOp::Create(sketch));
    }
    sketches
}

fn loaded_fields(fields: Vec<StoredField<'_>>) -> Vec<(Box<[u8]>, Field)> {
    let field = |stored: StoredField<'_>| {
        let tally = loaded_tally(stored.contributions);
        (
            stored.name.into(),
            Field {
                cell: loaded_cell(stored.versions),
                tally,
            },
        )
    };
    fields.into_iter().map(field).collect()
}

fn loaded_tally(contributions: Vec<Contribution>) -> Option<Box<Tally>> {
    (!contributions.is_empty()).then(|| Box::new(contributions.into_iter().collect()))
}

fn loaded_map(pages: Vec<Vec<(Box<[u8]>, Field)>>) -> FieldMap {
    let fields = PagedMap::from_pages(pages);
    let live = fields.iter().filter(|(_, field)| field.is_live()).count();
    FieldMap { fields, live }
}
