//! A hash map in pages, for collections of any size.
//!
//! Linear hashing over small pages: growing splits one page at a time, so no insertion ever pays for the whole map. The
//! pages lie in a persistent tree (`spine.rs`): a snapshot costs the same however large the map is, and a write after it
//! copies one page and what leads to it. Pages are also the unit of the checkpoint: a changed element rewrites its page, not
//! the collection (W. Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980).

mod changed;
mod many;
mod spine;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use self::changed::ChangedPages;
use self::changed::Numbers;
pub(crate) use self::many::MANY;
use self::spine::Spine;
use crate::bound::{Bound, Bounded};
use crate::garbage::BURDEN_NODES;

/// A page splits when pages hold more than this many elements on average.
const PAGE_ITEMS: usize = 16;

/// An element of a page.
#[derive(Clone, Debug)]
pub(crate) struct Item<V> {
    pub(crate) key: Box<[u8]>,
    pub(crate) value: V,
}

/// Elements whose hashes share an address.
#[derive(Clone, Debug)]
pub(crate) struct Page<V> {
    /// The hashes of the items, beside each other: a search reads two cache lines instead of the whole page.
    hashes: Vec<u64>,
    items: Vec<Item<V>>,
}

impl<V> Page<V> {
    fn new() -> Self {
        Page {
            hashes: Vec::new(),
            items: Vec::new(),
        }
    }

    /// The elements, in no particular order.
    pub(crate) fn items(&self) -> &[Item<V>] {
        &self.items
    }

    fn hashed(&self) -> impl Iterator<Item = (u64, &Item<V>)> {
        self.hashes.iter().copied().zip(&self.items)
    }

    fn push(&mut self, hash: u64, item: Item<V>) {
        self.hashes.push(hash);
        self.items.push(item);
    }

    fn place(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.hashed()
            .position(|(other, item)| other == hash && *item.key == *key)
    }

    fn take(&mut self, place: usize) -> Item<V> {
        self.hashes.swap_remove(place);
        self.items.swap_remove(place)
    }

    /// Takes out the elements with these hashes.
    fn split_off(&mut self, goes: impl Fn(u64) -> bool) -> Self {
        let hashes = std::mem::take(&mut self.hashes).into_iter();
        let items = std::mem::take(&mut self.items).into_iter();
        let mut other = Page::new();
        for (hash, item) in hashes.zip(items) {
            match goes(hash) {
                true => other.push(hash, item),
                false => self.push(hash, item),
            }
        }
        other
    }
}

impl<V: Bounded> Bounded for Page<V> {
    fn raise(&self, bound: &mut Bound) {
        self.items.iter().for_each(|item| item.value.raise(bound));
    }
}

/// A map from bytes to `V`; see the module.
#[derive(Clone, Debug)]
pub(crate) struct PagedMap<V> {
    pages: Spine<V>,
    len: usize,
    changed: Numbers,
}

impl<V> PagedMap<V> {
    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of pages, at least one.
    pub(crate) fn pages_len(&self) -> usize {
        self.pages.len()
    }

    /// Whether it is large and nobody shares it: then dropping it takes long.
    pub(crate) fn is_burden(&self) -> bool {
        self.pages.unshared_nodes(BURDEN_NODES) == BURDEN_NODES
    }
}

impl<V: Clone + Bounded> PagedMap<V> {
    pub(crate) fn new() -> Self {
        let mut map = PagedMap {
            pages: Spine::new(),
            len: 0,
            changed: Numbers::default(),
        };
        map.pages.push(Page::new());
        map.changed.insert(0);
        map
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let hash = xxh3_64(key);
        let page = self.pages.get(self.address(hash));
        page.place(hash, key).map(|place| &page.items[place].value)
    }

    /// Changes the value at `key`: `change` gets the present one and says what to put in its place.
    ///
    /// Costs a copy of one page, and of what leads to it, if a snapshot still holds them.
    pub(crate) fn update<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Option<V>) -> R) -> R {
        let hash = xxh3_64(key);
        let address = self.address(hash);
        self.changed.insert(address);
        let len = &mut self.len;
        let (result, is_new) = self.pages.edit(address, |page| {
            let (old_key, mut value) = match page.place(hash, key).map(|place| page.take(place)) {
                Some(Item { key, value }) => (Some(key), Some(value)),
                None => (None, None),
            };
            let was_there = value.is_some();
            let result = change(&mut value);
            let is_there = value.is_some();
            let mut raised = Bound::default();
            if let Some(value) = value {
                value.raise(&mut raised);
                let key = old_key.unwrap_or_else(|| key.into());
                page.push(hash, Item { key, value });
            }
            *len = *len + usize::from(is_there) - usize::from(was_there);
            ((result, is_there && !was_there), raised)
        });
        if is_new {
            self.grow();
        }
        result
    }

    fn insert(&mut self, hash: u64, item: Item<V>) {
        let address = self.address(hash);
        self.changed.insert(address);
        self.pages.edit(address, |page| {
            let raised = item.value.bound();
            page.push(hash, item);
            ((), raised)
        });
        self.len += 1;
        self.grow();
    }

    /// What is left of the elements, as `left` says of each, in a map of its own. Elements are not looked at one by one
    /// where their bound says that all are `gone`.
    pub(crate) fn rebuilt(
        &self,
        mut gone: impl FnMut(&Bound) -> bool,
        mut left: impl FnMut(&[u8], &V) -> Option<V>,
    ) -> Self {
        let mut kept: SmallVec<[(u64, Item<V>); 4]> = SmallVec::new();
        let mut keep = |page: &Page<V>| {
            for (hash, item) in page.hashed() {
                if let Some(value) = left(&item.key, &item.value) {
                    let key = item.key.clone();
                    kept.push((hash, Item { key, value }));
                }
            }
        };
        self.pages.each(&mut |bound| !gone(bound), &mut keep);
        let mut map = PagedMap::new();
        kept.into_iter()
            .for_each(|(hash, item)| map.insert(hash, item));
        map
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.pages
            .iter()
            .flat_map(|page| page.items.iter().map(|item| (&*item.key, &item.value)))
    }

    /// Whether some element may have a counter.
    pub(crate) fn counts(&self) -> bool {
        self.pages.bound().counts()
    }

    /// Visits the elements of the parts whose bounds are `wanted`, and in a small map all.
    pub(crate) fn each_where<'s>(
        &'s self,
        mut wanted: impl FnMut(&Bound) -> bool,
        mut visit: impl FnMut(&'s [u8], &'s V),
    ) {
        self.pages.each(&mut wanted, &mut |page| {
            let items = page.items.iter();
            items.for_each(|item| visit(&item.key, &item.value));
        });
    }

    /// An element chosen by `random`; nearly uniform.
    pub(crate) fn random(&self, random: u64) -> Option<(&[u8], &V)> {
        let pages = self.pages.len();
        let start = (random % pages as u64) as usize;
        let page = (0..pages)
            .map(|step| self.pages.get((start + step) % pages))
            .find(|page| !page.items.is_empty())?;
        let item = &page.items[((random >> 32) % page.items.len() as u64) as usize];
        Some((&item.key, &item.value))
    }

    /// Visits the elements at `cursor` and following until at least `count` were seen; returns the next cursor, zero at
    /// the end. Elements that are there from the first call to the last are visited, however the map grows meanwhile:
    /// the cursor counts in reversed bits (as Redis's `dictScan`).
    pub(crate) fn scan(
        &self,
        mut cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&[u8], &V),
    ) -> u64 {
        let mask = self.pages.len().next_power_of_two() as u64 - 1;
        let mut seen = 0;
        loop {
            let bucket = cursor & mask;
            for (hash, item) in self.pages.get(self.address(bucket)).hashed() {
                if hash & mask == bucket {
                    each(&item.key, &item.value);
                    seen += 1;
                }
            }
            cursor = (cursor | !mask)
                .reverse_bits()
                .wrapping_add(1)
                .reverse_bits();
            if cursor == 0 || seen >= count {
                return cursor;
            }
        }
    }

    /// The pages changed since the last call, with their numbers.
    pub(crate) fn take_changed(&mut self) -> ChangedPages<V> {
        ChangedPages::new(self.pages.clone(), std::mem::take(&mut self.changed))
    }

    /// Every page, with its number; all of them count as taken.
    pub(crate) fn take_all(&mut self) -> ChangedPages<V> {
        self.changed = Numbers::default();
        ChangedPages::new(self.pages.clone(), Numbers::below(self.pages.len()))
    }

    /// The page of a map that has just one.
    pub(crate) fn only_page(&self) -> Option<&Page<V>> {
        (self.pages.len() == 1).then(|| self.pages.get(0))
    }

    /// A map from the elements of stored pages.
    pub(crate) fn from_pages(pages: Vec<Vec<(Box<[u8]>, V)>>) -> Self {
        if pages.is_empty() {
            return PagedMap::new();
        }
        let mut map = PagedMap {
            pages: Spine::new(),
            len: 0,
            changed: Numbers::default(),
        };
        for page in pages {
            let hashes: Vec<u64> = page.iter().map(|(key, _)| xxh3_64(key)).collect();
            let items = page.into_iter().map(|(key, value)| Item { key, value });
            map.len += hashes.len();
            map.pages.push(Page {
                hashes,
                items: items.collect(),
            });
        }
        map
    }

    /// Whether every element lies where its hash says, and within its bounds; stored pages are checked by it.
    pub(crate) fn is_sound(&self) -> bool {
        let mut pages = self.pages.iter().enumerate();
        pages.all(|(number, page)| page.hashes.iter().all(|hash| self.address(*hash) == number))
            && self.pages.is_sound()
    }

    fn address(&self, hash: u64) -> usize {
        let mask = self.pages.len().next_power_of_two() - 1;
        let address = hash as usize & mask;
        if address < self.pages.len() {
            address
        } else {
            address & (mask >> 1)
        }
    }

    fn grow(&mut self) {
        if self.len <= self.pages.len() * PAGE_ITEMS {
            return;
        }
        let new = self.pages.len();
        let all = (new + 1).next_power_of_two();
        let (split, mask) = (new - all / 2, all as u64 - 1);
        let moved = self.pages.edit(split, |page| {
            let moved = page.split_off(|hash| hash & mask == new as u64);
            (moved, Bound::default())
        });
        self.pages.push(moved);
        self.changed.insert(split);
        self.changed.insert(new);
    }

    /// Reads a part of what a search for `key` reads, and no more than that; see `warm.rs`.
    pub(crate) fn warm(&self, key: &[u8], depth: Depth) -> usize {
        let hash = xxh3_64(key);
        let page = self.pages.get(self.address(hash));
        match depth {
            Depth::Page => page.items.len(),
            Depth::Hashes => page.hashes.first().map_or(0, |hash| *hash as usize),
            Depth::Item => page
                .place(hash, key)
                .map_or(0, |place| page.items[place].key.len()),
        }
    }
}

/// How far [`PagedMap::warm`] follows a key: each step reads what the one before points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The page.
    Page,
    /// The hashes in it.
    Hashes,
    /// The element.
    Item,
}

#[cfg(test)]
mod tests;
