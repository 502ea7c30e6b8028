//! Every strategy satisfies the laws, and the laws catch resolvers that do not.

use std::borrow::Cow;

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_resolve::laws::{self, Law};
use isles_resolve::{Json, Resolution, Resolver, Sibling, Strategy};
use proptest::prelude::{Just, any, prop, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;

#[test]
fn every_strategy_satisfies_the_laws_on_the_samples() {
    for strategy in Strategy::ALL {
        assert_eq!(laws::check_samples(&strategy), Ok(()), "{strategy}");
    }
}

fn value() -> impl Generate<Value = Vec<u8>> {
    prop_oneof![
        (-20i32..20).prop_map(|number| number.to_string().into_bytes()),
        "-?[0-9]{0,3}(\\.[0-9]{0,2})?(e-?[0-9])?".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..4),
        prop::collection::vec("[ab\\[\\]{},1\"]{0,2}", 0..4)
            .prop_map(|lines| lines.join("\n").into_bytes()),
        json(),
    ]
}

/// JSON with few names and values, so that they meet; also spelled differently.
fn json() -> impl Generate<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null"),
        Just("true"),
        Just("false"),
        Just("1"),
        Just("1.0"),
        Just("2"),
        Just("-7e1"),
        Just("\"x\""),
        Just("\"\\u0078\""),
        Just("[ 1,2 ]"),
        Just("[]"),
        Just("{ }"),
    ]
    .prop_map(str::to_owned);
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let name = prop_oneof![Just("a"), Just("b"), Just("\\u0061"), Just("tags")];
        prop_oneof![
            prop::collection::vec((name, inner.clone()), 0..3).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\" :{value}"))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }),
            prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(" ,"))),
        ]
    });
    value.prop_map(String::into_bytes)
}

proptest! {
    #[test]
    fn every_strategy_satisfies_the_laws(writes in prop::collection::vec((1u64..5, value()), 1..7)) {
        let siblings: Vec<_> = (1u128..)
            .zip(&writes)
            .map(|(id, (ms, value))| Sibling::new(Dot::new(ReplicaId::from_u128(id), 1), Hlc::new(*ms, 0), value))
            .collect();
        for strategy in Strategy::ALL {
            prop_assert_eq!(laws::check(&strategy, &siblings), Ok(()), "{}", strategy);
        }
        let json = Json::new()
            .per_field("a", Strategy::Min)
            .per_field("a.b", Strategy::Longest)
            .per_field("tags", Strategy::Union);
        prop_assert_eq!(laws::check(&json, &siblings), Ok(()));
    }
}

/// A resolver made of a function from values to one value.
struct Rule(fn(&[Sibling<'_>]) -> Vec<u8>);

impl Resolver for Rule {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        Resolution::One {
            value: Cow::Owned((self.0)(siblings)),
            winner: None,
        }
    }
}

fn check_breaks(rule: fn(&[Sibling<'_>]) -> Vec<u8>, law: Law) {
    assert_eq!(
        laws::check_samples(&Rule(rule)).map_err(|violation| violation.law),
        Err(law)
    );
}

#[test]
fn taking_the_first_breaks_permutation() {
    check_breaks(|siblings| siblings[0].value.to_vec(), Law::Permutation);
}

#[test]
fn counting_breaks_duplication() {
    check_breaks(
        |siblings| siblings.len().to_string().into_bytes(),
        Law::Duplication,
    );
}

#[test]
fn averaging_distinct_values_breaks_grouping() {
    check_breaks(
        |siblings| {
            let mut lengths: Vec<_> = siblings
                .iter()
                .map(|sibling| (sibling.dot, sibling.value.len()))
                .collect();
            lengths.sort_unstable();
            lengths.dedup();
            let mean = lengths.iter().map(|length| length.1).sum::<usize>() / lengths.len();
            vec![b'x'; mean]
        },
        Law::Grouping,
    );
}

/// Numbers where all are numbers, bytes otherwise: {9, 10} gives 10, and with 5x then 5x; all three at once give 9.
#[test]
fn choosing_the_comparison_by_the_whole_set_breaks_grouping() {
    check_breaks(
        |siblings| {
            let values: Vec<_> = siblings.iter().map(|sibling| sibling.value).collect();
            let number = |value: &[u8]| core::str::from_utf8(value).ok()?.parse::<i64>().ok();
            if let Some(numbers) = values
                .iter()
                .map(|value| number(value))
                .collect::<Option<Vec<_>>>()
            {
                return numbers
                    .into_iter()
                    .max()
                    .unwrap_or_default()
                    .to_string()
                    .into_bytes();
            }
            values.into_iter().max().unwrap_or_default().to_vec()
        },
        Law::Grouping,
    );
}

#[test]
fn naming_the_wrong_winner_is_found() {
    struct Liar;
    impl Resolver for Liar {
        fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
            Resolution::One {
                value: Cow::Borrowed(b"mine"),
                winner: (siblings.len() > 1).then_some(0),
            }
        }
    }
    assert_eq!(
        laws::check_samples(&Liar).map_err(|violation| violation.law),
        Err(Law::Winner)
    );
}

#[test]
fn a_violation_reads_as_a_counter_example() {
    let rule = Rule(|siblings| siblings.len().to_string().into_bytes());
    let sibling = |id, value| Sibling::new(Dot::new(ReplicaId::from_u128(id), 1), Hlc::ZERO, value);
    let violation = laws::check(&rule, &[sibling(1, b"a"), sibling(2, b"b")]).unwrap_err();
    assert_eq!(
        violation.to_string(),
        r#"a repeated sibling changes the answer: ["a", "b"] gives "2", but ["a", "a", "b"] gives "3""#,
    );
}

#[test]
fn a_thousand_siblings_have_one_answer_in_any_order_and_repeated() {
    let values: Vec<Vec<u8>> = (0..1000u32)
        .map(|number| match number % 4 {
            0 => number.to_string().into_bytes(),
            1 => format!(r#"{{"f{}":{number},"n":{{"all":{number}}}}}"#, number % 50).into_bytes(),
            2 => format!("line {}\n", number % 90).into_bytes(),
            _ => format!(r#"[{number},"x"]"#).into_bytes(),
        })
        .collect();
    let sibling =
        |(number, value)| Sibling::new(Dot::new(ReplicaId::from_u128(number), 1), Hlc::ZERO, value);
    for kind in 0..4 {
        let of_kind = values.iter().skip(kind).step_by(4);
        for of in [of_kind.collect::<Vec<_>>(), values.iter().collect()] {
            let of = of.iter().map(|value| &value[..]);
            let siblings: Vec<Sibling<'_>> = (1u128..).zip(of).map(sibling).collect();
            for strategy in Strategy::ALL {
                let answer = strategy.resolve(&siblings);
                let turned: Vec<_> = siblings.iter().rev().copied().collect();
                assert_eq!(
                    strategy.resolve(&turned).value(),
                    answer.value(),
                    "{strategy}"
                );
                let Some(all) = answer.value() else { continue };
                let doubled = [&siblings[..], &siblings[..500.min(siblings.len())]].concat();
                assert_eq!(strategy.resolve(&doubled).value(), Some(all), "{strategy}");
            }
        }
    }
}
