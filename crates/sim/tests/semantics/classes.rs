//! Which pairs of concurrent operations the page must have a row for: of every type, each class with each.
//!
//! Operations of one class do the same to what others do at the same time. A row is for two classes if a command of one is
//! among A's and a command of the other among B's, or the other way round.

use crate::page::{Command, Row};

/// Operations that are alike: a name, and how their command lines begin.
type Class = (&'static str, &'static [&'static str]);

/// What a table of pairs is about.
pub(crate) struct Type {
    name: &'static str,
    /// How the names of its rows begin.
    rows: &'static [&'static str],
    /// Each of these has a row with each of these, and with itself.
    own: &'static [Class],
    /// And with each of these, whose pairs among themselves are another type's.
    met: &'static [Class],
    /// Whether a class beside itself is a pair.
    with_itself: bool,
}

const WRITE: Class = ("write", &["SET", "SETNX", "HSET", "SADD", "RPUSH", "XADD"]);
const DELETE: Class = ("delete", &["DEL", "GETDEL"]);
const DEADLINE: Class = ("deadline", &["EXPIRE", "PEXPIRE", "PEXPIREAT", "GETEX"]);

pub(crate) const TYPES: &[Type] = &[
    Type {
        name: "strings and counters",
        rows: &["register-", "counter-"],
        own: &[
            ("write", &["SET", "SETNX"]),
            ("edit", &["APPEND", "SETRANGE"]),
            ("increment", &["INCR", "INCRBY", "DECRBY"]),
            ("float increment", &["INCRBYFLOAT"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "bitmaps",
        rows: &["bitmap-", "bitfield-"],
        own: &[("bit", &["SETBIT", "BITFIELD"]), ("operation", &["BITOP"])],
        met: &[("write", &["SET"]), ("increment", &["INCR"]), DELETE],
        with_itself: true,
    },
    Type {
        name: "sets",
        rows: &["set-"],
        own: &[
            ("add", &["SADD"]),
            ("remove", &["SREM"]),
            ("pop", &["SPOP"]),
            ("move", &["SMOVE"]),
            ("store", &["SUNIONSTORE", "SINTERSTORE"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "hashes",
        rows: &["hash-"],
        own: &[
            ("set", &["HSET", "HSETNX"]),
            ("increment", &["HINCRBY"]),
            ("float increment", &["HINCRBYFLOAT"]),
            ("remove", &["HDEL"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "sorted sets",
        rows: &["zset-"],
        own: &[
            ("add", &["ZADD"]),
            ("increment", &["ZINCRBY"]),
            ("remove", &["ZREM"]),
            ("pop", &["ZPOPMIN"]),
            ("remove range", &["ZREMRANGEBYSCORE", "ZREMRANGEBYRANK"]),
            ("store", &["ZUNIONSTORE"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "places",
        rows: &["geo-"],
        own: &[("add", &["GEOADD"]), ("store", &["GEOSEARCHSTORE"])],
        met: &[("remove", &["ZREM"]), DELETE],
        with_itself: true,
    },
    Type {
        name: "lists",
        rows: &["list-"],
        own: &[
            ("push", &["RPUSH", "LPUSH"]),
            ("pop", &["LPOP"]),
            ("set", &["LSET"]),
            ("insert", &["LINSERT"]),
            ("remove", &["LREM"]),
            ("trim", &["LTRIM"]),
            ("move", &["LMOVE"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "streams",
        rows: &["stream-"],
        own: STREAM,
        met: &[],
        with_itself: true,
    },
    Type {
        name: "consumer groups",
        rows: &["group-"],
        own: &[
            ("create", &["XGROUP CREATE"]),
            ("destroy", &["XGROUP DESTROY"]),
            ("setid", &["XGROUP SETID"]),
            ("read", &["XREADGROUP"]),
            ("acknowledge", &["XACK"]),
            ("claim", &["XCLAIM"]),
            ("autoclaim", &["XAUTOCLAIM"]),
            ("consumer", &["XGROUP CREATECONSUMER", "XGROUP DELCONSUMER"]),
        ],
        met: &[
            ("add", &["XADD"]),
            ("remove", &["XDEL"]),
            ("trim", &["XTRIM"]),
            DELETE,
        ],
        with_itself: true,
    },
    Type {
        name: "flags",
        rows: &["flag-enable-", "flag-disable-", "flag-delete-"],
        own: FLAG,
        met: &[],
        with_itself: true,
    },
    Type {
        name: "disable-wins flags",
        rows: &["flag-dw-"],
        own: FLAG,
        met: &[],
        with_itself: true,
    },
    Type {
        name: "bounded counters",
        rows: &["bcounter-"],
        own: &[
            ("create", &["ISLES.BCOUNTER.CREATE"]),
            ("increment", &["ISLES.BCOUNTER.INCR"]),
            ("decrement", &["ISLES.BCOUNTER.DECR"]),
            ("transfer", &["ISLES.BCOUNTER.TRANSFER"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "HyperLogLogs",
        rows: &["hll-"],
        own: &[
            ("add", &["PFADD"]),
            ("merge", &["PFMERGE"]),
            DELETE,
            ("write", &["SET"]),
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "deadlines",
        rows: &["expire-", "persist-", "lapse-", "register-expire-"],
        own: &[DEADLINE, ("persist", &["PERSIST"])],
        met: &[
            ("write", &["SET"]),
            ("edit", &["APPEND"]),
            ("bit", &["SETBIT"]),
            ("increment", &["INCR"]),
            ("field", &["HSET"]),
            ("field increment", &["HINCRBY"]),
            ("member", &["SADD"]),
            ("score", &["ZADD"]),
            ("score increment", &["ZINCRBY"]),
            ("place", &["GEOADD"]),
            ("push", &["RPUSH"]),
            ("entry", &["XADD"]),
            ("delivery", &["XREADGROUP"]),
            ("sketch", &["PFADD"]),
            ("flag", &["ISLES.FLAG.ENABLE"]),
            ("bounded counter", &["ISLES.BCOUNTER.INCR"]),
            ("removal", &["HDEL", "SREM", "ZREM", "LPOP"]),
            DELETE,
        ],
        with_itself: true,
    },
    Type {
        name: "whole keys",
        rows: &["rename-", "copy-", "restore-", "sort-", "flush-"],
        own: &[
            ("rename", &["RENAME"]),
            ("copy", &["COPY"]),
            ("restore", &["RESTORE"]),
            ("sort", &["SORT"]),
            ("flush", &["FLUSHDB"]),
        ],
        met: &[WRITE, DELETE, DEADLINE],
        with_itself: true,
    },
    Type {
        name: "transactions",
        rows: &["transaction-"],
        own: &[("transaction", &["MULTI"])],
        met: &[WRITE, DELETE],
        with_itself: true,
    },
    Type {
        name: "functions",
        rows: &["function-"],
        own: &[
            ("load", &["FUNCTION LOAD"]),
            ("delete", &["FUNCTION DELETE"]),
        ],
        met: &[("call", &["FCALL"])],
        with_itself: true,
    },
    Type {
        name: "keyspaces",
        rows: &["keyspace-", "register-migrate-"],
        own: &[
            ("set", &["ISLES.KEYSPACE SET"]),
            ("delete", &["ISLES.KEYSPACE DEL"]),
            ("migrate", &["ISLES.KEYSPACE MIGRATE"]),
        ],
        met: &[("write", &["SET"])],
        with_itself: true,
    },
    Type {
        name: "types",
        rows: &["type-", "counter-"],
        own: &[
            ("string", &["SET"]),
            ("multi-value string", &["ISLES.KEYSPACE SET k multi-value"]),
            ("hash", &["HSET"]),
            ("set", &["SADD"]),
            ("sorted set", &["ZADD"]),
            ("list", &["RPUSH"]),
            ("stream", &["XADD"]),
            ("counter", &["INCR"]),
            ("flag", &["ISLES.FLAG.ENABLE k"]),
            ("disable-wins flag", &["ISLES.FLAG.ENABLE k DISABLE-WINS"]),
            ("HyperLogLog", &["PFADD"]),
            ("bounded counter", &["ISLES.BCOUNTER.CREATE"]),
        ],
        met: &[],
        with_itself: false,
    },
];

const STREAM: &[Class] = &[
    ("add", &["XADD"]),
    ("remove", &["XDEL"]),
    ("trim", &["XTRIM"]),
    ("setid", &["XSETID"]),
    DELETE,
];

const FLAG: &[Class] = &[
    ("enable", &["ISLES.FLAG.ENABLE"]),
    ("disable", &["ISLES.FLAG.DISABLE"]),
    DELETE,
];

/// The pairs of a type for which there is no row.
pub(crate) fn without_row(kind: &Type, rows: &[Row]) -> Vec<String> {
    let named = |row: &&Row| kind.rows.iter().any(|start| row.name.starts_with(start));
    let rows: Vec<&Row> = rows.iter().filter(named).collect();
    let mut missing = Vec::new();
    for (index, one) in kind.own.iter().enumerate() {
        let others = &kind.own[index + usize::from(!kind.with_itself)..];
        for other in others.iter().chain(kind.met) {
            if !rows.iter().any(|row| is_for(row, one, other)) {
                missing.push(format!("{}: {} beside {}", kind.name, one.0, other.0));
            }
        }
    }
    missing
}

fn is_for(row: &Row, one: &Class, other: &Class) -> bool {
    let has = |commands: &[Command], class: &Class| {
        commands.iter().any(|command| is_of(&command.line, class))
    };
    has(&row.a, one) && has(&row.b, other) || has(&row.a, other) && has(&row.b, one)
}

fn is_of(line: &str, class: &Class) -> bool {
    let begins = |start: &&str| {
        let rest = line.strip_prefix(*start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    class.1.iter().any(begins)
}
