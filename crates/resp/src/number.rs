//! Integers as Redis reads and writes them.

/// The longest decimal form of an `i64`.
pub(crate) const I64_DIGITS_MAX: usize = 20;

/// Reads an integer the way Redis does: no blanks, no plus sign, no leading zeros, nothing after it.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < I64_DIGITS_MAX => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Nineteen digits fit a u64, so this cannot overflow.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Reads an unsigned integer, such as a scan cursor or a client id.
pub(crate) fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Decimal digits of a number in a buffer on the stack.
pub(crate) struct Digits {
    buffer: [u8; I64_DIGITS_MAX],
    start: usize,
}

impl Digits {
    pub(crate) fn of(value: i64) -> Self {
        let mut digits = Digits::of_unsigned(value.unsigned_abs());
        if value < 0 {
            digits.start -= 1;
            digits.buffer[digits.start] = b'-';
        }
        digits
    }

    pub(crate) fn of_unsigned(mut value: u64) -> Self {
        let mut buffer = [0; I64_DIGITS_MAX];
        let mut start = I64_DIGITS_MAX;
        loop {
            start -= 1;
            buffer[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return Digits { buffer, start };
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_only_what_redis_reads() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn digits_round_trip(value: i64) {
            prop_assert_eq!(parse_i64(Digits::of(value).as_bytes()), Some(value));
        }

        #[test]
        fn unsigned_digits_round_trip(value: u64) {
            prop_assert_eq!(parse_u64(Digits::of_unsigned(value).as_bytes()), Some(value));
        }
    }
}
