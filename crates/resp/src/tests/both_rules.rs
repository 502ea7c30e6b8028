//! Commands on a set that has members of both rules: to clients it is one set.

use std::collections::BTreeSet;

use isles_replica::{Scope, SetRule};
use isles_resolve::Strategy;

use super::push::{learn, peer_frame};
use super::{World, check_in};

/// A world in which `s` has `x` and `both` where additions win, and `y` and `both` where removals do.
fn world(rule: SetRule) -> World {
    let mut world = World::new();
    world.run("SADD s x both");
    let frame = peer_frame(|peer| {
        let mut txn = peer.txn(1, Scope::Many);
        txn.keyspace_define(b"", Strategy::Lww, SetRule::RemoveWins);
        txn.set_add(b"s", &[b"y", b"both"]).expect("a set");
        txn.keyspace_define(b"", Strategy::Lww, rule);
        txn.commit().expect("it is small");
    });
    learn(&mut world, frame);
    world
}

fn check(cases: &[(&str, &str)]) {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        check_in(&mut world(rule), cases);
    }
}

/// The names in an answer, however they are nested.
fn names(answer: &str) -> BTreeSet<&str> {
    let words = answer.split(' ');
    words
        .filter(|word| word.starts_with(|letter: char| letter.is_alphabetic()))
        .collect()
}

#[test]
fn readers_see_one_set() {
    check(&[
        ("TYPE s", "+set"),
        ("SCARD s", ":3"),
        ("SISMEMBER s x", ":1"),
        ("SISMEMBER s y", ":1"),
        ("SMISMEMBER s both none x y", "*4 :1 :0 :1 :1"),
        ("SORT s ALPHA", "*3 $4 both $1 x $1 y"),
        ("OBJECT ENCODING s", "$9 hashtable"),
        ("SADD t x y z", ":3"),
        ("SINTERCARD 2 s t", ":2"),
        ("SDIFF t s", "*1 $1 z"),
        ("SINTERSTORE d s t", ":2"),
        ("SUNIONSTORE d s t", ":4"),
        ("SDIFFSTORE d s t", ":1"),
        (
            "EVAL \"return {redis.call('scard','s'), redis.call('sismember','s','y')}\" 0",
            "*2 :3 :1",
        ),
    ]);
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        let mut world = world(rule);
        world.run("SADD t x y z");
        for (line, expected) in [
            ("SMEMBERS s", vec!["both", "x", "y"]),
            ("SSCAN s 0 COUNT 100", vec!["both", "x", "y"]),
            ("SRANDMEMBER s 3", vec!["both", "x", "y"]),
            ("SINTER s t", vec!["x", "y"]),
            ("SUNION s t", vec!["both", "x", "y", "z"]),
            ("SDIFF s t", vec!["both"]),
        ] {
            let answer = world.run(line);
            let expected: BTreeSet<&str> = expected.into_iter().collect();
            assert_eq!(names(&answer), expected, "{line}");
        }
        let answer = world.run("MEMORY USAGE s");
        assert!(answer.starts_with(':') && answer.len() > 3, "{answer}");
    }
}

#[test]
fn writers_change_one_set() {
    check(&[
        ("SADD s x y both z", ":1"),
        ("SREM s z none both", ":2"),
        ("SMOVE s t x", ":1"),
        ("SMEMBERS s", "*1 $1 y"),
        ("SPOP s", "$1 y"),
        ("EXISTS s", ":0"),
    ]);
    check(&[
        ("COPY s c", ":1"),
        ("SCARD c", ":3"),
        ("RENAME s r", "+OK"),
        ("EXISTS s", ":0"),
        ("SCARD r", ":3"),
        ("SADD s x", ":1"),
        ("SCARD s", ":1"),
        ("DEL s r c", ":3"),
        ("DBSIZE", ":0"),
    ]);
    check(&[
        ("SET s v", "+OK"),
        ("DEL s", ":1"),
        ("EXISTS s", ":0"),
        ("SADD s y", ":1"),
    ]);
}

#[test]
fn what_is_dumped_is_one_set() {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        let mut world = world(rule);
        world.run("COPY s c");
        let restored =
            world.run("EVAL \"return redis.call('restore','r',0,redis.call('dump','s'))\" 0");
        assert_eq!(restored, "+OK");
        check_in(
            &mut world,
            &[("SCARD r", ":3"), ("SDIFF r c", "*0"), ("SDIFF c r", "*0")],
        );
    }
}

#[test]
fn a_migration_is_not_seen() {
    for (rule, name) in [
        (SetRule::AddWins, "set-aw"),
        (SetRule::RemoveWins, "set-rw"),
    ] {
        let mut world = world(rule);
        // Of every key; a keyspace is named by its prefix.
        world.run(&format!("ISLES.KEYSPACE SET '' lww SETS {}", rule.name()));
        let policy = world.run("ISLES.POLICY s");
        assert!(policy.contains("*2 $6 set-aw $6 set-rw"), "{policy}");
        assert!(policy.contains("added under both rules"), "{policy}");
        assert_eq!(world.run("CONFIG SET notify-keyspace-events EA"), "+OK");
        let listener = world.other(&["PSUBSCRIBE *"]);
        check_in(
            &mut world,
            &[
                ("WATCH s", "+OK"),
                (
                    "ISLES.KEYSPACE MIGRATE ''",
                    "*6 $6 cursor :0 $9 rewritten :1 $13 with_siblings :0",
                ),
                ("MULTI", "+OK"),
                ("SCARD s", "+QUEUED"),
                ("EXEC", "*1 :3"),
            ],
        );
        let letters = World::letters(&listener.client);
        assert!(!letters.contains("pmessage"), "{letters}");
        let policy = world.run("ISLES.POLICY s");
        assert!(policy.contains(&format!("*1 $6 {name}")), "{policy}");
        check_in(
            &mut world,
            &[(
                "ISLES.KEYSPACE MIGRATE ''",
                "*6 $6 cursor :0 $9 rewritten :0 $13 with_siblings :0",
            )],
        );
    }
}

#[test]
fn a_large_set_is_migrated_by_several_calls() {
    let mut world = World::new();
    for part in 0..25 {
        let members: String = (0..1000).map(|n| format!(" {part}-{n}")).collect();
        world.run(&format!("SADD s{members}"));
    }
    world.run("SADD t x");
    world.run("PEXPIREAT s 33000000000000");
    world.run("ISLES.KEYSPACE SET '' lww SETS remove-wins");
    let (mut cursor, mut calls) = ("0".to_owned(), 0);
    loop {
        let answer = world.run(&format!("ISLES.KEYSPACE MIGRATE '' CURSOR {cursor}"));
        calls += 1;
        cursor = answer.split(' ').nth(3).expect("a cursor")[1..].to_owned();
        check_in(&mut world, &[("SCARD s", ":25000")]);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(calls, 3);
    for key in ["s", "t"] {
        let policy = world.run(&format!("ISLES.POLICY {key}"));
        assert!(policy.contains("*1 $6 set-rw"), "{policy}");
    }
    check_in(&mut world, &[("PEXPIRETIME s", ":33000000000000")]);
}

/// It said so by a cursor of zero, so that nobody called it again.
#[test]
fn a_migration_that_stops_at_its_beginning_is_not_at_its_end() {
    let mut world = World::new();
    let value = "v".repeat(60_000);
    for key in 0..40 {
        world.run(&format!("SET {key} {value}"));
    }
    world.run("ISLES.KEYSPACE SET '' multi-value");
    let mut cursor = "0".to_owned();
    loop {
        let answer = world.run(&format!("ISLES.KEYSPACE MIGRATE '' CURSOR {cursor}"));
        cursor = answer.split(' ').nth(3).expect("a cursor")[1..].to_owned();
        if cursor == "0" {
            break;
        }
    }
    for key in 0..40 {
        let answer = world.run(&format!("ISLES.POLICY {key}"));
        assert!(answer.contains("register-mv"), "{answer}");
    }
}
