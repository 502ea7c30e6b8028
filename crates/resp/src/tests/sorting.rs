//! SORT, DUMP and RESTORE.

use super::{SYNTAX, WRONG_TYPE, World, check, check_in};

#[test]
fn sorting() {
    check(&[
        ("SADD s 3 1 10 2", ":4"),
        ("SORT s", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT s DESC", "*4 $2 10 $1 3 $1 2 $1 1"),
        ("SORT s ALPHA", "*4 $1 1 $2 10 $1 2 $1 3"),
        ("SORT s LIMIT 1 2", "*2 $1 2 $1 3"),
        ("SORT s LIMIT -1 2", "*2 $1 1 $1 2"),
        ("SORT s LIMIT 9 2", "*0"),
        ("SORT s LIMIT 2 -1", "*2 $1 3 $2 10"),
        ("MSET w1 4 w2 3 w3 2 w10 1", "+OK"),
        ("SORT s BY w*", "*4 $2 10 $1 3 $1 2 $1 1"),
        (
            "SORT s BY w* GET # GET w* GET x*",
            "*12 $2 10 $1 1 $-1 $1 3 $1 2 $-1 $1 2 $1 3 $-1 $1 1 $1 4 $-1",
        ),
        ("HSET h1 f one", ":1"),
        ("SORT s GET h*->f", "*4 $3 one $-1 $-1 $-1"),
        ("SORT_RO s", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT_RO s STORE d", SYNTAX),
        ("SORT none", "*0"),
        ("SORT none STORE s2", ":0"),
        ("SADD words a b", ":2"),
        (
            "SORT words",
            "-ERR One or more scores can't be converted into double",
        ),
        ("SORT w1", WRONG_TYPE),
        ("SORT s LIMIT 1", SYNTAX),
        ("COMMAND GETKEYS SORT s BY w* STORE d", "*2 $1 s $1 d"),
    ]);
}

#[test]
fn sorting_of_what_has_an_order_of_its_own() {
    check(&[
        ("RPUSH l 3 1 10 1", ":4"),
        ("SORT l", "*4 $1 1 $1 1 $1 3 $2 10"),
        ("SORT l BY nosort", "*4 $1 3 $1 1 $2 10 $1 1"),
        ("SORT l BY nosort DESC", "*4 $1 1 $2 10 $1 1 $1 3"),
        ("SORT l BY nosort DESC LIMIT 1 2", "*2 $2 10 $1 1"),
        ("ZADD z 1 b 2 a 3 c", ":3"),
        ("SORT z ALPHA", "*3 $1 a $1 b $1 c"),
        ("SORT z BY nosort LIMIT 0 2", "*2 $1 b $1 a"),
        ("SORT z BY nosort DESC LIMIT 0 2", "*2 $1 c $1 a"),
        (
            "SORT z",
            "-ERR One or more scores can't be converted into double",
        ),
    ]);
}

#[test]
fn sorting_into_a_list() {
    check(&[
        ("SADD s 3 1 2", ":3"),
        ("MSET w1 one w3 three", "+OK"),
        ("SET d x", "+OK"),
        ("SORT s STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $1 1 $1 2 $1 3"),
        ("EXPIRE d 100", ":1"),
        ("SORT s GET w* STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $3 one $0  $5 three"),
        ("TTL d", ":-1"),
        ("SORT s BY nosort STORE s", ":3"),
        ("LRANGE s 0 -1", "*3 $1 1 $1 2 $1 3"),
        ("SORT s LIMIT 3 1 STORE d", ":0"),
        ("EXISTS d", ":0"),
    ]);
}

/// The payload that DUMP answers, quoted for a line.
fn dumped(world: &mut World, key: &str) -> String {
    let request = format!("*2\r\n$4\r\nDUMP\r\n${}\r\n{key}\r\n", key.len());
    let mut console = crate::Console::new();
    let answer = console.command(
        &mut world.replica,
        world.wall_ms,
        &[b"DUMP", key.as_bytes()],
    );
    let Ok(crate::Answer::Text(payload)) = answer else {
        panic!("{request:?} answers {answer:?}");
    };
    quoted(&payload)
}

fn quoted(payload: &[u8]) -> String {
    let bytes = payload.iter().map(|byte| format!("\\x{byte:02x}"));
    format!("\"{}\"", bytes.collect::<String>())
}

/// A payload with this tag and content.
fn payload_of(content: &[u8]) -> String {
    let mut payload = [b"ISLES\x01", content].concat();
    payload.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(&payload).to_le_bytes());
    quoted(&payload)
}

#[test]
fn what_is_dumped_is_restored() {
    let mut world = World::new();
    for line in [
        "SET s value",
        "INCRBY n 7",
        "SADD set x",
        "ISLES.KEYSPACE SET ban: lww SETS remove-wins",
        "SADD ban:s x y",
        "SREM ban:s y",
        "HSET h f v",
        "PFADD p a b c",
        "ZADD z 1.5 a -inf b",
        "RPUSH l x y x",
        "ISLES.FLAG.ENABLE f",
        "ISLES.BCOUNTER.CREATE b 9",
        "XADD x 1-1 f v",
        "XADD x 2-1 f v g w",
        "XADD x 3-1 f v",
        "XDEL x 3-1",
    ] {
        world.run(line);
    }
    for (key, question, answer) in [
        ("s", "GET", "$5 value"),
        ("n", "GET", "$1 7"),
        ("set", "SMEMBERS", "*1 $1 x"),
        ("ban:s", "SMEMBERS", "*1 $1 x"),
        ("h", "HGETALL", "*2 $1 f $1 v"),
        ("p", "PFCOUNT", ":3"),
        ("z", "ZRANGE 0 -1 WITHSCORES", "*4 $1 b $4 -inf $1 a $3 1.5"),
        ("l", "LRANGE 0 -1", "*3 $1 x $1 y $1 x"),
        ("f", "ISLES.FLAG.GET", ":1"),
        ("b", "ISLES.BCOUNTER.GET", ":9"),
        (
            "x",
            "XRANGE - +",
            "*2 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-1 *4 $1 f $1 v $1 g $1 w",
        ),
        (
            "x",
            "XADD 3-1 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
    ] {
        let payload = dumped(&mut world, key);
        let restore = format!("RESTORE new 5000 {payload} REPLACE");
        let question = match question.split_once(' ') {
            Some((name, rest)) => format!("{name} new {rest}"),
            None => format!("{question} new"),
        };
        check_in(
            &mut world,
            &[
                (&restore, "+OK"),
                (&question, answer),
                ("PTTL new", ":5000"),
            ],
        );
    }
}

#[test]
fn equal_values_are_dumped_alike() {
    let names: Vec<String> = (0..3000).map(|number| format!("m{number}")).collect();
    let keys = ["set", "ban:set", "hash", "z"];
    let [forward, backward] = [false, true].map(|is_backwards| {
        let mut world = World::new();
        let mut names: Vec<&String> = names.iter().collect();
        if is_backwards {
            names.reverse();
        }
        world.run("ISLES.KEYSPACE SET ban: lww SETS remove-wins");
        for name in names {
            world.run(&format!("SADD set {name}"));
            world.run(&format!("SADD ban:set {name}"));
            world.run(&format!("HSET hash {name} {name}"));
            world.run(&format!("ZADD z 1 {name}"));
        }
        keys.map(|key| dumped(&mut world, key))
    });
    for ((key, one), other) in keys.iter().zip(&forward).zip(&backward) {
        assert!(one == other, "{key} is dumped otherwise than it was before");
    }
}

#[test]
fn a_restored_stream_knows_what_it_knew() {
    let mut world = World::new();
    for line in [
        "XADD x 1-1 f v",
        "XADD x 2-1 f v",
        "XDEL x 2-1",
        "DEL empty",
        "XADD empty 5-0 f v",
        "XTRIM empty MAXLEN 0",
    ] {
        world.run(line);
    }
    for key in ["x", "empty"] {
        let before = world.run(&format!("XINFO STREAM {key}"));
        let payload = dumped(&mut world, key);
        world.run(&format!("RESTORE {key} 0 {payload} REPLACE"));
        assert_eq!(world.run(&format!("XINFO STREAM {key}")), before);
    }
}

#[test]
fn a_stream_that_cannot_be_is_not_restored() {
    let mut world = World::new();
    let id = |ms: u8, seq: u8| [ms, seq];
    let content = |last: [u8; 2], entries: &[([u8; 2], &[u8])]| {
        let mut content = vec![6, 1];
        content.extend([last, id(0, 0)].concat());
        content.extend([9, entries.len() as u8]);
        for (id, texts) in entries {
            content.extend(id);
            content.extend(*texts);
        }
        payload_of(&content)
    };
    let pair: &[u8] = b"\x02\x01f\x01v";
    for (payload, answer) in [
        (
            content(id(2, 0), &[(id(1, 1), pair), (id(2, 0), pair)]),
            "+OK",
        ),
        // As a copy of entries that regions have added under one id.
        (
            content(id(1, 1), &[(id(1, 1), pair), (id(1, 1), pair)]),
            "+OK",
        ),
        (
            content(id(2, 0), &[(id(2, 0), pair), (id(1, 1), pair)]),
            BAD,
        ),
        (content(id(1, 0), &[(id(1, 1), pair)]), BAD),
        (content(id(1, 0), &[(id(0, 0), pair)]), BAD),
        (content(id(1, 0), &[(id(1, 0), b"\x01\x01f")]), BAD),
        (content(id(1, 0), &[(id(1, 0), b"\x00")]), BAD),
        (
            payload_of(&[6, 2, 0]),
            "-ERR Bad data format: the stream was dumped by a newer version of Isles",
        ),
    ] {
        world.run("DEL t");
        assert_eq!(world.run(&format!("RESTORE t 0 {payload}")), answer);
    }
}

const BAD: &str = "-ERR Bad data format";

#[test]
fn a_restored_key_looks_as_old_as_is_said() {
    let mut world = World::new();
    world.run("SET s value");
    let payload = dumped(&mut world, "s");
    world.run(&format!("RESTORE t 0 {payload} IDLETIME 1000"));
    let idle = world.run("OBJECT IDLETIME t");
    assert_eq!(idle, ":1000");
}

#[test]
fn restoring_is_refused() {
    let mut world = World::new();
    world.run("SET s value");
    let payload = dumped(&mut world, "s");
    let damaged = payload.replacen("\\x76", "\\x77", 1);
    // A sorted set that has the member "a" twice.
    let twice = payload_of(b"\x04\x02\x01a\0\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\0");
    let cases = [
        (
            format!("RESTORE s 0 {payload}"),
            "-BUSYKEY Target key name already exists.",
        ),
        (
            format!("RESTORE t -1 {payload}"),
            "-ERR Invalid TTL value, must be >= 0",
        ),
        (format!("RESTORE t 0 {payload} WHAT"), SYNTAX),
        (
            format!("RESTORE t 0 {payload} FREQ 300"),
            "-ERR Invalid FREQ value, must be >= 0 and <= 255",
        ),
        (
            format!("RESTORE t 0 {payload} IDLETIME -1"),
            "-ERR Invalid IDLETIME value, must be >= 0",
        ),
        (
            format!("RESTORE t 0 {damaged}"),
            "-ERR DUMP payload version or checksum are wrong",
        ),
        // A hash, a set, a sorted set and a list that hold nothing.
        (format!("RESTORE t 0 {}", payload_of(&[2, 0])), BAD),
        (format!("RESTORE t 0 {}", payload_of(&[3, 0])), BAD),
        (format!("RESTORE t 0 {}", payload_of(&[4, 0])), BAD),
        (format!("RESTORE t 0 {}", payload_of(&[5, 0])), BAD),
        (
            "RESTORE t 0 ISLES".to_owned(),
            "-ERR DUMP payload version or checksum are wrong",
        ),
        (format!("RESTORE t 0 {twice}"), "-ERR Bad data format"),
        (
            "RESTORE t 0 \"\\x00\\x05value\\x0a\\x00abcdefgh\"".to_owned(),
            "-ERR DUMP payload version or checksum are wrong: it is no payload of Isles, and those of Redis cannot be restored here",
        ),
        (format!("RESTORE t 1 {payload} ABSTTL"), "+OK"),
        ("EXISTS t".to_owned(), ":0"),
        ("DUMP none".to_owned(), "$-1"),
    ];
    for (line, expected) in cases {
        assert_eq!(world.run(&line), expected, "{line}");
    }
}
