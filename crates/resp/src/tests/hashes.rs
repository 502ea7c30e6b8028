use super::{NOT_INTEGER, SYNTAX, WRONG_TYPE, World, check, check_in, check_resp3};

#[test]
fn fields_come_and_go() {
    check(&[
        ("HSET h a 1 b 2", ":2"),
        ("HSET h a 3 c 4", ":1"),
        ("HGET h a", "$1 3"),
        ("HGET h none", "$-1"),
        ("HGET none a", "$-1"),
        ("HMGET h a none b", "*3 $1 3 $-1 $1 2"),
        ("HMGET none a b", "*2 $-1 $-1"),
        ("HLEN h", ":3"),
        ("HEXISTS h a", ":1"),
        ("HEXISTS h x", ":0"),
        ("HSTRLEN h a", ":1"),
        ("HSTRLEN h x", ":0"),
        ("HSETNX h a 9", ":0"),
        ("HSETNX h d 9", ":1"),
        ("HMSET h e 5", "+OK"),
        ("HDEL h a b c d x", ":4"),
        ("HGETALL h", "*2 $1 e $1 5"),
        ("HKEYS h", "*1 $1 e"),
        ("HVALS h", "*1 $1 5"),
        ("HDEL h e", ":1"),
        ("EXISTS h", ":0"),
        ("HGETALL h", "*0"),
        (
            "HSET h a",
            "-ERR wrong number of arguments for 'hset' command",
        ),
        (
            "HSET h a 1 b",
            "-ERR wrong number of arguments for 'hset' command",
        ),
        (
            "HMSET h a 1 b",
            "-ERR wrong number of arguments for 'hmset' command",
        ),
    ]);
    check_resp3(&[
        ("HGETALL h", "%0"),
        ("HSET h a 1", ":1"),
        ("HGETALL h", "%1 $1 a $1 1"),
        ("HKEYS h", "*1 $1 a"),
        ("HMGET h x", "*1 _"),
    ]);
}

#[test]
fn other_types_are_refused() {
    let mut world = World::new();
    world.run("SET t 1");
    for line in [
        "HSET t a 1",
        "HSETNX t a 1",
        "HGET t a",
        "HMGET t a",
        "HDEL t a",
        "HLEN t",
        "HGETALL t",
        "HKEYS t",
        "HVALS t",
        "HEXISTS t a",
        "HSTRLEN t a",
        "HINCRBY t a 1",
        "HINCRBYFLOAT t a 1",
        "HRANDFIELD t",
        "HRANDFIELD t 1",
        "HSCAN t 0",
    ] {
        assert_eq!(world.run(line), WRONG_TYPE, "{line}");
    }
}

#[test]
fn numbers() {
    check(&[
        ("HINCRBY h a 5", ":5"),
        ("HINCRBY h a -7", ":-2"),
        ("HGET h a", "$2 -2"),
        ("HSET h a x", ":0"),
        ("HINCRBY h a 1", "-ERR hash value is not an integer"),
        ("HINCRBY h a y", NOT_INTEGER),
        ("HSET h b 9223372036854775807", ":1"),
        (
            "HINCRBY h b 1",
            "-ERR increment or decrement would overflow",
        ),
        ("HINCRBYFLOAT h f 1.5", "$3 1.5"),
        ("HINCRBYFLOAT h f 0.1", "$3 1.6"),
        ("HINCRBYFLOAT h a 1", "-ERR hash value is not a float"),
        ("HINCRBYFLOAT h f y", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"),
    ]);
}

#[test]
fn random_fields() {
    check(&[
        ("HRANDFIELD h", "$-1"),
        ("HRANDFIELD h 2", "*0"),
        ("HRANDFIELD h -2", "*0"),
        ("HSET h a 1", ":1"),
        ("HRANDFIELD h", "$1 a"),
        ("HRANDFIELD h 2", "*1 $1 a"),
        ("HRANDFIELD h 2 WITHVALUES", "*2 $1 a $1 1"),
        ("HRANDFIELD h -2", "*2 $1 a $1 a"),
        ("HRANDFIELD h -2 WITHVALUES", "*4 $1 a $1 1 $1 a $1 1"),
        ("HRANDFIELD h 0", "*0"),
        ("HRANDFIELD h 1 FOO", SYNTAX),
        (
            "HRANDFIELD h -9223372036854770000 WITHVALUES",
            "-ERR value is out of range",
        ),
    ]);
    check_resp3(&[
        ("HRANDFIELD h", "_"),
        ("HSET h a 1", ":1"),
        ("HRANDFIELD h 1 WITHVALUES", "*1 *2 $1 a $1 1"),
        ("HRANDFIELD h -2 WITHVALUES", "*2 *2 $1 a $1 1 *2 $1 a $1 1"),
    ]);
}

#[test]
fn scanning() {
    check(&[
        ("HSCAN none 0", "*2 $1 0 *0"),
        ("HSET h abc 1", ":1"),
        ("HSCAN h 0", "*2 $1 0 *2 $3 abc $1 1"),
        ("HSCAN h 0 MATCH x*", "*2 $1 0 *0"),
        ("HSCAN h x", "-ERR invalid cursor"),
    ]);
}

#[test]
fn a_large_hash_keeps_every_field() {
    let mut world = World::new();
    let pairs: String = (0..500).map(|field| format!(" f{field} {field}")).collect();
    assert_eq!(world.run(&format!("HSET h{pairs}")), ":500");
    assert!(world.run("HGETALL h").starts_with("*1000 "));
    check_in(
        &mut world,
        &[
            ("HLEN h", ":500"),
            ("HGET h f499", "$3 499"),
            ("OBJECT ENCODING h", "$8 listpack"),
        ],
    );
}
