//! Answers, written into one output buffer per connection.

use isles_replica::Position;

use crate::double;
use crate::error::Failure;
use crate::number::Digits;
use crate::outbox::Outbox;

/// The version of the protocol that the client asked for with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

impl Protocol {
    pub(crate) fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// Capacity that the buffer keeps after a large answer has been sent.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// Writes answers in the client's protocol version.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    out: Vec<u8>,
    pub(crate) protocol: Protocol,
}

/// A place in the output where the header of an aggregate goes once its length is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Reply {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.out.shrink_to(SPARE_BYTES_MAX);
    }

    /// Adds an answer that was written elsewhere.
    pub(crate) fn append(&mut self, answer: &[u8]) {
        self.out.extend_from_slice(answer);
    }

    pub(crate) fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    pub(crate) fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error; a text of several lines becomes one.
    pub(crate) fn error(&mut self, failure: &Failure) {
        let start = self.out.len();
        self.line(b'-', failure.to_string().as_bytes());
        let end = self.out.len() - 2;
        self.out[start..end]
            .iter_mut()
            .filter(|byte| matches!(byte, b'\r' | b'\n'))
            .for_each(|byte| *byte = b' ');
    }

    pub(crate) fn integer(&mut self, value: i64) {
        match value {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.line(b':', Digits::of(value).as_bytes()),
        }
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// An integer 1 or 0: what Redis answers where other protocols would say true or false.
    pub(crate) fn flag(&mut self, value: bool) {
        self.out
            .extend_from_slice(if value { b":1\r\n" } else { b":0\r\n" });
    }

    pub(crate) fn bulk(&mut self, value: &[u8]) {
        let digits = Digits::of_unsigned(value.len() as u64);
        let digits = digits.as_bytes();
        self.out.reserve(value.len() + digits.len() + 5);
        self.out.push(b'$');
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn text(&mut self, value: impl AsRef<str>) {
        self.bulk(value.as_ref().as_bytes());
    }

    pub(crate) fn bulk_or_null(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bulk(value),
            None => self.null(),
        }
    }

    /// A value of text that is to be shown as it is, such as INFO's.
    pub(crate) fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.text(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    pub(crate) fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    pub(crate) fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.double_text(&double::to_text(value));
    }

    /// A number whose text is made elsewhere.
    pub(crate) fn double_text(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.text(text),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.flag(value),
            Protocol::Resp3 => {
                self.out
                    .extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" })
            }
        }
    }

    /// What a script says with a boolean of its own: to RESP2 clients 1 or nothing.
    pub(crate) fn boolean_or_null(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp2, false) => self.null(),
            _ => self.boolean(value),
        }
    }

    /// An integer of any length; to RESP2 clients a string.
    pub(crate) fn big_number(&mut self, digits: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }

    /// Text with its format; to RESP2 clients a string.
    pub(crate) fn verbatim_as(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() + 4);
                self.out.extend_from_slice(&format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    pub(crate) fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// A map of `len` pairs; to RESP2 clients a flat array.
    pub(crate) fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len * 2),
            Protocol::Resp3 => self.header(b'%', len),
        }
    }

    /// A set; to RESP2 clients an array.
    pub(crate) fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len),
            Protocol::Resp3 => self.header(b'~', len),
        }
    }

    /// Puts letters of an outbox after what has been answered; returns what they wait for.
    pub(crate) fn append_letters(&mut self, outbox: &Outbox) -> Position {
        outbox.take(&mut self.out)
    }

    /// A message that answers no command; to RESP2 clients an array.
    pub(crate) fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len),
            Protocol::Resp3 => self.header(b'>', len),
        }
    }

    /// Where an array starts whose length is not known yet.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.out.len())
    }

    /// Puts the header of an array before what was written since the mark, which moves that once.
    pub(crate) fn array_at(&mut self, mark: Mark, len: usize) {
        let (Mark(start), end) = (mark, self.out.len());
        self.array(len);
        let header = self.out.len() - end;
        self.out[start..].rotate_right(header);
    }

    /// The same for a map of `len` pairs; to RESP2 clients a flat array.
    pub(crate) fn map_at(&mut self, mark: Mark, len: usize) {
        let (Mark(start), end) = (mark, self.out.len());
        self.map(len);
        let header = self.out.len() - end;
        self.out[start..].rotate_right(header);
    }

    fn header(&mut self, tag: u8, len: usize) {
        if let (b'*', 0..=9) = (tag, len) {
            self.out
                .extend_from_slice(&[b'*', b'0' + len as u8, b'\r', b'\n']);
        } else {
            self.line(tag, Digits::of_unsigned(len as u64).as_bytes());
        }
    }

    fn line(&mut self, tag: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(tag);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut reply = Reply {
                protocol,
                ..Reply::default()
            };
            write(&mut reply);
            assert_eq!(
                String::from_utf8_lossy(reply.as_bytes()),
                expected,
                "{protocol:?}"
            );
        }
    }

    #[test]
    fn each_type_in_both_versions() {
        check(Reply::ok, "+OK\r\n", "+OK\r\n");
        check(|reply| reply.integer(-12), ":-12\r\n", ":-12\r\n");
        check(
            |reply| reply.bulk(b"a\r\nb"),
            "$4\r\na\r\nb\r\n",
            "$4\r\na\r\nb\r\n",
        );
        check(Reply::null, "$-1\r\n", "_\r\n");
        check(Reply::null_array, "*-1\r\n", "_\r\n");
        check(|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(
            |reply| reply.double(f64::NEG_INFINITY),
            "$4\r\n-inf\r\n",
            ",-inf\r\n",
        );
        check(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
        check(|reply| reply.array(12), "*12\r\n", "*12\r\n");
        check(|reply| reply.map(2), "*4\r\n", "%2\r\n");
        check(|reply| reply.set(2), "*2\r\n", "~2\r\n");
        check(|reply| reply.push(2), "*2\r\n", ">2\r\n");
        check(
            |reply| reply.verbatim("hi"),
            "$2\r\nhi\r\n",
            "=6\r\ntxt:hi\r\n",
        );
    }

    #[test]
    fn an_error_is_one_line() {
        check(
            |reply| reply.error(&Failure::other("ERR a\r\nb")),
            "-ERR a  b\r\n",
            "-ERR a  b\r\n",
        );
    }

    #[test]
    fn a_header_can_come_last() {
        let write = |reply: &mut Reply| {
            reply.simple("before");
            let mark = reply.mark();
            reply.integer(1);
            reply.integer(2);
            reply.array_at(mark, 2);
        };
        check(
            write,
            "+before\r\n*2\r\n:1\r\n:2\r\n",
            "+before\r\n*2\r\n:1\r\n:2\r\n",
        );
    }
}
