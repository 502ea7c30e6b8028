//! Looking for many elements at once: page by page, so that memory is waited for once per page and not once per element.

use xxhash_rust::xxh3::xxh3_64;

use super::{Item, PagedMap};
use crate::bound::{Bound, Bounded};

/// From so many on it pays to sort them first.
pub(crate) const MANY: usize = 64;

/// A key that is looked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sought {
    address: usize,
    hash: u64,
    index: usize,
}

impl<V: Clone + Bounded> PagedMap<V> {
    /// Shows the values of these keys with the keys' indices, in no particular order; of keys that are equal the first.
    pub(crate) fn find_each(&self, keys: &[&[u8]], mut found: impl FnMut(usize, &V)) {
        let sought = self.sought(keys.iter().copied());
        for (nth, place) in sought.iter().enumerate() {
            let key = keys[place.index];
            let mut alike = sought[..nth]
                .iter()
                .rev()
                .take_while(|earlier| earlier.hash == place.hash);
            if alike.any(|earlier| keys[earlier.index] == key) {
                continue;
            }
            let page = self.pages.get(place.address);
            if let Some(at) = page.place(place.hash, key) {
                found(place.index, &page.items[at].value);
            }
        }
    }

    /// Changes the values of the named elements that are there, in no particular order: each may go, as in
    /// [`update`](Self::update). `change` gets the index of the name.
    pub(crate) fn change_each<N>(
        &mut self,
        names: &[N],
        key: impl Fn(&N) -> &[u8],
        mut change: impl FnMut(usize, &mut Option<V>),
    ) {
        if names.len() < MANY {
            for (index, name) in names.iter().enumerate() {
                self.update(key(name), |slot| change(index, slot));
            }
            return;
        }
        let sought = self.sought(names.iter().map(&key));
        for some in sought.chunk_by(|one, other| one.address == other.address) {
            let address = some[0].address;
            self.changed.insert(address);
            let len = &mut self.len;
            self.pages.edit(address, |page| {
                let mut raised = Bound::default();
                for place in some {
                    let Some(at) = page.place(place.hash, key(&names[place.index])) else {
                        continue;
                    };
                    let Item { key, value } = page.take(at);
                    let mut value = Some(value);
                    change(place.index, &mut value);
                    match value {
                        None => *len -= 1,
                        Some(value) => {
                            value.raise(&mut raised);
                            page.push(place.hash, Item { key, value });
                        }
                    }
                }
                ((), raised)
            });
        }
    }

    fn sought<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Vec<Sought> {
        let places = keys.enumerate().map(|(index, key)| {
            let hash = xxh3_64(key);
            let address = self.address(hash);
            Sought {
                address,
                hash,
                index,
            }
        });
        let mut sought: Vec<Sought> = places.collect();
        sought.sort_unstable();
        sought
    }
}
