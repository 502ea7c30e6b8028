//! Lua's patterns, by the rules of Lua 5.1's own matcher.
//!
//! Lua's is written in C, where no limit of ours reaches: one short pattern can keep it busy for years. This one counts
//! its steps.

use crate::limits::Timer;

/// Captures in one pattern, as in Lua.
const CAPTURES_MAX: usize = 32;
/// How deep a match may nest.
const DEPTH_MAX: u32 = 200;
/// The clock is looked at after so many steps.
const STEPS_PER_LOOK: u32 = 1 << 14;

/// What a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Open { start: usize },
    Text { start: usize, end: usize },
    Position { at: usize },
}

/// Where a pattern matched.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) captures: Vec<Capture>,
}

/// One search in one text.
pub(crate) struct Matcher<'t> {
    text: &'t [u8],
    pattern: &'t [u8],
    captures: Vec<Capture>,
    timer: &'t Timer,
    steps: u32,
    depth: u32,
}

type Found = Result<Option<usize>, &'static str>;

impl<'t> Matcher<'t> {
    pub(crate) fn new(text: &'t [u8], pattern: &'t [u8], timer: &'t Timer) -> Matcher<'t> {
        Matcher {
            text,
            pattern,
            captures: Vec::new(),
            timer,
            steps: 0,
            depth: 0,
        }
    }

    /// The first match that starts at `from` or later.
    pub(crate) fn search(&mut self, from: usize) -> Result<Option<Match>, &'static str> {
        let anchored = self.pattern.first() == Some(&b'^');
        for start in from..=self.text.len() {
            if let Some(found) = self.at(start, usize::from(anchored))? {
                return Ok(Some(found));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    /// The match that starts exactly here.
    pub(crate) fn at(
        &mut self,
        start: usize,
        pattern: usize,
    ) -> Result<Option<Match>, &'static str> {
        self.captures.clear();
        self.depth = 0;
        let end = self.run(start, pattern)?;
        end.map(|end| {
            if self
                .captures
                .iter()
                .any(|capture| matches!(capture, Capture::Open { .. }))
            {
                return Err("unfinished capture");
            }
            Ok(Match {
                start,
                end,
                captures: self.captures.clone(),
            })
        })
        .transpose()
    }

    fn step(&mut self) -> Result<(), &'static str> {
        self.steps += 1;
        if self.steps >= STEPS_PER_LOOK {
            self.steps = 0;
            if self.timer.is_over() {
                return Err("the pattern takes too long");
            }
        }
        Ok(())
    }

    fn run(&mut self, s: usize, p: usize) -> Found {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("pattern too complex");
        }
        let found = self.follow(s, p);
        self.depth -= 1;
        found
    }

    fn follow(&mut self, mut s: usize, mut p: usize) -> Found {
        loop {
            self.step()?;
            let Some(&first) = self.pattern.get(p) else {
                return Ok(Some(s));
            };
            match (first, self.pattern.get(p + 1)) {
                (b'(', Some(b')')) => return self.open(Capture::Position { at: s }, s, p + 2),
                (b'(', _) => return self.open(Capture::Open { start: s }, s, p + 1),
                (b')', _) => return self.close(s, p + 1),
                (b'%', Some(b'b')) => match self.balanced(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    p += 2;
                    if self.pattern.get(p) != Some(&b'[') {
                        return Err("missing '[' after '%f' in pattern");
                    }
                    let end = self.class_end(p)?;
                    let before = if s == 0 { 0 } else { self.text[s - 1] };
                    let here = self.text.get(s).copied().unwrap_or(0);
                    if self.in_set(before, p, end - 1) || !self.in_set(here, p, end - 1) {
                        return Ok(None);
                    }
                    p = end;
                }
                (b'%', Some(digit)) if digit.is_ascii_digit() => match self.again(s, *digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                _ => {
                    let end = self.class_end(p)?;
                    let one = s < self.text.len() && self.single(self.text[s], p, end);
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if one && let Some(found) = self.run(s + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.greedy(s, p, end),
                        Some(b'+') if one => return self.greedy(s + 1, p, end),
                        Some(b'+') => return Ok(None),
                        Some(b'-') => return self.lazy(s, p, end),
                        _ if one => (s, p) = (s + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn open(&mut self, capture: Capture, s: usize, p: usize) -> Found {
        if self.captures.len() == CAPTURES_MAX {
            return Err("too many captures");
        }
        self.captures.push(capture);
        let len = self.captures.len();
        let found = self.run(s, p)?;
        if found.is_none() {
            self.captures.truncate(len - 1);
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Found {
        let place = self
            .captures
            .iter()
            .rposition(|capture| matches!(capture, Capture::Open { .. }));
        let Some(place) = place else {
            return Err("invalid pattern capture");
        };
        let Capture::Open { start } = self.captures[place] else {
            return Err("invalid pattern capture");
        };
        self.captures[place] = Capture::Text { start, end: s };
        let found = self.run(s, p)?;
        if found.is_none() {
            self.captures[place] = Capture::Open { start };
        }
        Ok(found)
    }

    fn greedy(&mut self, s: usize, p: usize, end: usize) -> Found {
        let mut count = 0;
        while s + count < self.text.len() && self.single(self.text[s + count], p, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(found) = self.run(s + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn lazy(&mut self, mut s: usize, p: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.run(s, end + 1)? {
                return Ok(Some(found));
            }
            if s < self.text.len() && self.single(self.text[s], p, end) {
                s += 1;
            } else {
                return Ok(None);
            }
        }
    }

    fn balanced(&mut self, s: usize, p: usize) -> Found {
        let [open, close] = *self.pattern.get(p..p + 2).ok_or("unbalanced pattern")? else {
            return Err("unbalanced pattern");
        };
        if self.text.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut nested = 1;
        for at in s + 1..self.text.len() {
            self.step()?;
            if self.text[at] == close {
                nested -= 1;
                if nested == 0 {
                    return Ok(Some(at + 1));
                }
            } else if self.text[at] == open {
                nested += 1;
            }
        }
        Ok(None)
    }

    /// The text of an earlier capture once more.
    fn again(&mut self, s: usize, digit: u8) -> Found {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let Some(Capture::Text { start, end }) = self.captures.get(index).copied() else {
            return Err("invalid capture index");
        };
        let len = end - start;
        self.steps = self
            .steps
            .saturating_add(u32::try_from(len / 64).unwrap_or(u32::MAX));
        let repeats = self.text.get(s..s + len) == Some(&self.text[start..end]);
        Ok(repeats.then_some(s + len))
    }

    /// Where the class that starts here ends.
    fn class_end(&self, p: usize) -> Result<usize, &'static str> {
        match self.pattern[p] {
            b'%' if p + 1 >= self.pattern.len() => Err("malformed pattern (ends with '%')"),
            b'%' => Ok(p + 2),
            b'[' => {
                let mut at = p + 1;
                at += usize::from(self.pattern.get(at) == Some(&b'^'));
                // The first bracket after the start is one of the set.
                let first = at;
                loop {
                    match self.pattern.get(at) {
                        None => return Err("malformed pattern (missing ']')"),
                        Some(b']') if at > first => return Ok(at + 1),
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    fn single(&self, byte: u8, p: usize, end: usize) -> bool {
        match self.pattern[p] {
            b'.' => true,
            b'%' => in_class(byte, self.pattern[p + 1]),
            b'[' => self.in_set(byte, p, end - 1),
            other => other == byte,
        }
    }

    /// Whether a byte is in the set from `[` to the place of its `]`.
    fn in_set(&self, byte: u8, p: usize, last: usize) -> bool {
        let negated = self.pattern.get(p + 1) == Some(&b'^');
        let mut at = p + 1 + usize::from(negated);
        while at < last {
            if self.pattern[at] == b'%' {
                if in_class(byte, self.pattern[at + 1]) {
                    return !negated;
                }
                at += 2;
            } else if self.pattern[at + 1] == b'-' && at + 2 < last {
                if (self.pattern[at]..=self.pattern[at + 2]).contains(&byte) {
                    return !negated;
                }
                at += 3;
            } else {
                if self.pattern[at] == byte {
                    return !negated;
                }
                at += 1;
            }
        }
        negated
    }
}

fn in_class(byte: u8, class: u8) -> bool {
    let inside = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | 9..=13),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    inside != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::limits::Overseer;

    fn limit(time: Duration) -> Arc<dyn Overseer> {
        Arc::new(time)
    }

    fn check(text: &str, pattern: &str, expected: Option<(&str, &[&str])>) {
        let timer = Timer::new();
        let found = Matcher::new(text.as_bytes(), pattern.as_bytes(), &timer)
            .search(0)
            .expect("a good pattern");
        let found = found.map(|found| {
            let captures = found.captures.iter().map(|capture| match *capture {
                Capture::Text { start, end } => text[start..end].to_owned(),
                Capture::Position { at } => (at + 1).to_string(),
                Capture::Open { .. } => panic!("an open capture"),
            });
            (
                text[found.start..found.end].to_owned(),
                captures.collect::<Vec<_>>(),
            )
        });
        let expected = expected.map(|(all, captures)| {
            (
                all.to_owned(),
                captures.iter().map(|c| (*c).to_owned()).collect(),
            )
        });
        assert_eq!(found, expected, "{text:?} {pattern:?}");
    }

    #[test]
    fn each_item() {
        check("hello world", "o w", Some(("o w", &[])));
        check("hello", "^ell", None);
        check("hello", "l+", Some(("ll", &[])));
        check("hello", "l-o", Some(("llo", &[])));
        check("hello", "hx?e", Some(("he", &[])));
        check(
            "key=value",
            "(%w+)=(%w+)",
            Some(("key=value", &["key", "value"])),
        );
        check("abc", "()b()", Some(("b", &["2", "3"])));
        check("f(a(b)c)d", "%b()", Some(("(a(b)c)", &[])));
        check("THE (quick) fox", "%f[%a]%a+%f[%A]", Some(("THE", &[])));
        check("aXbXb", "(%u)b%1", Some(("XbX", &["X"])));
        check("a]b", "[]]", Some(("]", &[])));
        check("a-b", "[a%-]+", Some(("a-", &[])));
        check("x9", "[^%d]", Some(("x", &[])));
        check("m-z", "[b-y]", Some(("m", &[])));
        check("end$", "%$$", Some(("$", &[])));
        check("", ".*", Some(("", &[])));
    }

    #[test]
    fn bad_patterns_say_so() {
        let timer = Timer::new();
        for pattern in [
            "%", "[a", "[]", "[%", "(a", "a)", "%1", "%b", "%bx", "%f", "%fa", "[a%",
        ] {
            let found = Matcher::new(b"aaa", pattern.as_bytes(), &timer).search(0);
            assert!(found.is_err(), "{pattern:?} gave {found:?}");
        }
    }

    #[test]
    fn an_endless_search_ends() {
        let timer = Timer::new();
        timer.start(&limit(Duration::from_millis(5)));
        let (text, pattern) = ("a".repeat(2000), ".-".repeat(60) + "b");
        let found = Matcher::new(text.as_bytes(), pattern.as_bytes(), &timer).search(0);
        assert!(found.is_err());
    }

    proptest! {
        #[test]
        fn any_pattern_ends(text in "[a-c%]{0,12}", pattern in "[a-c%()\\[\\]^$.*+?bf1-]{0,12}") {
            let timer = Timer::new();
            timer.start(&limit(Duration::from_secs(1)));
            let _ = Matcher::new(text.as_bytes(), pattern.as_bytes(), &timer).search(0);
        }
    }
}
