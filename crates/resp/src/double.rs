//! Scores as text: what clients may write, and what they are answered.

use std::fmt::Write;

/// Reads a number as Redis reads scores: no blanks, no NaN, and nothing that only an infinity or zero could stand for.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let value = parse_bound(text)?;
    let number = text.split(|byte| matches!(byte, b'e' | b'E')).next()?;
    let digits = number.iter().any(u8::is_ascii_digit);
    let nonzero = number.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    let overflowed = value.is_infinite() && digits;
    let underflowed = value == 0.0 && nonzero;
    (!overflowed && !underflowed).then_some(value)
}

/// The same for the end of a range, which may lie beyond all numbers.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// Integers of a size beyond this are written with an exponent, as all numbers are.
const PLAIN_INTEGER_MAX: f64 = ((1u64 << 52) - 1) as f64;

/// The shortest text that reads as the same number, with Redis's choice of where an exponent begins.
pub(crate) fn to_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if value.fract() == 0.0 && value.abs() <= PLAIN_INTEGER_MAX {
        return (value as i64).to_string();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the format writes an integer");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    format!("{sign}{}", place(&digits, exponent))
}

/// Digits with the point after the first of them, times ten to the exponent.
fn place(digits: &str, exponent: i32) -> String {
    let count = digits.len() as i32;
    // The exponent of the last digit.
    let last = exponent - (count - 1);
    if last >= 0 && exponent < count + 7 {
        return format!("{digits}{}", "0".repeat(last as usize));
    }
    if last < 0 && (last > -7 || exponent.abs() < 4) {
        return match usize::try_from(exponent) {
            Ok(whole) => format!("{}.{}", &digits[..=whole], &digits[whole + 1..]),
            Err(_) => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        };
    }
    let mut text = digits[..1].to_owned();
    if count > 1 {
        text.push('.');
        text.push_str(&digits[1..]);
    }
    write!(text, "e{exponent:+}").expect("a string takes everything");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scores_read_as_redis_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-3.5, "-3.5"),
            (1.1, "1.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000"),
            (4_503_599_627_370_495.0, "4503599627370495"),
            (1e20, "1e+20"),
            (-1.5e300, "-1.5e+300"),
            (0.001, "0.001"),
            (0.00001, "0.00001"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (12.25, "12.25"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(to_text(value), text);
        }
    }

    #[test]
    fn only_numbers_are_scores() {
        for text in [
            "", " 1", "1 ", "nan", "abc", "1e400", "-1e400", "1e-400", "1_0",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        for (text, value) in [
            ("1", 1.0),
            ("+2.5", 2.5),
            ("-inf", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            ("0e9", 0.0),
            ("1e3", 1000.0),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text:?}");
        }
        assert_eq!(parse_bound(b"1e400"), Some(f64::INFINITY));
    }

    proptest! {
        #[test]
        fn texts_round_trip(value: f64) {
            prop_assume!(!value.is_nan());
            prop_assert_eq!(parse(to_text(value).as_bytes()), Some(value));
        }
    }
}
