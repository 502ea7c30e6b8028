//! Which sibling each strategy picks, and what it makes of several.

use isles_clock::{Dot, Hlc, ReplicaId};

use super::*;

/// Siblings of replicas 1, 2, … with these stamps; checks which value wins under each strategy.
fn check(siblings: &[(u64, &str)], expected: &[(Strategy, Option<&str>)]) {
    let siblings: Vec<_> = (1u128..)
        .zip(siblings)
        .map(|(id, (ms, value))| {
            Sibling::new(
                Dot::new(ReplicaId::from_u128(id), 1),
                Hlc::new(*ms, 0),
                value.as_bytes(),
            )
        })
        .collect();
    for &(strategy, value) in expected {
        assert_eq!(
            strategy.resolve(&siblings).value(),
            value.map(str::as_bytes),
            "{strategy}"
        );
    }
}

#[test]
fn each_strategy_picks_its_sibling() {
    use Strategy::*;
    check(
        &[(20, "9"), (10, "10"), (30, "-3")],
        &[
            (Lww, Some("-3")),
            (Fww, Some("10")),
            (MultiValue, None),
            (Max, Some("10")),
            (Min, Some("-3")),
        ],
    );
}

#[test]
fn one_sibling_is_the_answer_to_everything() {
    check(
        &[(20, "only")],
        &Strategy::ALL.map(|strategy| (strategy, Some("only"))),
    );
}

#[test]
fn numbers_are_smaller_than_everything_else() {
    use Strategy::*;
    check(
        &[(1, "9"), (2, "10"), (3, "5x")],
        &[
            (Lww, Some("5x")),
            (Fww, Some("9")),
            (MultiValue, None),
            (Max, Some("5x")),
            (Min, Some("9")),
        ],
    );
}

#[test]
fn between_equal_values_the_dot_decides() {
    use Strategy::*;
    check(
        &[(7, "1.0"), (7, "1"), (7, "1.00")],
        &[
            (Lww, Some("1.00")),
            (Fww, Some("1.0")),
            (MultiValue, None),
            (Max, Some("1.00")),
            (Min, Some("1.0")),
        ],
    );
}

#[test]
fn names_round_trip_and_unknown_ones_are_refused_with_the_choice() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
    }
    let error = "newest".parse::<Strategy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown strategy; there are lww, fww, multi-value, max, min, longest, union, json, json-min, json-sum"
    );
}

#[test]
fn only_lww_lets_go_of_the_losers() {
    let lww = Strategy::ALL.map(|strategy| strategy.class() == Class::Lww);
    assert_eq!(lww.iter().filter(|is_lww| **is_lww).count(), 1);
    assert!(lww[0]);
}

#[test]
fn encodings_are_part_of_the_format() {
    for (strategy, byte) in Strategy::ALL.into_iter().zip(0u8..) {
        assert_eq!(postcard::to_allocvec(&strategy).unwrap(), [byte]);
        assert_eq!(
            serde_json::to_string(&strategy).unwrap(),
            format!("\"{strategy}\"")
        );
    }
}

#[test]
fn the_longest_wins_and_then_the_greatest() {
    use Strategy::Longest;
    check(
        &[(1, "ab"), (2, "abc"), (3, "z")],
        &[(Longest, Some("abc"))],
    );
    check(&[(1, "ab"), (2, "ba")], &[(Longest, Some("ba"))]);
    check(&[(1, ""), (2, "")], &[(Longest, Some(""))]);
}

#[test]
fn a_union_has_every_item_once() {
    use Strategy::Union;
    let cases: &[(&[&str], Option<&str>)] = &[
        (&["[3,1]", "[ 1, \"a b\" ]"], Some("[1,3,\"a b\"]")),
        (&["[]", "[]"], Some("[]")),
        (&["[10,9]", "[9]", "[{\"a\": 1}]"], Some("[9,10,{\"a\":1}]")),
        (&["[\"\\\" ,\"]", "[]"], Some("[\"\\\" ,\"]")),
        (
            &["milk\neggs", "eggs\nbread\n"],
            Some("bread\neggs\nmilk\n"),
        ),
        (&["10\n9", "9"], Some("9\n10")),
        (&["", "a"], Some("a")),
        (&["[\"a\",1]", "b"], Some("1\n\"a\"\nb")),
        // As lines these would be an array, which is something else.
        (&["[", "]"], None),
    ];
    for (values, expected) in cases {
        let siblings: Vec<_> = values.iter().map(|value| (1, *value)).collect();
        check(&siblings, &[(Union, *expected)]);
    }
}

#[test]
fn documents_are_united_field_by_field() {
    use Strategy::{Json, JsonMin};
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &[r#"{"b":1,"a":2}"#, r#"{"c":3}"#],
            r#"{"a":2,"b":1,"c":3}"#,
            r#"{"a":2,"b":1,"c":3}"#,
        ),
        (
            &[r#"{"a":{"x":1,"y":5}}"#, r#"{"a":{"x":3}, "b":[2, 1]}"#],
            r#"{"a":{"x":3,"y":5},"b":[2, 1]}"#,
            r#"{"a":{"x":1,"y":5},"b":[2, 1]}"#,
        ),
        // A name by its text, however it is written; of one that comes again the last counts.
        (
            &[
                r#"{"\u0061\"\n":1,"k":1,"a":9,"k":2}"#,
                r#"{"a\"\u000a":3,"k":1,"é":4}"#,
            ],
            r#"{"a":9,"a\"\n":3,"k":2,"é":4}"#,
            r#"{"a":9,"a\"\n":1,"k":1,"é":4}"#,
        ),
        // Types by their order, numbers by their exact value.
        (
            &[
                r#"{"a":null,"b":true,"c":9}"#,
                r#"{"a":false,"b":"","c":10}"#,
            ],
            r#"{"a":false,"b":"","c":10}"#,
            r#"{"a":false,"b":"","c":9}"#,
        ),
        (
            &[r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#],
            r#"{"a":9007199254740993}"#,
            r#"{"a":9007199254740992}"#,
        ),
        (
            &[r#"{"a":[1]}"#, r#"{"a":{}}"#],
            r#"{"a":{}}"#,
            r#"{"a":{}}"#,
        ),
        // A name is what it means, not how it is written; the last of several counts.
        (
            &[r#"{"\u0061":1,"a":2}"#, r#"{"a":1}"#],
            r#"{"a":2}"#,
            r#"{"a":1}"#,
        ),
        (&["{}", " { } "], "{}", "{}"),
        (&["3", "2"], "3", "2"),
        // What is no JSON wins over all that is.
        (&[r#"{"a":1}"#, "{a}"], "{a}", "{a}"),
    ];
    for (values, greatest, smallest) in cases {
        let siblings: Vec<_> = values.iter().map(|value| (1, *value)).collect();
        check(
            &siblings,
            &[(Json, Some(greatest)), (JsonMin, Some(smallest))],
        );
    }
}

/// Nobody can make a reader recurse, or read the same bytes again and again.
#[test]
fn deep_documents_are_compared_as_texts() {
    let nested = |depth: usize, leaf: &str| {
        format!("{}{leaf}{}", "{\"a\":".repeat(depth), "}".repeat(depth))
    };
    let (left, right) = (nested(100, "1"), nested(100, "2"));
    check(
        &[(1, &left), (2, &right)],
        &[(Strategy::Json, Some(&right))],
    );
    let bottomless = nested(100_000, "1");
    check(
        &[(1, &left), (2, &bottomless)],
        &[(Strategy::Json, Some(&bottomless))],
    );
}
