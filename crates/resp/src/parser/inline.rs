//! Inline requests: words of a line, some of them quoted.

use std::ops::Range;

use super::ProtocolError;
use super::batch::Span;

/// Splits a line into words. A quoted word is unquoted where it stands, which never makes it longer.
pub(super) fn split_line(
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
