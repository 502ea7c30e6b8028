//! Entries in the order of their ids.

mod group;
mod group_change;
mod groups;
mod id;
mod numbers;
mod page;

use std::cmp::Ordering;

use isles_clock::Context;
use isles_crdt::counted_tree::CountedTree;
use isles_crdt::op::Cell;
use serde::{Deserialize, Serialize};

use crate::bound::Bound;
use crate::garbage::BURDEN_NODES;

pub(crate) use self::group::{Delivery, Group, Mark, Pending};
pub(crate) use self::groups::{Groups, Writer};
pub use self::id::StreamId;
use self::numbers::Numbers;
use self::page::PAGE_ENTRIES_MAX;
pub(crate) use self::page::{Entry, Fields, Name, Page};

/// What a stream knows beside its entries. Every addition writes it anew.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StreamMark {
    /// New entries get greater ids.
    pub last: StreamId,
    /// How many entries its writer knew to have been added, the removed ones included.
    pub added: u64,
}

/// The entries of a stream, and what is left of those that were removed.
///
/// A clone shares everything. With *n* entries, an id is found in O(log n), and an addition or removal costs O(log n).
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    // Invariant: pages come in the order of their entries' names, each of which is there once.
    pages: CountedTree<Page>,
    numbers: Numbers,
    /// The marks that nothing has observed: the stream is there while there is one, entries or not.
    pub(crate) marks: Cell<StreamMark>,
    /// The greatest ids that XDEL has removed, as far as nothing has observed them.
    pub(crate) deleted: Cell<StreamId>,
    /// The consumer groups.
    pub(crate) groups: Groups,
}

/// The pages that the table lacks, and the numbers of those that it has in excess.
pub(crate) struct Changes {
    pub(crate) changed: Vec<(u32, Page)>,
    pub(crate) gone: Vec<u32>,
}

impl Stream {
    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.pages.weight()
    }

    /// Whether readers see it, perhaps without entries.
    pub(crate) fn is_live(&self) -> bool {
        !self.marks.is_empty() || self.len() > 0 || !self.groups.is_empty()
    }

    pub(crate) fn is_gone(&self) -> bool {
        !self.is_live() && self.deleted.is_empty()
    }

    /// What readers see of the marks: the greatest of each.
    pub(crate) fn mark(&self) -> StreamMark {
        let marks = self.marks.versions().iter().map(|version| version.value);
        marks.fold(StreamMark::default(), |one, other| StreamMark {
            last: one.last.max(other.last),
            added: one.added.max(other.added),
        })
    }

    /// The greatest id that XDEL has removed.
    pub(crate) fn max_deleted(&self) -> StreamId {
        let ids = self.deleted.versions().iter().map(|version| version.value);
        ids.max().unwrap_or_default()
    }

    pub(crate) fn first(&self) -> Option<&Entry> {
        self.at(0)
    }

    pub(crate) fn last(&self) -> Option<&Entry> {
        self.at(self.len().checked_sub(1)?)
    }

    pub(crate) fn at(&self, index: usize) -> Option<&Entry> {
        let (page, inside) = self.pages.at(index)?;
        Some(&page.entries()[inside])
    }

    /// How many entries have a smaller id.
    pub(crate) fn rank(&self, id: StreamId) -> usize {
        let floor = self.pages.floor(|name| match name.id < id {
            true => Ordering::Less,
            false => Ordering::Greater,
        });
        floor.map_or(0, |(before, page)| {
            before + page.entries().partition_point(|entry| entry.name.id < id)
        })
    }

    /// The entries from this index on.
    pub(crate) fn iter_from(&self, index: usize) -> impl Iterator<Item = &Entry> {
        let pages = self.pages.iter_from(index);
        pages.flat_map(|(page, inside)| &page.entries()[inside..])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.iter_from(0)
    }

    /// The entries before this index, the nearest first.
    pub(crate) fn iter_back_from(&self, index: usize) -> impl Iterator<Item = &Entry> {
        let mut end = index.min(self.len());
        let pages = std::iter::from_fn(move || {
            let (page, inside) = self.pages.at(end.checked_sub(1)?)?;
            end -= inside + 1;
            Some(page.entries()[..=inside].iter().rev())
        });
        pages.flatten()
    }

    /// The entries with this id, by dot.
    pub(crate) fn with_id(&self, id: StreamId) -> impl Iterator<Item = &Entry> {
        let from = self.iter_from(self.rank(id));
        from.take_while(move |entry| entry.name.id == id)
    }

    /// Finds out how far the groups of a name have delivered everything: O(entries delivered since it was last asked).
    pub(crate) fn advance_groups(&mut self, name: &[u8]) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.advance(name, self);
        self.groups = groups;
    }

    /// Puts an entry in its place, unless it is there.
    pub(crate) fn insert(&mut self, entry: Entry) -> bool {
        let name = entry.name;
        self.groups.note_entry(name.id);
        self.pages.edit_floor(
            |other| other.cmp(&name),
            |pages, floor| {
                let at = floor.unwrap_or(0);
                let Some(page) = pages.get_mut(at) else {
                    pages.push(Page::of(vec![entry]));
                    return true;
                };
                let place = page.place(&name);
                let len = page.entries().len();
                if page
                    .entries()
                    .get(place)
                    .is_some_and(|found| found.name == name)
                {
                    return false;
                }
                if page.has_room(&entry) {
                    page.insert(place, entry);
                } else if place == len {
                    pages.insert(at + 1, Page::of(vec![entry]));
                } else if place == 0 {
                    pages.insert(at, Page::of(vec![entry]));
                } else {
                    let tail = page.split_off(place);
                    pages.insert(at + 1, Page::of(vec![entry]));
                    pages.insert(at + 2, tail);
                }
                true
            },
        )
    }

    /// Removes the entries with this id that the context covers; each is told.
    pub(crate) fn remove(
        &mut self,
        id: StreamId,
        context: &impl Context,
        told: &mut impl FnMut(&Entry),
    ) {
        let names: Vec<Name> = self.with_id(id).map(|entry| entry.name).collect();
        for name in names.into_iter().filter(|name| context.covers(name.dot)) {
            let numbers = &mut self.numbers;
            self.pages.edit_floor(
                |other| other.cmp(&name),
                |pages, floor| {
                    let Some(at) = floor else { return };
                    pages[at].remove(|entry| entry.name == name, told);
                    tidy(pages, at, numbers);
                },
            );
        }
    }

    /// Removes the entries up to this id that the context covers; each is told. Costs what it removes, and what it passes
    /// over because nobody whom the context covers has written it.
    pub(crate) fn trim(
        &mut self,
        through: StreamId,
        context: &impl Context,
        told: &mut impl FnMut(&Entry),
    ) {
        let mut kept = 0;
        let goes = |entry: &Entry| entry.name.id <= through && context.covers(entry.name.dot);
        while self.at(kept).is_some_and(|entry| entry.name.id <= through) {
            let numbers = &mut self.numbers;
            // All pages of one leaf of the tree.
            kept += self.pages.edit_at(kept, |pages, from, _| {
                for page in &mut pages[from..] {
                    if page.entries()[0].name.id > through {
                        break;
                    }
                    page.remove(goes, told);
                }
                let mut stay = 0;
                let mut at = 0;
                pages.retain(|page| {
                    let is_empty = at >= from && page.entries().is_empty();
                    if is_empty {
                        numbers.give_back(page.number);
                    } else if at >= from {
                        stay += page.entries().len();
                    }
                    at += 1;
                    !is_empty
                });
                stay
            });
        }
    }

    /// Whether a trim through this id takes so large a part of the stream that [`sweep`](Self::sweep) is worth it.
    pub(crate) fn is_swept(&self, through: StreamId) -> bool {
        let goes = through.next().map_or(self.len(), |after| self.rank(after));
        goes >= SWEPT_MIN && goes.saturating_mul(4) >= self.len()
    }

    /// Does what [`trim`](Self::trim) does, in one walk over the pages that looks at entries only where it must; returns
    /// the stream as it was.
    pub(crate) fn sweep(&mut self, through: StreamId, context: &impl Context) -> Stream {
        let before = self.clone();
        let observed = self.pages.summary().is_covered(context);
        let goes = |entry: &Entry| {
            entry.name.id <= through && (observed || context.covers(entry.name.dot))
        };
        let mut kept = Vec::new();
        for page in before.pages.iter() {
            let [first, last] = [
                &page.entries()[0],
                &page.entries()[page.entries().len() - 1],
            ];
            if first.name.id > through {
                kept.push(page.clone());
                continue;
            }
            let all = last.name.id <= through && observed;
            let mut left = (!all).then(|| page.clone());
            if let Some(page) = &mut left {
                page.remove(goes, &mut |_| {});
            }
            match left.filter(|page| !page.entries().is_empty()) {
                Some(page) => kept.push(page),
                None => self.numbers.give_back(page.number),
            }
        }
        self.pages = kept.into_iter().collect();
        before
    }

    /// Removes all that the context covers; returns the stream as it was. Entries are looked at only beside what it does not
    /// cover.
    pub(crate) fn clear(&mut self, context: &impl Context) -> Stream {
        let before = self.clone();
        let is_gone = |bound: &Bound| bound.is_covered(context);
        let kept = self.pages.left_of(is_gone, |page| page.without(context));
        self.set_pages(kept);
        self.numbers = Numbers::default();
        self.marks.remove(context);
        self.deleted.remove(context);
        self.groups.clear(context);
        before
    }

    /// Whether it is large and nobody shares it: then dropping it takes long.
    pub(crate) fn is_burden(&self) -> bool {
        self.pages.unshared_nodes(BURDEN_NODES) == BURDEN_NODES
    }

    /// Number of pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages.iter().count()
    }

    /// Whether it is so small that it may lie in its row, which is written at every change.
    pub(crate) fn is_small(&self) -> bool {
        let bytes = || self.pages.iter().map(Page::bytes).sum::<usize>();
        self.len() <= PAGE_ENTRIES_MAX && bytes() <= HEADER_BYTES_MAX
    }

    /// All page numbers are smaller; zero as long as no page has a number.
    pub(crate) fn pages_bound(&self) -> u32 {
        self.numbers.bound()
    }

    /// The pages that have changed since the last call; all of them at the first call. O(changes · log n).
    pub(crate) fn take_changes(&mut self) -> Changes {
        let (numbers, mut changed) = (&mut self.numbers, Vec::new());
        self.pages.each_changed(|page| {
            if std::mem::replace(&mut page.changed, false) {
                let number = *page.number.get_or_insert_with(|| numbers.take());
                changed.push((number, page.clone()));
            }
        });
        Changes {
            changed,
            gone: self.numbers.take_gone(),
        }
    }

    /// Forgets under which numbers its pages are stored: for a small one, which lies in its row.
    pub(crate) fn forget_pages(&mut self) {
        if self.pages_bound() > 0 {
            let entries: Vec<Entry> = self.iter().cloned().collect();
            self.set_pages(pages_of(entries));
            self.numbers = Numbers::default();
        }
    }

    /// Takes in the entries of stored pages, in any order.
    ///
    /// # Errors
    /// Says why these are not pages of a stream.
    pub(crate) fn load(&mut self, stored: Vec<(u32, Vec<Entry>)>) -> Result<(), &'static str> {
        let mut numbers = Vec::with_capacity(stored.len());
        let mut pages = Vec::with_capacity(stored.len());
        for (number, entries) in stored {
            if entries.is_empty() || entries.len() > PAGE_ENTRIES_MAX || number == u32::MAX {
                return Err("a page of a stream is empty or too large, or its number is");
            }
            numbers.push(number);
            let mut page = Page::of(entries);
            (page.number, page.changed) = (Some(number), false);
            pages.push(page);
        }
        numbers.sort_unstable();
        if !numbers.is_sorted_by(|one, other| one < other) {
            return Err("two pages of a stream have one number");
        }
        pages.sort_by_key(|page| page.entries()[0].name);
        self.set_pages(pages);
        self.pages.each_changed(|_| {});
        self.numbers = Numbers::of(&numbers);
        match self.is_sound() {
            true => Ok(()),
            false => Err("entries of a stream are out of order"),
        }
    }

    /// Takes in the entries of a small stream.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn load_small(&mut self, entries: Vec<Entry>) -> Result<(), &'static str> {
        self.set_pages(pages_of(entries));
        match self.is_sound() {
            true => Ok(()),
            false => Err("entries of a stream are out of order"),
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        let names = self.iter().map(|entry| entry.name);
        names.is_sorted_by(|one, other| one < other)
            && self.iter().count() == self.len()
            && self.pages.iter().all(Page::is_sound)
            && self.pages.is_sound(Bound::includes)
    }

    fn set_pages(&mut self, pages: Vec<Page>) {
        self.pages = pages.into_iter().collect();
    }
}

/// Fewer entries are removed one by one.
const SWEPT_MIN: usize = 256;

/// The same for the bytes of its fields.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// Cuts entries, which come in order, into pages.
fn pages_of(entries: Vec<Entry>) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    for entry in entries {
        match pages.last_mut().filter(|page| page.has_room(&entry)) {
            Some(page) => page.insert(page.entries().len(), entry),
            None => pages.push(Page::of(vec![entry])),
        }
    }
    pages
}

/// Takes out the page at this place if it is empty, and joins it with one beside it if both are small.
fn tidy(pages: &mut Vec<Page>, at: usize, numbers: &mut Numbers) {
    if pages[at].entries().is_empty() {
        numbers.give_back(pages.remove(at).number);
        return;
    }
    let fits = |first: usize| {
        let next = pages.get(first + 1);
        next.is_some_and(|next| pages[first].can_join(next))
    };
    if let Some(first) = [at, at.wrapping_sub(1)]
        .into_iter()
        .find(|first| *first < pages.len() && fits(*first))
    {
        let next = pages.remove(first + 1);
        numbers.give_back(next.number);
        pages[first].join(next);
    }
}

#[cfg(test)]
mod tests;
