//! Glob patterns as in KEYS and SCAN.
//!
//! A pattern is cut at its stars. The pieces are found one after the other, each where it first occurs: an earlier star
//! could only make the same rest start later. A piece of literals is found by a linear search, any other long one by the
//! bit-parallel Shift-And algorithm (Baeza-Yates and Gonnet, A new approach to text searching, 1992), which costs a
//! sixty-fourth of the product of both lengths.

use memchr::memmem::Finder;

use crate::error::Failure;

/// The longest pattern: a key of the greatest length is searched for it in some ten milliseconds at worst.
pub(crate) const GLOB_BYTES_MAX: usize = 128 << 10;
/// Up to so many elements are compared at each place in turn; the table for more would cost more than it saves.
const NAIVE_ELEMENTS_MAX: usize = 32;

/// An element and the set that it may have.
const ELEMENT_BYTES: usize = size_of::<Element>() + size_of::<ByteSet>();

/// Whether upper and lower case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Ignored,
}

/// A pattern that was read: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before a literal.
#[derive(Debug)]
pub(crate) struct Glob {
    /// What must stand at the beginning, before the first star; all of the text, if there is no star.
    head: Vec<Element>,
    /// None without a star.
    after: Option<AfterStar>,
    /// Texts of fewer bytes do not match.
    bytes_min: usize,
}

#[derive(Debug)]
struct AfterStar {
    /// What must follow, in this order, each between two stars.
    pieces: Vec<Piece>,
    /// What must stand at the end, after the last star.
    tail: Vec<Element>,
}

/// What one byte must be.
#[derive(Debug, PartialEq, Eq)]
enum Element {
    Byte(u8),
    Any,
    /// One of a set of bytes.
    OneOf(Box<ByteSet>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ByteSet([u64; 4]);

/// A part of the pattern between two stars, ready to be searched for.
#[derive(Debug)]
enum Piece {
    /// So many bytes of any kind.
    Skip(usize),
    Literal(Box<Finder<'static>>),
    Short(Vec<Element>),
    Long(Box<ShiftAnd>),
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is longer than [`GLOB_BYTES_MAX`].
    pub(crate) fn new(pattern: &[u8], case: Case) -> Result<Glob, Failure> {
        if pattern.len() > GLOB_BYTES_MAX {
            return Err(Failure::other(format!(
                "ERR pattern of {} bytes exceeds the limit of {GLOB_BYTES_MAX} bytes",
                pattern.len()
            )));
        }
        let mut parts = parts_of(pattern, case).into_iter();
        let head = parts.next().unwrap_or_default();
        let mut parts: Vec<Vec<Element>> = parts.collect();
        let after = parts.pop().map(|tail| (parts, tail));
        let mut bytes_min = head.len();
        let after = after.map(|(middle, tail)| {
            bytes_min += tail.len() + middle.iter().map(Vec::len).sum::<usize>();
            let middle = middle.into_iter().filter(|part| !part.is_empty());
            AfterStar {
                pieces: middle.map(Piece::new).collect(),
                tail,
            }
        });
        Ok(Glob {
            head,
            after,
            bytes_min,
        })
    }

    /// About the memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let pieces = self.after.iter().flat_map(|after| &after.pieces);
        let tail = self.after.as_ref().map_or(0, |after| after.tail.len());
        ELEMENT_BYTES * (self.head.len() + tail) + pieces.map(Piece::bytes).sum::<usize>()
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        if text.len() < self.bytes_min || !all_match(&self.head, text) {
            return false;
        }
        let Some(after) = &self.after else {
            return text.len() == self.head.len();
        };
        let end = text.len() - after.tail.len();
        if !all_match(&after.tail, &text[end..]) {
            return false;
        }
        let mut rest = &text[self.head.len()..end];
        after.pieces.iter().all(|piece| match piece.find_end(rest) {
            Some(found) => {
                rest = &rest[found..];
                true
            }
            None => false,
        })
    }
}

/// Whether a text begins with what these elements are.
fn all_match(elements: &[Element], text: &[u8]) -> bool {
    elements.len() <= text.len()
        && elements
            .iter()
            .zip(text)
            .all(|(element, byte)| element.matches(*byte))
}

impl Element {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Element::Byte(wanted) => *wanted == byte,
            Element::Any => true,
            Element::OneOf(set) => set.has(byte),
        }
    }

    fn literal(byte: u8, case: Case) -> Element {
        if case == Case::Sensitive || !byte.is_ascii_alphabetic() {
            return Element::Byte(byte);
        }
        let mut set = ByteSet::default();
        set.add(byte.to_ascii_lowercase());
        set.add(byte.to_ascii_uppercase());
        Element::OneOf(Box::new(set))
    }
}

impl ByteSet {
    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    /// Adds those of a range, whose ends are in any order.
    fn add_range(&mut self, from: u8, to: u8) {
        let (from, to) = (from.min(to), from.max(to));
        for (word, bits) in self.0.iter_mut().enumerate() {
            let start = word * 64;
            let low = usize::from(from).saturating_sub(start);
            let Some(high) = usize::from(to).checked_sub(start) else {
                break;
            };
            if low < 64 {
                *bits |= (u64::MAX << low) & (u64::MAX >> (63 - high.min(63)));
            }
        }
    }

    /// The set in which the case of a letter makes no difference.
    fn folded(self) -> ByteSet {
        let mut folded = ByteSet::default();
        let bytes = (0..=u8::MAX).filter(|byte| self.has(byte.to_ascii_lowercase()));
        bytes.for_each(|byte| folded.add(byte));
        folded
    }

    fn negated(self) -> ByteSet {
        ByteSet(self.0.map(|bits| !bits))
    }
}

/// The elements of a pattern, cut at its stars.
fn parts_of(mut pattern: &[u8], case: Case) -> Vec<Vec<Element>> {
    let mut parts = vec![Vec::new()];
    while let Some((first, mut rest)) = pattern.split_first() {
        let element = match (first, rest) {
            (b'*', _) => {
                parts.push(Vec::new());
                pattern = rest;
                continue;
            }
            (b'?', _) => Element::Any,
            (b'[', _) => {
                let (set, after) = class(rest, case);
                rest = after;
                Element::OneOf(Box::new(set))
            }
            (b'\\', [literal, after @ ..]) => {
                rest = after;
                Element::literal(*literal, case)
            }
            (literal, _) => Element::literal(*literal, case),
        };
        if let Some(part) = parts.last_mut() {
            part.push(element);
        }
        pattern = rest;
    }
    parts
}

/// Reads a class after its bracket; one that is never closed ends with the pattern, as in Redis.
fn class(mut pattern: &[u8], case: Case) -> (ByteSet, &[u8]) {
    let negated = pattern.first() == Some(&b'^');
    pattern = &pattern[usize::from(negated)..];
    let fold = |byte: u8| match case {
        Case::Sensitive => byte,
        Case::Ignored => byte.to_ascii_lowercase(),
    };
    let mut set = ByteSet::default();
    loop {
        pattern = match *pattern {
            [] => break,
            [b']', ref rest @ ..] => {
                pattern = rest;
                break;
            }
            [b'\\', literal, ref rest @ ..] => {
                set.add(fold(literal));
                rest
            }
            [from, b'-', to, ref rest @ ..] => {
                set.add_range(fold(from), fold(to));
                rest
            }
            [literal, ref rest @ ..] => {
                set.add(fold(literal));
                rest
            }
        };
    }
    if case == Case::Ignored {
        set = set.folded();
    }
    (if negated { set.negated() } else { set }, pattern)
}

impl Piece {
    fn new(elements: Vec<Element>) -> Piece {
        let literal = elements.iter().map(|element| match element {
            Element::Byte(byte) => Some(*byte),
            _ => None,
        });
        if let Some(literal) = literal.collect::<Option<Vec<u8>>>() {
            return Piece::Literal(Box::new(Finder::new(&literal).into_owned()));
        }
        if elements.iter().all(|element| *element == Element::Any) {
            return Piece::Skip(elements.len());
        }
        match elements.len() <= NAIVE_ELEMENTS_MAX {
            true => Piece::Short(elements),
            false => Piece::Long(Box::new(ShiftAnd::new(&elements))),
        }
    }

    fn bytes(&self) -> usize {
        let inside = match self {
            Piece::Skip(_) => 0,
            Piece::Literal(finder) => finder.needle().len() + size_of::<Finder<'_>>(),
            Piece::Short(elements) => ELEMENT_BYTES * elements.len(),
            Piece::Long(automaton) => size_of_val(&*automaton.masks),
        };
        size_of::<Piece>() + inside
    }

    /// Where its first occurrence ends.
    fn find_end(&self, text: &[u8]) -> Option<usize> {
        match self {
            Piece::Skip(len) => (*len <= text.len()).then_some(*len),
            Piece::Literal(finder) => Some(finder.find(text)? + finder.needle().len()),
            Piece::Short(elements) => {
                let mut places = text.windows(elements.len());
                let found = places.position(|place| all_match(elements, place));
                Some(found? + elements.len())
            }
            Piece::Long(automaton) => automaton.find_end(text),
        }
    }
}

/// All prefixes of a piece that end at one place of the text are a set of bits, which each byte moves on by one.
#[derive(Debug)]
struct ShiftAnd {
    elements: usize,
    words: usize,
    /// Per byte, the elements that it matches, in so many words.
    masks: Vec<u64>,
}

impl ShiftAnd {
    fn new(elements: &[Element]) -> ShiftAnd {
        let words = elements.len().div_ceil(64);
        let mut masks = vec![0; 256 * words];
        for (index, element) in elements.iter().enumerate() {
            let (word, bit) = (index / 64, 1 << (index % 64));
            for byte in 0..=u8::MAX {
                if element.matches(byte) {
                    masks[usize::from(byte) * words + word] |= bit;
                }
            }
        }
        ShiftAnd {
            elements: elements.len(),
            words,
            masks,
        }
    }

    fn find_end(&self, text: &[u8]) -> Option<usize> {
        let (last_word, last_bit) = (self.words - 1, 1u64 << ((self.elements - 1) % 64));
        let mut prefixes = vec![0u64; self.words];
        for (index, byte) in text.iter().enumerate() {
            let start = usize::from(*byte) * self.words;
            let masks = &self.masks[start..start + self.words];
            // A prefix of length zero ends everywhere. Longer ones than what was read do not.
            let mut carry = 1;
            for (bits, mask) in prefixes.iter_mut().zip(masks).take(index / 64 + 1) {
                let shifted = *bits << 1 | carry;
                carry = *bits >> 63;
                *bits = shifted & mask;
            }
            if prefixes[last_word] & last_bit != 0 {
                return Some(index + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
        Glob::new(pattern, case).unwrap().matches(text)
    }

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive),
            expected,
            "{pattern} {text}"
        );
    }

    #[test]
    fn patterns_match_as_in_redis() {
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("a", "", false);
        check("foo*", "foobar", true);
        check("foo*", "fo", false);
        check("*bar", "foobar", true);
        check("f*o*r", "foobar", true);
        check("f*x*r", "foobar", false);
        check("ab*ba", "aba", false);
        check("*a?c*", "xxabcxx", true);
        check("*a?c*", "xxacxx", false);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("h[ae]llo", "hallo", true);
        check("h[ae]llo", "hillo", false);
        check("h[^e]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-b]llo", "hbllo", true);
        check("h[b-a]llo", "hallo", true);
        check("h[a-b]llo", "hcllo", false);
        check(r"h\*llo", "h*llo", true);
        check(r"h\*llo", "hello", false);
        check(r"h[\]]llo", "h]llo", true);
        check("h[ab", "ha", true);
        check("[", "a", false);
        check("a\\", "a\\", true);
        check("**a**", "bab", true);
        check("a**", "a", true);
        assert!(matches(b"HELLO*", b"hello there", Case::Ignored));
        assert!(matches(b"[A-C]x", b"bX", Case::Ignored));
        assert!(!matches(b"[^A-C]x", b"bX", Case::Ignored));
        assert!(matches(b"[\x01-\xff]", b"\x80", Case::Sensitive));
        assert!(!matches(b"[\x41-\xfe]", b"\xff", Case::Sensitive));
    }

    #[test]
    fn patterns_have_a_limit() {
        assert!(Glob::new(&vec![b'a'; GLOB_BYTES_MAX], Case::Sensitive).is_ok());
        let error = Glob::new(&vec![b'a'; GLOB_BYTES_MAX + 1], Case::Sensitive).unwrap_err();
        assert!(
            error.to_string().contains("the limit of 131072 bytes"),
            "{error}"
        );
    }

    /// Each of these took a minute when every place was tried with the whole piece.
    #[test]
    fn no_pattern_takes_long() {
        let text = "a".repeat(65_000);
        let half = "a".repeat(32_000);
        check(&("a*".repeat(50) + "b"), &text, false);
        check(&format!("*{half}b*a"), &text, false);
        check(&format!("*{}?b*", half), &text, false);
        check(&format!("*{}b*", "?".repeat(32_000)), &text, false);
        check(&format!("*{}b*", "[ab]".repeat(32_000)), &text, false);
        check(&"*?".repeat(60_000), &text, true);
        check(&format!("{}b", "*[ab]".repeat(20_000)), &text, false);
    }

    /// The plain meaning, at exponential cost.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                means(rest, text) || (!text.is_empty() && means(pattern, &text[1..]))
            }
            ([b'?', rest @ ..], [_, tail @ ..]) => means(rest, tail),
            ([literal, rest @ ..], [byte, tail @ ..]) => literal == byte && means(rest, tail),
            (pattern, text) => pattern.is_empty() && text.is_empty(),
        }
    }

    proptest! {
        #[test]
        fn never_panics(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text, Case::Sensitive);
            matches(&pattern, &text, Case::Ignored);
        }

        #[test]
        fn matches_what_it_means(pattern in "[ab*?]{0,10}", text in "[ab]{0,12}") {
            let found = matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive);
            prop_assert_eq!(found, means(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn long_pieces_are_found_as_short_ones_are(
            piece in "[ab?]{33,150}",
            text in "[ab]{0,300}",
            inside in 0usize..300,
        ) {
            let elements = || parts_of(piece.as_bytes(), Case::Sensitive).remove(0);
            let mut text = text.into_bytes();
            let inside = inside.min(text.len());
            text.splice(inside..inside, piece.bytes().map(|byte| if byte == b'?' { b'a' } else { byte }));
            let found = ShiftAnd::new(&elements()).find_end(&text);
            prop_assert_eq!(found, Piece::Short(elements()).find_end(&text));
            prop_assert!(found.is_some());
        }

        #[test]
        fn a_quoted_text_matches_itself(text: Vec<u8>) {
            let pattern: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(matches(&pattern, &text, Case::Sensitive));
        }
    }
}
