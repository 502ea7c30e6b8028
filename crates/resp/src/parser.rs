//! Requests out of a read buffer, without copying them.
//!
//! [`Parser::parse`] appends every complete command of the buffer to a [`Batch`]: a list of places in the buffer. It
//! remembers how far it came, so that a large request that arrives in pieces is looked at once, not once per piece.

use std::ops::Range;

use thiserror::Error;

/// Arguments of one request.
pub const REQUEST_ARGUMENTS_MAX: usize = 1024 * 1024;
/// Bytes of an inline request, and of the line with a length.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one argument unless configured otherwise.
pub const BULK_BYTES_DEFAULT: usize = 512 << 20;
/// Commands that one batch takes; the rest of the buffer waits for the next one.
const BATCH_COMMANDS_MAX: usize = 16 * 1024;
/// Argument places that a batch keeps room for between requests.
const SPARE_ARGUMENTS_MAX: usize = 64 * 1024;

/// What is wrong with the bytes of a client. The connection cannot go on after it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The number after `*` is none or too large.
    #[error("Protocol error: invalid multibulk length")]
    ArrayLength,
    /// The line after `*` does not end.
    #[error("Protocol error: too big mbulk count string")]
    ArrayLengthLine,
    /// The number after `$` is none or too large.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// The line after `$` does not end.
    #[error("Protocol error: too big bulk count string")]
    BulkLengthLine,
    /// An element of a request is not a bulk string.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NotBulk(u8),
    /// An argument is longer or shorter than it said.
    #[error("Protocol error: expected CRLF after bulk")]
    BulkEnd,
    /// An inline request does not end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// An inline request opens a quote and does not close it.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// All arguments together are too large.
    #[error("Protocol error: too big request")]
    RequestTooBig,
}

/// What a connection accepts.
#[derive(Clone, Copy, Debug)]
pub struct ParserLimits {
    /// Bytes of one argument, and of one request.
    pub request_bytes_max: usize,
}

impl Default for ParserLimits {
    fn default() -> Self {
        ParserLimits {
            request_bytes_max: BULK_BYTES_DEFAULT,
        }
    }
}

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

    fn back(self, by: usize) -> Span {
        Span {
            start: self.start - by as u32,
            end: self.end - by as u32,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Command {
    first: u32,
    count: u32,
}

/// Complete commands of one buffer, as places in it.
#[derive(Debug, Default)]
pub struct Batch {
    arguments: Vec<Span>,
    commands: Vec<Command>,
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

/// Where a request stands that is not complete yet.
#[derive(Debug, Default)]
struct Partial {
    /// Where the request starts.
    start: usize,
    /// The next byte to look at.
    at: usize,
    /// Its first argument in the batch.
    first: usize,
    /// Arguments still to come; zero between requests.
    missing: usize,
    /// The length of the argument whose bytes come next.
    bulk: Option<usize>,
    /// Up to here there is no end of line, so that a long line is searched once.
    searched: usize,
}

/// Finds requests in a buffer that grows at its end and is cut at its front.
#[derive(Debug)]
pub struct Parser {
    limits: ParserLimits,
    partial: Partial,
}

enum Step {
    Done,
    More,
}

impl Parser {
    /// A parser at the start of a connection.
    pub fn new(limits: ParserLimits) -> Parser {
        let request_bytes_max = limits.request_bytes_max.min(u32::MAX as usize / 2);
        Parser {
            limits: ParserLimits { request_bytes_max },
            partial: Partial::default(),
        }
    }

    /// Appends the complete commands of the buffer to the batch. Quoted inline arguments are unquoted in place.
    ///
    /// Call [`advance`](Self::advance) once they have been executed.
    ///
    /// # Errors
    /// What is wrong with the bytes after the last complete command. The commands before it are in the batch.
    pub fn parse(&mut self, buffer: &mut [u8], batch: &mut Batch) -> Result<(), ProtocolError> {
        while self.partial.at < buffer.len() && batch.len() < BATCH_COMMANDS_MAX {
            let step = if self.partial.missing > 0 {
                self.bulks(buffer, batch)?
            } else if buffer[self.partial.at] == b'*' {
                self.array(buffer, batch)?
            } else {
                self.inline(buffer, batch)?
            };
            if let Step::More = step {
                break;
            }
        }
        Ok(())
    }

    /// Forgets the executed commands and says how many bytes to cut from the front of the buffer.
    pub fn advance(&mut self, batch: &mut Batch) -> usize {
        let cut = std::mem::take(&mut self.partial.start);
        if cut == 0 {
            // A long request under way is left alone: looking at it each time would be quadratic.
            return 0;
        }
        self.partial.at -= cut;
        self.partial.searched = self.partial.searched.saturating_sub(cut);
        batch.commands.clear();
        if self.partial.missing == 0 {
            batch.clear();
        } else {
            batch.arguments.drain(..self.partial.first);
            batch
                .arguments
                .iter_mut()
                .for_each(|span| *span = span.back(cut));
        }
        self.partial.first = 0;
        cut
    }

    /// How many bytes the argument under way still lacks, so that the buffer can make room for it.
    pub fn missing_bytes(&self, buffered: usize) -> usize {
        self.partial.bulk.map_or(0, |length| {
            (self.partial.at + length + 2).saturating_sub(buffered)
        })
    }

    fn array(&mut self, buffer: &[u8], batch: &Batch) -> Result<Step, ProtocolError> {
        let Some((length, next)) = self.length_line(buffer, ProtocolError::ArrayLengthLine)? else {
            return Ok(Step::More);
        };
        let length = length.ok_or(ProtocolError::ArrayLength)?;
        if length > REQUEST_ARGUMENTS_MAX as i64 {
            return Err(ProtocolError::ArrayLength);
        }
        self.partial.at = next;
        if length <= 0 {
            self.finish(batch);
        } else {
            self.partial.missing = length as usize;
        }
        Ok(Step::Done)
    }

    fn bulks(&mut self, buffer: &[u8], batch: &mut Batch) -> Result<Step, ProtocolError> {
        while self.partial.missing > 0 {
            let length = match self.partial.bulk {
                Some(length) => length,
                None => match self.bulk_header(buffer)? {
                    Some(length) => length,
                    None => return Ok(Step::More),
                },
            };
            let start = self.partial.at;
            let end = start + length;
            let Some(line_end) = buffer.get(end..end + 2) else {
                self.partial.bulk = Some(length);
                return Ok(Step::More);
            };
            if line_end != b"\r\n" {
                return Err(ProtocolError::BulkEnd);
            }
            batch.arguments.push(Span::new(start, end));
            self.partial.bulk = None;
            self.partial.at = end + 2;
            self.partial.missing -= 1;
        }
        batch.commands.push(Command {
            first: self.partial.first as u32,
            count: (batch.arguments.len() - self.partial.first) as u32,
        });
        self.finish(batch);
        Ok(Step::Done)
    }

    fn bulk_header(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(&marker) = buffer.get(self.partial.at) else {
            return Ok(None);
        };
        if marker != b'$' {
            return Err(ProtocolError::NotBulk(marker));
        }
        let Some((length, next)) = self.length_line(buffer, ProtocolError::BulkLengthLine)? else {
            return Ok(None);
        };
        let length = length
            .and_then(|length| usize::try_from(length).ok())
            .ok_or(ProtocolError::BulkLength)?;
        if length > self.limits.request_bytes_max {
            return Err(ProtocolError::BulkLength);
        }
        if next - self.partial.start + length > self.limits.request_bytes_max + INLINE_BYTES_MAX {
            return Err(ProtocolError::RequestTooBig);
        }
        self.partial.at = next;
        Ok(Some(length))
    }

    /// The number in a line such as `*3` or `$5` and where the next line starts; nothing if the line has no end yet.
    fn length_line(
        &self,
        buffer: &[u8],
        endless: ProtocolError,
    ) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
        let start = self.partial.at + 1;
        // Lengths below ten are most of all lengths.
        if let Some(&[digit @ b'0'..=b'9', b'\r', b'\n']) = buffer.get(start..start + 3) {
            return Ok(Some((Some(i64::from(digit - b'0')), start + 3)));
        }
        let line = &buffer[start.min(buffer.len())..buffer.len().min(start + INLINE_BYTES_MAX)];
        let Some(end) = line.iter().position(|&byte| byte == b'\r') else {
            return if line.len() == INLINE_BYTES_MAX {
                Err(endless)
            } else {
                Ok(None)
            };
        };
        match line.get(end + 1) {
            Some(b'\n') => Ok(Some((
                crate::number::parse_i64(&line[..end]),
                start + end + 2,
            ))),
            Some(_) => Ok(Some((None, start))),
            None => Ok(None),
        }
    }

    fn inline(&mut self, buffer: &mut [u8], batch: &mut Batch) -> Result<Step, ProtocolError> {
        let start = self.partial.at;
        let from = self.partial.searched.max(start);
        let Some(end) = buffer[from..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|offset| from + offset)
        else {
            self.partial.searched = buffer.len();
            return if buffer.len() - start > INLINE_BYTES_MAX {
                Err(ProtocolError::InlineTooBig)
            } else {
                Ok(Step::More)
            };
        };
        if end - start > INLINE_BYTES_MAX {
            return Err(ProtocolError::InlineTooBig);
        }
        let line_end = if end > start && buffer[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        let first = batch.arguments.len();
        if let Err(error) = split_line(buffer, start..line_end, &mut batch.arguments) {
            batch.arguments.truncate(first);
            return Err(error);
        }
        self.partial.at = end + 1;
        if batch.arguments.len() > first {
            batch.commands.push(Command {
                first: first as u32,
                count: (batch.arguments.len() - first) as u32,
            });
        }
        self.finish(batch);
        Ok(Step::Done)
    }

    fn finish(&mut self, batch: &Batch) {
        self.partial.start = self.partial.at;
        self.partial.first = batch.arguments.len();
        self.partial.missing = 0;
    }
}

/// Splits a line into words. A quoted word is unquoted where it stands, which never makes it longer.
fn split_line(
    buffer: &mut [u8],
    line: Range<usize>,
    words: &mut Vec<Span>,
) -> Result<(), ProtocolError> {
    let mut at = line.start;
    loop {
        while at < line.end && is_blank(buffer[at]) {
            at += 1;
        }
        if at == line.end {
            return Ok(());
        }
        let start = at;
        let mut end = start;
        while at < line.end && !is_blank(buffer[at]) {
            match buffer[at] {
                quote @ (b'"' | b'\'') => {
                    (at, end) = unquote(buffer, at + 1, line.end, end, quote)?;
                    if at < line.end && !is_blank(buffer[at]) {
                        return Err(ProtocolError::Quotes);
                    }
                }
                byte => {
                    buffer[end] = byte;
                    (at, end) = (at + 1, end + 1);
                }
            }
        }
        words.push(Span::new(start, end));
    }
}

/// Writes the text between quotes to `to` and says where reading and writing go on.
fn unquote(
    buffer: &mut [u8],
    mut at: usize,
    end: usize,
    mut to: usize,
    quote: u8,
) -> Result<(usize, usize), ProtocolError> {
    while at < end {
        let (byte, length) = match (quote, &buffer[at..end]) {
            (_, [byte, ..]) if *byte == quote => return Ok((at + 1, to)),
            (b'"', [b'\\', b'x', high, low, ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), 4)
            }
            (b'"', [b'\\', escaped, ..]) => (unescape(*escaped), 2),
            (b'\'', [b'\\', b'\'', ..]) => (b'\'', 2),
            (_, [byte, ..]) => (*byte, 1),
            (_, []) => break,
        };
        buffer[to] = byte;
        (at, to) = (at + length, to + 1);
    }
    Err(ProtocolError::Quotes)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c' | b'\0')
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
