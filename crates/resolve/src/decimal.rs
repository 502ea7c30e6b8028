//! Exact comparison of numbers that are written as text.

use std::cmp::Ordering;

/// A finite decimal number: a sign, digits with at most one point, an exponent; all but the digits may be missing.
///
/// It is compared digit by digit and never becomes a float: 9007199254740993 is greater than 9007199254740992, and no
/// two machines can round differently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    /// From the first digit that is not zero on, the point included; empty for zero.
    significant: &'a [u8],
    /// The power of ten of the first significant digit; 0 for zero.
    magnitude: i64,
}

impl<'a> Decimal<'a> {
    /// The number that `text` is, from its first byte to its last.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        if !is_mantissa(mantissa) {
            return None;
        }
        let Some(first) = mantissa.iter().position(|byte| matches!(byte, b'1'..=b'9')) else {
            return Some(Self {
                negative: false,
                significant: &[],
                magnitude: 0,
            });
        };
        let magnitude = i64::from(exponent) + power_of_ten(mantissa, first);
        Some(Self {
            negative,
            significant: &mantissa[first..],
            magnitude,
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + 'a {
        self.significant
            .iter()
            .copied()
            .filter(|byte| *byte != b'.')
    }

    fn compare_absolute(&self, other: &Self) -> Ordering {
        let empty = |number: &Self| number.significant.is_empty();
        // Zero has no first digit, so its magnitude must not be compared.
        empty(other)
            .cmp(&empty(self))
            .then(self.magnitude.cmp(&other.magnitude))
            .then_with(|| compare_digits(self.digits(), other.digits()))
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.compare_absolute(other),
            (true, true) => other.compare_absolute(self),
            (negative, _) => {
                if negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal<'_> {
    /// Equal as numbers: 1 and 1.0 are.
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal<'_> {}

fn is_mantissa(text: &[u8]) -> bool {
    let points = text.iter().filter(|byte| **byte == b'.').count();
    points <= 1
        && text.len() > points
        && text
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// Exponents that do not fit are no numbers: nobody writes them to mean one.
fn parse_exponent(text: &[u8]) -> Option<i32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The power of ten of the digit at `index`.
fn power_of_ten(mantissa: &[u8], index: usize) -> i64 {
    let point = mantissa
        .iter()
        .position(|byte| *byte == b'.')
        .unwrap_or(mantissa.len());
    let (point, index) = (point as i64, index as i64);
    if index < point {
        point - index - 1
    } else {
        point - index
    }
}

/// Compares digits of the same magnitude; zeros at the end mean nothing.
fn compare_digits(
    mut left: impl Iterator<Item = u8>,
    mut right: impl Iterator<Item = u8>,
) -> Ordering {
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) if left.unwrap_or(b'0') == right.unwrap_or(b'0') => {}
            (left, right) => return left.unwrap_or(b'0').cmp(&right.unwrap_or(b'0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(left: &str, right: &str) -> Option<Ordering> {
        Some(Decimal::parse(left.as_bytes())?.cmp(&Decimal::parse(right.as_bytes())?))
    }

    #[test]
    fn numbers_compare_as_numbers() {
        let ascending = [
            "-1e3", "-999.5", "-2", "-0.001", "0", "1e-400", ".05", "0.5", "1", "1.05", "1.5", "9",
            "10", "1E400",
        ];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(
                    compare(left, right),
                    Some(index.cmp(&other)),
                    "{left} {right}"
                );
            }
        }
    }

    #[test]
    fn one_number_has_many_spellings() {
        for (left, right) in [
            ("1", "1.0"),
            ("1", "+01"),
            ("100", "1e2"),
            ("0.01", "1e-2"),
            ("-0", "0.00e9"),
            ("5.", "5"),
            ("12.50", "1.25e1"),
        ] {
            assert_eq!(
                compare(left, right),
                Some(Ordering::Equal),
                "{left} {right}"
            );
        }
    }

    #[test]
    fn neighbours_beyond_the_precision_of_floats_differ() {
        assert_eq!(
            compare("9007199254740993", "9007199254740992"),
            Some(Ordering::Greater)
        );
    }

    #[test]
    fn what_is_not_a_finite_decimal_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e1.5",
            "1.2.3",
            "0x10",
            " 1",
            "1 ",
            "nan",
            "inf",
            "1e99999999999",
            "--1",
        ] {
            assert!(Decimal::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_like_integers(left: i128, right: i128) {
            prop_assert_eq!(compare(&left.to_string(), &right.to_string()), Some(left.cmp(&right)));
        }

        #[test]
        fn fractions_compare_like_scaled_integers(left in -9999i64..9999, right in -9999i64..9999) {
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            prop_assert_eq!(compare(&text(left), &text(right)), Some(left.cmp(&right)));
        }
    }
}
