//! Requests out of a read buffer, without copying them.
//!
//! [`Parser::parse`] appends every complete command of the buffer to a [`Batch`]: a list of places in the buffer. It
//! remembers how far it came, so that a large request that arrives in pieces is looked at once, not once per piece.

mod batch;
mod inline;

use thiserror::Error;

pub use self::batch::Batch;
use self::batch::Command;
pub(crate) use self::batch::Span;
use self::inline::split_line;

/// Arguments of one request.
pub const REQUEST_ARGUMENTS_MAX: usize = 1024 * 1024;
/// Bytes of an inline request, and of the line with a length.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one argument unless configured otherwise.
pub const BULK_BYTES_DEFAULT: usize = 512 << 20;
/// Commands that one batch takes; the rest of the buffer waits for the next one.
const BATCH_COMMANDS_MAX: usize = 16 * 1024;

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

    /// Takes the arguments that are short and complete, as nearly all are, and stops at the first other one.
    #[inline]
    fn short_bulks(&mut self, buffer: &[u8], batch: &mut Batch) {
        let Partial {
            start, at, missing, ..
        } = &mut self.partial;
        while *missing > 0 && *at - *start <= self.limits.request_bytes_max {
            let Some(rest @ [b'$', line @ ..]) = buffer.get(*at..) else {
                return;
            };
            let Some((length, line_bytes)) = short_length(line) else {
                return;
            };
            let from = 1 + line_bytes;
            let to = from + length as usize;
            if rest.get(to..to + 2) != Some(b"\r\n") {
                return;
            }
            batch.arguments.push(Span::new(*at + from, *at + to));
            *at += to + 2;
            *missing -= 1;
        }
    }

    fn bulks(&mut self, buffer: &[u8], batch: &mut Batch) -> Result<Step, ProtocolError> {
        if self.partial.bulk.is_none() {
            self.short_bulks(buffer, batch);
        }
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
    #[inline]
    fn length_line(
        &self,
        buffer: &[u8],
        endless: ProtocolError,
    ) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
        let start = self.partial.at + 1;
        if let Some((length, bytes)) = short_length(buffer.get(start..).unwrap_or_default()) {
            return Ok(Some((Some(length), start + bytes)));
        }
        long_length(buffer, start, endless)
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

/// The lengths that nearly all requests have, up to three digits, and the bytes of their lines.
#[inline]
fn short_length(rest: &[u8]) -> Option<(i64, usize)> {
    let digit = |byte: u8| i64::from(byte - b'0');
    Some(match *rest {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => (digit(a), 3),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => (digit(a) * 10 + digit(b), 4),
        [
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b'\r',
            b'\n',
            ..,
        ] => (digit(a) * 100 + digit(b) * 10 + digit(c), 5),
        _ => return None,
    })
}

/// Any other number, or a line that has no end yet.
#[cold]
fn long_length(
    buffer: &[u8],
    start: usize,
    endless: ProtocolError,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
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

#[cfg(test)]
mod tests;
