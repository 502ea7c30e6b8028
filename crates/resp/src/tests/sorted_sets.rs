use super::{NOT_INTEGER, SYNTAX, WRONG_TYPE, World, check, check_in, check_resp3};

const NOT_FLOAT: &str = "-ERR value is not a valid float";
const NOT_FLOATS: &str = "-ERR min or max is not a float";
const NOT_NAMES: &str = "-ERR min or max not valid string range item";

#[test]
fn scores_are_given_and_taken() {
    check(&[
        ("ZADD z 1 a 2.5 b -inf c", ":3"),
        ("ZADD z 3 a 3 d", ":1"),
        ("ZCARD z", ":4"),
        ("ZSCORE z a", "$1 3"),
        ("ZSCORE z b", "$3 2.5"),
        ("ZSCORE z c", "$4 -inf"),
        ("ZSCORE z x", "$-1"),
        ("ZSCORE none x", "$-1"),
        ("ZMSCORE z a x", "*2 $1 3 $-1"),
        ("ZADD z 1 x 2 x", ":1"),
        ("ZSCORE z x", "$1 2"),
        ("ZREM z x x none", ":1"),
        ("ZREM z a b c d", ":4"),
        ("EXISTS z", ":0"),
        ("TYPE z", "+none"),
        ("ZADD z 1 a", ":1"),
        ("TYPE z", "+zset"),
        (
            "ZADD z 1",
            "-ERR wrong number of arguments for 'zadd' command",
        ),
        ("ZADD z 1 a 2", SYNTAX),
        ("ZADD z abc a", NOT_FLOAT),
        ("ZADD z nan a", NOT_FLOAT),
        ("ZADD z 2 b x c", NOT_FLOAT),
        ("ZCARD z", ":1"),
        ("SET t 1", "+OK"),
        ("ZADD t 1 a", WRONG_TYPE),
        ("ZREM t a", WRONG_TYPE),
        ("ZSCORE t a", WRONG_TYPE),
        ("ZRANGE t 0 -1", WRONG_TYPE),
        ("ZINCRBY t 1 a", WRONG_TYPE),
        ("GET z", WRONG_TYPE),
    ]);
    check_resp3(&[
        ("ZADD z 1.5 a inf b", ":2"),
        ("ZSCORE z a", ",1.5"),
        ("ZMSCORE z b x", "*2 ,inf _"),
        ("ZRANGE z 0 -1 WITHSCORES", "*2 *2 $1 a ,1.5 *2 $1 b ,inf"),
        ("ZPOPMIN z", "*2 $1 a ,1.5"),
        ("ZPOPMIN z 5", "*1 *2 $1 b ,inf"),
    ]);
}

#[test]
fn conditions_of_zadd() {
    check(&[
        ("ZADD z 5 a", ":1"),
        ("ZADD z NX 6 a 1 b", ":1"),
        ("ZADD z XX 7 a 1 c", ":0"),
        ("ZADD z XX CH 8 a 1 b 1 c", ":1"),
        ("ZADD z GT CH 7 a 2 b 3 d", ":2"),
        ("ZADD z LT CH 9 a 1 b", ":1"),
        (
            "ZRANGE z 0 -1 WITHSCORES",
            "*6 $1 b $1 1 $1 d $1 3 $1 a $1 8",
        ),
        ("ZADD z INCR 2 a", "$2 10"),
        ("ZADD z NX INCR 2 a", "$-1"),
        ("ZADD z XX INCR 2 none", "$-1"),
        ("ZADD z GT INCR -1 a", "$-1"),
        ("ZADD z LT INCR -1 a", "$1 9"),
        (
            "ZADD z XX NX 1 a",
            "-ERR XX and NX options at the same time are not compatible",
        ),
        (
            "ZADD z GT LT 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible",
        ),
        (
            "ZADD z INCR 1 a 2 b",
            "-ERR INCR option supports a single increment-element pair",
        ),
        (
            "ZADD z XX",
            "-ERR wrong number of arguments for 'zadd' command",
        ),
        ("ZADD z XX CH", SYNTAX),
        ("ZADD none XX 1 a", ":0"),
        ("EXISTS none", ":0"),
    ]);
}

#[test]
fn increments() {
    check(&[
        ("ZINCRBY z 2.5 a", "$3 2.5"),
        ("ZINCRBY z -1 a", "$3 1.5"),
        ("ZADD z 10 a", ":0"),
        ("ZINCRBY z 1 a", "$2 11"),
        ("ZREM z a", ":1"),
        ("ZINCRBY z 1 a", "$1 1"),
        ("ZADD z inf p -inf m", ":2"),
        (
            "ZINCRBY z -inf p",
            "-ERR resulting score is not a number (NaN)",
        ),
        ("ZINCRBY z x p", NOT_FLOAT),
        ("ZINCRBY z inf a", "$3 inf"),
        ("DEL z", ":1"),
        ("ZINCRBY z 3 a", "$1 3"),
        ("MULTI", "+OK"),
        ("ZINCRBY z 1 a", "+QUEUED"),
        ("ZADD z 7 a", "+QUEUED"),
        ("ZINCRBY z 1 a", "+QUEUED"),
        ("ZREM z a", "+QUEUED"),
        ("ZINCRBY z 2 a", "+QUEUED"),
        ("EXEC", "*5 $1 4 :0 $1 8 :1 $1 2"),
        ("ZRANGE z 0 -1 WITHSCORES", "*2 $1 a $1 2"),
    ]);
}

#[test]
fn ranks() {
    check(&[
        ("ZADD z 1 a 2 b 2 c 3 d", ":4"),
        ("ZRANK z a", ":0"),
        ("ZRANK z c", ":2"),
        ("ZREVRANK z c", ":1"),
        ("ZRANK z x", "$-1"),
        ("ZRANK none x", "$-1"),
        ("ZRANK z d WITHSCORE", "*2 :3 $1 3"),
        ("ZRANK z x WITHSCORE", "*-1"),
        ("ZRANK z x SCORE", SYNTAX),
        ("ZRANGE z 1 2", "*2 $1 b $1 c"),
        ("ZRANGE z -2 -1", "*2 $1 c $1 d"),
        ("ZRANGE z -9 0", "*1 $1 a"),
        ("ZRANGE z 3 9", "*1 $1 d"),
        ("ZRANGE z 4 9", "*0"),
        ("ZRANGE z 2 1", "*0"),
        ("ZRANGE z 0 -9", "*0"),
        ("ZRANGE z 0 1 REV", "*2 $1 d $1 c"),
        ("ZREVRANGE z 1 -1", "*3 $1 c $1 b $1 a"),
        ("ZREVRANGE z 0 0 WITHSCORES", "*2 $1 d $1 3"),
        ("ZRANGE z a 1", NOT_INTEGER),
        ("ZRANGE z 0 1 REV REV", SYNTAX),
        ("ZREMRANGEBYRANK z 0 1", ":2"),
        ("ZRANGE z 0 -1", "*2 $1 c $1 d"),
    ]);
}

#[test]
fn scores_as_ends() {
    check(&[
        ("ZADD z -inf a 1 b 2 c 2 d 3 e inf f", ":6"),
        ("ZRANGEBYSCORE z 1 2", "*3 $1 b $1 c $1 d"),
        ("ZRANGEBYSCORE z (1 (3", "*2 $1 c $1 d"),
        ("ZRANGEBYSCORE z -inf (1", "*1 $1 a"),
        ("ZRANGEBYSCORE z (3 +inf", "*1 $1 f"),
        ("ZRANGEBYSCORE z 3 1", "*0"),
        ("ZRANGEBYSCORE z 1 3 LIMIT 1 2", "*2 $1 c $1 d"),
        ("ZRANGEBYSCORE z 1 3 LIMIT 3 -1", "*1 $1 e"),
        ("ZRANGEBYSCORE z 1 3 LIMIT -1 2", "*0"),
        ("ZRANGEBYSCORE z 1 3 LIMIT 9 2", "*0"),
        ("ZREVRANGEBYSCORE z 3 (1 LIMIT 0 2", "*2 $1 e $1 d"),
        (
            "ZRANGE z (3 1 BYSCORE REV LIMIT 1 1 WITHSCORES",
            "*2 $1 c $1 2",
        ),
        ("ZCOUNT z 1 2", ":3"),
        ("ZCOUNT z (1 2", ":2"),
        ("ZCOUNT none 1 2", ":0"),
        ("ZCOUNT z a 2", NOT_FLOATS),
        ("ZRANGEBYSCORE z 1 (x", NOT_FLOATS),
        (
            "ZRANGE z 0 1 LIMIT 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        ("ZREMRANGEBYSCORE z (1 2", ":2"),
        ("ZREMRANGEBYSCORE none (1 2", ":0"),
        ("ZRANGE z 0 -1", "*4 $1 a $1 b $1 e $1 f"),
    ]);
}

#[test]
fn names_as_ends() {
    check(&[
        ("ZADD z 0 a 0 b 0 c 0 d", ":4"),
        ("ZRANGEBYLEX z - +", "*4 $1 a $1 b $1 c $1 d"),
        ("ZRANGEBYLEX z [b (d", "*2 $1 b $1 c"),
        ("ZRANGEBYLEX z + -", "*0"),
        ("ZREVRANGEBYLEX z + (b LIMIT 1 5", "*1 $1 c"),
        ("ZRANGE z [c - BYLEX REV", "*3 $1 c $1 b $1 a"),
        ("ZLEXCOUNT z (a [c", ":2"),
        ("ZLEXCOUNT z a [c", NOT_NAMES),
        ("ZRANGEBYLEX z [a ++", NOT_NAMES),
        (
            "ZRANGE z - + BYLEX WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("ZREMRANGEBYLEX z [b [c", ":2"),
        ("ZRANGE z 0 -1", "*2 $1 a $1 d"),
    ]);
}

#[test]
fn taking_from_the_ends() {
    check(&[
        ("ZADD z 1 a 2 b 3 c 4 d", ":4"),
        ("ZPOPMIN z", "*2 $1 a $1 1"),
        ("ZPOPMAX z 2", "*4 $1 d $1 4 $1 c $1 3"),
        ("ZPOPMIN z 0", "*0"),
        (
            "ZPOPMIN z -1",
            "-ERR value is out of range, must be positive",
        ),
        ("ZPOPMIN z 1 2", SYNTAX),
        ("ZPOPMIN none", "*0"),
        ("ZMPOP 2 none z MAX", "*2 $1 z *1 *2 $1 b $1 2"),
        ("EXISTS z", ":0"),
        ("ZMPOP 2 none z MAX COUNT 2", "*-1"),
        ("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP 1 z LEAST", SYNTAX),
        ("ZMPOP 3 z MIN", SYNTAX),
        (
            "ZMPOP 1 z MIN COUNT 0",
            "-ERR count should be greater than 0",
        ),
        ("SET t 1", "+OK"),
        ("ZMPOP 2 none t MIN", WRONG_TYPE),
        ("ZPOPMIN t", WRONG_TYPE),
    ]);
}

#[test]
fn algebra() {
    check(&[
        ("ZADD a 1 x 2 y", ":2"),
        ("ZADD b 10 y 20 z", ":2"),
        ("SADD s x z", ":2"),
        (
            "ZUNION 2 a b WITHSCORES",
            "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20",
        ),
        ("ZINTER 2 a b WITHSCORES", "*2 $1 y $2 12"),
        ("ZINTER 2 a s WITHSCORES", "*2 $1 x $1 2"),
        ("ZINTER 2 a b WITHSCORES AGGREGATE MIN", "*2 $1 y $1 2"),
        (
            "ZUNION 2 a b AGGREGATE MAX WEIGHTS 2 -1 WITHSCORES",
            "*6 $1 z $3 -20 $1 x $1 2 $1 y $1 4",
        ),
        ("ZDIFF 2 a b WITHSCORES", "*2 $1 x $1 1"),
        ("ZDIFF 2 a s", "*1 $1 y"),
        ("ZINTERCARD 2 a b", ":1"),
        ("ZINTERCARD 2 a a LIMIT 1", ":1"),
        ("ZINTERCARD 2 a a LIMIT -1", "-ERR LIMIT can't be negative"),
        ("ZUNIONSTORE a 2 a s WEIGHTS 1 5", ":3"),
        (
            "ZRANGE a 0 -1 WITHSCORES",
            "*6 $1 y $1 2 $1 z $1 5 $1 x $1 6",
        ),
        ("ZINTERSTORE d 2 a none", ":0"),
        ("EXISTS d", ":0"),
        ("ZDIFFSTORE d 1 a", ":3"),
        ("ZRANGESTORE d a 0 1", ":2"),
        ("ZRANGESTORE d a 9 9", ":0"),
        ("EXISTS d", ":0"),
        ("ZADD i inf x", ":1"),
        ("ZADD j -inf x", ":1"),
        ("ZUNION 2 i j WITHSCORES", "*2 $1 x $1 0"),
        ("ZUNION 1 i WEIGHTS 0 WITHSCORES", "*2 $1 x $1 0"),
        (
            "ZUNION 0 a",
            "-ERR at least 1 input key is needed for 'zunion' command",
        ),
        ("ZUNION x a", NOT_INTEGER),
        ("ZUNION 2 a", SYNTAX),
        ("ZUNION 1 a WEIGHTS x", "-ERR weight value is not a float"),
        ("ZDIFF 1 a WEIGHTS 1", SYNTAX),
        ("ZUNIONSTORE d 1 a WITHSCORES", SYNTAX),
        ("SET t 1", "+OK"),
        ("ZUNION 2 a t", WRONG_TYPE),
        ("ZUNIONSTORE t 1 a", ":3"),
        ("TYPE t", "+zset"),
        (
            "COMMAND GETKEYS ZUNIONSTORE d 2 a b WEIGHTS 1 1",
            "*3 $1 d $1 a $1 b",
        ),
        (
            "COMMAND GETKEYS GEORADIUS g 1 1 1 m STORE x",
            "*2 $1 g $1 x",
        ),
    ]);
}

#[test]
fn random_members() {
    let mut world = World::new();
    let pairs: String = (0..100).map(|n| format!(" {n} m{n}")).collect();
    check_in(
        &mut world,
        &[
            ("ZRANDMEMBER z", "$-1"),
            ("ZRANDMEMBER z 3", "*0"),
            (&format!("ZADD z{pairs}"), ":100"),
            ("ZRANDMEMBER z 0", "*0"),
            ("ZRANDMEMBER z 1 X", SYNTAX),
            ("ZRANDMEMBER z x", NOT_INTEGER),
            (
                "ZRANDMEMBER z -9223372036854770000 WITHSCORES",
                "-ERR value is out of range",
            ),
        ],
    );
    for (line, count) in [
        ("ZRANDMEMBER z 5", 5),
        ("ZRANDMEMBER z 90", 90),
        ("ZRANDMEMBER z 900", 100),
    ] {
        let answer = world.run(line);
        let distinct: std::collections::BTreeSet<&str> = answer
            .split(' ')
            .filter(|word| word.starts_with('m'))
            .collect();
        assert_eq!(distinct.len(), count, "{line}");
    }
    assert!(world.run("ZRANDMEMBER z -7 WITHSCORES").starts_with("*14 "));
}

#[test]
fn scanning_and_looks_from_outside() {
    let long = "m".repeat(65);
    check(&[
        ("ZADD z 1.5 abc", ":1"),
        ("ZSCAN z 0", "*2 $1 0 *2 $3 abc $3 1.5"),
        ("ZSCAN z 0 MATCH x*", "*2 $1 0 *0"),
        ("ZSCAN none 0", "*2 $1 0 *0"),
        ("OBJECT ENCODING z", "$8 listpack"),
        (&format!("ZADD z 1 {long}"), ":1"),
        ("OBJECT ENCODING z", "$8 skiplist"),
        ("COPY z y", ":1"),
        ("RENAME z x", "+OK"),
        ("ZCARD x", ":2"),
        ("ZSCORE y abc", "$3 1.5"),
        ("SCAN 0 TYPE zset COUNT 1000", "*2 $1 0 *2 $1 y $1 x"),
    ]);
}

#[test]
fn a_copy_keeps_the_deadline() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("ZADD z 1 a", ":1"),
            ("ZINCRBY z 1 a", "$1 2"),
            ("PEXPIRE z 1000", ":1"),
            ("COPY z y", ":1"),
            ("PTTL y", ":1000"),
            ("ZSCORE y a", "$1 2"),
        ],
    );
    world.advance(1000);
    check_in(
        &mut world,
        &[
            ("EXISTS y z", ":0"),
            ("ZINCRBY z 1 a", "$1 1"),
            ("PTTL z", ":-1"),
        ],
    );
}
