//! Which pages the checkpoint has to write.

use smallvec::SmallVec;

use super::Page;
use super::spine::Spine;

/// Numbers of pages, a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    words: SmallVec<[u64; 2]>,
}

impl Numbers {
    /// All numbers below this one.
    pub(super) fn below(end: usize) -> Self {
        let mut words = SmallVec::from_elem(u64::MAX, end / 64);
        words.push((1 << (end % 64)) - 1);
        Numbers { words }
    }

    #[inline]
    pub(super) fn insert(&mut self, number: usize) {
        let word = number / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (number % 64);
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().enumerate();
        words.flat_map(|(index, word)| {
            let bits = (0..64).filter(move |bit| word & (1 << bit) != 0);
            bits.map(move |bit| index * 64 + bit)
        })
    }
}

/// Pages as they were when they were asked for. Asking costs nothing for each of them, however many they are; as long as
/// they are kept, writers copy what they change.
#[derive(Debug)]
pub(crate) struct ChangedPages<V> {
    pages: Spine<V>,
    numbers: Numbers,
}

impl<V> ChangedPages<V> {
    pub(super) fn new(pages: Spine<V>, numbers: Numbers) -> Self {
        ChangedPages { pages, numbers }
    }

    /// The pages with their numbers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Page<V>)> {
        let numbers = self.numbers.iter();
        numbers.map(|number| (number as u32, self.pages.get(number)))
    }
}
