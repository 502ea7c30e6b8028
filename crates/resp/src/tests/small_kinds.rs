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
        ("GET p", WRONG_TYPE),
        ("SET s v", "+OK"),
        ("PFADD s x", NOT_A_SKETCH),
        ("PFCOUNT p s", NOT_A_SKETCH),
        ("PFMERGE s p", NOT_A_SKETCH),
        ("SET p v", "+OK"),
        ("GET p", "$1 v"),
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
        ("RENAME c d", "+OK"),
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
