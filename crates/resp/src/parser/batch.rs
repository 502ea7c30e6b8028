//! Where the commands of a buffer are.

use std::ops::Range;

/// Argument places that a batch keeps room for between requests.
const SPARE_ARGUMENTS_MAX: usize = 64 * 1024;

/// A place in a buffer. Requests are at most 4 GiB long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn back(self, by: usize) -> Span {
        Span {
            start: self.start - by as u32,
            end: self.end - by as u32,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Complete commands of one buffer, as places in it.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) arguments: Vec<Span>,
    pub(super) commands: Vec<Command>,
}

impl Batch {
    /// No commands.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Number of complete commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether no command is complete.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The arguments of a command, its name first; `buffer` is what was parsed.
    pub fn arguments<'b>(
        &self,
        index: usize,
        buffer: &'b [u8],
    ) -> impl ExactSizeIterator<Item = &'b [u8]> {
        self.spans(index)
            .iter()
            .map(move |span| &buffer[span.range()])
    }

    pub(crate) fn name<'b>(&self, index: usize, buffer: &'b [u8]) -> &'b [u8] {
        &buffer[self.arguments[self.commands[index].first as usize].range()]
    }

    /// One argument of a command, its name being the first.
    pub(crate) fn argument<'b>(
        &self,
        index: usize,
        at: usize,
        buffer: &'b [u8],
    ) -> Option<&'b [u8]> {
        self.spans(index).get(at).map(|span| &buffer[span.range()])
    }

    fn spans(&self, index: usize) -> &[Span] {
        let Command { first, count } = self.commands[index];
        &self.arguments[first as usize..(first + count) as usize]
    }

    /// Appends a complete command.
    pub(crate) fn push(&mut self, spans: impl Iterator<Item = Span>) {
        let first = self.arguments.len();
        self.arguments.extend(spans);
        self.commands.push(Command {
            first: first as u32,
            count: (self.arguments.len() - first) as u32,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.commands.clear();
        self.arguments.clear();
        self.arguments.shrink_to(SPARE_ARGUMENTS_MAX);
    }
}
