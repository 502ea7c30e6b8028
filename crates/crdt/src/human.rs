//! What formats for people cannot write as it is: large numbers go as text where the format is one.

use core::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// For `#[serde(with = …)]`: a total, as text where it does not fit 64 bits.
pub(crate) mod total {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer, Visitor, fmt};

    pub(crate) fn serialize<S: Serializer>(total: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return total.serialize(serializer);
        }
        match i64::try_from(*total) {
            Ok(small) => small.serialize(serializer),
            Err(_) => serializer.collect_str(total),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<i128, D::Error> {
        if !deserializer.is_human_readable() {
            return i128::deserialize(deserializer);
        }
        deserializer.deserialize_any(Total)
    }

    struct Total;

    impl Visitor<'_> for Total {
        type Value = i128;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number, or its digits as text")
        }

        fn visit_i64<E: super::Error>(self, number: i64) -> Result<i128, E> {
            Ok(number.into())
        }

        fn visit_u64<E: super::Error>(self, number: u64) -> Result<i128, E> {
            Ok(number.into())
        }

        fn visit_str<E: super::Error>(self, text: &str) -> Result<i128, E> {
            Number(text).parse()
        }
    }
}

/// A number that may be infinite, or have more digits than every reader keeps: then it goes as text.
pub(crate) mod float {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer, Visitor, fmt};

    /// Numbers of so many digits, times or by so great a power of ten, are read exactly by the simplest reader: one
    /// multiplication or division of two numbers that are exact. `serde_json` is one, and misreads others by a bit.
    const DIGITS_MAX: usize = 15;
    const POWER_MAX: i64 = 22;

    pub(crate) fn serialize<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return number.serialize(serializer);
        }
        let whole = number as i64;
        let text = alloc::format!("{number:e}");
        if whole as f64 == number {
            whole.serialize(serializer)
        } else if is_read_exactly(&text) {
            number.serialize(serializer)
        } else {
            text.serialize(serializer)
        }
    }

    fn is_read_exactly(text: &str) -> bool {
        let Some((digits, power)) = text.split_once('e') else {
            return false;
        };
        let digits = digits.bytes().filter(u8::is_ascii_digit).count();
        let power = power.parse::<i64>().ok();
        let power = power.map(|power| power - (digits as i64 - 1));
        digits <= DIGITS_MAX && power.is_some_and(|power| power.abs() <= POWER_MAX)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        if !deserializer.is_human_readable() {
            return f64::deserialize(deserializer);
        }
        deserializer.deserialize_any(Float)
    }

    struct Float;

    impl Visitor<'_> for Float {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, or its digits as text")
        }

        fn visit_f64<E: super::Error>(self, number: f64) -> Result<f64, E> {
            Ok(number)
        }

        #[expect(
            clippy::cast_precision_loss,
            reason = "a score that is written without a fraction is the nearest number too"
        )]
        fn visit_i64<E: super::Error>(self, number: i64) -> Result<f64, E> {
            Ok(number as f64)
        }

        #[expect(
            clippy::cast_precision_loss,
            reason = "a score that is written without a fraction is the nearest number too"
        )]
        fn visit_u64<E: super::Error>(self, number: u64) -> Result<f64, E> {
            Ok(number as f64)
        }

        fn visit_str<E: super::Error>(self, text: &str) -> Result<f64, E> {
            Number(text).parse()
        }
    }
}

struct Number<'a>(&'a str);

impl Number<'_> {
    fn parse<N: core::str::FromStr, E: Error>(self) -> Result<N, E> {
        self.0
            .parse()
            .map_err(|_| E::custom("the text is no number"))
    }
}
