//! A hash map in pages, for collections of any size.
//!
//! Linear hashing over small pages behind `Arc`s: growing splits one page at a time, so no insertion ever pays for the
//! whole map; a snapshot clones the page pointers and leaves, and a write after it copies one page. Pages are also the
//! unit of the checkpoint: a changed element rewrites its page, not the collection (W. Litwin, "Linear hashing: a new
//! tool for file and table addressing", VLDB 1980).

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

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
    dirty: bool,
    /// The hashes of the items, beside each other: a search reads two cache lines instead of the whole page.
    hashes: Vec<u64>,
    items: Vec<Item<V>>,
}

impl<V> Page<V> {
    fn new() -> Self {
        Page {
            dirty: true,
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
}

/// A map from bytes to `V`; see the module.
#[derive(Clone, Debug)]
pub(crate) struct PagedMap<V> {
    pages: Vec<Arc<Page<V>>>,
    len: usize,
    dirty: Vec<u32>,
}

impl<V: Clone> PagedMap<V> {
    pub(crate) fn new() -> Self {
        PagedMap {
            pages: vec![Arc::new(Page::new())],
            len: 0,
            dirty: vec![0],
        }
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of pages, at least one.
    pub(crate) fn pages_len(&self) -> usize {
        self.pages.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let hash = xxh3_64(key);
        let page = &self.pages[self.address(hash)];
        page.place(hash, key).map(|place| &page.items[place].value)
    }

    /// Changes the value at `key`: `change` gets the present one and says what to put in its place.
    ///
    /// Costs one page copy if a snapshot still holds the page.
    pub(crate) fn update<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Option<V>) -> R) -> R {
        let hash = xxh3_64(key);
        let address = self.address(hash);
        let page = self.touch(address);
        let (old_key, mut value) = match page.place(hash, key).map(|place| page.take(place)) {
            Some(Item { key, value }) => (Some(key), Some(value)),
            None => (None, None),
        };
        let was_there = value.is_some();
        let result = change(&mut value);
        let is_there = value.is_some();
        if let Some(value) = value {
            let key = old_key.unwrap_or_else(|| key.into());
            page.push(hash, Item { key, value });
        }
        self.len = self.len + usize::from(is_there) - usize::from(was_there);
        if is_there && !was_there {
            self.grow();
        }
        result
    }

    /// Keeps what `keep` says; `keep` may change the values.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut V) -> bool) {
        for address in 0..self.pages.len() {
            if self.pages[address].items.is_empty() {
                continue;
            }
            let page = self.touch(address);
            let before = page.items.len();
            let items = std::mem::take(&mut page.items).into_iter();
            let hashes = std::mem::take(&mut page.hashes).into_iter();
            for (hash, mut item) in hashes.zip(items) {
                if keep(&item.key, &mut item.value) {
                    page.push(hash, item);
                }
            }
            let removed = before - page.items.len();
            self.len -= removed;
        }
        if self.len == 0 {
            *self = PagedMap::new();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.pages
            .iter()
            .flat_map(|page| page.items.iter().map(|item| (&*item.key, &item.value)))
    }

    /// An element chosen by `random`; nearly uniform.
    pub(crate) fn random(&self, random: u64) -> Option<(&[u8], &V)> {
        let pages = self.pages.len();
        let start = (random % pages as u64) as usize;
        let page = (0..pages)
            .map(|step| &self.pages[(start + step) % pages])
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
            for (hash, item) in self.pages[self.address(bucket)].hashed() {
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
    pub(crate) fn take_dirty(&mut self) -> Vec<(u32, Arc<Page<V>>)> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.retain(|number| (*number as usize) < self.pages.len());
        dirty
            .into_iter()
            .map(|number| {
                let page = &mut self.pages[number as usize];
                Arc::make_mut(page).dirty = false;
                (number, Arc::clone(page))
            })
            .collect()
    }

    /// Every page, with its number.
    pub(crate) fn all_pages(&self) -> Vec<(u32, Arc<Page<V>>)> {
        self.pages
            .iter()
            .enumerate()
            .map(|(number, page)| (number as u32, Arc::clone(page)))
            .collect()
    }

    /// The page of a map that has just one.
    pub(crate) fn only_page(&self) -> Option<&Page<V>> {
        match &self.pages[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// A map from the elements of stored pages.
    pub(crate) fn from_pages(pages: Vec<Vec<(Box<[u8]>, V)>>) -> Self {
        let mut map = PagedMap {
            pages: Vec::with_capacity(pages.len().max(1)),
            len: 0,
            dirty: Vec::new(),
        };
        for page in pages {
            let hashes: Vec<u64> = page.iter().map(|(key, _)| xxh3_64(key)).collect();
            let items = page.into_iter().map(|(key, value)| Item { key, value });
            map.len += hashes.len();
            map.pages.push(Arc::new(Page {
                dirty: false,
                hashes,
                items: items.collect(),
            }));
        }
        if map.pages.is_empty() {
            PagedMap::new()
        } else {
            map
        }
    }

    /// Whether every element lies where its hash says; stored pages are checked by it.
    pub(crate) fn is_sound(&self) -> bool {
        self.pages
            .iter()
            .enumerate()
            .all(|(number, page)| page.hashes.iter().all(|hash| self.address(*hash) == number))
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

    fn touch(&mut self, address: usize) -> &mut Page<V> {
        let page = Arc::make_mut(&mut self.pages[address]);
        if !page.dirty {
            page.dirty = true;
            self.dirty.push(address as u32);
        }
        page
    }

    fn grow(&mut self) {
        if self.len <= self.pages.len() * PAGE_ITEMS {
            return;
        }
        let new = self.pages.len();
        let split = new - (new + 1).next_power_of_two() / 2;
        self.pages.push(Arc::new(Page::new()));
        self.dirty.push(new as u32);
        let page = self.touch(split);
        let hashes = std::mem::take(&mut page.hashes).into_iter();
        let items = std::mem::take(&mut page.items).into_iter();
        for (hash, item) in hashes.zip(items) {
            let address = self.address(hash);
            self.touch(address).push(hash, item);
        }
    }

    /// Reads a part of what a search for `key` reads, and no more than that; see `warm.rs`.
    pub(crate) fn warm(&self, key: &[u8], depth: Depth) -> usize {
        let hash = xxh3_64(key);
        let page = &self.pages[self.address(hash)];
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
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn put(map: &mut PagedMap<u32>, key: &[u8], value: u32) {
        map.update(key, |slot| *slot = Some(value));
    }

    #[test]
    fn a_snapshot_does_not_see_later_writes() {
        let mut map = PagedMap::new();
        (0..1000u32).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
        let snapshot = map.clone();
        map.retain(|_, _| false);
        assert_eq!(
            (map.len(), snapshot.len(), snapshot.iter().count()),
            (0, 1000, 1000)
        );
    }

    #[test]
    fn a_scan_sees_what_stays_although_the_map_grows() {
        let mut map = PagedMap::new();
        (0..500u32).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
        let (mut cursor, mut seen, mut added) = (0, BTreeSet::new(), 500u32);
        loop {
            cursor = map.scan(cursor, 10, &mut |_, value| _ = seen.insert(*value));
            (added..added + 100).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
            added += 100;
            if cursor == 0 {
                break;
            }
        }
        assert!((0..500).all(|n| seen.contains(&n)));
    }

    #[test]
    fn dirty_pages_rebuild_the_map() {
        let mut map = PagedMap::new();
        let mut stored: Vec<Vec<(Box<[u8]>, u32)>> = Vec::new();
        for round in 0..20u32 {
            (round * 50..round * 50 + 50).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
            map.update(&(round * 7).to_le_bytes(), |slot| *slot = None);
            stored.resize(map.pages_len(), Vec::new());
            for (number, page) in map.take_dirty() {
                stored[number as usize] = page
                    .items()
                    .iter()
                    .map(|i| (i.key.clone(), i.value))
                    .collect();
            }
        }
        let rebuilt = PagedMap::from_pages(stored);
        assert!(rebuilt.is_sound());
        let content = |map: &PagedMap<u32>| {
            map.iter()
                .map(|(k, v)| (k.to_vec(), *v))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(content(&rebuilt), content(&map));
    }

    proptest! {
        #[test]
        fn it_is_a_map(ops in prop::collection::vec((any::<bool>(), 0u16..400), 0..2000)) {
            let mut map = PagedMap::new();
            let mut model = BTreeMap::new();
            for (add, key) in ops {
                let bytes = key.to_le_bytes();
                if add {
                    put(&mut map, &bytes, u32::from(key));
                    model.insert(bytes.to_vec(), u32::from(key));
                } else {
                    map.update(&bytes, |slot| *slot = None);
                    model.remove(&bytes[..]);
                }
            }
            prop_assert!(map.is_sound());
            prop_assert_eq!(map.len(), model.len());
            let content: BTreeMap<_, _> = map.iter().map(|(k, v)| (k.to_vec(), *v)).collect();
            prop_assert_eq!(content, model);
        }
    }
}
