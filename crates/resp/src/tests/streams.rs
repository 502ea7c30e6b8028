use super::{NOT_INTEGER, START_MS, SYNTAX, WRONG_TYPE, World, check, check_in, check_resp3};

const INVALID_ID: &str = "-ERR Invalid stream ID specified as stream command argument";
const NOT_GREATER: &str =
    "-ERR The ID specified in XADD is equal or smaller than the target stream top item";

#[test]
fn entries_come_in_the_order_of_their_ids() {
    check(&[
        ("XADD s 1-1 f a", "$3 1-1"),
        ("XADD s 1-1 f a", NOT_GREATER),
        ("XADD s 1-* f b", "$3 1-2"),
        ("XADD s 3-* f c", "$3 3-0"),
        ("XADD s 2-* f c", NOT_GREATER),
        ("XADD s 4 f d g e", "$3 4-0"),
        ("XLEN s", ":4"),
        (
            "XRANGE s 1-2 3",
            "*2 *2 $3 1-2 *2 $1 f $1 b *2 $3 3-0 *2 $1 f $1 c",
        ),
        ("XRANGE s (1-2 (4-0", "*1 *2 $3 3-0 *2 $1 f $1 c"),
        (
            "XREVRANGE s + - COUNT 1",
            "*1 *2 $3 4-0 *4 $1 f $1 d $1 g $1 e",
        ),
        ("XRANGE s - + COUNT 0", "*-1"),
        ("XRANGE none - +", "*0"),
        ("XRANGE s - + LIMIT 1", SYNTAX),
        ("XRANGE s (- +", INVALID_ID),
        ("XDEL s 1-2 9-9 1-2", ":1"),
        ("XDEL s x", INVALID_ID),
        (
            "XADD s 0-0 f a",
            "-ERR The ID specified in XADD must be greater than 0-0",
        ),
        (
            "XADD s 9 f",
            "-ERR wrong number of arguments for 'xadd' command",
        ),
        ("XADD s 9-x f a", INVALID_ID),
        ("XADD none NOMKSTREAM * f a", "$-1"),
        ("EXISTS none", ":0"),
        ("TYPE s", "+stream"),
        ("OBJECT ENCODING s", "$6 stream"),
        ("SET t 1", "+OK"),
        ("XADD t * f a", WRONG_TYPE),
        ("XLEN t", WRONG_TYPE),
        ("XREAD STREAMS t 0", WRONG_TYPE),
    ]);
}

#[test]
fn generated_ids_rise_and_end_in_their_writer() {
    let mut world = World::new();
    let next = (1u64 << 32) + 1;
    check_in(
        &mut world,
        &[("XADD s * f a", &format!("$15 {START_MS}-1"))],
    );
    check_in(
        &mut world,
        &[("XADD s * f a", &format!("$24 {START_MS}-{next}"))],
    );
    check_in(
        &mut world,
        &[
            (
                "XADD s 18446744073709551615-18446744073709551615 f a",
                "$41 18446744073709551615-18446744073709551615",
            ),
            (
                "XADD s * f a",
                "-ERR The stream has exhausted the last possible ID, unable to add more items",
            ),
        ],
    );
}

#[test]
fn trimming() {
    let mut world = World::new();
    for id in 1..=10 {
        world.run(&format!("XADD s {id} f a"));
    }
    check_in(
        &mut world,
        &[
            ("CONFIG SET stream-node-max-entries 3", "+OK"),
            ("XTRIM s MAXLEN ~ 6", ":3"),
            ("XTRIM s MAXLEN ~ 6", ":0"),
            ("XTRIM s MINID ~ 9 LIMIT 2", ":0"),
            ("XTRIM s MINID ~ 9", ":3"),
            ("XTRIM s MAXLEN = 3", ":1"),
            ("XADD s MAXLEN 2 11 f a", "$4 11-0"),
            ("XLEN s", ":2"),
            ("XADD s MINID 11 12 f a", "$4 12-0"),
            ("XLEN s", ":2"),
            (
                "XADD s LIMIT 0 * a b",
                "-ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            (
                "XTRIM s MAXLEN 1 LIMIT 3",
                "-ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            (
                "XTRIM s LIMIT 3",
                "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
            (
                "XTRIM s MAXLEN 1 MINID 3",
                "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            (
                "XTRIM s MAXLEN -1",
                "-ERR The MAXLEN argument must be >= 0.",
            ),
            ("XTRIM s MAXLEN x", NOT_INTEGER),
            ("XADD s MAXLEN 0 13 f a", "$4 13-0"),
            ("XLEN s", ":0"),
            ("EXISTS s", ":1"),
            ("XADD s 13 f a", NOT_GREATER),
        ],
    );
}

#[test]
fn reading_what_is_new() {
    let cases = [
        ("XADD s 1 f a", "$3 1-0"),
        ("XADD s 2 f b", "$3 2-0"),
        (
            "XREAD COUNT 1 STREAMS s none 0 0",
            "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 a",
        ),
        ("XREAD STREAMS s $", "*-1"),
        ("XREAD STREAMS s 2", "*-1"),
        (
            "XREAD STREAMS s",
            "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ),
        ("XREAD COUNT 1 FOO s 1", SYNTAX),
        ("XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative"),
        (
            "COMMAND GETKEYS XREAD COUNT 1 STREAMS s none 0 0",
            "*2 $1 s $4 none",
        ),
    ];
    // An odd number of words after STREAMS has fewer than the four that the command needs at least.
    check(&cases.map(|(line, answer)| match line {
        "XREAD STREAMS s" => ("XREAD STREAMS s t 0", answer),
        _ => (line, answer),
    }));
    check_resp3(&[
        ("XADD s 1 f a", "$3 1-0"),
        ("XREAD STREAMS s 0", "%1 $1 s *1 *2 $3 1-0 *2 $1 f $1 a"),
        ("XREAD STREAMS s $", "_"),
    ]);
}

#[test]
fn what_a_stream_knows_of_itself() {
    check_resp3(&[
        ("XADD s 1 f a", "$3 1-0"),
        ("XADD s 2 f b", "$3 2-0"),
        ("XDEL s 1", ":1"),
        (
            "XINFO STREAM s",
            "%10 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 2-0 \
             $20 max-deleted-entry-id $3 1-0 $13 entries-added :2 $23 recorded-first-entry-id $3 2-0 $6 groups :0 \
             $11 first-entry *2 $3 2-0 *2 $1 f $1 b $10 last-entry *2 $3 2-0 *2 $1 f $1 b",
        ),
        ("XINFO STREAM none", "-ERR no such key"),
        ("XINFO GROUPS s", "*0"),
        (
            "XSETID s 1",
            "-ERR The ID specified in XSETID is smaller than the target stream top item",
        ),
        ("XSETID s 9 ENTRIESADDED 7 MAXDELETEDID 3", "+OK"),
        ("XADD s 8 f c", NOT_GREATER),
        ("XSETID s 2", "+OK"),
        ("XSETID s 4", "+OK"),
        ("XADD s 8 f c", "$3 8-0"),
        ("XSETID none 1", "-ERR no such key"),
        (
            "XGROUP HELP x",
            "-ERR wrong number of arguments for 'xgroup|help' command",
        ),
    ]);
}
