//! Ertl's improved estimator.

use super::sketch::{RANK_MAX, REGISTERS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.5 / core::f64::consts::LN_2;

/// The estimate from how many registers have each rank: algorithm 6 of the paper.
pub(super) fn cardinality(counts: &[u32; RANK_MAX as usize + 1]) -> u64 {
    let registers = REGISTERS as f64;
    let (zeros, full) = (counts[0], counts[usize::from(RANK_MAX)]);
    let mut z = registers * tau(1.0 - f64::from(full) / registers);
    for count in counts[1..usize::from(RANK_MAX)].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += registers * sigma(f64::from(zeros) / registers);
    // Where every register is zero, z is infinite and the estimate zero.
    (ALPHA * registers * registers / z + 0.5) as u64
}

/// x + Σ x^(2^k) 2^(k-1): what registers that are still zero say.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// (1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3: what registers that can rise no further say.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = sqrt(x);
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

/// The root of a number between 0 and 1, by Newton: there is none without the standard library.
fn sqrt(x: f64) -> f64 {
    let mut root = 1.0;
    loop {
        let next = 0.5 * (root + x / root);
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_roots() {
        for number in [1e-12, 0.25, 0.5, 0.999_999] {
            assert!((sqrt(number) * sqrt(number) - number).abs() < 1e-15);
        }
    }

    #[test]
    fn the_ends_of_the_scale() {
        let mut counts = [0; RANK_MAX as usize + 1];
        counts[0] = REGISTERS as u32;
        assert_eq!(cardinality(&counts), 0);
        counts[0] = 0;
        counts[usize::from(RANK_MAX)] = REGISTERS as u32;
        assert_eq!(cardinality(&counts), u64::MAX);
        counts[usize::from(RANK_MAX)] -= 1_000;
        counts[usize::from(RANK_MAX) - 1] = 1_000;
        assert!(cardinality(&counts) > 1 << 60);
    }
}
