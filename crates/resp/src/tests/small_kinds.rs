//! HyperLogLogs, flags and bounded counters.

use super::{WRONG_TYPE, check};

const NOT_A_SKETCH: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";

#[test]
fn sketches() {
    check(&[
        ("PFCOUNT none", ":0"),
        ("PFADD empty", ":1"),
        ("PFADD empty", ":0"),
        ("PFCOUNT empty", ":0"),
        ("PFADD p a b c", ":1"),
        ("PFADD p a c", ":0"),
        ("PFCOUNT p", ":3"),
        ("TYPE p", "+string"),
        ("PFADD q c d", ":1"),
        ("PFCOUNT p q none", ":4"),
        ("PFMERGE p q", "+OK"),
        ("PFCOUNT p", ":4"),
        ("PFMERGE new", "+OK"),
        ("EXISTS new", ":1"),
        ("COPY p copy", ":1"),
        ("PFCOUNT copy", ":4"),
        ("RENAME copy other", "+OK"),
        ("PFCOUNT other copy", ":4"),
        ("PFDEBUG ENCODING p", "+sparse"),
        (
            "PFDEBUG GETREG none",
            "-ERR The specified key does not exist",
        ),
        ("PFSELFTEST", "+OK"),
        ("SET s v", "+OK"),
        ("PFADD s x", NOT_A_SKETCH),
        ("PFCOUNT p s", NOT_A_SKETCH),
        ("PFMERGE s p", NOT_A_SKETCH),
        ("HSET h f v", ":1"),
        ("PFADD h x", WRONG_TYPE),
        ("PFCOUNT h", WRONG_TYPE),
        ("SET p v", "+OK"),
        ("GET p", "$1 v"),
    ]);
}

const CORRUPTED: &str = "-INVALIDOBJ Corrupted HLL object detected";

#[test]
fn sketches_are_read_and_written_as_strings() {
    check(&[
        ("PFADD p a b c", ":1"),
        ("STRLEN p", ":27"),
        ("GETRANGE p 0 3", "$4 HYLL"),
        ("GETBIT p 1", ":1"),
        ("BITCOUNT p 0 0", ":2"),
        ("OBJECT ENCODING p", "$3 raw"),
        ("INCR p", super::NOT_INTEGER),
        ("SETNX p v", ":0"),
        // It is a string from here on, which counts as the sketch did, and becomes one again with the next element.
        ("EXPIREAT p 33000000000", ":1"),
        ("BITOP OR s p", ":27"),
        ("PFCOUNT s p", ":3"),
        ("PFADD s a", ":0"),
        ("ISLES.SIBLINGS p", "$-1"),
        ("EXPIREAT s 33000000000", ":1"),
        ("PFADD s d", ":1"),
        ("ISLES.SIBLINGS s", "$-1"),
        ("PFCOUNT s", ":4"),
        ("EXPIRETIME s", ":33000000000"),
        ("PFMERGE s p", "+OK"),
        ("PFCOUNT s", ":4"),
        ("APPEND p hello", ":32"),
        ("EXPIRETIME p", ":33000000000"),
        ("PFCOUNT p", CORRUPTED),
        ("PFADD p d", CORRUPTED),
        ("PFMERGE s p", CORRUPTED),
        ("SETRANGE p 4 x", ":32"),
        ("PFCOUNT p", NOT_A_SKETCH),
    ]);
}

#[test]
fn several_commands_of_one_entry_may_change_what_a_sketch_is() {
    check(&[
        ("PFADD p a", ":1"),
        ("MULTI", "+OK"),
        ("BITOP OR s p", "+QUEUED"),
        ("PFADD s b", "+QUEUED"),
        ("PFADD s c", "+QUEUED"),
        ("PFCOUNT s", "+QUEUED"),
        ("APPEND s x", "+QUEUED"),
        ("PFADD p b", "+QUEUED"),
        ("PFCOUNT p", "+QUEUED"),
        ("SETRANGE p 0 abcd", "+QUEUED"),
        ("EXEC", "*8 :21 :1 :1 :3 :28 :1 :2 :24"),
        ("PFCOUNT s", CORRUPTED),
        ("GETRANGE p 0 3", "$4 abcd"),
    ]);
}

// As Redis does it, so that people see there when a count is taken from the header.
#[test]
fn the_header_says_whether_the_count_is_known() {
    let valid = |world: &mut super::World| world.run("GETBIT p 120") == ":0";
    let mut world = super::World::new();
    world.run("PFADD p");
    assert!(valid(&mut world));
    world.run("PFADD p a b c");
    assert!(!valid(&mut world));
    assert_eq!(world.run("PFCOUNT p"), ":3");
    assert!(valid(&mut world));
    assert_eq!(world.run("GETRANGE p 8 8"), "$1 \u{3}");
    assert_eq!(world.run("PFADD p a b c"), ":0");
    assert!(valid(&mut world));
    world.run("PFADD p 1");
    assert!(!valid(&mut world));
    assert_eq!(world.run("PFCOUNT p"), ":4");
    // What is undone was never counted.
    world.run("MULTI");
    world.run("PFADD p 2");
    world.run("PFCOUNT p");
    assert_eq!(world.run("EXEC"), "*2 :1 :5");
    assert_eq!(world.run("PFCOUNT p"), ":5");
}

// By redis-server 7.0.15: SHA-1 of what GET answered after PFADD of 0, 1, 2, … one by one, and PFCOUNT.
#[test]
fn the_bytes_are_those_of_redis_sparse_and_dense() {
    for (elements, count, sha1) in [
        (100, 100, "bd7a67f7bb0d666dfbc43a5e6be0eece01238c3d"),
        (500, 503, "8ce5bfb1fbd98ecc98476231c30a1ec9b8bfb4be"),
        (5000, 4985, "f9b87ee26d83c37a30be2996606b03633370805f"),
    ] {
        let mut world = super::World::new();
        let all: Vec<String> = (0..elements)
            .map(|number: u32| number.to_string())
            .collect();
        for some in all.chunks(50) {
            world.run(&format!("PFADD p {}", some.join(" ")));
        }
        assert_eq!(world.run("PFCOUNT p"), format!(":{count}"));
        let sha1_here = world.run("EVAL \"return redis.sha1hex(redis.call('get', KEYS[1]))\" 1 p");
        assert_eq!(sha1_here, format!("$40 {sha1}"), "{elements}");
    }
}

#[test]
fn the_sparse_form_is_as_long_as_is_set() {
    check(&[
        ("PFADD p a b c", ":1"),
        ("CONFIG SET hll-sparse-max-bytes 26", "+OK"),
        ("PFDEBUG ENCODING p", "+dense"),
        ("STRLEN p", ":12304"),
        ("CONFIG SET hll-sparse-max-bytes 27", "+OK"),
        ("PFDEBUG ENCODING p", "+sparse"),
        ("STRLEN p", ":27"),
    ]);
}

// Redis's PFCOUNT of the same elements, so that counts do not change when data moves over.
#[test]
fn the_hash_is_that_of_redis() {
    let mut world = super::World::new();
    for number in 0..1000 {
        world.run(&format!("PFADD p {number}"));
    }
    assert_eq!(world.run("PFCOUNT p"), REDIS_COUNT);
}

/// By redis-server 7.0.15.
const REDIS_COUNT: &str = ":1001";

#[test]
fn flags() {
    check(&[
        ("ISLES.FLAG.GET f", ":0"),
        ("ISLES.FLAG.DISABLE f", ":0"),
        ("ISLES.FLAG.ENABLE f", ":1"),
        ("ISLES.FLAG.ENABLE f", ":0"),
        ("ISLES.FLAG.GET f", ":1"),
        ("TYPE f", "+flag"),
        (
            "ISLES.FLAG.ENABLE f DISABLE-WINS",
            "-ERR this flag has the other rule; delete the key before you choose anew",
        ),
        ("ISLES.FLAG.DISABLE f", ":1"),
        ("EXISTS f", ":0"),
        ("ISLES.FLAG.ENABLE g DISABLE-WINS", ":1"),
        ("ISLES.FLAG.DISABLE g", ":1"),
        ("ISLES.FLAG.ENABLE g", ":1"),
        ("ISLES.FLAG.ENABLE g ALWAYS", "-ERR syntax error"),
        ("COPY g h", ":1"),
        ("ISLES.FLAG.GET h", ":1"),
        ("SET s v", "+OK"),
        ("ISLES.FLAG.GET s", WRONG_TYPE),
        ("ISLES.FLAG.ENABLE s", WRONG_TYPE),
        ("GET g", WRONG_TYPE),
    ]);
}

#[test]
fn bounded_counters() {
    check(&[
        ("ISLES.BCOUNTER.GET c", "$-1"),
        ("ISLES.BCOUNTER.DECR c", "-ERR no such key"),
        ("ISLES.BCOUNTER.CREATE c 10", "+OK"),
        (
            "ISLES.BCOUNTER.CREATE c 10",
            "-BUSYKEY Target key name already exists.",
        ),
        ("ISLES.BCOUNTER.DECR c 4", ":6"),
        ("ISLES.BCOUNTER.INCR c", ":7"),
        ("TYPE c", "+bcounter"),
        (
            "ISLES.BCOUNTER.RIGHTS c",
            "*1 *8 $7 replica $32 00000000000000000000000000000001 $4 node $4 eu-1 $6 region $2 eu $6 rights :7",
        ),
        (
            "ISLES.BCOUNTER.DECR c 8",
            "-NORIGHTS this node holds 7 rights to decrement this counter; known holders: eu-1 (eu) 7. Have some handed over \
             with ISLES.BCOUNTER.TRANSFER on a node that holds them",
        ),
        (
            "ISLES.BCOUNTER.TRANSFER c 5 00000000000000000000000000000002",
            "+OK",
        ),
        ("ISLES.BCOUNTER.GET c", ":7"),
        (
            "ISLES.BCOUNTER.DECR c 3",
            "-NORIGHTS this node holds 2 rights to decrement this counter; known holders: \
             00000000000000000000000000000002 5, eu-1 (eu) 2. Have some handed over with ISLES.BCOUNTER.TRANSFER on a node \
             that holds them",
        ),
        (
            "ISLES.BCOUNTER.DECR c 0",
            "-ERR value is out of range, must be positive",
        ),
        (
            "ISLES.BCOUNTER.INCR c 9223372036854775807",
            "-ERR increment or decrement would overflow",
        ),
        (
            "ISLES.BCOUNTER.TRANSFER c 1 nowhere",
            "-ERR no node or region 'nowhere' is known here; give its name as ISLES.STATUS shows it, or a replica id",
        ),
        (
            "RENAME c d",
            "-ERR other nodes hold rights of this bounded counter and may be spending them: ISLES.BCOUNTER.RIGHTS shows whose; \
             have them transferred here, or create another counter",
        ),
        ("COPY c b", ":1"),
        ("RENAME b d", "+OK"),
        ("ISLES.BCOUNTER.DECR d 7", ":0"),
        ("EXISTS d", ":1"),
        ("MULTI", "+OK"),
        ("ISLES.BCOUNTER.INCR e 5", "+QUEUED"),
        ("ISLES.BCOUNTER.DECR e 2", "+QUEUED"),
        ("ISLES.BCOUNTER.INCR e 5", "+QUEUED"),
        ("EXEC", "*3 :5 :3 :8"),
        ("ISLES.BCOUNTER.GET e", ":8"),
        ("SET s v", "+OK"),
        ("ISLES.BCOUNTER.INCR s", WRONG_TYPE),
    ]);
}
