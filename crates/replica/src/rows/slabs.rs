//! Room for things of one size, by number; what lies there never moves by itself.
//!
//! The lowest room that is free is taken first, and slabs in which nothing is left are given back: so what is many for a
//! moment, as rows are while they are loaded, does not keep its room.

/// Things per slab: growing never moves one.
const SLAB: usize = 1 << 10;
const WORDS: usize = SLAB / 64;

/// Things by number.
#[derive(Debug)]
pub(super) struct Slabs<T> {
    slabs: Vec<Vec<Option<T>>>,
    rooms: Vec<Room>,
    /// One bit per slab that has room.
    roomy: Vec<u64>,
    len: usize,
}

/// Which places of a slab are taken.
#[derive(Clone, Debug, Default)]
struct Room {
    taken: [u64; WORDS],
    count: usize,
}

impl<T> Default for Slabs<T> {
    fn default() -> Self {
        Slabs {
            slabs: Vec::new(),
            rooms: Vec::new(),
            roomy: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slabs<T> {
    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All numbers are less than this.
    pub(super) fn bound(&self) -> u32 {
        let full = self.slabs.len().saturating_sub(1) * SLAB;
        (full + self.slabs.last().map_or(0, Vec::len)) as u32
    }

    /// Whether what has this number would find room far below: in so few slabs that they would be nearly full.
    pub(super) fn is_stray(&self, number: u32) -> bool {
        let dense = self.len + self.len / 4 + SLAB;
        number as usize >= dense
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.slabs.get(number / SLAB)?.get(number % SLAB)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        let slab = self.slabs.get_mut(number / SLAB)?;
        slab.get_mut(number % SLAB)?.as_mut()
    }

    /// Puts a thing where there is room, and says where.
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        let slab = super::next_in(&self.roomy, 0).unwrap_or_else(|| self.grow());
        let room = &mut self.rooms[slab];
        let place = room.take();
        if room.count == SLAB {
            self.roomy[slab / 64] &= !(1 << (slab % 64));
        }
        let things = &mut self.slabs[slab];
        if things.capacity() == 0 {
            things.reserve_exact(SLAB);
        }
        match things.get_mut(place) {
            Some(free) => *free = Some(thing),
            None => {
                things.resize_with(place, || None);
                things.push(Some(thing));
            }
        }
        self.len += 1;
        (slab * SLAB + place) as u32
    }

    fn grow(&mut self) -> usize {
        let slab = self.slabs.len();
        self.slabs.push(Vec::new());
        self.rooms.push(Room::default());
        self.roomy.resize(slab / 64 + 1, 0);
        self.roomy[slab / 64] |= 1 << (slab % 64);
        slab
    }

    /// Takes a thing out.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let (slab, place) = (number as usize / SLAB, number as usize % SLAB);
        let thing = self.slabs.get_mut(slab)?.get_mut(place)?.take()?;
        let room = &mut self.rooms[slab];
        room.taken[place / 64] &= !(1 << (place % 64));
        room.count -= 1;
        if room.count == 0 {
            self.slabs[slab] = Vec::new();
        }
        self.roomy[slab / 64] |= 1 << (slab % 64);
        self.len -= 1;
        self.trim();
        Some(thing)
    }

    /// Forgets the last slabs if nothing is in them.
    fn trim(&mut self) {
        while self.rooms.last().is_some_and(|room| room.count == 0) {
            self.rooms.pop();
            self.slabs.pop();
            let slab = self.slabs.len();
            self.roomy[slab / 64] &= !(1 << (slab % 64));
        }
    }

    /// The first number from this one on that is taken.
    pub(super) fn next(&self, number: u32) -> Option<u32> {
        let (mut slab, mut place) = (number as usize / SLAB, number as usize % SLAB);
        while let Some(room) = self.rooms.get(slab) {
            if room.count > 0
                && let Some(found) = super::next_in(&room.taken, place)
            {
                return Some((slab * SLAB + found) as u32);
            }
            (slab, place) = (slab + 1, 0);
        }
        None
    }
}

impl Room {
    /// The first place that is free, which is taken from here on.
    fn take(&mut self) -> usize {
        let free = |word: &u64| *word != u64::MAX;
        let word = self.taken.iter().position(free);
        let word = word.expect("invariant: there is room in a slab that has room");
        let bit = self.taken[word].trailing_ones() as usize;
        self.taken[word] |= 1 << bit;
        self.count += 1;
        word * 64 + bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_room_is_taken_first_and_empty_slabs_are_given_back() {
        let mut slabs = Slabs::default();
        let numbers: Vec<u32> = (0..3000).map(|thing| slabs.insert(thing)).collect();
        assert!(numbers.iter().copied().eq(0..3000));
        let removed: Vec<_> = (1000..2048).map(|number| slabs.remove(number)).collect();
        assert!(removed.into_iter().eq((1000..2048).map(Some)));
        assert_eq!(slabs.slabs[1].capacity(), 0);
        assert_eq!((slabs.get(999), slabs.get(1000)), (Some(&999), None));
        assert_eq!((slabs.next(0), slabs.next(1000)), (Some(0), Some(2048)));
        assert_eq!((slabs.next(3000), slabs.remove(1500)), (None, None));
        assert_eq!((slabs.remove(2999), slabs.bound()), (Some(2999), 3000));
        (2048..2999).for_each(|number| _ = slabs.remove(number));
        assert_eq!((slabs.len(), slabs.bound()), (1000, 1024));
        let again: Vec<u32> = (0..50).map(|thing| slabs.insert(thing)).collect();
        assert!(again.into_iter().eq(1000..1050));
    }

    #[test]
    fn what_lies_far_above_all_others_is_a_stray() {
        let mut slabs = Slabs::default();
        (0..5000).for_each(|thing| _ = slabs.insert(thing));
        assert!(!slabs.is_stray(4999));
        (0..4999).for_each(|number| _ = slabs.remove(number));
        assert!(slabs.is_stray(4999));
        assert_eq!(slabs.insert(7), 0);
        assert!(!slabs.is_stray(0));
    }
}
