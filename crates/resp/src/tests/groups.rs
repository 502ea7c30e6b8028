use super::{NOT_INTEGER, SYNTAX, WRONG_TYPE, check};

#[test]
fn consumer_groups_answer_as_redis_does() {
    let no_group = "-NOGROUP No such key 's' or consumer group 'x'";
    check(&[
        (
            "XGROUP CREATE s g $",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
             option to create an empty stream automatically.",
        ),
        ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
        (
            "XGROUP CREATE s g 0",
            "-BUSYGROUP Consumer Group name already exists",
        ),
        ("XADD s 1-0 f a", "$3 1-0"),
        ("XADD s 2-0 f b", "$3 2-0"),
        (
            "XREADGROUP GROUP g a COUNT 1 STREAMS s >",
            "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 a",
        ),
        (
            "XREADGROUP GROUP g a NOACK STREAMS s >",
            "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 b",
        ),
        ("XREADGROUP GROUP g a STREAMS s >", "*-1"),
        ("XREADGROUP GROUP g a STREAMS s 1-0", "*1 *2 $1 s *0"),
        ("XPENDING s g", "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 a $1 1"),
        ("XPENDING s g IDLE 5", SYNTAX),
        ("XPENDING s g - + x", NOT_INTEGER),
        ("XPENDING s x", no_group),
        ("XCLAIM s g b 0 1-0 JUSTID", "*1 $3 1-0"),
        (
            "XCLAIM s g b 0 1-0 NOSUCH",
            "-ERR Unrecognized XCLAIM option 'NOSUCH'",
        ),
        ("XCLAIM s x b 0 1-0", no_group),
        ("XAUTOCLAIM s g b 0 0 COUNT 0", "-ERR COUNT must be > 0"),
        ("XDEL s 1-0", ":1"),
        (
            "XREADGROUP GROUP g b STREAMS s 0",
            "*1 *2 $1 s *1 *2 $3 1-0 *-1",
        ),
        ("XAUTOCLAIM s g b 0 0", "*3 $3 0-0 *0 *1 $3 1-0"),
        ("XACK s g 1-0", ":0"),
        ("XACK s x 1-0", ":0"),
        ("XGROUP CREATECONSUMER s g c", ":1"),
        ("XGROUP CREATECONSUMER s g c", ":0"),
        ("XGROUP DELCONSUMER s g c", ":0"),
        (
            "XGROUP DELCONSUMER s x c",
            "-NOGROUP No such consumer group 'x' for key name 's'",
        ),
        (
            "XREADGROUP GROUP x a STREAMS s >",
            "-NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option",
        ),
        (
            "XREADGROUP COUNT 1 STREAMS s t > >",
            "-ERR Missing GROUP option for XREADGROUP",
        ),
        ("XGROUP SETID s g 0", "+OK"),
        (
            "XREADGROUP GROUP g a STREAMS s >",
            "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 b",
        ),
        ("XGROUP DESTROY s g", ":1"),
        ("XGROUP DESTROY s g", ":0"),
        ("SET t 1", "+OK"),
        ("XGROUP CREATE t g $", WRONG_TYPE),
        ("XREADGROUP GROUP g a STREAMS t >", WRONG_TYPE),
    ]);
}
