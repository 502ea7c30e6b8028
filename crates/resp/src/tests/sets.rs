use std::collections::BTreeSet;

use super::{NOT_INTEGER, Protocol, SYNTAX, WRONG_TYPE, World, check_in};

/// Under each rule, for every command answers the same under both.
fn worlds() -> [World; 2] {
    let [add_wins, mut remove_wins] = [World::new(), World::new()];
    let defined = remove_wins.run("ISLES.KEYSPACE SET '' lww SETS remove-wins");
    assert_eq!(defined, "+OK");
    [add_wins, remove_wins]
}

fn check(cases: &[(&str, &str)]) {
    worlds().iter_mut().for_each(|world| check_in(world, cases));
}

fn check_resp3(cases: &[(&str, &str)]) {
    for mut world in worlds() {
        world.reply.protocol = Protocol::Resp3;
        check_in(&mut world, cases);
    }
}

/// The elements of an array or set of bulk strings, in order.
fn members(answer: &str) -> BTreeSet<&str> {
    answer
        .split(' ')
        .skip(1)
        .filter(|word| !word.starts_with('$'))
        .collect()
}

#[test]
fn members_come_and_go() {
    check(&[
        ("SADD s a", ":1"),
        ("SADD s a b c", ":2"),
        ("SCARD s", ":3"),
        ("SISMEMBER s a", ":1"),
        ("SISMEMBER s x", ":0"),
        ("SMISMEMBER s a x", "*2 :1 :0"),
        ("SMISMEMBER none a x", "*2 :0 :0"),
        ("SREM s a x", ":1"),
        ("SREM none a", ":0"),
        ("SREM s b", ":1"),
        ("SMEMBERS s", "*1 $1 c"),
        ("SREM s c", ":1"),
        ("EXISTS s", ":0"),
        ("SCARD s", ":0"),
        ("SMEMBERS s", "*0"),
        (
            "SADD s",
            "-ERR wrong number of arguments for 'sadd' command",
        ),
        ("SET t 1", "+OK"),
        ("SADD t a", WRONG_TYPE),
        ("SREM t a", WRONG_TYPE),
        ("SCARD t", WRONG_TYPE),
        ("SMEMBERS t", WRONG_TYPE),
        ("SISMEMBER t a", WRONG_TYPE),
        ("SMISMEMBER t a", WRONG_TYPE),
    ]);
    check_resp3(&[
        ("SMEMBERS s", "~0"),
        ("SADD s a", ":1"),
        ("SMEMBERS s", "~1 $1 a"),
    ]);
}

#[test]
fn moving() {
    check(&[
        ("SADD a x y", ":2"),
        ("SMOVE a b x", ":1"),
        ("SMOVE a b x", ":0"),
        ("SMOVE none b x", ":0"),
        ("SMOVE a a y", ":1"),
        ("SMEMBERS b", "*1 $1 x"),
        ("SMOVE a b y", ":1"),
        ("EXISTS a", ":0"),
        ("SET t 1", "+OK"),
        ("SMOVE b t x", WRONG_TYPE),
        ("SMOVE t b x", WRONG_TYPE),
        ("SCARD b", ":2"),
    ]);
}

#[test]
fn algebra() {
    worlds().into_iter().for_each(algebra_in);
}

fn algebra_in(mut world: World) {
    check_in(
        &mut world,
        &[
            ("SADD a 1 2 3", ":3"),
            ("SADD b 2 3 4", ":3"),
            ("SADD c 3", ":1"),
        ],
    );
    for (line, expected) in [
        ("SINTER a b", vec!["2", "3"]),
        ("SINTER a b c", vec!["3"]),
        ("SINTER a none", vec![]),
        ("SUNION a b none", vec!["1", "2", "3", "4"]),
        ("SDIFF a b", vec!["1"]),
        ("SDIFF a", vec!["1", "2", "3"]),
        ("SDIFF none a", vec![]),
        ("SDIFF a a", vec![]),
    ] {
        assert_eq!(
            members(&world.run(line)),
            BTreeSet::from_iter(expected),
            "{line}"
        );
    }
    check_in(
        &mut world,
        &[
            ("SINTERSTORE d a b", ":2"),
            ("SCARD d", ":2"),
            ("SDIFFSTORE d a b c", ":1"),
            ("SMEMBERS d", "*1 $1 1"),
            ("SUNIONSTORE a a b", ":4"),
            ("SET t 1", "+OK"),
            ("SUNIONSTORE t a b", ":4"),
            ("TYPE t", "+set"),
            ("SINTERSTORE t a none", ":0"),
            ("EXISTS t", ":0"),
            ("SET t 1", "+OK"),
            ("SINTER a t", WRONG_TYPE),
            ("SINTER none t", WRONG_TYPE),
            ("SUNION a t", WRONG_TYPE),
            ("SDIFF none t", WRONG_TYPE),
            ("SINTERSTORE x a t", WRONG_TYPE),
        ],
    );
}

#[test]
fn counting_an_intersection() {
    check(&[
        ("SADD a 1 2 3", ":3"),
        ("SADD b 2 3 4", ":3"),
        ("SINTERCARD 2 a b", ":2"),
        ("SINTERCARD 2 a b LIMIT 1", ":1"),
        ("SINTERCARD 2 a b LIMIT 0", ":2"),
        ("SINTERCARD 0 a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD x a", "-ERR numkeys should be greater than 0"),
        (
            "SINTERCARD 3 a b",
            "-ERR Number of keys can't be greater than number of args",
        ),
        ("SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a b", SYNTAX),
        ("SINTERCARD 1 a LIMIT", SYNTAX),
    ]);
}

#[test]
fn picking() {
    worlds().into_iter().for_each(picking_in);
}

fn picking_in(mut world: World) {
    check_in(
        &mut world,
        &[
            ("SPOP s", "$-1"),
            ("SPOP s 2", "*0"),
            ("SRANDMEMBER s", "$-1"),
            ("SRANDMEMBER s 3", "*0"),
            ("SRANDMEMBER s -3", "*0"),
            ("SADD s a", ":1"),
            ("SRANDMEMBER s", "$1 a"),
            ("SRANDMEMBER s 5", "*1 $1 a"),
            ("SRANDMEMBER s -3", "*3 $1 a $1 a $1 a"),
            ("SRANDMEMBER s 0", "*0"),
            ("SPOP s", "$1 a"),
            ("EXISTS s", ":0"),
            ("SADD s a", ":1"),
            ("SPOP s 0", "*0"),
            ("SPOP s 9", "*1 $1 a"),
            ("EXISTS s", ":0"),
            ("SPOP s -1", "-ERR value is out of range, must be positive"),
            ("SPOP s 1 2", SYNTAX),
            ("SRANDMEMBER s x", NOT_INTEGER),
            ("SRANDMEMBER s 1 2", SYNTAX),
            (
                "SRANDMEMBER s -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            (
                "SRANDMEMBER s -9223372036854775807",
                "-ERR value is out of range",
            ),
            ("SET t 1", "+OK"),
            ("SPOP t", WRONG_TYPE),
            ("SPOP t 1", WRONG_TYPE),
            ("SPOP t 0", WRONG_TYPE),
            ("SRANDMEMBER t", WRONG_TYPE),
            ("SRANDMEMBER t 2", WRONG_TYPE),
        ],
    );
    check_resp3(&[
        ("SPOP s 1", "~0"),
        ("SADD s a", ":1"),
        ("SRANDMEMBER s 1", "*1 $1 a"),
        ("SPOP s 1", "~1 $1 a"),
    ]);
}

#[test]
fn picks_are_distinct() {
    worlds().into_iter().for_each(picks_are_distinct_in);
}

fn picks_are_distinct_in(mut world: World) {
    for member in 0..100 {
        world.run(&format!("SADD s m{member}"));
    }
    for count in [1, 10, 24, 25, 26, 99, 100] {
        let answer = world.run(&format!("SRANDMEMBER s {count}"));
        assert_eq!(members(&answer).len(), count, "{answer}");
    }
    for (count, popped, left) in [(10, 10, 90), (80, 80, 10), (100, 10, 0)] {
        let answer = world.run(&format!("SPOP s {count}"));
        assert_eq!(members(&answer).len(), popped);
        assert_eq!(world.run("SCARD s"), format!(":{left}"));
    }
}

#[test]
fn scanning() {
    worlds().into_iter().for_each(scanning_in);
}

fn scanning_in(mut world: World) {
    check_in(
        &mut world,
        &[
            ("SSCAN none 0", "*2 $1 0 *0"),
            ("SADD s abc", ":1"),
            ("SSCAN s 0", "*2 $1 0 *1 $3 abc"),
            ("SSCAN s 0 MATCH x*", "*2 $1 0 *0"),
            ("SSCAN s 0 TYPE set", SYNTAX),
            ("SSCAN s x", "-ERR invalid cursor"),
            ("SET t 1", "+OK"),
            ("SSCAN t 0", WRONG_TYPE),
        ],
    );
    let all: String = (0..1000).map(|member| format!(" {member}")).collect();
    world.run(&format!("SADD big{all}"));
    let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
    loop {
        let answer = world.run(&format!("SSCAN big {cursor} COUNT 20"));
        let words: Vec<&str> = answer.split(' ').collect();
        found.extend(
            words[4..]
                .iter()
                .filter(|word| !word.starts_with('$'))
                .map(|word| (*word).to_owned()),
        );
        cursor = words[2].to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 1000);
}

#[test]
fn a_keyspace_names_the_rule_of_its_sets() {
    check_in(
        &mut World::new(),
        &[
            ("SADD ban:old x", ":1"),
            (
                "ISLES.KEYSPACE SET ban: lww SETS remove-wins",
                "+OK for keys that are created from now on; ISLES.KEYSPACE MIGRATE <prefix> rewrites those that exist",
            ),
            (
                "ISLES.KEYSPACE SET ban: max",
                "+OK for keys that are created from now on; ISLES.KEYSPACE MIGRATE <prefix> rewrites those that exist",
            ),
            (
                "ISLES.KEYSPACE GET ban:1",
                "*6 $6 prefix $4 ban: $8 strategy $3 max $4 sets $11 remove-wins",
            ),
            (
                "ISLES.KEYSPACE LIST",
                "*1 *6 $6 prefix $4 ban: $8 strategy $3 max $4 sets $11 remove-wins",
            ),
            (
                "ISLES.KEYSPACE SET ban: lww SETS add-wins",
                "+OK for keys that are created from now on; ISLES.KEYSPACE MIGRATE <prefix> rewrites those that exist",
            ),
            (
                "ISLES.KEYSPACE SET ban: lww SETS mine",
                "-ERR unknown rule of sets 'mine', expected add-wins or remove-wins",
            ),
            (
                "ISLES.KEYSPACE SET ban: lww MAX",
                "-ERR a keyspace has one strategy, and after it nothing but SETS add-wins or SETS remove-wins",
            ),
            (
                "ISLES.KEYSPACE SET b: lww SETS REMOVE-WINS",
                "+OK for keys that are created from now on; ISLES.KEYSPACE MIGRATE <prefix> rewrites those that exist",
            ),
            ("ISLES.KEYSPACE DEL b:", ":1"),
        ],
    );
    let [_, mut world] = worlds();
    world.run("SADD s x");
    let answer = world.run("ISLES.POLICY s");
    for part in [
        "$4 sets $11 remove-wins",
        "set-rw",
        "a removal wins",
        "no keyspace is defined for this key, and sets are remove-wins",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    world.run("ISLES.KEYSPACE SET s lww");
    let answer = world.run("ISLES.POLICY s");
    let why =
        "the key has been a set-rw since it was created; the keyspace 's' says add-wins of sets";
    assert!(answer.contains(why), "{answer}");
}

/// Commands of all types on a set.
#[test]
fn as_any_key() {
    check(&[
        ("SADD s 3 1 2", ":3"),
        ("TYPE s", "+set"),
        ("OBJECT ENCODING s", "$6 intset"),
        ("OBJECT REFCOUNT s", ":1"),
        ("SORT s", "*3 $1 1 $1 2 $1 3"),
        ("SORT s STORE l", ":3"),
        ("EXPIRE s 100", ":1"),
        ("COPY s t", ":1"),
        ("TTL t", ":100"),
        ("SCARD t", ":3"),
        ("RENAME t u", "+OK"),
        ("SCARD u", ":3"),
        ("EXISTS t", ":0"),
        ("SREM u 1 9", ":1"),
        ("SISMEMBER u 1", ":0"),
        ("GET u", WRONG_TYPE),
        ("SET u v", "+OK"),
        ("GET u", "$1 v"),
        ("PERSIST s", ":1"),
        ("DEL s", ":1"),
        ("EXISTS s", ":0"),
        ("SADD s 3", ":1"),
        ("SMEMBERS s", "*1 $1 3"),
        ("UNLINK s", ":1"),
        ("SADD s a", ":1"),
        ("PEXPIREAT s 1", ":1"),
        ("SCARD s", ":0"),
        ("SADD s b", ":1"),
        ("SMEMBERS s", "*1 $1 b"),
        ("MULTI", "+OK"),
        ("SADD s c", "+QUEUED"),
        ("SREM s b", "+QUEUED"),
        ("SADD s b", "+QUEUED"),
        ("SREM s c", "+QUEUED"),
        ("EXEC", "*4 :1 :1 :1 :1"),
        ("SMEMBERS s", "*1 $1 b"),
        ("WATCH s", "+OK"),
        ("SADD s b", ":0"),
        ("SREM s none", ":0"),
        ("MULTI", "+OK"),
        ("SCARD s", "+QUEUED"),
        ("EXEC", "*1 :1"),
        ("FLUSHALL", "+OK"),
        ("DBSIZE", ":0"),
        ("SCARD s", ":0"),
    ]);
}
