//! Interleaved rounds: candidates take turns, and the turn changes each round, so that a noisy minute hits all alike.

use anyhow::Result;

/// Measures `left` and `right` in turn, `rounds` times; returns both series, round by round.
pub(crate) fn interleaved<T>(
    rounds: usize,
    mut left: impl FnMut() -> Result<T>,
    mut right: impl FnMut() -> Result<T>,
) -> Result<Vec<(T, T)>> {
    let mut pairs = Vec::new();
    for round in 0..rounds {
        pairs.push(if round % 2 == 0 {
            let first = left()?;
            (first, right()?)
        } else {
            let first = right()?;
            (left()?, first)
        });
    }
    Ok(pairs)
}

/// The middle value; of an even number, the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn turns_change_and_pairs_stay_in_order() {
        let order = RefCell::new(String::new());
        let call = |name: char| {
            order.borrow_mut().push(name);
            Ok(name)
        };
        let pairs = interleaved(3, || call('l'), || call('r')).unwrap();
        assert_eq!(pairs, [('l', 'r'); 3]);
        assert_eq!(order.into_inner(), "lrrllr");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
