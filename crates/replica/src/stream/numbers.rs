//! The numbers under which the pages of a stream are stored.

use std::sync::Arc;

/// A page keeps its number as long as it exists, wherever in the stream it lies; the order is rebuilt from the entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Arc<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    /// All numbers are smaller.
    bound: u32,
    /// Numbers below the bound that no page has.
    free: Vec<u32>,
    /// The same, but the table still has a page of that number.
    gone: Vec<u32>,
}

impl Numbers {
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
    pub(super) fn take(&mut self) -> u32 {
        let numbers = Arc::make_mut(&mut self.0);
        let used = numbers.gone.pop().or_else(|| numbers.free.pop());
        used.unwrap_or_else(|| {
            numbers.bound += 1;
            numbers.bound - 1
        })
    }

    /// The numbers whose pages have to leave the table.
    pub(super) fn take_gone(&mut self) -> Vec<u32> {
        if self.0.gone.is_empty() {
            return Vec::new();
        }
        let numbers = Arc::make_mut(&mut self.0);
        let gone = std::mem::take(&mut numbers.gone);
        numbers.free.extend_from_slice(&gone);
        gone
    }

    /// Those of stored pages, in ascending order. Of the gaps between them no more are remembered than there are pages.
    pub(super) fn of(numbers: &[u32]) -> Numbers {
        let mut free = Vec::new();
        let mut next = 0;
        for number in numbers {
            let room = numbers.len() - free.len();
            free.extend((next..*number).take(room));
            next = number + 1;
        }
        Numbers(Arc::new(Inner {
            bound: next,
            free,
            gone: Vec::new(),
        }))
    }
}
