//! Losers come back as later writes, and answers take the place of all contenders.

use isles_crdt::sorted_set::Score;
use isles_replica::journal::{WhatIf, WhatIfAnswer};
use isles_replica::{
    AddIf, Answer, Expiry, Lens, ListEnd, NewStreamId, RestoreError, RestoreIf, RestoreOutcome,
    ScoreIf, SetRule, Settling, StreamId, Txn,
};
use isles_resolve::{Class, Failure, Resolution, Resolver, Sibling, Strategy};

use crate::island::{Island, NOW_MS, meet, pair};

/// Two regions that wrote at once, the second later.
fn after(
    before: impl FnOnce(&mut Txn<'_>),
    first: impl FnOnce(&mut Txn<'_>),
    second: impl FnOnce(&mut Txn<'_>),
) -> (Island, Island) {
    let (mut a, mut b) = pair();
    a.run(before);
    meet(&mut a, &mut b);
    b.now_ms += 5;
    a.run(first);
    b.run(second);
    meet(&mut a, &mut b);
    (a, b)
}

fn set(value: &'static str) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| txn.set_string(b"k", value.as_bytes(), Expiry::Clear)
}

fn restore(island: &mut Island) -> Result<RestoreOutcome, RestoreError> {
    let id = island.records()[0].id;
    island.run(|txn| txn.restore_loser(id, RestoreIf::Same))
}

#[test]
fn a_lost_string_comes_back_in_every_region_and_only_once() {
    let (mut a, mut b) = after(|_| {}, set("older"), set("newer"));
    b.now_ms += 50;
    let outcome = restore(&mut b).expect("nothing is in the way");
    let RestoreOutcome::Restored(dot) = outcome else {
        panic!("{outcome:?}");
    };
    meet(&mut a, &mut b);
    assert_eq!(
        (a.string("k"), b.string("k")),
        (Some("older".into()), Some("older".into()))
    );
    for island in [&a, &b] {
        let settled = island.only().settled().expect("it was restored");
        assert_eq!((settled.how, settled.dot), (Settling::Explicit, dot));
    }
    a.set("k", "later");
    let again = restore(&mut a).expect("it is no mistake to try");
    assert!(matches!(again, RestoreOutcome::Settled(by) if by.dot == dot));
    assert_eq!(a.string("k"), Some("later".into()));
}

#[test]
fn a_restore_by_the_wizard_leaves_alone_what_somebody_has_written_over() {
    let (mut a, _) = after(|_| {}, set("older"), set("newer"));
    a.set("k", "later");
    let id = a.only().id;
    let outcome = a.run(|txn| txn.restore_loser(id, RestoreIf::Open));
    assert!(
        matches!(outcome, Ok(RestoreOutcome::Settled(_))),
        "{outcome:?}"
    );
    let outcome = a.run(|txn| txn.restore_loser(id, RestoreIf::Same));
    assert!(
        matches!(outcome, Ok(RestoreOutcome::Restored(_))),
        "{outcome:?}"
    );
    assert_eq!(a.string("k"), Some("older".into()));
}

#[test]
fn a_restore_keeps_the_deadline_of_the_key() {
    let (mut a, _) = after(|_| {}, set("older"), set("newer"));
    a.run(|txn| txn.set_deadline(b"k", Some(NOW_MS + 60_000)));
    restore(&mut a).expect("nothing is in the way");
    let deadline = a.run(|txn| txn.deadline_ms(b"k"));
    assert_eq!(deadline, Some(Some(NOW_MS + 60_000)));
}

#[test]
fn a_lost_deletion_and_a_lost_write_against_one() {
    let delete = |txn: &mut Txn<'_>| assert!(txn.delete(b"k"));
    let (mut a, _) = after(set("0"), delete, set("newer"));
    restore(&mut a).expect("nothing is in the way");
    assert_eq!(a.string("k"), None);
    let (mut a, _) = after(set("0"), set("older"), delete);
    restore(&mut a).expect("nothing is in the way");
    assert_eq!(a.string("k"), Some("older".into()));
}

#[test]
fn fields_scores_elements_and_deadlines_come_back() {
    let put = |value: &'static [u8]| {
        move |txn: &mut Txn<'_>| _ = txn.hash_put(b"h", &[(b"f", value)]).expect("a hash")
    };
    let (mut a, _) = after(|_| {}, put(b"older"), put(b"newer"));
    restore(&mut a).expect("nothing is in the way");
    let field = a.run(|txn| {
        let value = txn.hash_get(b"h", b"f").expect("a hash");
        value.map(|value| value.to_vec())
    });
    assert_eq!(field.as_deref(), Some(&b"older"[..]));

    let score = |number: f64| {
        move |txn: &mut Txn<'_>| {
            let score = Score::try_from(number).expect("a number");
            let added = txn.sorted_set_add(b"z", &[(b"m", score)], AddIf::Always, ScoreIf::Any);
            added.expect("a sorted set");
        }
    };
    let (mut a, _) = after(|_| {}, score(1.5), score(2.0));
    restore(&mut a).expect("nothing is in the way");
    let back = a.run(|txn| {
        txn.sorted_set(b"z")
            .expect("a sorted set")
            .and_then(|set| set.score(b"m"))
    });
    assert_eq!(back.map(f64::from), Some(1.5));

    let push = |txn: &mut Txn<'_>| {
        _ = txn
            .list_push(b"l", ListEnd::Back, &[b"x", b"0"])
            .expect("a list")
    };
    let write = |value: &'static [u8]| {
        move |txn: &mut Txn<'_>| assert!(txn.list_set(b"l", 1, value).expect("a list"))
    };
    let (mut a, _) = after(push, write(b"older"), write(b"newer"));
    restore(&mut a).expect("nothing is in the way");
    let element = a.run(|txn| txn.list_get(b"l", 1).expect("a list").map(<[u8]>::to_vec));
    assert_eq!(element.as_deref(), Some(&b"older"[..]));

    let until = |at_ms| move |txn: &mut Txn<'_>| assert!(txn.set_deadline(b"k", Some(at_ms)));
    let (mut a, _) = after(set("v"), until(NOW_MS + 60_000), until(NOW_MS + 90_000));
    restore(&mut a).expect("nothing is in the way");
    assert_eq!(
        a.run(|txn| txn.deadline_ms(b"k")),
        Some(Some(NOW_MS + 60_000))
    );
}

#[test]
fn what_cannot_be_restored_says_why() {
    let (mut a, _) = after(|_| {}, set("older"), set("newer"));
    let id = a.only().id;
    a.run(|txn| {
        txn.delete(b"k");
        txn.set_add(b"k", &[b"m"]).expect("the key is free");
    });
    let refused = a.run(|txn| txn.restore_loser(id, RestoreIf::Same));
    assert!(
        matches!(refused, Err(RestoreError::OtherType(_))),
        "{refused:?}"
    );
    let forced = a.run(|txn| txn.restore_loser(id, RestoreIf::Force));
    assert!(forced.is_ok(), "{forced:?}");
    assert_eq!(a.string("k"), Some("older".into()));

    let unknown = a.run(|txn| txn.restore_loser(7, RestoreIf::Same));
    assert_eq!(unknown, Err(RestoreError::NoRecord { id: 7 }));

    let long = |txn: &mut Txn<'_>| txn.set_string(b"k", &[b'x'; 100_000], Expiry::Clear);
    let (mut a, _) = after(|_| {}, long, set("newer"));
    let truncated = RestoreError::Truncated {
        kept_bytes: 64 << 10,
        value_bytes: 100_000,
    };
    assert_eq!(restore(&mut a), Err(truncated));

    let add = |txn: &mut Txn<'_>| _ = txn.set_add(b"k", &[b"m"]).expect("the key is free");
    let stream = |txn: &mut Txn<'_>| {
        let id = StreamId::new(1, 1);
        _ = txn.stream_add(b"k", NewStreamId::Given(id), &[b"f", b"v"], None);
    };
    let flag = |txn: &mut Txn<'_>| _ = txn.increment(b"k", 5).expect("an integer");
    let (mut a, _) = after(|_| {}, flag, stream);
    assert!(matches!(restore(&mut a), Err(RestoreError::NoValue { .. })));
    let (mut a, _) = after(|_| {}, add, set("v"));
    let id = a.only().id;
    let chosen = a.run(|txn| txn.resolve_record(id, Answer::Value(b"w"), RestoreIf::Same));
    assert!(matches!(chosen, Err(RestoreError::NoValue { .. })));

    let until = |at_ms| move |txn: &mut Txn<'_>| assert!(txn.set_deadline(b"k", Some(at_ms)));
    let (mut a, _) = after(set("v"), until(NOW_MS + 60_000), until(NOW_MS + 90_000));
    a.now_ms += 70_000;
    assert!(matches!(restore(&mut a), Err(RestoreError::Passed { .. })));
}

// The value came back without a deadline, and for ever.
#[test]
fn what_has_expired_comes_back_only_by_force() {
    let write = |txn: &mut Txn<'_>, at_ms: Option<u64>| {
        let put = txn.hash_put(
            b"h",
            &[(b"f", if at_ms.is_some() { b"older" } else { b"newer" })],
        );
        put.expect("a hash");
        txn.set_deadline(b"h", Some(at_ms.unwrap_or(NOW_MS + 60_000)));
    };
    let string = |value: &'static [u8]| {
        move |txn: &mut Txn<'_>| txn.set_string(b"k", value, Expiry::At(NOW_MS + 60_000))
    };
    let fields = after(
        |_| {},
        |txn| write(txn, Some(NOW_MS + 60_000)),
        |txn| write(txn, None),
    );
    let strings = after(|_| {}, string(b"older"), string(b"newer"));
    for (mut a, _) in [fields, strings] {
        a.now_ms += 70_000;
        let records = a.records();
        let lost = records.iter().find(|record| record.component.is_some());
        let id = lost.expect("a value was lost").id;
        let at_ms = NOW_MS + 60_000;
        for how in [RestoreIf::Same, RestoreIf::Open] {
            let outcome = a.run(|txn| txn.restore_loser(id, how));
            assert_eq!(outcome, Err(RestoreError::Expired { at_ms }));
        }
        let forced = a.run(|txn| txn.restore_loser(id, RestoreIf::Force));
        assert!(
            matches!(forced, Ok(RestoreOutcome::Restored(_))),
            "{forced:?}"
        );
    }
}

#[test]
fn an_answer_collapses_siblings_and_settles_their_records() {
    let define = |txn: &mut Txn<'_>| txn.keyspace_set(b"k", Strategy::MultiValue);
    let (mut a, mut b) = after(define, set("older"), set("newer"));
    let siblings = a.run(|txn| txn.siblings(b"k").expect("there are two").versions);
    let older = siblings
        .iter()
        .find(|sibling| sibling.value == b"older")
        .expect("it is kept")
        .dot;
    let settled = a.run(|txn| txn.resolve_key(b"k", Answer::Dot(older), RestoreIf::Same));
    assert_eq!(settled, Ok(1));
    meet(&mut a, &mut b);
    for island in [&mut a, &mut b] {
        let left = island.run(|txn| txn.siblings(b"k").expect("one is left").versions.len());
        assert_eq!((left, island.string("k")), (1, Some("older".into())));
        assert_eq!(
            island.only().settled().map(|by| by.how),
            Some(Settling::Explicit)
        );
    }
    let again = a.run(|txn| txn.resolve_key(b"k", Answer::Value(b"x"), RestoreIf::Same));
    assert_eq!(again, Err(RestoreError::NoConflict));
}

#[test]
fn an_answer_to_a_record_may_be_any_value() {
    let put = |value: &'static [u8]| {
        move |txn: &mut Txn<'_>| _ = txn.hash_put(b"h", &[(b"f", value)]).expect("a hash")
    };
    let (mut a, mut b) = after(|_| {}, put(b"older"), put(b"newer"));
    let id = a.only().id;
    let settled = a.run(|txn| txn.resolve_record(id, Answer::Value(b"both"), RestoreIf::Same));
    assert_eq!(settled, Ok(1));
    meet(&mut a, &mut b);
    let field = b.run(|txn| {
        txn.hash_get(b"h", b"f")
            .expect("a hash")
            .map(|value| value.to_vec())
    });
    assert_eq!(field.as_deref(), Some(&b"both"[..]));
    assert!(!b.only().is_open());
}

#[test]
fn another_strategy_is_asked_what_it_would_have_answered() {
    let (a, _) = after(|_| {}, set("9"), set("10"));
    let record = a.only();
    let ask = |strategy: Strategy| record.what_if(&strategy, strategy.class(), None);
    let value = |text: &str| WhatIfAnswer::Value(text.as_bytes().to_vec());
    let answer = |then| WhatIf::Answer {
        now: value("10"),
        then,
    };
    assert_eq!(ask(Strategy::Lww), answer(value("10")));
    assert_eq!(ask(Strategy::Min), answer(value("9")));
    assert_eq!(ask(Strategy::MultiValue), answer(WhatIfAnswer::Siblings));
    let delete = |txn: &mut Txn<'_>| assert!(txn.delete(b"k"));
    let (a, _) = after(set("0"), set("older"), delete);
    let record = a.only();
    let resolver: &dyn Resolver = &Strategy::Max;
    let expected = WhatIf::Answer {
        now: WhatIfAnswer::Nothing,
        then: value("older"),
    };
    assert_eq!(
        record.what_if(resolver, Strategy::Max.class(), None),
        expected
    );
}

/// Answers this, whatever it is asked.
#[derive(Debug)]
struct Always;

impl Resolver for Always {
    fn resolve<'a>(&self, _: &[Sibling<'a>]) -> Resolution<'a> {
        Resolution::made(b"both".to_vec().into())
    }
}

#[test]
fn what_a_module_has_answered_is_known_while_it_is_loaded() {
    let (mut a, mut b) = pair();
    let lens = Lens::Module("cart".parse().expect("a name"));
    a.run(|txn| txn.keyspace_define(b"", lens, SetRule::AddWins));
    meet(&mut a, &mut b);
    a.run(set("milk"));
    b.run(set("eggs"));
    meet(&mut a, &mut b);
    let record = a.only();
    assert_eq!(
        record.what_if(&Always, Class::MultiValue, None),
        WhatIf::NoBaseline
    );
    let both = WhatIfAnswer::Value(b"both".to_vec());
    let same = WhatIf::Answer {
        now: both.clone(),
        then: both.clone(),
    };
    assert_eq!(
        record.what_if(&Always, Class::MultiValue, Some(&Always)),
        same
    );
    let failed = record.what_if(&Broken, Class::MultiValue, Some(&Always));
    assert_eq!(
        failed,
        WhatIf::Failed {
            now: both,
            failure: Failure::Fuel
        }
    );
}

/// Fails for all that it is asked.
#[derive(Debug)]
struct Broken;

impl Resolver for Broken {
    fn resolve<'a>(&self, _: &[Sibling<'a>]) -> Resolution<'a> {
        Resolution::Failed(Failure::Fuel)
    }
}

#[test]
fn a_resolver_that_fails_has_chosen_nothing() {
    let (a, _) = after(|_| {}, set("9"), set("10"));
    let expected = WhatIf::Failed {
        now: WhatIfAnswer::Value(b"10".to_vec()),
        failure: Failure::Fuel,
    };
    assert_eq!(a.only().what_if(&Broken, Class::MultiValue, None), expected);
    // Beside a deletion there is one value, about which nobody is asked.
    let delete = |txn: &mut Txn<'_>| assert!(txn.delete(b"k"));
    let (a, _) = after(set("0"), set("older"), delete);
    let expected = WhatIf::Answer {
        now: WhatIfAnswer::Nothing,
        then: WhatIfAnswer::Value(b"older".to_vec()),
    };
    assert_eq!(a.only().what_if(&Broken, Class::MultiValue, None), expected);
}

type Write = fn(&mut Txn<'_>);

/// Writes of each type that can be taken away alone, by precedence, and what is read of the last one.
const TYPES: [(&str, Write); 5] = [
    ("string", |txn| txn.set_string(b"k", b"text", Expiry::Clear)),
    ("hash", |txn| {
        txn.hash_put(b"k", &[(b"f", b"v"), (b"g", b"v")])
            .expect("a hash");
    }),
    ("set", |txn| {
        txn.set_add(b"k", &[b"a", b"b"]).expect("a set");
    }),
    ("zset", |txn| {
        let score = Score::try_from(1.0).expect("a number");
        txn.sorted_set_add(b"k", &[(b"m", score)], AddIf::Always, ScoreIf::Any)
            .expect("a sorted set");
    }),
    ("list", |txn| {
        txn.list_push(b"k", ListEnd::Back, &[b"x", b"y"])
            .expect("a list");
    }),
];

#[test]
fn a_hidden_type_is_brought_to_light_in_every_region() {
    for (above, (winner, win)) in TYPES.iter().enumerate() {
        for (loser, lose) in &TYPES[above + 1..] {
            let (mut a, mut b) = after(|_| {}, lose, win);
            let alone = {
                let (mut alone, _) = pair();
                alone.run(lose);
                alone.run(|txn| txn.value_type(b"k"))
            };
            let what = format!("{loser} under {winner}");
            assert_ne!(a.run(|txn| txn.value_type(b"k")), alone, "{what}");
            let id = b.only().id;
            let among_many = b.run(|txn| txn.restore_loser(id, RestoreIf::Open));
            assert!(
                matches!(among_many, Err(RestoreError::NoValue { .. })),
                "{what}"
            );
            let outcome = restore(&mut b);
            assert!(
                matches!(outcome, Ok(RestoreOutcome::Restored(_))),
                "{what}: {outcome:?}"
            );
            meet(&mut a, &mut b);
            for island in [&mut a, &mut b] {
                assert_eq!(island.run(|txn| txn.value_type(b"k")), alone, "{what}");
                let settled = island.only().settled().expect("it was restored");
                assert_eq!(settled.how, Settling::Explicit, "{what}");
            }
            assert_eq!(a.replica.digest(), b.replica.digest(), "{what}");
        }
    }
}

#[test]
fn increments_that_a_set_hides_are_brought_to_light() {
    let set = |txn: &mut Txn<'_>| {
        txn.set_add(b"k", &[b"a"]).expect("a set");
    };
    let count = |txn: &mut Txn<'_>| {
        txn.increment(b"k", 5).expect("an integer");
    };
    let (mut a, mut b) = after(|_| {}, set, count);
    restore(&mut b).expect("the increments are there");
    meet(&mut a, &mut b);
    assert_eq!(a.string("k"), Some("5".into()));
    let gone = {
        a.run(|txn| txn.delete(b"k"));
        restore(&mut a)
    };
    assert!(matches!(gone, Ok(RestoreOutcome::Settled(_))), "{gone:?}");
    let id = a.only().id;
    let forced = a.run(|txn| txn.restore_loser(id, RestoreIf::Force));
    assert_eq!(forced, Err(RestoreError::Gone("a key")));
}

/// Of the documents alone nobody can tell how they differ from what their writers had read.
#[test]
fn what_adds_up_is_not_known_from_a_record() {
    let sum = Strategy::JsonSum;
    let (a, _) = after(set("10"), set("7"), set("8"));
    let asked = a.only().what_if(&sum, sum.class(), None);
    assert_eq!(asked, WhatIf::NoDifferences);

    let (mut a, mut b) = pair();
    a.run(|txn| txn.keyspace_define(b"", sum, SetRule::AddWins));
    a.run(set("10"));
    meet(&mut a, &mut b);
    a.run(set("7"));
    b.run(set("8"));
    meet(&mut a, &mut b);
    let asked = a.only().what_if(&Strategy::Max, Class::MultiValue, None);
    assert_eq!(asked, WhatIf::NoDifferences);

    let delete = |txn: &mut Txn<'_>| assert!(txn.delete(b"k"));
    let (a, _) = after(set("0"), set("older"), delete);
    let asked = a.only().what_if(&sum, sum.class(), None);
    let then = WhatIfAnswer::Value(b"older".to_vec());
    let now = WhatIfAnswer::Nothing;
    assert_eq!(asked, WhatIf::Answer { now, then }, "one value is itself");
}
