//! Scores as text: what clients may write, and what they are answered.

use std::fmt::Write;

/// Reads a number as Redis reads scores: no blanks, no NaN, and nothing that only an infinity or zero could stand for.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let value = parse_bound(text)?;
    let (number, is_digit): (_, fn(&u8) -> bool) = match hexadecimal(text) {
        Some((_, digits)) => (
            digits.split(|byte| matches!(byte, b'p' | b'P')).next()?,
            u8::is_ascii_hexdigit,
        ),
        None => (
            text.split(|byte| matches!(byte, b'e' | b'E')).next()?,
            u8::is_ascii_digit,
        ),
    };
    let digits = number.iter().any(is_digit);
    let nonzero = number.iter().any(|byte| is_digit(byte) && *byte != b'0');
    let overflowed = value.is_infinite() && digits;
    let underflowed = value == 0.0 && nonzero;
    (!overflowed && !underflowed).then_some(value)
}

/// The same for the end of a range, which may lie beyond all numbers.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    if hexadecimal(text).is_some() {
        return parse_hexadecimal(text);
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// What C's `strtod` makes of these bytes before [`parse`] or [`parse_bound`] read the number: it skips blanks, ends at a zero
/// byte, and takes nothing at all for zero.
pub(crate) fn as_c_reads(text: &[u8]) -> &[u8] {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text {
        b"" => b"0",
        text => text.trim_ascii_start(),
    }
}

/// The sign of a hexadecimal number, and what follows `0x`.
fn hexadecimal(text: &[u8]) -> Option<(bool, &[u8])> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    match rest {
        [b'0', b'x' | b'X', digits @ ..] => Some((negative, digits)),
        _ => None,
    }
}

/// Reads a hexadecimal number, with a sign or without; none if it is none.
pub(crate) fn parse_hexadecimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = hexadecimal(text)?;
    let value = value_of(digits)?;
    Some(if negative { -value } else { value })
}

/// Reads hexadecimal digits with a point and a power of two, as C does. Digits beyond the precision of a double are cut, not
/// rounded.
fn value_of(text: &[u8]) -> Option<f64> {
    let at = text.iter().position(|byte| matches!(byte, b'p' | b'P'));
    let (number, power) = match at {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let mut power: i64 = match power {
        Some(power)
            if power
                .first()
                .is_some_and(|byte| !byte.is_ascii_whitespace()) =>
        {
            std::str::from_utf8(power).ok()?.parse().ok()?
        }
        Some(_) => return None,
        None => 0,
    };
    let (mut mantissa, mut digits, mut point) = (0u64, false, false);
    for byte in number {
        if *byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = char::from(*byte).to_digit(16)?;
        digits = true;
        // As long as another digit fits; what comes later is below the precision of a double.
        let fits = mantissa >> 60 == 0;
        if fits {
            mantissa = mantissa << 4 | u64::from(digit);
        }
        power = power.saturating_add(4 * (i64::from(!fits) - i64::from(point)));
    }
    digits.then(|| scaled(mantissa as f64, power))
}

/// `value` times two to this power, in steps that neither overflow nor lose anything before the last one.
fn scaled(mut value: f64, power: i64) -> f64 {
    /// Beyond this no mantissa of sixty-four bits is finite, or other than zero.
    const POWER_MAX: i64 = 2_200;
    /// A power of two that is a normal number, as is its inverse.
    const STEP: i64 = 1_000;
    let mut left = power.clamp(-POWER_MAX, POWER_MAX);
    while left != 0 {
        let step = left.clamp(-STEP, STEP);
        value *= 2f64.powi(step as i32);
        left -= step;
    }
    value
}

/// Integers of a size beyond this are written with an exponent, as all numbers are.
const PLAIN_INTEGER_MAX: f64 = ((1u64 << 52) - 1) as f64;

/// The shortest text that reads as the same number, with Redis's choice of where an exponent begins.
pub(crate) fn to_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
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
    fn what_is_no_number_has_a_text() {
        assert_eq!(to_text(f64::NAN), "nan");
        assert_eq!(to_text(-f64::NAN), "nan");
    }

    #[test]
    fn hexadecimal_is_read_as_c_does() {
        for (text, value) in [
            ("0x10", 16.0),
            ("-0X1f", -31.0),
            ("+0x.8", 0.5),
            ("0x1.8p3", 12.0),
            ("0x1P-2", 0.25),
            ("0x10p+1", 32.0),
            ("0x0", 0.0),
            ("0xffffffffffffffffff", 4_722_366_482_869_645_213_695.0),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "0x",
            "0x.",
            "0x1p",
            "0xg",
            "0x1.2.3",
            "x1",
            "0x1p1.5",
            "0x-1",
            "0x1p99999",
            "0x1p-99999",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
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
