//! Sums of scores that keep what is small beside what is large.

use super::score::Score;

/// The bits of a number that is none, under which the infinities are counted.
const COUNT_TAG: u64 = 0xfff8 << COUNT_BITS;
const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// More infinities than anybody adds to one member.
const INFINITE_MAX: i64 = 1 << (COUNT_BITS - 2);

/// A sum of scores to 32 digits: of two numbers the first is the nearest to the sum, the second what it is off by.
/// Infinities are counted beside, so that what is finite can still be told when they are taken away again.
///
/// The additions are those of Dekker, *A floating-point technique for extending the available precision*, 1971, and Knuth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sum {
    // Invariant: finite; `high + low` rounds to `high`, and neither is minus zero. With infinities, `low` is zero.
    high: f64,
    low: f64,
    /// How many more times infinity was added than minus infinity.
    infinite: i64,
}

impl Sum {
    pub(super) const ZERO: Self = Self {
        high: 0.0,
        low: 0.0,
        infinite: 0,
    };

    pub(super) fn of(score: Score) -> Self {
        let number = score.get();
        if number.is_infinite() {
            let infinite = if number > 0.0 { 1 } else { -1 };
            return Self {
                infinite,
                ..Self::ZERO
            };
        }
        Self {
            high: number,
            ..Self::ZERO
        }
    }

    /// `None` where what is finite in it becomes too large for a number.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let (high, rest) = two_sum(self.high, other.high);
        let (low, least) = two_sum(self.low, other.low);
        let (high, rest) = two_sum(high, rest + low);
        let (high, low) = two_sum(high, rest + least);
        let infinite = self.infinite + other.infinite;
        let is_possible = high.is_finite() && infinite.abs() < INFINITE_MAX;
        let sum = if infinite == 0 {
            Self {
                high: high + 0.0,
                low: low + 0.0,
                infinite,
            }
        } else {
            Self {
                high: high + 0.0,
                low: 0.0,
                infinite,
            }
        };
        is_possible.then_some(sum)
    }

    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self {
            high: -other.high,
            low: -other.low,
            infinite: -other.infinite,
        })
    }

    /// Times a power of two.
    pub(super) fn scaled(self, by: f64) -> Self {
        Self {
            high: self.high * by,
            low: self.low * by,
            ..self
        }
    }

    /// What is finite in it.
    pub(super) fn finite(self) -> Self {
        Self {
            infinite: 0,
            ..self
        }
    }

    pub(super) const fn infinite(self) -> i64 {
        self.infinite
    }

    /// The nearest number to what is finite in it.
    pub(super) fn nearest(self) -> f64 {
        self.high + self.low
    }

    /// As the total of a counter. A sum that is just a number is the bits of that number.
    pub(super) fn to_total(self) -> i128 {
        let (first, second) = if self.infinite == 0 {
            (self.high.to_bits(), self.low.to_bits())
        } else {
            let count = self.infinite.cast_unsigned() & COUNT_MASK;
            (COUNT_TAG | count, self.high.to_bits())
        };
        (u128::from(second) << 64 | u128::from(first)).cast_signed()
    }

    /// The sum that [`to_total`](Self::to_total) wrote; `None` where it never did.
    pub(super) fn from_total(total: i128) -> Option<Self> {
        let bits = total.cast_unsigned();
        let (first, second) = (bits as u64, f64::from_bits((bits >> 64) as u64));
        let sum = if first & COUNT_TAG == COUNT_TAG {
            let shift = u64::BITS - COUNT_BITS;
            Self {
                high: second,
                low: 0.0,
                infinite: (first << shift).cast_signed() >> shift,
            }
        } else {
            Self {
                high: f64::from_bits(first),
                low: second,
                infinite: 0,
            }
        };
        // Normal as sums are: compared by bits, because minus zero equals zero.
        let normal = sum.plus(Self::ZERO).map(Self::to_total);
        (normal == Some(total)).then_some(sum)
    }
}

/// The sum and what rounding took from it, exactly.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let other = sum - a;
    (sum, (a - (sum - other)) + (b - other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(numbers: &[f64]) -> Sum {
        let scores = numbers.iter().map(|number| Score::of(*number));
        scores.fold(Sum::ZERO, |sum, score| {
            sum.plus(Sum::of(score)).expect("these fit")
        })
    }

    #[test]
    fn what_is_small_stays_beside_what_is_large() {
        let both = sum(&[1e17, 3.0, 1.0]);
        assert_eq!(both.minus(sum(&[1e17])), Some(sum(&[4.0])));
        let both = sum(&[1e300, 3.5]);
        assert_eq!(both.minus(sum(&[1e300])), Some(sum(&[3.5])));
        let infinite = sum(&[f64::INFINITY, 3.0, f64::INFINITY]);
        let rest = infinite.minus(sum(&[f64::INFINITY]));
        assert_eq!(rest, Some(sum(&[f64::INFINITY, 3.0])));
        assert_eq!(sum(&[f64::MAX]).plus(sum(&[f64::MAX])), None);
    }

    #[test]
    fn every_sum_has_one_total() {
        let cases: [&[f64]; 6] = [
            &[],
            &[-1.5],
            &[1e17, 3.0],
            &[f64::INFINITY, 2.0],
            &[f64::NEG_INFINITY],
            &[0.1, 0.2, -0.3],
        ];
        for numbers in cases {
            let sum = sum(numbers);
            assert_eq!(Sum::from_total(sum.to_total()), Some(sum), "{numbers:?}");
        }
        let totals = [
            f64::NAN.to_bits(),
            f64::INFINITY.to_bits(),
            (-0.0f64).to_bits(),
            COUNT_TAG,
        ];
        for total in totals {
            assert_eq!(Sum::from_total(i128::from(total)), None, "{total:x}");
        }
        assert_eq!(Sum::from_total(-1), None);
        let swapped =
            (u128::from(1e17f64.to_bits()) << 64 | u128::from(3f64.to_bits())).cast_signed();
        assert_eq!(Sum::from_total(swapped), None);
    }
}
