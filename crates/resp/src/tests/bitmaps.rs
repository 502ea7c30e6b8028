//! Bits of strings.

use super::{NOT_INTEGER, SYNTAX, WRONG_TYPE, check};

#[test]
fn counting() {
    check(&[
        ("BITCOUNT none", ":0"),
        ("SET k foobar", "+OK"),
        ("BITCOUNT k", ":26"),
        ("BITCOUNT k 0 0", ":4"),
        ("BITCOUNT k 1 1", ":6"),
        ("BITCOUNT k -2 -1", ":7"),
        ("BITCOUNT k -1 -2", ":0"),
        ("BITCOUNT k 5 30 BIT", ":17"),
        ("BITCOUNT k 1 1 BYTE", ":6"),
        ("BITCOUNT k 3 3 BIT", ":0"),
        ("BITCOUNT k 1 2 BIT", ":2"),
        ("BITCOUNT k 10 20", ":0"),
        ("BITCOUNT k 0", SYNTAX),
        ("BITCOUNT k 0 x", NOT_INTEGER),
        ("BITCOUNT k 0 1 WORD", SYNTAX),
        ("SADD s x", ":1"),
        ("BITCOUNT s", WRONG_TYPE),
    ]);
}

#[test]
fn finding() {
    check(&[
        ("BITPOS none 0", ":0"),
        ("BITPOS none 1", ":-1"),
        ("SET k \"\\xff\\xf0\\x00\"", "+OK"),
        ("BITPOS k 0", ":12"),
        ("BITPOS k 1 2", ":-1"),
        ("BITPOS k 1 1", ":8"),
        ("BITPOS k 0 9 15 BIT", ":12"),
        ("SET k \"\\xff\\xff\"", "+OK"),
        ("BITPOS k 0", ":16"),
        ("BITPOS k 0 0", ":16"),
        ("BITPOS k 0 0 -1", ":-1"),
        ("BITPOS k 2", "-ERR The bit argument must be 1 or 0."),
        ("BITPOS k 0 0 1 WORD", SYNTAX),
    ]);
}

#[test]
fn combining() {
    check(&[
        ("SET a abc", "+OK"),
        ("SET b ab", "+OK"),
        ("BITOP AND d a b", ":3"),
        ("GET d", "$3 ab\0"),
        ("BITOP OR d a b", ":3"),
        ("GET d", "$3 abc"),
        ("BITOP XOR d a a", ":3"),
        ("GET d", "$3 \0\0\0"),
        ("BITOP NOT d d", ":3"),
        ("BITCOUNT d", ":24"),
        (
            "BITOP NOT d a b",
            "-ERR BITOP NOT must be called with a single source key.",
        ),
        ("BITOP NAND d a b", SYNTAX),
        ("BITOP AND d none", ":0"),
        ("EXISTS d", ":0"),
    ]);
}

#[test]
fn fields() {
    check(&[
        (
            "BITFIELD k SET i8 0 -100 GET i8 0 GET u8 0",
            "*3 :0 :-100 :156",
        ),
        (
            "BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1",
            "*2 :1 :1",
        ),
        (
            "BITFIELD k GET u8 01",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "BITFIELD k GET u8 #01",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "BITFIELD k GET u08 0",
            "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ),
        ("BITFIELD k OVERFLOW FAIL INCRBY u8 #0 100", "*1 $-1"),
        ("BITFIELD k OVERFLOW WRAP INCRBY u8 #0 100", "*1 :0"),
        ("BITFIELD k OVERFLOW SAT INCRBY i8 #0 -200", "*1 :-128"),
        (
            "BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1",
            "*2 :-9223372036854775808 :-9223372036854775808",
        ),
        ("DEL k", ":1"),
        ("BITFIELD k SET u8 0 -1 GET u8 0", "*2 :0 :255"),
        ("BITFIELD k", "*0"),
        ("BITFIELD_RO k GET u4 4", "*1 :15"),
        (
            "BITFIELD_RO k SET u4 4 1",
            "-ERR BITFIELD_RO only supports the GET subcommand",
        ),
        ("BITFIELD none GET u63 #10", "*1 :0"),
        ("EXISTS none", ":0"),
        (
            "BITFIELD k GET u64 0",
            "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ),
        (
            "BITFIELD k GET u8 -1",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "BITFIELD k OVERFLOW LOST",
            "-ERR Invalid OVERFLOW type specified",
        ),
        ("BITFIELD k INCR u8 0 1", SYNTAX),
    ]);
}

#[test]
fn ranges_that_lie_before_the_string() {
    check(&[
        ("SETRANGE b 0 \"\\x00\\xff\\xf0\\x00\"", ":4"),
        ("BITPOS b 0 -4 -5", ":0"),
        ("BITPOS b 0 -4 -100", ":0"),
        ("BITPOS b 1 -4 -5", ":-1"),
        ("BITPOS b 0 -33 -34 BIT", ":0"),
        ("BITPOS b 0 -3 -4", ":-1"),
        ("BITCOUNT b -4 -5", ":0"),
        ("BITCOUNT b -4 -5 FOO", ":0"),
        ("BITCOUNT b -5 -4 FOO", "-ERR syntax error"),
        ("BITCOUNT b 1 -100", ":0"),
    ]);
}
