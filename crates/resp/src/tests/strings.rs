use super::{NOT_INTEGER, START_MS, SYNTAX, WRONG_TYPE, World, check, check_in, check_resp3};

#[test]
fn set_and_get() {
    check(&[
        ("GET a", "$-1"),
        ("SET a 1", "+OK"),
        ("get a", "$1 1"),
        ("SET a \"\"", "+OK"),
        ("GET a", "$0"),
        ("SET a", "-ERR wrong number of arguments for 'set' command"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("SADD s m", ":1"),
        ("GET s", WRONG_TYPE),
        ("SET s text", "+OK"),
        ("GET s", "$4 text"),
    ]);
    check_resp3(&[("GET a", "_"), ("SET a 1", "+OK"), ("GET a", "$1 1")]);
}

#[test]
fn set_with_conditions() {
    check(&[
        ("SET a 1 XX", "$-1"),
        ("SET a 1 NX", "+OK"),
        ("SET a 2 NX", "$-1"),
        ("SET a 2 xx", "+OK"),
        ("SET a 3 GET", "$1 2"),
        ("SET a 4 NX GET", "$1 3"),
        ("GET a", "$1 3"),
        ("SET b 1 GET", "$-1"),
        ("SET c 1 XX GET", "$-1"),
        ("EXISTS c", ":0"),
        ("SET a 1 NX XX", SYNTAX),
        ("SET a 1 FOO", SYNTAX),
        ("SET a 1 EX", SYNTAX),
        ("SET a 1 EX 10 PX 10", SYNTAX),
        ("SET a 1 EX 10 KEEPTTL", SYNTAX),
        ("SET a 1 PERSIST", SYNTAX),
        ("SADD s m", ":1"),
        ("SET s 1 GET", WRONG_TYPE),
        ("TYPE s", "+set"),
    ]);
}

#[test]
fn set_with_times() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("SET a 1 EX 10", "+OK"),
            ("TTL a", ":10"),
            ("SET a 2", "+OK"),
            ("TTL a", ":-1"),
            ("SET a 2 PX 1500", "+OK"),
            ("PTTL a", ":1500"),
            ("SET a 3 KEEPTTL", "+OK"),
            ("PTTL a", ":1500"),
            ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command"),
            ("SET a 1 EX -5", "-ERR invalid expire time in 'set' command"),
            (
                "SET a 1 EX 9223372036854775807",
                "-ERR invalid expire time in 'set' command",
            ),
            (
                "SET a 1 PX 9223372036854775807",
                "-ERR invalid expire time in 'set' command",
            ),
            ("SET a 1 EX x", NOT_INTEGER),
            ("GET a", "$1 3"),
            ("SET b 1 EXAT 1", "+OK"),
            ("GET b", "$-1"),
            ("SET a 1 PXAT 1", "+OK"),
            ("EXISTS a", ":0"),
            ("SETEX c 20 v", "+OK"),
            ("TTL c", ":20"),
            ("PSETEX c 20 v", "+OK"),
            ("PTTL c", ":20"),
            ("SETEX c 0 v", "-ERR invalid expire time in 'setex' command"),
            (
                "PSETEX c -1 v",
                "-ERR invalid expire time in 'psetex' command",
            ),
        ],
    );
    world.advance(21);
    check_in(
        &mut world,
        &[
            ("GET c", "$-1"),
            ("TTL c", ":-2"),
            ("SET c 1 NX", "+OK"),
            ("TTL c", ":-1"),
        ],
    );
    let at = START_MS + 100_000;
    assert_eq!(world.run(&format!("SET d 1 PXAT {at}")), "+OK");
    assert_eq!(world.run("PEXPIRETIME d"), format!(":{at}"));
}

#[test]
fn the_older_setters() {
    check(&[
        ("SETNX a 1", ":1"),
        ("SETNX a 2", ":0"),
        ("GETSET a 2", "$1 1"),
        ("GETSET b 1", "$-1"),
        ("GETDEL a", "$1 2"),
        ("GETDEL a", "$-1"),
        ("SADD s m", ":1"),
        ("GETSET s 1", WRONG_TYPE),
        ("GETDEL s", WRONG_TYPE),
    ]);
}

#[test]
fn getex() {
    check(&[
        ("GETEX a EX 10", "$-1"),
        ("SET a 1", "+OK"),
        ("GETEX a EX 10", "$1 1"),
        ("TTL a", ":10"),
        ("GETEX a", "$1 1"),
        ("TTL a", ":10"),
        ("GETEX a PERSIST", "$1 1"),
        ("TTL a", ":-1"),
        (
            "GETEX a PX 0",
            "-ERR invalid expire time in 'getex' command",
        ),
        ("GETEX a KEEPTTL", SYNTAX),
        ("GETEX a NX", SYNTAX),
        ("GETEX a EX 10 PERSIST", SYNTAX),
        ("GETEX a PXAT 1", "$1 1"),
        ("EXISTS a", ":0"),
    ]);
    check_resp3(&[("GETEX a EX 10", "_"), ("EXISTS a", ":0")]);
}

#[test]
fn several_keys() {
    check(&[
        ("MSET a 1 b 2", "+OK"),
        ("MGET a b c", "*3 $1 1 $1 2 $-1"),
        ("SADD s m", ":1"),
        ("MGET a s", "*2 $1 1 $-1"),
        (
            "MSET a",
            "-ERR wrong number of arguments for 'mset' command",
        ),
        (
            "MSET a 1 b",
            "-ERR wrong number of arguments for 'mset' command",
        ),
        ("MSETNX a 9 d 9", ":0"),
        ("EXISTS d", ":0"),
        ("MSETNX d 1 e 2", ":1"),
        (
            "MSETNX d 1 e",
            "-ERR wrong number of arguments for 'msetnx' command",
        ),
        ("MSET s 1 s 2", "+OK"),
        ("GET s", "$1 2"),
    ]);
}

#[test]
fn integers() {
    check(&[
        ("INCR a", ":1"),
        ("INCRBY a 10", ":11"),
        ("DECR a", ":10"),
        ("DECRBY a 15", ":-5"),
        ("GET a", "$2 -5"),
        ("STRLEN a", ":2"),
        ("SET a 9223372036854775807", "+OK"),
        ("INCR a", "-ERR increment or decrement would overflow"),
        (
            "DECRBY a -9223372036854775808",
            "-ERR decrement would overflow",
        ),
        ("INCRBY a x", NOT_INTEGER),
        ("INCRBY a 9223372036854775808", NOT_INTEGER),
        ("SET a \" 1\"", "+OK"),
        ("INCR a", NOT_INTEGER),
        ("SADD s m", ":1"),
        ("INCR s", WRONG_TYPE),
        ("SET n -9223372036854775808", "+OK"),
        ("DECR n", "-ERR increment or decrement would overflow"),
    ]);
}

#[test]
fn floats() {
    check(&[
        ("INCRBYFLOAT a 10.5", "$4 10.5"),
        ("INCRBYFLOAT a 0.1", "$4 10.6"),
        ("INCRBYFLOAT a -5e3", "$7 -4989.4"),
        ("INCRBYFLOAT a 0x1p3", "$7 -4981.4"),
        ("INCRBYFLOAT a -0x8", "$7 -4989.4"),
        ("INCRBYFLOAT a 0x", "-ERR value is not a valid float"),
        ("INCRBYFLOAT a x", "-ERR value is not a valid float"),
        (
            "INCRBYFLOAT a +inf",
            "-ERR increment would produce NaN or Infinity",
        ),
        ("SET a abc", "+OK"),
        ("INCRBYFLOAT a 1", "-ERR value is not a valid float"),
        ("SET i 3", "+OK"),
        ("INCRBYFLOAT i 2", "$1 5"),
        ("INCR i", ":6"),
        ("SADD s m", ":1"),
        ("INCRBYFLOAT s 1", WRONG_TYPE),
    ]);
}

#[test]
fn incrementing_keeps_the_deadline() {
    check(&[
        ("SET a 1 EX 10", "+OK"),
        ("INCR a", ":2"),
        ("APPEND a 0", ":2"),
        ("SETRANGE a 0 3", ":2"),
        ("INCRBYFLOAT a 0.5", "$4 30.5"),
        ("TTL a", ":10"),
    ]);
}

#[test]
fn parts_of_strings() {
    check(&[
        ("APPEND a Hello", ":5"),
        ("APPEND a \" World\"", ":11"),
        ("GETRANGE a 0 4", "$5 Hello"),
        ("SUBSTR a -5 -1", "$5 World"),
        ("GETRANGE a 0 -1", "$11 Hello World"),
        ("GETRANGE a -1 -5", "$0"),
        ("GETRANGE a 5 3", "$0"),
        ("GETRANGE a 5 5000", "$6  World"),
        ("GETRANGE a -5000 10000", "$11 Hello World"),
        ("GETRANGE a 0 x", NOT_INTEGER),
        ("GETRANGE none 0 -1", "$0"),
        ("SETRANGE a 6 Redis", ":11"),
        ("GET a", "$11 Hello Redis"),
        ("SETRANGE a 15 !", ":16"),
        ("GETRANGE a 10 -1", "$6 s\0\0\0\0!"),
        ("SETRANGE none 0 \"\"", ":0"),
        ("SETRANGE none 100 \"\"", ":0"),
        ("EXISTS none", ":0"),
        ("SETRANGE a -1 x", "-ERR offset is out of range"),
        (
            "SETRANGE a 9223372036854775807 x",
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ),
        ("STRLEN a", ":16"),
        ("STRLEN none", ":0"),
        ("SADD s m", ":1"),
        ("APPEND s x", WRONG_TYPE),
        ("STRLEN s", WRONG_TYPE),
        ("SETRANGE s 0 x", WRONG_TYPE),
        ("GETRANGE s 0 1", WRONG_TYPE),
        ("APPEND empty \"\"", ":0"),
        ("EXISTS empty", ":1"),
    ]);
}

#[test]
fn longest_common_subsequence() {
    check(&[
        ("MSET a ohmytext b mynewtext", "+OK"),
        ("LCS a b", "$6 mytext"),
        ("LCS a b LEN", ":6"),
        (
            "LCS a b IDX",
            "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
        ),
        (
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
        ),
        (
            "LCS a b IDX LEN",
            "-ERR If you want both the length and indexes, please just use IDX.",
        ),
        ("LCS a none", "$0"),
        ("LCS a b FOO", SYNTAX),
        ("SADD s m", ":1"),
        (
            "LCS a s",
            "-ERR The specified keys must contain string values",
        ),
    ]);
}

#[test]
fn isles_own_keys_are_not_written() {
    let refusal = r"-ERR keys that start with \0isles: belong to Isles; see ISLES.KEYSPACE";
    check(&[
        (r#"SET "\x00isles:a" 1"#, refusal),
        (r#"MSET a 1 "\x00isles:a" 1"#, refusal),
        (r#"DEL a "\x00isles:a""#, refusal),
        ("EXISTS a", ":0"),
    ]);
}

#[test]
fn one_write_has_a_size() {
    let options = crate::ServeOptions {
        max_entry_bytes: 100,
        ..Default::default()
    };
    let mut world = World::with(options);
    let value = "v".repeat(99);
    let refused = "-ERR one write is larger than the limit of 100 bytes; split it";
    assert_eq!(world.run(&format!("SET a {value}")), refused);
    assert_eq!(world.run("GET a"), "$-1");
    check_in(
        &mut world,
        &[(
            "SETRANGE a 200 x",
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        )],
    );
}

#[test]
fn bits() {
    check(&[
        ("GETBIT a 0", ":0"),
        ("SETBIT a 1 1", ":0"),
        ("GET a", "$1 @"),
        ("SETBIT a 1 1", ":1"),
        ("SETBIT a 7 0", ":0"),
        ("GETBIT a 1", ":1"),
        ("SETBIT a 1 0", ":1"),
        ("GET a", "$1 \0"),
        ("SETBIT a 15 0", ":0"),
        ("STRLEN a", ":2"),
        (
            "SETBIT a x 0",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "SETBIT a -1 0",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "SETBIT a 4294967296 0",
            "-ERR bit offset is not an integer or out of range",
        ),
        ("GETBIT a 4294967295", ":0"),
        ("SETBIT a 1 2", "-ERR bit is not an integer or out of range"),
        ("SADD s m", ":1"),
        ("SETBIT s 0 1", WRONG_TYPE),
        ("GETBIT s 0", WRONG_TYPE),
    ]);
}
