//! Glob patterns as in KEYS and SCAN.

/// Whether upper and lower case are the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Ignored,
}

/// Whether the whole text matches the pattern: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before a literal.
///
/// Costs at most the product of both lengths: only the last star is ever tried again, since an earlier one could only
/// make the same rest start later.
pub(crate) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if pattern == b"*" {
        return true;
    }
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
        } else if let Some(next) = step(pattern, p, text[t], case) {
            (p, t) = (next, t + 1);
        } else if let Some((after_star, from)) = retry {
            (p, t) = (after_star, from + 1);
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Where the pattern goes on if its element at `p` matches the byte.
fn step(pattern: &[u8], p: usize, byte: u8, case: Case) -> Option<usize> {
    match pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p + 1, byte, case),
        b'\\' if p + 1 < pattern.len() => equal(pattern[p + 1], byte, case).then_some(p + 2),
        &literal => equal(literal, byte, case).then_some(p + 1),
    }
}

/// A class that is never closed ends with the pattern, as in Redis.
fn class(pattern: &[u8], mut p: usize, byte: u8, case: Case) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p..] {
            [] => break,
            [b']', ..] => {
                p += 1;
                break;
            }
            [b'\\', literal, ..] => {
                found |= equal(literal, byte, case);
                p += 2;
            }
            [from, b'-', to, ..] => {
                found |= within(from, to, byte, case);
                p += 3;
            }
            [literal, ..] => {
                found |= equal(literal, byte, case);
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

fn equal(a: u8, b: u8, case: Case) -> bool {
    a == b || (case == Case::Ignored && a.eq_ignore_ascii_case(&b))
}

fn within(from: u8, to: u8, byte: u8, case: Case) -> bool {
    let fold = |byte: u8| {
        if case == Case::Ignored {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
    };
    let (from, to, byte) = (fold(from), fold(to), fold(byte));
    (from.min(to)..=from.max(to)).contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(50) + "b";
        check(&pattern, &"a".repeat(2_000), false);
    }

    proptest! {
        #[test]
        fn never_panics(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text, Case::Sensitive);
            matches(&pattern, &text, Case::Ignored);
        }

        #[test]
        fn a_quoted_text_matches_itself(text: Vec<u8>) {
            let pattern: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(matches(&pattern, &text, Case::Sensitive));
        }
    }
}
