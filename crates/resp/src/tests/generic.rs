use super::{NOT_INTEGER, START_MS, SYNTAX, World, check, check_in, check_resp3};

#[test]
fn existence() {
    check(&[
        ("MSET a 1 b 2 c 3", "+OK"),
        ("EXISTS a b none a", ":3"),
        ("TOUCH a none", ":1"),
        ("DBSIZE", ":3"),
        ("DEL a none", ":1"),
        ("UNLINK b c", ":2"),
        ("DBSIZE", ":0"),
        ("DEL", "-ERR wrong number of arguments for 'del' command"),
    ]);
}

#[test]
fn types() {
    check(&[
        ("TYPE a", "+none"),
        ("SET a 1", "+OK"),
        ("SADD s m", ":1"),
        ("HSET h f v", ":1"),
        ("INCR c", ":1"),
        ("TYPE a", "+string"),
        ("TYPE s", "+set"),
        ("TYPE h", "+hash"),
        ("TYPE c", "+string"),
    ]);
}

#[test]
fn deadlines() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("TTL a", ":-2"),
            ("PTTL a", ":-2"),
            ("EXPIRETIME a", ":-2"),
            ("EXPIRE a 10", ":0"),
            ("SET a 1", "+OK"),
            ("TTL a", ":-1"),
            ("PEXPIRETIME a", ":-1"),
            ("EXPIRE a 10", ":1"),
            ("PTTL a", ":10000"),
            ("PERSIST a", ":1"),
            ("PERSIST a", ":0"),
            ("PERSIST none", ":0"),
            ("PEXPIRE a 1499", ":1"),
            ("TTL a", ":1"),
            ("EXPIRE a x", NOT_INTEGER),
            (
                "EXPIRE a 9223372036854775807",
                "-ERR invalid expire time in 'expire' command",
            ),
            (
                "PEXPIRE a 9223372036854770000",
                "-ERR invalid expire time in 'pexpire' command",
            ),
            ("EXPIREAT a 9999999999", ":1"),
            ("EXPIRETIME a", ":9999999999"),
            ("PEXPIREAT a 9999999999999", ":1"),
            ("PEXPIRETIME a", ":9999999999999"),
            ("EXPIRE a -1", ":1"),
            ("EXISTS a", ":0"),
            ("SET a 1 PX 5", "+OK"),
        ],
    );
    world.advance(5);
    check_in(
        &mut world,
        &[
            ("GET a", "$-1"),
            ("EXPIRE a 10", ":0"),
            ("DBSIZE", ":0"),
            ("KEYS *", "*0"),
        ],
    );
}

#[test]
fn conditions_on_deadlines() {
    let soon = START_MS + 10_000;
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("SET a 1", "+OK"),
            ("EXPIRE a 10 XX", ":0"),
            ("EXPIRE a 10 GT", ":0"),
            ("EXPIRE a 10 NX", ":1"),
            ("EXPIRE a 20 NX", ":0"),
            ("EXPIRE a 5 GT", ":0"),
            ("EXPIRE a 20 LT", ":0"),
            ("EXPIRE a 5 LT XX", ":1"),
            ("EXPIRE a 10 GT", ":1"),
            ("PEXPIRETIME a", &format!(":{soon}")),
            (
                "EXPIRE a 10 NX XX",
                "-ERR NX and XX, GT or LT options at the same time are not compatible",
            ),
            (
                "EXPIRE a 10 LT GT",
                "-ERR GT and LT options at the same time are not compatible",
            ),
            ("EXPIRE a 10 AB", "-ERR Unsupported option AB"),
        ],
    );
}

#[test]
fn renaming() {
    check(&[
        ("RENAME a b", "-ERR no such key"),
        ("SET a 1 EX 10", "+OK"),
        ("RENAME a a", "+OK"),
        ("RENAME a b", "+OK"),
        ("EXISTS a", ":0"),
        ("GET b", "$1 1"),
        ("TTL b", ":10"),
        ("SADD s m", ":1"),
        ("RENAMENX b s", ":0"),
        ("RENAME b s", "+OK"),
        ("TYPE s", "+string"),
        ("RENAMENX s t", ":1"),
        ("RENAMENX none t", "-ERR no such key"),
        ("KEYS *", "*1 $1 t"),
    ]);
}

#[test]
fn copying() {
    check(&[
        ("COPY a b", ":0"),
        ("HSET a f v", ":1"),
        ("EXPIRE a 10", ":1"),
        ("COPY a b", ":1"),
        ("HGET b f", "$1 v"),
        ("TTL b", ":10"),
        ("HSET b f w", ":0"),
        ("HGET a f", "$1 v"),
        ("COPY a b", ":0"),
        ("COPY a b REPLACE", ":1"),
        ("HGET b f", "$1 v"),
        (
            "COPY a a",
            "-ERR source and destination objects are the same",
        ),
        ("COPY a c DB 0", ":1"),
        ("COPY a c DB 1", "-ERR DB index is out of range"),
        ("COPY a c DB x", NOT_INTEGER),
        ("COPY a c FOO", SYNTAX),
    ]);
}

#[test]
fn listing() {
    check(&[
        ("KEYS *", "*0"),
        ("RANDOMKEY", "$-1"),
        ("SET hello 1", "+OK"),
        ("KEYS h?llo", "*1 $5 hello"),
        ("KEYS x*", "*0"),
        ("RANDOMKEY", "$5 hello"),
        ("SCAN 0", "*2 $1 0 *1 $5 hello"),
        ("SCAN 0 MATCH x* COUNT 100", "*2 $1 0 *0"),
        ("SCAN 0 TYPE string", "*2 $1 0 *1 $5 hello"),
        ("SCAN 0 TYPE hash", "*2 $1 0 *0"),
        ("SCAN 0 COUNT 0", SYNTAX),
        ("SCAN 0 COUNT x", NOT_INTEGER),
        ("SCAN 0 MATCH", SYNTAX),
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN -x", "-ERR invalid cursor"),
        ("SCAN 18446744073709551616", "-ERR invalid cursor"),
        ("SCAN -18446744073709551616", "-ERR invalid cursor"),
        ("SCAN +0", "*2 $1 0 *1 $5 hello"),
        (
            "SCAN -18446744073709551615 COUNT 100",
            "*2 $1 0 *1 $5 hello",
        ),
    ]);
    check_resp3(&[("RANDOMKEY", "_")]);
}

#[test]
fn a_scan_finds_every_key() {
    let mut world = World::new();
    for key in 0..500 {
        world.run(&format!("SET key:{key} v"));
    }
    let (mut cursor, mut found) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let answer = world.run(&format!("SCAN {cursor} COUNT 7"));
        let words: Vec<&str> = answer.split(' ').collect();
        found.extend(
            words
                .iter()
                .filter(|word| word.starts_with("key:"))
                .map(|word| (*word).to_owned()),
        );
        cursor = words[2].to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 500);
    assert!(world.run("KEYS *").starts_with("*500 "));
}

#[test]
fn encodings_are_those_of_redis() {
    let long = format!("SET raw {}", "x".repeat(45));
    check(&[
        ("OBJECT ENCODING none", "$-1"),
        ("SET i 12", "+OK"),
        ("OBJECT ENCODING i", "$3 int"),
        ("SET e abc", "+OK"),
        ("OBJECT ENCODING e", "$6 embstr"),
        (&long, "+OK"),
        ("OBJECT ENCODING raw", "$3 raw"),
        ("HSET h f v", ":1"),
        ("OBJECT ENCODING h", "$8 listpack"),
        ("SADD s 1 2", ":2"),
        ("OBJECT ENCODING s", "$6 intset"),
        ("SADD s a", ":1"),
        ("OBJECT ENCODING s", "$9 hashtable"),
        ("OBJECT REFCOUNT s", ":1"),
        ("OBJECT IDLETIME s", ":0"),
        (
            "OBJECT FOO s",
            "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.",
        ),
    ]);
    let mut world = World::new();
    assert!(world.run("OBJECT HELP").starts_with("*5 +OBJECT"));
    world.run("SET a 1");
    world.run("CONFIG SET maxmemory-policy allkeys-lfu");
    for refused in [
        "OBJECT FREQ a",
        "OBJECT FREQ none",
        "PFDEBUG TODENSE none",
        "PFDEBUG decode a",
        "DEBUG OBJECT a",
        "DEBUG DIGEST",
        "DEBUG RELOAD",
        "DEBUG JMAP",
        "DEBUG LISTPACK a",
    ] {
        let words: Vec<&str> = refused.split(' ').collect();
        let name = words[..2].join(" ").to_uppercase();
        let reason = format!("-ERR {name} is not supported by Isles: ");
        assert!(world.run(refused).starts_with(&reason), "{refused}");
    }
}

#[test]
fn memory_usage() {
    let mut world = World::new();
    check_in(&mut world, &[("MEMORY USAGE a", "$-1"), ("SET a 1", "+OK")]);
    assert!(world.run("MEMORY USAGE a").starts_with(':'));
    assert!(world.run("MEMORY USAGE a SAMPLES 5").starts_with(':'));
    assert_eq!(
        world.run("MEMORY DOCTOR"),
        "-ERR MEMORY DOCTOR is not supported by Isles: the allocator tells nothing of that; instead: INFO memory, MEMORY USAGE of a key, and the metrics"
    );
}

#[test]
fn flushing() {
    check(&[
        ("MSET a 1 b 2", "+OK"),
        ("FLUSHALL", "+OK"),
        ("DBSIZE", ":0"),
        ("SET a 1", "+OK"),
        ("FLUSHDB ASYNC", "+OK"),
        ("GET a", "$-1"),
        ("FLUSHALL SOON", SYNTAX),
        ("SET a 2", "+OK"),
        ("GET a", "$1 2"),
    ]);
}

#[test]
fn asking_about_a_key_is_no_use_of_it() {
    let mut world = World::new();
    let idle = |world: &mut World| world.run("OBJECT IDLETIME k");
    for line in ["SET k 1", "GET k", "APPEND k 2", "EXPIRE k 1000", "TOUCH k"] {
        assert!(!world.run(line).starts_with('-'), "{line}");
        assert_eq!(idle(&mut world), ":0", "{line}");
        world.advance(10_240);
        for line in [
            "TYPE k",
            "TTL k",
            "EXISTS k",
            "OBJECT ENCODING k",
            "OBJECT IDLETIME k",
            "SCAN 0",
            "MEMORY USAGE k",
        ] {
            world.run(line);
            assert_eq!(idle(&mut world), ":10", "{line}");
        }
    }
    world.run("CLIENT NO-TOUCH ON");
    for line in ["GET k", "EVAL \"return redis.call('get', KEYS[1])\" 1 k"] {
        world.run(line);
        assert_eq!(idle(&mut world), ":10", "{line}");
    }
    assert_eq!(world.run("TOUCH k none"), ":1");
    assert_eq!(idle(&mut world), ":0");
}

#[test]
fn channels_of_a_shard_are_where_clients_look_for_a_slot() {
    let mut world = World::new();
    for (name, last, begin) in [
        ("spublish", ":1 :1 :1", ":0"),
        ("ssubscribe", ":1 :-1 :1", ":-1"),
        ("sunsubscribe", ":1 :-1 :1", ":-1"),
    ] {
        let info = world.run(&format!("COMMAND INFO {name}"));
        assert!(info.contains(last), "{info}");
        assert!(info.contains("+not_key"), "{info}");
        assert!(info.contains(&format!("$7 lastkey {begin} ")), "{info}");
    }
    let no_key = "-ERR The command has no key arguments";
    check_in(
        &mut world,
        &[
            ("COMMAND GETKEYS SPUBLISH c m", no_key),
            ("COMMAND GETKEYS SSUBSCRIBE c", no_key),
        ],
    );
}

#[test]
fn numbers_that_c_reads_in_its_own_way() {
    let no_double = "-ERR One or more scores can't be converted into double";
    let no_bound = "-ERR min or max is not a float";
    check(&[
        ("ZADD z 0 o 1 a 2 b", ":3"),
        ("ZCOUNT z '' +inf", ":3"),
        ("ZCOUNT z ( +inf", ":2"),
        ("ZCOUNT z ' 1' +inf", ":2"),
        ("ZCOUNT z '( 1' +inf", ":1"),
        ("ZCOUNT z 0x1 +inf", ":2"),
        ("ZRANGEBYSCORE z -inf (", "*0"),
        ("ZRANGEBYSCORE z -inf ''", "*1 $1 o"),
        ("ZCOUNT z '1 ' +inf", no_bound),
        ("ZCOUNT z ' ' +inf", no_bound),
        ("ZCOUNT z nan +inf", no_bound),
        ("ZCOUNT z ((1 +inf", no_bound),
        ("ZADD z '' x", "-ERR value is not a valid float"),
        ("RPUSH l 3 '' 0x10 ' 5'", ":4"),
        ("SORT l", "*4 $0  $1 3 $2  5 $4 0x10"),
        ("RPUSH m 1e400 1", ":2"),
        ("SORT m", no_double),
        ("RPUSH n nan 1", ":2"),
        ("SORT n", no_double),
        ("RPUSH o '5 ' 1", ":2"),
        ("SORT o", no_double),
    ]);
}

#[test]
fn what_is_wrong_first_is_told() {
    use super::WRONG_TYPE;
    check(&[
        ("SET k v", "+OK"),
        ("HSCAN k x", "-ERR invalid cursor"),
        ("HSCAN k 0 COUNT x", WRONG_TYPE),
        ("SSCAN k 0 COUNT 0", WRONG_TYPE),
        ("ZSCAN k 0 FOO 1", WRONG_TYPE),
        ("HSCAN none 0 COUNT x", "*2 $1 0 *0"),
        ("SSCAN none 0 COUNT 0", "*2 $1 0 *0"),
        ("ZSCAN none 0 FOO 1", "*2 $1 0 *0"),
        ("BITPOS k 0 0 x FOO", SYNTAX),
        ("BITPOS k 0 0 x BIT", NOT_INTEGER),
        ("XACK k g x", WRONG_TYPE),
        ("GEOSEARCH k FROMLONLAT 0 0 BYRADIUS x km", WRONG_TYPE),
        (
            "GEOSEARCHSTORE d k FROMLONLAT 0 0 BYRADIUS 1 km WITHDIST",
            WRONG_TYPE,
        ),
    ]);
}
