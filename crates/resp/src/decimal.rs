//! The arithmetic of INCRBYFLOAT.
//!
//! Redis adds in 80-bit floating point and prints 17 digits after the point, which hides the rounding error of sums
//! such as 0.1 + 0.2. Decimals are added exactly here, which gives the same answers wherever those are the true ones;
//! what does not fit falls back to a double.

use crate::double;

/// Digits after the point in an answer.
const FRACTION_DIGITS: u32 = 17;
/// Longer texts are no numbers, as in Redis.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Decimal digits that an `i128` always holds, with room for one addition.
const MANTISSA_DIGITS_MAX: i64 = 37;

/// A number as a client wrote it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// `mantissa / 10^scale`.
    Exact { mantissa: i128, scale: u32 },
    /// Too large or too fine for that.
    Rounded(f64),
}

impl Number {
    /// Reads a finite or infinite number; blanks around it and NaN are refused.
    pub(crate) fn parse(text: &[u8]) -> Option<Number> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        if let Some(exact) = parse_exact(text) {
            return Some(exact);
        }
        if let Some(value) = double::parse_hexadecimal(text) {
            return value.is_finite().then(|| Number::of(value));
        }
        let text = std::str::from_utf8(text).ok()?;
        let value: f64 = text.parse().ok()?;
        // A finite text that only an infinity could represent is out of range, as in Redis.
        let overflowed = value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
        (!value.is_nan() && !overflowed).then_some(Number::Rounded(value))
    }

    /// A binary number, exact where its decimal digits fit.
    fn of(value: f64) -> Number {
        parse_exact(format!("{value}").as_bytes()).unwrap_or(Number::Rounded(value))
    }

    pub(crate) fn is_infinite(self) -> bool {
        matches!(self, Number::Rounded(value) if value.is_infinite())
    }

    /// The sum, or nothing if it is not finite.
    pub(crate) fn add(self, other: Number) -> Option<Number> {
        if let Some(sum) = self.add_exact(other) {
            return Some(sum);
        }
        let sum = self.to_f64() + other.to_f64();
        sum.is_finite().then_some(Number::Rounded(sum))
    }

    /// The number with at most 17 digits after the point and no needless zeros.
    pub(crate) fn to_text(self) -> String {
        match self {
            Number::Exact { mantissa, scale } => {
                let (mantissa, scale) = round(mantissa, scale);
                let sign = if mantissa < 0 { "-" } else { "" };
                let digits = mantissa.unsigned_abs();
                let power = 10u128.pow(scale);
                let fraction = format!("{:0width$}", digits % power, width = scale as usize);
                trim(format!("{sign}{}.{fraction}", digits / power))
            }
            Number::Rounded(value) => trim(format!("{value:.17}")),
        }
    }

    fn to_f64(self) -> f64 {
        match self {
            // Printing and reading rounds once; dividing would round twice.
            Number::Exact { mantissa, scale } => format!("{mantissa}e-{scale}")
                .parse()
                .expect("a decimal is a float"),
            Number::Rounded(value) => value,
        }
    }

    fn add_exact(self, other: Number) -> Option<Number> {
        let (
            Number::Exact {
                mantissa: a,
                scale: s,
            },
            Number::Exact {
                mantissa: b,
                scale: t,
            },
        ) = (self, other)
        else {
            return None;
        };
        let scale = s.max(t);
        let a = a.checked_mul(10i128.checked_pow(scale - s)?)?;
        let b = b.checked_mul(10i128.checked_pow(scale - t)?)?;
        Some(Number::Exact {
            mantissa: a.checked_add(b)?,
            scale,
        })
    }
}

fn parse_exact(text: &[u8]) -> Option<Number> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (number, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (
            &rest[..at],
            std::str::from_utf8(&rest[at + 1..])
                .ok()?
                .parse::<i16>()
                .ok()?,
        ),
        None => (rest, 0),
    };
    let mut mantissa = 0i128;
    let mut fraction_digits = None::<i64>;
    let mut digits = 0i64;
    for &byte in number {
        match byte {
            b'0'..=b'9' if digits < MANTISSA_DIGITS_MAX => {
                mantissa = mantissa * 10 + i128::from(byte - b'0');
                digits += i64::from(mantissa != 0);
                fraction_digits = fraction_digits.map(|count| count + 1);
            }
            b'.' if fraction_digits.is_none() => fraction_digits = Some(0),
            _ => return None,
        }
    }
    if !number.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let scale = fraction_digits.unwrap_or(0) - i64::from(exponent);
    let mantissa = if negative { -mantissa } else { mantissa };
    if scale > MANTISSA_DIGITS_MAX || digits - scale > MANTISSA_DIGITS_MAX {
        return None;
    }
    match u32::try_from(scale) {
        Ok(scale) => Some(Number::Exact { mantissa, scale }),
        Err(_) => {
            let power = 10i128.checked_pow(u32::try_from(-scale).ok()?)?;
            Some(Number::Exact {
                mantissa: mantissa.checked_mul(power)?,
                scale: 0,
            })
        }
    }
}

/// Rounds to the digits of an answer, halves to even.
fn round(mantissa: i128, scale: u32) -> (i128, u32) {
    if scale <= FRACTION_DIGITS {
        return (mantissa, scale);
    }
    let power = 10i128.pow(scale - FRACTION_DIGITS);
    let (quotient, rest) = (mantissa / power, (mantissa % power).abs() * 2);
    let up = rest > power || (rest == power && quotient % 2 != 0);
    (
        if up {
            quotient + mantissa.signum()
        } else {
            quotient
        },
        FRACTION_DIGITS,
    )
}

fn trim(mut text: String) -> String {
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let number = |text: &str| Number::parse(text.as_bytes()).expect("a number");
        number(a)
            .add(number(b))
            .map_or_else(|| "none".to_owned(), Number::to_text)
    }

    #[test]
    fn sums_read_as_people_expect() {
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("1", "-1.1", "-0.1"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3.0", "1.1", "4.1"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1.23", "-1.23", "0"),
            ("-0", "0", "0"),
            ("0.02439024390243902", "-0.024390243902439025", "0"),
            ("1e-20", "0", "0"),
            ("1e300", "1e300", &format!("{:.0}", 2e300)),
            ("1e308", "1e308", "none"),
            ("inf", "1", "none"),
            ("99999999999999999999", "1", "100000000000000000000"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn only_numbers_are_numbers() {
        for text in [
            "", " 1", "1 ", "abc", "1.2.3", "1e", "e1", ".", "-", "nan", "1e400", "0x", "1_000",
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text:?}");
        }
        for text in ["1", "-1.5", "+2", ".5", "5.", "1e5", "inf", "-inf", "1E-3"] {
            assert!(Number::parse(text.as_bytes()).is_some(), "{text:?}");
        }
    }

    #[test]
    fn long_texts_do_not_panic() {
        for length in [30, 36, 37, 38, 39, 40, 100, 5000] {
            for text in [
                "9".repeat(length),
                format!("0.{}", "9".repeat(length)),
                format!("1e-{length}"),
            ] {
                if let Some(number) = Number::parse(text.as_bytes()) {
                    number.to_text();
                    number.add(number).map(Number::to_text);
                }
            }
        }
    }
}
