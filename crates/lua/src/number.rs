//! Floats as C's `%.<n>g` writes them, which is what clients of Redis's scripts see.

/// `%.<precision>g`.
pub(crate) fn general(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (digits, exponent) = scientific.split_once('e').expect("Rust writes an exponent");
    let exponent: i32 = exponent.parse().expect("Rust writes a number after the e");
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs());
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// A number as an argument of a command: integers without a point, others with 17 digits, so that nothing is lost.
pub(crate) fn argument(value: f64) -> String {
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.fract() == 0.0 && value.abs() < 1e17 && !is_negative_zero {
        (value as i64).to_string()
    } else {
        general(value, 17)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_c_writes_them() {
        for (value, precision, expected) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.0, 14, "1"),
            (0.1, 14, "0.1"),
            (0.1, 17, "0.10000000000000001"),
            (3.99, 17, "3.9900000000000002"),
            (1e15, 14, "1e+15"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (9_007_199_254_740_991.0, 17, "9007199254740991"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (99_999.96, 6, "100000"),
            (999_999.96, 6, "1e+06"),
            (-2.5e300, 14, "-2.5e+300"),
            (f64::INFINITY, 14, "inf"),
        ] {
            assert_eq!(general(value, precision), expected, "{value} {precision}");
        }
    }

    #[test]
    fn arguments_keep_every_digit() {
        for (value, expected) in [
            (10.0, "10"),
            (-3.0, "-3"),
            (-0.0, "-0"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1.5, "1.5"),
            (1e20, "1e+20"),
        ] {
            assert_eq!(argument(value), expected);
        }
    }
}
