//! States are stored as drawn, and nothing else is read.

use super::*;

fn replica(number: u128) -> ReplicaId {
    ReplicaId::from_u128(number)
}

fn state() -> Sums {
    let writing = |number, sequence, previous| Writing {
        dot: Dot::new(replica(number), sequence),
        previous,
    };
    let amount = |text| Amount::parse(text).unwrap();
    let mut stock = Joined::of("/stock", [(None, "10")].into_iter()).unwrap();
    stock.write(amount("7"), writing(2, 3, 0));
    stock.write(amount("5.5"), writing(1, 9, 0));
    stock.write(amount("6"), writing(1, 12, 9));
    Sums::of([stock].into_iter()).unwrap()
}

#[test]
fn the_encoding_is_part_of_the_format() {
    let bytes = postcard::to_allocvec(&state()).unwrap();
    let mut expected = vec![2];
    expected.extend([0; 15]);
    expected.push(1);
    expected.extend([0; 15]);
    expected.push(2);
    expected.extend([1, 6]);
    expected.extend(b"/stock");
    // The base 10, then -1 by the first from 9 on for 3, and -3 by the second.
    expected.extend([20, 0, 2, 0, 9, 3, 1, 0, 1, 3, 0, 5, 0]);
    assert_eq!(bytes, expected);
    assert_eq!(postcard::from_bytes::<Sums>(&bytes), Ok(state()));
}

#[test]
fn what_is_out_of_order_is_refused() {
    let number = |path: &str, lines: &[(u128, u64)]| Number {
        path: path.into(),
        base: Amount::ZERO,
        totals: lines
            .iter()
            .map(|(number, since)| Total {
                line: Line {
                    replica: replica(*number),
                    since: *since,
                },
                through: *since,
                amount: Amount::ZERO,
            })
            .collect(),
    };
    let many: Vec<(u128, u64)> = (0..=DIFFERENCES_MAX as u64).map(|n| (1, n)).collect();
    for numbers in [
        vec![number("/b", &[(1, 1)]), number("/a", &[(1, 1)])],
        vec![number("/a", &[(1, 1)]), number("/a", &[(1, 1)])],
        vec![number("/a", &[(2, 1), (1, 1)])],
        vec![number("/a", &[(1, 1), (1, 1)])],
        vec![number("/a", &[])],
        vec![number("/a", &many)],
    ] {
        let bytes = postcard::to_allocvec(&Sums { numbers }).unwrap();
        assert!(postcard::from_bytes::<Sums>(&bytes).is_err());
    }
}

#[test]
fn what_would_be_too_much_is_refused_by_name() {
    let joined = |path: String| {
        let mut joined = Joined::of(&path, [(None, "1")].into_iter()).unwrap();
        let dot = Dot::new(replica(1), 1);
        joined.write(Amount::ZERO, Writing { dot, previous: 0 });
        joined
    };
    let many = (0..=DIFFERENCES_MAX).map(|number| joined(format!("/{number:05}")));
    let error = Sums::of(many).unwrap_err();
    assert_eq!(error.differences, DIFFERENCES_MAX + 1);
    let long = [joined("/".repeat(PATH_BYTES_MAX + 1))];
    assert!(Sums::of(long.into_iter()).is_err());
}
