//! A list as whoever stores it sees it: pages with numbers, of which some have changed.
//!
//! A page is a chunk: neighbouring elements of one run, with the position of the first. It keeps its number as long as
//! it exists, wherever in the list it lies, so that an insertion in the middle rewrites one page and not all that follow.
//! The order is rebuilt from the positions.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::body::Body;
use super::chunk::{CHUNK_MAX, Chunk};
use crate::op::List;

/// Neighbouring elements of a list, as they are stored: at most 64.
#[derive(Clone, Debug)]
pub struct ListPage<T: Clone>(pub(super) Chunk<T>);

impl<T: Clone> ListPage<T> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries().len()
    }

    /// Whether it has no element; a stored page has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What has changed in a list since it was asked the last time.
#[derive(Clone, Debug)]
pub struct ListChanges<T: Clone> {
    /// Pages that are new or hold something else now, with their numbers.
    pub changed: Vec<(u32, ListPage<T>)>,
    /// Numbers whose pages are not there any more.
    pub gone: Vec<u32>,
}

/// The numbers of a list's pages.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Arc<NumbersInner>);

#[derive(Clone, Debug, Default)]
struct NumbersInner {
    /// No number is greater than or equal to this one.
    bound: u32,
    /// Numbers below the bound that no page has.
    free: Vec<u32>,
    /// The same, but the stored list still has a page of that number.
    gone: Vec<u32>,
}

impl Numbers {
    /// All numbers are smaller.
    pub(super) fn bound(&self) -> u32 {
        self.0.bound
    }

    /// A page does not exist any more.
    pub(super) fn give_back(&mut self, number: Option<u32>) {
        if let Some(number) = number {
            Arc::make_mut(&mut self.0).gone.push(number);
        }
    }

    /// A number for a new page: one that is stored and will be written over, before one that is not.
    fn take(&mut self) -> u32 {
        let numbers = Arc::make_mut(&mut self.0);
        let used = numbers.gone.pop().or_else(|| numbers.free.pop());
        used.unwrap_or_else(|| {
            numbers.bound += 1;
            numbers.bound - 1
        })
    }

    fn take_gone(&mut self) -> Vec<u32> {
        if self.0.gone.is_empty() {
            return Vec::new();
        }
        let numbers = Arc::make_mut(&mut self.0);
        let gone = core::mem::take(&mut numbers.gone);
        numbers.free.extend_from_slice(&gone);
        gone
    }

    /// Those of stored pages, in ascending order. Of the gaps between them no more are remembered than there are pages.
    fn of(numbers: &[u32]) -> Self {
        let bound = numbers.last().map_or(0, |last| last + 1);
        let mut free = Vec::new();
        let mut next = 0;
        for number in numbers {
            let room = numbers.len() - free.len();
            free.extend((next..*number).take(room));
            next = number + 1;
        }
        Self(Arc::new(NumbersInner {
            bound,
            free,
            gone: Vec::new(),
        }))
    }
}

impl<T: Clone> List<T> {
    /// The pages that have changed since the last call, or since [`from_pages`](Self::from_pages); every page at the
    /// first call. O(changes · log n).
    pub fn take_changes(&mut self) -> ListChanges<T> {
        let Body {
            chunks, numbers, ..
        } = &mut self.body;
        let mut changed = Vec::new();
        chunks.each_changed(|chunk| {
            if !chunk.page.changed {
                return;
            }
            chunk.page.changed = false;
            let number = *chunk.page.number.get_or_insert_with(|| numbers.take());
            changed.push((number, ListPage(chunk.clone())));
        });
        let gone = numbers.take_gone();
        ListChanges { changed, gone }
    }

    /// All page numbers are below this one; zero as long as no page has a number.
    #[must_use]
    pub fn pages_bound(&self) -> u32 {
        self.body.numbers.bound()
    }

    /// Forgets all page numbers: O(n).
    pub fn forget_pages(&mut self) {
        let elements = self.body.iter();
        let elements = elements.map(|(position, entry)| (position, entry.clone()));
        self.body.replace(elements.collect());
    }

    /// The list of these pages, in any order: O(n log n) in their number.
    ///
    /// # Errors
    /// Two pages have one number, or one has too many elements, or some overlap.
    pub fn from_pages(
        pages: impl IntoIterator<Item = (u32, ListPage<T>)>,
    ) -> Result<Self, &'static str> {
        let mut numbers = Vec::new();
        let mut chunks = Vec::new();
        for (number, ListPage(mut chunk)) in pages {
            if number == u32::MAX || chunk.is_empty() || chunk.entries().len() > CHUNK_MAX {
                return Err("a page of a list is empty or too large, or its number is");
            }
            chunk.page.number = Some(number);
            chunk.page.changed = false;
            numbers.push(number);
            chunks.push(chunk);
        }
        numbers.sort_unstable();
        if !numbers.is_sorted_by(|left, right| left < right) {
            return Err("two pages of a list have one number");
        }
        chunks.sort_by(|left, right| left.first().cmp(right.first()));
        if !chunks.is_sorted_by(|left, right| left.last() < *right.first()) {
            return Err("pages of a list overlap");
        }
        let mut body = Body::of(chunks);
        body.chunks.each_changed(|_| {});
        body.numbers = Numbers::of(&numbers);
        Ok(Self {
            body,
            ..Self::default()
        })
    }
}
