//! Which pairs of concurrent operations the page must have a row for: of every type, each class with each.
//!
//! Operations of one class do the same to what others do at the same time. A row is for two classes if a command of one is
//! among A's and a command of the other among B's, or the other way round.

use isles_clock::ReplicaId;
use isles_replica::{Replica, ReplicaConfig};
use isles_resp::{Answer, Console};

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
const DELETE: Class = ("delete", &["DEL", "GETDEL", "UNLINK"]);
const DEADLINE: Class = (
    "deadline",
    &["EXPIRE", "PEXPIRE", "PEXPIREAT", "GETEX", "SETEX", "PSETEX"],
);
const RENAME: Class = ("rename", &["RENAME", "RENAMENX"]);
const COPY: Class = ("copy", &["COPY"]);
const RESTORE: Class = ("restore", &["RESTORE"]);
const FLUSH: Class = ("flush", &["FLUSHDB", "FLUSHALL"]);
const EDIT: Class = ("edit", &["APPEND", "SETRANGE"]);
const INCREMENT: Class = ("increment", &["INCR", "INCRBY", "DECRBY"]);
const FLOAT_INCREMENT: Class = ("float increment", &["INCRBYFLOAT"]);

pub(crate) const TYPES: &[Type] = &[
    Type {
        name: "strings and counters",
        rows: &["register-", "counter-"],
        own: &[
            ("write", &["SET", "MSET"]),
            ("exchange", &["GETSET"]),
            ("write with a deadline", &["SETEX", "PSETEX"]),
            // Judged where they run.
            (
                "condition",
                &["SETNX", "MSETNX", "SET k 2 NX", "SET k 2 XX"],
            ),
            ("comparison", &["ISLES.CAS", "ISLES.SET"]),
            EDIT,
            INCREMENT,
            FLOAT_INCREMENT,
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    strategy("fww", &["register-fww-"]),
    strategy("max", &["register-max-"]),
    strategy("min", &["register-min-"]),
    strategy("longest", &["register-longest-"]),
    strategy("union", &["register-union-"]),
    strategy("json", &["register-json-"]),
    strategy("json-min", &["register-json-min-"]),
    strategy("json-sum", &["register-json-sum-"]),
    strategy("multi-value", &["register-mv-"]),
    Type {
        name: "bitmaps",
        rows: &["bitmap-", "bitfield-"],
        own: &[
            ("bit", &["SETBIT"]),
            ("field", &["BITFIELD"]),
            ("operation", &["BITOP"]),
        ],
        met: &[
            ("write", &["SET"]),
            EDIT,
            INCREMENT,
            FLOAT_INCREMENT,
            DELETE,
        ],
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
            ("union", &["SUNIONSTORE"]),
            ("difference", &["SDIFFSTORE"]),
            ("intersection", &["SINTERSTORE"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "remove-wins sets",
        rows: &["remove-wins-"],
        own: &[
            ("add", &["SADD"]),
            ("remove", &["SREM"]),
            ("pop", &["SPOP"]),
            ("move", &["SMOVE"]),
            ("store", &["SUNIONSTORE", "SDIFFSTORE", "SINTERSTORE"]),
            DELETE,
            COPY,
            RESTORE,
            RENAME,
            DEADLINE,
            FLUSH,
        ],
        met: &[],
        with_itself: true,
    },
    Type {
        name: "hashes",
        rows: &["hash-"],
        own: &[
            ("set", &["HSET"]),
            ("set several", &["HMSET"]),
            ("condition", &["HSETNX"]),
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
            INCREMENT_OF_SCORE,
            ("remove", &["ZREM"]),
            ("pop", &["ZPOPMIN", "ZPOPMAX"]),
            ("pop from several", &["ZMPOP"]),
            ("waiting pop", &["BZPOPMIN", "BZPOPMAX", "BZMPOP"]),
            REMOVE_RANGE,
            ("union", &["ZUNIONSTORE"]),
            ("range", &["ZRANGESTORE"]),
            ("difference", &["ZDIFFSTORE"]),
            ("intersection", &["ZINTERSTORE"]),
            DELETE,
        ],
        met: &[],
        with_itself: true,
    },
    add_with(&[("ZADD NX", &["ZADD z NX", "ZADD d NX"])]),
    add_with(&[("ZADD XX", &["ZADD z XX", "ZADD d XX"])]),
    add_with(&[("ZADD GT", &["ZADD z GT", "ZADD d GT"])]),
    add_with(&[("ZADD LT", &["ZADD z LT", "ZADD d LT"])]),
    add_with(&[("ZADD INCR", &["ZADD z INCR", "ZADD d INCR"])]),
    Type {
        name: "places",
        rows: &["geo-"],
        own: &[("add", &["GEOADD"]), ("store", &["GEOSEARCHSTORE"])],
        met: &[
            ("score", &["ZADD"]),
            INCREMENT_OF_SCORE,
            ("remove", &["ZREM"]),
            ("pop", &["ZPOPMIN"]),
            DELETE,
        ],
        with_itself: true,
    },
    Type {
        name: "lists",
        rows: &["list-"],
        own: &[
            ("push", &["RPUSH", "LPUSH"]),
            ("push onto a list", &["LPUSHX", "RPUSHX"]),
            ("pop", &["LPOP", "RPOP"]),
            ("pop from several", &["LMPOP"]),
            ("waiting pop", &["BLPOP", "BRPOP", "BLMPOP"]),
            ("set", &["LSET"]),
            ("insert", &["LINSERT"]),
            ("remove", &["LREM"]),
            ("trim", &["LTRIM"]),
            ("move", &["LMOVE"]),
            ("move from the end", &["RPOPLPUSH", "BRPOPLPUSH"]),
            ("waiting move", &["BLMOVE"]),
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
            ("consumer", &["XGROUP CREATECONSUMER"]),
            ("delete of a consumer", &["XGROUP DELCONSUMER"]),
        ],
        met: &[
            ("add", &["XADD"]),
            ("remove", &["XDEL"]),
            ("trim", &["XTRIM"]),
            ("setid of the stream", &["XSETID"]),
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
            EDIT,
            ("bit", &["SETBIT", "BITFIELD"]),
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
            ("edit within", &["SETRANGE"]),
            ("bit", &["SETBIT"]),
            ("bit field", &["BITFIELD"]),
            ("increment", &["INCR"]),
            FLOAT_INCREMENT,
            ("field", &["HSET"]),
            ("field increment", &["HINCRBY"]),
            ("field float increment", &["HINCRBYFLOAT"]),
            ("member", &["SADD"]),
            ("score", &["ZADD"]),
            ("score increment", &["ZINCRBY"]),
            ("place", &["GEOADD"]),
            ("push", &["RPUSH"]),
            ("element", &["LSET"]),
            ("insertion", &["LINSERT"]),
            ("trimmed list", &["LTRIM"]),
            ("entry", &["XADD"]),
            ("removed entry", &["XDEL"]),
            ("trimmed stream", &["XTRIM"]),
            ("last id", &["XSETID"]),
            ("group", &["XGROUP CREATE"]),
            ("group's place", &["XGROUP SETID"]),
            ("destroyed group", &["XGROUP DESTROY"]),
            ("delivery", &["XREADGROUP"]),
            ("acknowledgement", &["XACK"]),
            ("claim", &["XCLAIM"]),
            ("claim of what is idle", &["XAUTOCLAIM"]),
            ("sketch", &["PFADD"]),
            ("merged sketch", &["PFMERGE"]),
            ("flag", &["ISLES.FLAG.ENABLE"]),
            ("disabled flag", &["ISLES.FLAG.DISABLE"]),
            ("bounded counter", &["ISLES.BCOUNTER.INCR"]),
            ("decrement", &["ISLES.BCOUNTER.DECR"]),
            ("created bounded counter", &["ISLES.BCOUNTER.CREATE"]),
            ("transfer", &["ISLES.BCOUNTER.TRANSFER"]),
            ("removed field", &["HDEL"]),
            ("removed member", &["SREM"]),
            ("removed score", &["ZREM"]),
            ("pop", &["LPOP"]),
            ("pop of a score", &["ZPOPMIN"]),
            DELETE,
        ],
        with_itself: true,
    },
    Type {
        name: "whole keys",
        rows: &["rename-", "copy-", "restore-", "sort-", "flush-"],
        own: &[RENAME, COPY, RESTORE, ("sort", &["SORT"]), FLUSH],
        met: &[WRITE, DELETE, DEADLINE],
        with_itself: true,
    },
    Type {
        name: "overwritten keys of each type",
        rows: &["copy-", "restore-", "flush-"],
        own: &[COPY, RESTORE, FLUSH],
        met: WRITE_OF_EACH_TYPE,
        with_itself: true,
    },
    Type {
        name: "overwritten bounded counters",
        rows: &["copy-", "restore-", "flush-"],
        own: &[COPY, RESTORE, FLUSH],
        met: &[
            ("increment", &["ISLES.BCOUNTER.INCR"]),
            ("decrement", &["ISLES.BCOUNTER.DECR"]),
        ],
        with_itself: true,
    },
    // Not beside bounded counters: one of which others hold rights is not renamed, and of another one nobody else decrements.
    Type {
        name: "renamed keys of each type",
        rows: &["rename-"],
        own: &[RENAME],
        met: WRITE_OF_EACH_TYPE,
        with_itself: true,
    },
    Type {
        name: "transactions",
        rows: &["transaction-"],
        own: &[("transaction", &["MULTI"])],
        met: &[
            WRITE,
            DELETE,
            DEADLINE,
            ("persist", &["PERSIST"]),
            RENAME,
            FLUSH,
        ],
        with_itself: true,
    },
    Type {
        name: "scripts",
        rows: &["script-"],
        own: &[("script", &["EVAL"])],
        met: &[
            ("write", &["SET"]),
            EDIT,
            INCREMENT,
            FLOAT_INCREMENT,
            DELETE,
            ("field", &["HDEL"]),
            ("member", &["SADD"]),
            ("score", &["ZREM"]),
            ("element", &["LPOP"]),
            ("entry", &["XADD"]),
            ("transaction", &["MULTI"]),
        ],
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

/// What a strategy does with its siblings beside everything else that can be done to a string.
const fn strategy(name: &'static str, rows: &'static [&'static str]) -> Type {
    Type {
        name,
        rows,
        own: &[("write", &["SET"])],
        met: &[
            ("addition at the end", &["APPEND"]),
            ("edit within", &["SETRANGE"]),
            INCREMENT,
            DELETE,
            DEADLINE,
        ],
        with_itself: true,
    }
}

/// A way of adding to a sorted set beside everything else that can be done to one.
const fn add_with(own: &'static [Class]) -> Type {
    Type {
        name: "sorted sets",
        rows: &["zset-add-"],
        own,
        met: &[
            ("add", &["ZADD"]),
            INCREMENT_OF_SCORE,
            ("remove", &["ZREM"]),
            ("pop", &["ZPOPMIN"]),
            REMOVE_RANGE,
            ("union", &["ZUNIONSTORE"]),
            DELETE,
        ],
        with_itself: true,
    }
}

const INCREMENT_OF_SCORE: Class = ("increment", &["ZINCRBY"]);
const REMOVE_RANGE: Class = (
    "remove range",
    &["ZREMRANGEBYSCORE", "ZREMRANGEBYRANK", "ZREMRANGEBYLEX"],
);

const STREAM: &[Class] = &[
    ("add", &["XADD"]),
    ("remove", &["XDEL"]),
    ("trim", &["XTRIM"]),
    ("setid", &["XSETID"]),
    DELETE,
];

/// What a key that is renamed or overwritten as a whole may meet, of every type but bounded counters.
const WRITE_OF_EACH_TYPE: &[Class] = &[
    ("string", &["SET"]),
    ("counter", &["INCR"]),
    ("edit", &["APPEND"]),
    ("bit", &["SETBIT"]),
    ("field", &["HSET"]),
    ("field increment", &["HINCRBY"]),
    ("removed field", &["HDEL"]),
    ("member", &["SADD"]),
    ("removed member", &["SREM"]),
    ("score", &["ZADD"]),
    ("score increment", &["ZINCRBY"]),
    ("removed score", &["ZREM"]),
    ("push", &["RPUSH"]),
    ("pop", &["LPOP"]),
    ("element", &["LSET"]),
    ("entry", &["XADD"]),
    ("removed entry", &["XDEL"]),
    ("acknowledgement", &["XACK"]),
    ("sketch", &["PFADD"]),
    ("flag", &["ISLES.FLAG.ENABLE"]),
    ("persist", &["PERSIST"]),
];

const FLAG: &[Class] = &[
    ("enable", &["ISLES.FLAG.ENABLE"]),
    ("disable", &["ISLES.FLAG.DISABLE"]),
    DELETE,
];

/// Commands that the registry says write and that have no row: subcommands that only read have the flag of their command;
/// a library that is restored is loaded; and what a conflict becomes by an id that only the journal knows is tested in
/// `crates/node/tests/conflicts_are_put_right.rs`.
pub(crate) const WITHOUT_ROW: &[&str] = &[
    "FUNCTION DUMP",
    "FUNCTION HELP",
    "FUNCTION KILL",
    "FUNCTION LIST",
    "FUNCTION RESTORE",
    "FUNCTION STATS",
    "ISLES.CONFLICTS COUNT",
    "ISLES.CONFLICTS FOLLOW",
    "ISLES.CONFLICTS HELP",
    "ISLES.CONFLICTS HOT",
    "ISLES.CONFLICTS KEY",
    "ISLES.CONFLICTS LIST",
    "ISLES.CONFLICTS REPLAY",
    "ISLES.CONFLICTS RESOLVE",
    "ISLES.CONFLICTS RESTORE",
    "ISLES.CONFLICTS SHOW",
    "ISLES.CONFLICTS STATS",
    "ISLES.KEYSPACE GET",
    "ISLES.KEYSPACE HELP",
    "ISLES.KEYSPACE LIST",
    "ISLES.RESOLVER FAILED",
    "ISLES.RESOLVER GET",
    "ISLES.RESOLVER HELP",
    "ISLES.RESOLVER LIST",
    "XGROUP HELP",
];

/// What the registry calls commands that write, subcommands by two words, in order.
pub(crate) fn commands_that_write() -> Vec<String> {
    let mut replica = Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default());
    let answer = Console::new().command(&mut replica, 1, &[b"COMMAND"]);
    let mut names = Vec::new();
    if let Ok(Answer::Array(commands)) = answer {
        commands
            .iter()
            .for_each(|command| collect_writes(command, &mut names));
    }
    names.sort_unstable();
    names
}

fn collect_writes(command: &Answer, names: &mut Vec<String>) {
    let Answer::Array(fields) = command else {
        return;
    };
    let (Some(Answer::Text(name)), Some(Answer::Array(flags))) = (fields.first(), fields.get(2))
    else {
        return;
    };
    let subcommands = match fields.last() {
        Some(Answer::Array(subcommands)) => &subcommands[..],
        _ => &[],
    };
    for subcommand in subcommands {
        collect_writes(subcommand, names);
    }
    let writes = flags.contains(&Answer::Text(b"write".to_vec()));
    if writes && subcommands.is_empty() {
        let name = String::from_utf8_lossy(name).to_uppercase();
        names.push(name.replace('|', " "));
    }
}

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
