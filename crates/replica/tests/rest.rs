//! Rows come to rest and are opened again, and nobody can tell.

mod support;

use isles_replica::{
    AddIf, Expiry, ListEnd, REST_MS, Replica, Rested, Resting, Scope, Score, ScoreIf, SetRule, Txn,
};
use proptest::prelude::*;
use support::{NOW_MS, Table, exchange, replica, run, run_at, seal};

const ALL: Resting = Resting {
    idle_ms: 0,
    looked: usize::MAX,
    rested: usize::MAX,
};

/// Writes everything to the table and puts all rows to rest that may.
fn rest(replica: &mut Replica, table: &mut Table) -> usize {
    seal(replica);
    table.store(replica);
    let done = replica.rest(ALL, NOW_MS);
    assert!(done.is_round);
    replica.check().expect("what is derived adds up");
    done.rested
}

fn score(number: f64) -> Score {
    Score::try_from(number).expect("a number")
}

fn add_scores(txn: &mut Txn<'_>, key: &[u8], pairs: &[(&[u8], f64)]) {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, number)| (*name, score(*number)))
        .collect();
    txn.sorted_set_add(key, &pairs, AddIf::Always, ScoreIf::Any)
        .expect("a sorted set");
}

/// A key of every kind that rests, and of some that do not.
fn write_all_kinds(txn: &mut Txn<'_>) {
    txn.set_string(b"string", b"value", Expiry::Clear);
    txn.set_string(b"overwritten", b"value", Expiry::At(NOW_MS + 1000));
    txn.set_string(b"overwritten", b"other", Expiry::Clear);
    txn.set_string(b"expires", b"value", Expiry::At(NOW_MS + 1000));
    txn.set_string(b"deleted", b"value", Expiry::Clear);
    txn.set_string(b"mv:siblings", b"value", Expiry::Clear);
    for (key, by) in [(&b"small"[..], 7), (b"large", i64::MAX), (b"less", -300)] {
        txn.increment(key, by).expect("a counter");
    }
    txn.set_add(b"set", &[b"a", b"b", b""]).expect("a set");
    txn.hash_put(b"hash", &[(b"f", b"v"), (b"g", b"")])
        .expect("a hash");
    txn.hash_increment(b"hash", b"n", -2).expect("a counter");
    let scores = [1.0, 0.0, -1.0, 0.5, f64::INFINITY, 1e300];
    let names: Vec<[u8; 1]> = (b'a'..).map(|name| [name]).take(scores.len()).collect();
    let pairs: Vec<(&[u8], f64)> = names.iter().map(|name| &name[..]).zip(scores).collect();
    add_scores(txn, b"scores", &pairs);
}

/// Kinds and sizes that stay open.
fn write_what_stays(txn: &mut Txn<'_>) {
    txn.list_push(b"list", ListEnd::Back, &[b"x"])
        .expect("a list");
    txn.set_string(b"long", &[7; 2000], Expiry::Clear);
    let names: Vec<Vec<u8>> = (0..100u8).map(|number| vec![number]).collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    txn.set_add(b"many", &names).expect("a set");
}

#[test]
fn what_has_come_to_rest_is_as_it_was() {
    let (mut eu, mut us) = (replica(1), replica(2));
    let mut table = Table::default();
    let define = |txn: &mut Txn<'_>| {
        txn.keyspace_define(
            b"mv:",
            isles_resolve::Strategy::MultiValue,
            SetRule::AddWins,
        );
    };
    run(&mut eu, Scope::Many, define);
    exchange(&mut eu, &mut us);
    for node in [&mut eu, &mut us] {
        run(node, Scope::Many, write_all_kinds);
        run(node, Scope::Many, write_what_stays);
        run(node, Scope::Many, |txn| txn.delete(b"deleted"));
    }
    exchange(&mut eu, &mut us);
    let before = (eu.content(), eu.digest(), eu.visible_keys());
    let rested = rest(&mut eu, &mut table);
    assert_eq!(
        rested,
        before.0.len() - 4 + 1,
        "all but three and the keyspace, and a tombstone"
    );
    assert!((eu.content(), eu.digest(), eu.visible_keys()) == before);
    assert_eq!(rest(&mut eu, &mut table), 0, "looking at rows opens none");
    for node in [&mut eu, &mut us] {
        run(node, Scope::Many, |txn| {
            txn.set_string(b"mv:siblings", b"other", Expiry::Clear);
            txn.increment(b"small", 1).expect("a counter");
            txn.set_remove(b"set", &[b"a"]).expect("a set");
            txn.hash_increment(b"hash", b"n", 5).expect("a counter");
            add_scores(txn, b"scores", &[(b"b", 0.25)]);
        });
    }
    exchange(&mut eu, &mut us);
    assert_eq!(eu.digest(), us.digest());
    assert!(table.load().content() == before.0);
}

#[test]
fn what_was_used_or_changed_a_moment_ago_stays_open() {
    let (mut node, mut table) = (replica(1), Table::default());
    let set = |txn: &mut Txn<'_>, key: &[u8]| txn.set_string(key, b"v", Expiry::Clear);
    run(&mut node, Scope::Many, |txn| {
        set(txn, b"idle");
        set(txn, b"read");
        set(txn, b"written");
    });
    seal(&mut node);
    table.store(&mut node);
    let later_ms = NOW_MS + 10_000;
    run_at(&mut node, later_ms, Scope::Once, |txn| {
        txn.string(b"read").expect("a string").map(|_| ())
    });
    run_at(&mut node, later_ms, Scope::Once, |txn| set(txn, b"written"));
    let which = Resting {
        idle_ms: 4000,
        ..ALL
    };
    assert_eq!(node.rest(which, later_ms).rested, 1, "idle");
    assert_eq!(node.rest(which, later_ms + 10_000).rested, 1, "read");
    seal(&mut node);
    table.store(&mut node);
    assert_eq!(node.rest(which, later_ms + 10_000).rested, 1, "written");
}

#[test]
fn what_is_used_again_and_again_stays_open_for_longer() {
    let (mut node, mut table) = (replica(1), Table::default());
    run(&mut node, Scope::Once, |txn| {
        txn.increment(b"k", 1).expect("a counter");
    });
    seal(&mut node);
    table.store(&mut node);
    let which = Resting {
        idle_ms: REST_MS,
        ..ALL
    };
    let mut now_ms = NOW_MS;
    let mut rests_after = |node: &mut Replica, ms| {
        now_ms += ms;
        let rested = (0..2).any(|_| node.rest(which, now_ms).rested == 1);
        run_at(node, now_ms, Scope::Once, |txn| assert!(txn.touch(b"k")));
        rested
    };
    assert!(rests_after(&mut node, REST_MS));
    assert!(!rests_after(&mut node, 2 * REST_MS - 1024));
    assert!(!rests_after(&mut node, 4 * REST_MS - 1024));
    assert!(!rests_after(&mut node, 8 * REST_MS - 1024));
    assert!(rests_after(&mut node, 8 * REST_MS), "which it remembers");
    assert!(!rests_after(&mut node, 8 * REST_MS - 1024));
    assert!(
        rests_after(&mut node, 12 * REST_MS),
        "it has not come back soon"
    );
    assert!(rests_after(&mut node, REST_MS));
}

#[test]
fn a_round_goes_on_where_it_was() {
    let (mut node, mut table) = (replica(1), Table::default());
    run(&mut node, Scope::Many, |txn| {
        (0..10u8).for_each(|key| txn.set_string(&[key], b"v", Expiry::Clear));
    });
    seal(&mut node);
    table.store(&mut node);
    let three = Resting { looked: 3, ..ALL };
    let done = |looked, is_round| Rested {
        looked,
        rested: looked,
        is_round,
    };
    for _ in 0..3 {
        assert_eq!(node.rest(three, NOW_MS), done(3, false));
    }
    assert_eq!(node.rest(three, NOW_MS), done(1, true));
    let again = node.rest(ALL, NOW_MS);
    assert_eq!((again.looked, again.rested), (0, 0), "they rest already");
}

#[test]
fn strings_are_read_as_they_lie() {
    let (mut node, mut table) = (replica(1), Table::default());
    run(&mut node, Scope::Many, |txn| {
        txn.set_string(b"plain", b"v", Expiry::Clear);
        txn.set_string(b"overwritten", b"other", Expiry::At(NOW_MS + 1000));
        txn.set_string(b"overwritten", b"value", Expiry::Clear);
        txn.set_string(b"expires", b"soon", Expiry::At(NOW_MS + 1000));
        txn.set_string(b"deleted", b"v", Expiry::Clear);
        txn.increment(b"counter", 300).expect("a counter");
        txn.set_add(b"set", &[b"a"]).expect("a set");
    });
    run(&mut node, Scope::Many, |txn| txn.delete(b"deleted"));
    assert_eq!(rest(&mut node, &mut table), 6);
    let later_ms = NOW_MS + 500;
    let mut read = |key: &[u8], at_ms| {
        run_at(&mut node, at_ms, Scope::Once, |txn| {
            let value = txn.string(key).map_err(|_| "another type")?;
            Ok(value.map(|value| value.into_owned()))
        })
    };
    let is = |value: &[u8]| Ok::<_, &str>(Some(value.to_vec()));
    assert_eq!(read(b"plain", later_ms), is(b"v"));
    assert_eq!(read(b"overwritten", later_ms), is(b"value"));
    let looked = |node: &mut Replica| node.rest(Resting { rested: 0, ..ALL }, NOW_MS).looked;
    assert_eq!(looked(&mut node), 0, "nothing is open");
}

#[test]
fn what_is_read_at_rest_counts_as_used() {
    let (mut node, mut table) = (replica(1), Table::default());
    run(&mut node, Scope::Once, |txn| {
        txn.set_string(b"k", b"v", Expiry::Clear);
    });
    assert_eq!(rest(&mut node, &mut table), 1);
    let later_ms = NOW_MS + 100_000;
    run_at(&mut node, later_ms, Scope::Once, |txn| {
        assert!(txn.string(b"k").is_ok());
    });
    let idle_ms = run_at(&mut node, later_ms, Scope::Once, |txn| txn.idle_ms(b"k"));
    assert!(idle_ms.expect("a key") < 2000);
    assert_eq!(rest(&mut node, &mut table), 1);
    run_at(&mut node, later_ms + 50_000, Scope::Once, |txn| {
        txn.set_unnoticed(true);
        assert!(txn.string(b"k").is_ok());
    });
    let idle_ms = run_at(&mut node, later_ms + 50_000, Scope::Once, |txn| {
        txn.idle_ms(b"k")
    });
    assert!(idle_ms.expect("a key") > 40_000, "nobody has noticed");
}

#[test]
fn a_document_whose_differences_add_up_stays_open() {
    let (mut eu, mut us) = (replica(1), replica(2));
    let mut table = Table::default();
    let set = |node: &mut Replica, text: &str| {
        run(node, Scope::Once, |txn| {
            txn.set_string(b"doc:k", text.as_bytes(), Expiry::Clear);
        });
    };
    run(&mut eu, Scope::Once, |txn| {
        txn.keyspace_set(b"doc:", isles_resolve::Strategy::JsonSum)
    });
    set(&mut eu, r#"{"stock":10}"#);
    exchange(&mut eu, &mut us);
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    exchange(&mut eu, &mut us);
    assert_eq!(rest(&mut eu, &mut table), 0);
    set(&mut eu, r#"{"stock":4}"#);
    exchange(&mut eu, &mut us);
    for node in [&mut eu, &mut us] {
        let text = run(node, Scope::Once, |txn| {
            txn.string(b"doc:k")
                .expect("a string")
                .map(|text| text.into_owned())
        });
        assert_eq!(text.as_deref(), Some(&br#"{"stock":4}"#[..]));
    }
}

#[derive(Clone, Debug)]
enum Act {
    Set(u8, u8),
    SetUntil(u8, u64),
    Increment(u8, i64),
    Add(u8, u8),
    Remove(u8, u8),
    Put(u8, u8),
    Count(u8, u8),
    Score(u8, u8),
    Delete(u8),
    Exchange,
    Rest,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let (key, element) = (0..6u8, 0..4u8);
    let both = || (key.clone(), element.clone());
    let act = prop_oneof![
        both().prop_map(|(key, value)| Act::Set(key, value)),
        (key.clone(), 1..5000u64).prop_map(|(key, ms)| Act::SetUntil(key, ms)),
        (key.clone(), any::<i64>()).prop_map(|(key, by)| Act::Increment(key, by)),
        both().prop_map(|(key, member)| Act::Add(key, member)),
        both().prop_map(|(key, member)| Act::Remove(key, member)),
        both().prop_map(|(key, field)| Act::Put(key, field)),
        both().prop_map(|(key, field)| Act::Count(key, field)),
        both().prop_map(|(key, member)| Act::Score(key, member)),
        key.clone().prop_map(Act::Delete),
        Just(Act::Exchange),
        Just(Act::Rest),
    ];
    prop::collection::vec((any::<bool>(), act), 1..60)
}

/// What an act answers.
fn answer(txn: &mut Txn<'_>, act: &Act) -> String {
    let key = |number: &u8| vec![b'a' + number];
    match act {
        Act::Set(number, value) => {
            txn.set_string(&key(number), &[*value], Expiry::Clear);
            String::new()
        }
        Act::SetUntil(number, ms) => {
            format!("{:?}", txn.set_deadline(&key(number), Some(NOW_MS + ms)))
        }
        Act::Increment(number, by) => format!("{:?}", txn.increment(&key(number), *by)),
        Act::Add(number, member) => format!("{:?}", txn.set_add(&key(number), &[&[*member]])),
        Act::Remove(number, member) => format!("{:?}", txn.set_remove(&key(number), &[&[*member]])),
        Act::Put(number, field) => {
            let pair: (&[u8], &[u8]) = (&[*field], b"v");
            format!("{:?}", txn.hash_put(&key(number), &[pair]))
        }
        Act::Count(number, field) => {
            format!("{:?}", txn.hash_increment(&key(number), &[*field], 1))
        }
        Act::Score(number, member) => {
            let pair: (&[u8], Score) = (&[*member], score(f64::from(*member) / 2.0));
            let added = txn.sorted_set_add(&key(number), &[pair], AddIf::Always, ScoreIf::Any);
            format!("{}", added.is_ok())
        }
        Act::Delete(number) => format!("{}", txn.delete(&key(number))),
        Act::Exchange | Act::Rest => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_replica_whose_rows_rest_answers_as_one_whose_rows_do_not(acts in acts()) {
        let mut nodes = [replica(1), replica(2)];
        let mut twins = [replica(1), replica(2)];
        let mut tables: [Table; 4] = Default::default();
        for (second, act) in &acts {
            let which = usize::from(*second);
            match act {
                Act::Exchange => {
                    for [one, other] in [&mut nodes, &mut twins] {
                        exchange(one, other);
                    }
                }
                Act::Rest => {
                    rest(&mut nodes[which], &mut tables[which]);
                    seal(&mut twins[which]);
                    tables[2 + which].store(&mut twins[which]);
                }
                _ => {
                    let found = run(&mut nodes[which], Scope::Many, |txn| answer(txn, act));
                    let wanted = run(&mut twins[which], Scope::Many, |txn| answer(txn, act));
                    prop_assert_eq!(found, wanted);
                }
            }
            prop_assert_eq!(nodes[which].digest(), twins[which].digest());
        }
        for which in [0, 1] {
            rest(&mut nodes[which], &mut tables[which]);
            seal(&mut twins[which]);
            tables[2 + which].store(&mut twins[which]);
            prop_assert!(nodes[which].content() == twins[which].content());
            prop_assert_eq!(tables[which].hex(), tables[2 + which].hex());
        }
    }
}
