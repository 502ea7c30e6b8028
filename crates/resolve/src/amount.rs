//! Exact decimal numbers that can be added up.

use std::fmt;
use std::ops::{Add, Neg, Sub};

use serde::{Deserialize, Deserializer, Serialize, de};

/// Digits after the point that a number can have.
const FRACTION_DIGITS: usize = 36;
/// Parts of one.
const UNIT: u128 = 10u128.pow(FRACTION_DIGITS as u32);
/// Digits before the point that a number can have.
const WHOLE_DIGITS: usize = 39;

// Two fractions and a carry fit.
const _: () = assert!(UNIT < u128::MAX / 2);

/// A whole number of 128 bits and 36 digits after the point.
///
/// Sums wrap in 128 bits, so that adding is associative and commutative whatever is added: the order in which regions
/// learn of differences must not show. Nothing is ever rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Amount {
    /// The greatest whole number that is not above it.
    whole: i128,
    /// What lies above that, in parts of one. Invariant: less than one.
    fraction: u128,
}

impl Amount {
    pub(crate) const ZERO: Self = Self {
        whole: 0,
        fraction: 0,
    };

    /// The number that a JSON number is; none if it has more digits than fit, before the point or after it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = before.bytes().chain(after.bytes());
        let leading = digits.clone().take_while(|digit| *digit == b'0').count();
        let trailing = digits
            .clone()
            .rev()
            .take_while(|digit| *digit == b'0')
            .count();
        let len = before.len() + after.len();
        if leading == len {
            return Some(Self::ZERO);
        }
        let count = len - leading - trailing;
        if count > WHOLE_DIGITS + FRACTION_DIGITS {
            return None;
        }
        // So many of the significant digits lie before the point; some that are not written may lie there, too.
        let point = before.len() as i64 - leading as i64 + i64::from(exponent);
        if point > WHOLE_DIGITS as i64 || count as i64 - point > FRACTION_DIGITS as i64 {
            return None;
        }
        let significant = digits.skip(leading).take(count);
        let (mut whole, mut fraction) = (0u128, 0u128);
        for (index, digit) in (0i64..).zip(significant) {
            let digit = u128::from(char::from(digit).to_digit(10)?);
            if index < point {
                whole = whole.checked_mul(10)?.checked_add(digit)?;
            } else {
                fraction +=
                    digit * 10u128.pow((FRACTION_DIGITS as i64 - 1 - (index - point)) as u32);
            }
        }
        let zeros = u32::try_from(point - count as i64).unwrap_or(0);
        whole = whole.checked_mul(10u128.checked_pow(zeros)?)?;
        Self::of_parts(is_negative, whole, fraction)
    }

    fn of_parts(is_negative: bool, whole: u128, fraction: u128) -> Option<Self> {
        if !is_negative {
            let whole = i128::try_from(whole).ok()?;
            return Some(Self { whole, fraction });
        }
        let whole = 0i128.checked_sub_unsigned(whole)?;
        match fraction {
            0 => Some(Self { whole, fraction }),
            _ => Some(Self {
                whole: whole.checked_sub(1)?,
                fraction: UNIT - fraction,
            }),
        }
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let fraction = self.fraction + other.fraction;
        let whole = self.whole.wrapping_add(other.whole);
        match fraction.checked_sub(UNIT) {
            Some(fraction) => Self {
                whole: whole.wrapping_add(1),
                fraction,
            },
            None => Self { whole, fraction },
        }
    }
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        match self.fraction {
            0 => Self {
                whole: self.whole.wrapping_neg(),
                fraction: 0,
            },
            fraction => Self {
                whole: self.whole.wrapping_neg().wrapping_sub(1),
                fraction: UNIT - fraction,
            },
        }
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl fmt::Display for Amount {
    /// As few digits as say it, and no exponent: one number has one text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, whole, fraction) = match (self.whole < 0, self.fraction) {
            (false, fraction) => ("", self.whole.unsigned_abs(), fraction),
            (true, 0) => ("-", self.whole.unsigned_abs(), 0),
            (true, fraction) => ("-", (self.whole + 1).unsigned_abs(), UNIT - fraction),
        };
        write!(f, "{sign}{whole}")?;
        if fraction == 0 {
            return Ok(());
        }
        let digits = format!("{fraction:0FRACTION_DIGITS$}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (whole, fraction) = Deserialize::deserialize(deserializer)?;
        match fraction < UNIT {
            true => Ok(Self { whole, fraction }),
            false => Err(de::Error::custom("a fraction is less than one")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_have_one_text() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.00e9", "0"),
            ("10", "10"),
            ("1.50", "1.5"),
            ("-1.5", "-1.5"),
            ("-0.25", "-0.25"),
            ("12e2", "1200"),
            ("1.25E+1", "12.5"),
            ("125e-3", "0.125"),
            ("100e-2", "1"),
            ("9007199254740993", "9007199254740993"),
            (
                "170141183460469231731687303715884105727",
                "170141183460469231731687303715884105727",
            ),
            (
                "-170141183460469231731687303715884105728",
                "-170141183460469231731687303715884105728",
            ),
            ("1e-36", "0.000000000000000000000000000000000001"),
        ] {
            assert_eq!(amount(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in [
            "170141183460469231731687303715884105728",
            "-170141183460469231731687303715884105729",
            "1e39",
            "1e-37",
            "1e999999999",
            "1e99999999999",
            "0.1234567890123456789012345678901234567",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_add_up_exactly() {
        assert_eq!((amount("0.1") + amount("0.2")).to_string(), "0.3");
        assert_eq!((amount("7.25") - amount("10")).to_string(), "-2.75");
        assert_eq!((amount("-0.5") + amount("0.5")), Amount::ZERO);
        assert!(amount("-0.5") < Amount::ZERO && amount("-1") < amount("-0.5"));
    }

    proptest! {
        #[test]
        fn texts_round_trip(whole: i128, fraction in 0..UNIT) {
            let any = Amount { whole, fraction };
            prop_assert_eq!(Amount::parse(&any.to_string()), Some(any));
            let bytes = postcard::to_allocvec(&any).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Amount>(&bytes), Ok(any));
        }

        #[test]
        fn sums_are_those_of_scaled_integers(one in -10i64.pow(12)..10i64.pow(12), other in -10i64.pow(12)..10i64.pow(12)) {
            let of = |scaled: i64| {
                let (sign, scaled) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
                amount(&format!("{sign}{}.{:05}", scaled / 100_000, scaled % 100_000))
            };
            prop_assert_eq!(of(one) + of(other), of(one + other));
            prop_assert_eq!(of(one) - of(other), of(one - other));
            prop_assert_eq!(of(one).cmp(&of(other)), one.cmp(&other));
        }

        #[test]
        fn the_order_of_adding_does_not_show(parts in prop::collection::vec((any::<i128>(), 0..UNIT), 3)) {
            let [a, b, c] = [0, 1, 2].map(|index| Amount { whole: parts[index].0, fraction: parts[index].1 });
            prop_assert_eq!((a + b) + c, a + (b + c));
            prop_assert_eq!(a + b, b + a);
            prop_assert_eq!(a - a, Amount::ZERO);
        }
    }
}
