//! `docs/commands.md` is written from the table, and says of every command of Redis 7 whether it is there.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::check;
use crate::spec::{Flags, Keys, Spec};
use crate::{table, unsupported};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
const SEMANTICS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/semantics.md");
/// Set to write the page instead of comparing it.
const WRITE: &str = "ISLES_WRITE_DOCS";

#[test]
fn the_page_is_what_the_table_says() {
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == page,
        "docs/commands.md is stale: {WRITE}=1 cargo test -p isles-resp --lib commands_page"
    );
}

#[test]
fn every_command_of_redis_is_there_or_has_a_reason() {
    let missing: Vec<&str> = REDIS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| table::find(name.as_bytes()).is_none())
        .filter(|name| unsupported::find(name.as_bytes()).is_none())
        .collect();
    assert!(
        missing.is_empty(),
        "neither in the table nor refused with a reason: {missing:?}"
    );
}

#[test]
fn reasons_are_given_for_commands_that_exist() {
    let mut names: Vec<&str> = unsupported::ALL
        .iter()
        .flat_map(|each| each.names)
        .copied()
        .collect();
    let command = |name: &str| name.split(' ').next().map(str::to_owned);
    let known = |name: &&str| since(&command(name).unwrap_or_default()).is_some();
    assert!(names.iter().all(known), "{names:?}");
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a command has two reasons");
}

#[test]
fn subcommands_that_are_there_are_not_refused() {
    let refused = unsupported::ALL.iter().flat_map(|each| each.names);
    for name in refused.filter(|name| name.contains(' ')) {
        let (command, subcommand) = name.split_once(' ').unwrap();
        let spec = table::find(command.as_bytes()).unwrap().spec();
        let is_it = |(known, _): &&crate::spec::Subcommand| known.eq_ignore_ascii_case(subcommand);
        assert!(spec.subcommands.iter().find(is_it).is_none(), "{name}");
    }
}

#[test]
fn what_is_not_supported_says_why() {
    check(&[
        (
            "readonly",
            "-ERR READONLY is not supported by Isles: every node holds all keys, so there are no slots to ask for; instead: \
             connect to any node, without cluster mode",
        ),
        ("MULTI", "+OK"),
        (
            "SWAPDB 0 1",
            "-ERR SWAPDB is not supported by Isles: there is one database; instead: prefixes of keys, and RENAME",
        ),
        ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
        ("CLUSTERS", "-ERR unknown command 'CLUSTERS', with args beginning with: "),
    ]
    .map(|(line, answer)| (line, answer.trim_end())));
}

fn since(name: &str) -> Option<&'static str> {
    let found = REDIS.iter().find(|(known, _)| *known == name);
    found.map(|(_, since)| *since)
}

fn page() -> String {
    let mut text = String::from(
        "# Commands\n\n\
         This page is written from the table of commands (`crates/resp/src/table.rs`); do not edit it. A test fails when it is \
         stale and says how\nto write it anew. *Arity* counts the name; a negative one means at least so many. *Since* is the \
         version of Redis that brought the command.\nWhat regions see when they write concurrently is in \
         [semantics.md](semantics.md).\n",
    );
    let mut groups: BTreeMap<&str, Vec<&Spec>> = BTreeMap::new();
    for spec in table::all() {
        groups.entry(spec.family.group()).or_default().push(spec);
    }
    let semantics = std::fs::read_to_string(SEMANTICS).expect("the page of semantics is there");
    for (group, mut specs) in groups {
        specs.sort_by_key(|spec| spec.name);
        write!(
            text,
            "\n## {}\n\n| command | arity | since | what it does | concurrently |\n|---|---|---|---|---|\n",
            title(group)
        )
        .expect("a string takes everything");
        for spec in specs {
            row(&mut text, spec, &semantics);
        }
    }
    not_supported(&mut text);
    limits(&mut text);
    settings(&mut text);
    text
}

fn title(group: &str) -> String {
    let (first, rest) = group.split_at(1);
    format!("{}{rest}", first.to_ascii_uppercase())
}

fn row(text: &mut String, spec: &Spec, semantics: &str) {
    let name = spec.name.to_ascii_uppercase();
    let since = since(spec.name).unwrap_or("Isles only");
    let link = match spec.flags.has(Flags::WRITE) && spec.keys != Keys::None {
        true => link(spec, semantics).unwrap_or_default(),
        false => String::new(),
    };
    writeln!(
        text,
        "| `{name}` | {} | {since} | {} | {link} |",
        spec.arity, spec.summary
    )
    .expect("a string takes everything");
}

/// The section about a command's family: the one whose heading begins with its name.
fn link(spec: &Spec, semantics: &str) -> Option<String> {
    let wanted = match spec.name {
        name if name.starts_with("isles.flag") => "flags",
        name if name.starts_with("isles.bcounter") => "bounded counters",
        "incr" | "incrby" | "decr" | "decrby" => "counters",
        "expire" | "expireat" | "pexpire" | "pexpireat" | "persist" => "expiry",
        "isles.cas" | "isles.set" => "strings",
        _ => match spec.family.name() {
            "keys" => "whole keys",
            // A place is a score.
            "geo" => "sorted sets",
            other => other,
        },
    };
    let wanted = wanted.replace(['_', '-'], " ");
    let headings = semantics
        .lines()
        .filter_map(|line| line.strip_prefix("## "));
    let heading = headings
        .into_iter()
        .find(|heading| heading.to_ascii_lowercase().starts_with(&wanted))?;
    let anchor: String = heading
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    Some(format!("[{heading}](semantics.md#{anchor})"))
}

fn not_supported(text: &mut String) {
    text.push_str(
        "\n## Not supported\n\nThese commands and subcommands of Redis 7 answer `-ERR … is not supported by Isles` with the reason.\n\n\
         | commands | why not | instead |\n|---|---|---|\n",
    );
    for each in unsupported::ALL {
        let names = each
            .names
            .iter()
            .filter(|name| table::find(name.as_bytes()).is_none());
        let names: Vec<String> = names
            .map(|name| format!("`{}`", name.to_ascii_uppercase()))
            .collect();
        if !names.is_empty() {
            writeln!(
                text,
                "| {} | {} | {} |",
                names.join(" "),
                each.reason,
                each.instead
            )
            .expect("a string takes everything");
        }
    }
}

/// What is refused because of its size, or because of an option.
fn limits(text: &mut String) {
    let entry_bytes = crate::ServeOptions::default().max_entry_bytes;
    let key_bytes = isles_replica::KEY_BYTES_MAX;
    write!(
        text,
        "\n## Limits\n\n\
         - One write, and all that one `MULTI` or script writes together, takes {entry_bytes} bytes at most, since it goes to the other regions as one: \
         a larger value, `RENAME` or `COPY` of more, or a `DEL` of a set with longer names whose rule is remove-wins, or is to be as its keyspace says, is refused. \
         `ISLES.KEYSPACE MIGRATE` rewrites some ten thousand members of a set, or 1 MB of their names, with each call, and not at all those with names of more than 16 MiB. Strings are shorter than that too, where Redis has 512 MB.\n\
         - A key has {key_bytes} bytes at most. Limits of groups, siblings and modules stand beside them: [semantics](semantics.md), [resolvers](resolvers.md).\n\
         - `RENAME` and `COPY` of a collection write all of it anew, in time proportional to its size: another region may change the old one meanwhile.\n\
         - `SELECT` knows 0 only, `COPY … DB` likewise. `ACL SETUSER` and `DELUSER` and `SCRIPT DEBUG` are refused, and scripts find no `redis.breakpoint` and `redis.debug`. \
         `RESTORE` takes what `DUMP` of an Isles node has given, not payloads of Redis.\n\
         - Of `notify-keyspace-events`, `m` is taken and never sent: every look-up would have to be watched for it. Nor are `e` and `d`: nothing is evicted, and there are no modules.\n\
         - Scores and floats are printed with the digits that are needed to read them back (`0.1`), as Redis does from 7.2 on; floats have 64 bits, where \
         `INCRBYFLOAT` of Redis has 80.\n\
         - `cjson` nests 200 tables, in Redis 1000: what fits a thread's stack also where a script calls itself before. A script's error says the line that it was on, but where a script of several lines ends in `return redis.call(…)`.\n\
         - `XADD key ms-*` gives what Redis gives, and so may give one id in two regions; `*` does not: [streams](semantics.md#streams). `DUMP` of a stream has its entries and not its consumer groups, \
         nor what is pending in them.\n\
         - Small things that answer otherwise than in Redis: `GEOADD` of longitude 180 lies at the edge, where Redis has its score overflow; `OBJECT ENCODING` says `embstr` of a short string however it was \
         written, Redis `raw` of one that was edited; `SORT … BY pattern` without any weight to be found orders by the elements, Redis leaves them as they lie; a radius or unit that is wrong is refused also where \
         the key is absent; a table of a script that holds a number beyond 64 bits answers the greatest or the least one; of two mistakes in one command another one may be named; a cursor that no \
         `SCAN` has given answers something else.\n"
    )
    .expect("a string takes everything");
}

/// Settings of Redis for which there is nothing here that they could change.
const WITHOUT_EFFECT: &[&str] = &[
    "active-expire-effort",
    "activedefrag",
    "activerehashing",
    "appendfsync",
    "appendonly",
    "auto-aof-rewrite-min-size",
    "auto-aof-rewrite-percentage",
    "client-output-buffer-limit",
    "client-query-buffer-limit",
    "hz",
    "io-threads",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-user-flush",
    "loglevel",
    "maxmemory",
    "maxmemory-clients",
    "maxmemory-policy",
    "maxmemory-samples",
    "rdbchecksum",
    "rdbcompression",
    "repl-backlog-size",
    "repl-diskless-sync",
    "repl-diskless-sync-delay",
    "repl-timeout",
    "save",
    "stop-writes-on-bgsave-error",
];

/// Settings that are known and change nothing.
fn settings(text: &mut String) {
    assert!(
        WITHOUT_EFFECT
            .iter()
            .all(|name| crate::settings::is_tolerated(name))
    );
    let names: Vec<String> = WITHOUT_EFFECT
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    write!(
        text,
        "\n## Settings without effect\n\n\
         Clients and tools set them, so `CONFIG SET` takes them and `CONFIG GET` repeats them; they change nothing. What they would do is decided elsewhere: durability by `durability` \
         of the configuration file, limits of buffers by `redis.max_outbox_bytes`; memory by \
         `memory.max`, above which keys leave memory for the disk and none is evicted.\n\n{}\n",
        names.join(" ")
    )
    .expect("a string takes everything");
}

/// Every command of Redis 7.0, with the version that brought it.
const REDIS: &[(&str, &str)] = &[
    ("acl", "6.0.0"),
    ("append", "2.0.0"),
    ("asking", "3.0.0"),
    ("auth", "1.0.0"),
    ("bgrewriteaof", "1.0.0"),
    ("bgsave", "1.0.0"),
    ("bitcount", "2.6.0"),
    ("bitfield", "3.2.0"),
    ("bitfield_ro", "6.0.0"),
    ("bitop", "2.6.0"),
    ("bitpos", "2.8.7"),
    ("blmove", "6.2.0"),
    ("blmpop", "7.0.0"),
    ("blpop", "2.0.0"),
    ("brpop", "2.0.0"),
    ("brpoplpush", "2.2.0"),
    ("bzmpop", "7.0.0"),
    ("bzpopmax", "5.0.0"),
    ("bzpopmin", "5.0.0"),
    ("client", "2.4.0"),
    ("cluster", "3.0.0"),
    ("command", "2.8.13"),
    ("config", "2.0.0"),
    ("copy", "6.2.0"),
    ("dbsize", "1.0.0"),
    ("debug", "1.0.0"),
    ("decr", "1.0.0"),
    ("decrby", "1.0.0"),
    ("del", "1.0.0"),
    ("discard", "2.0.0"),
    ("dump", "2.6.0"),
    ("echo", "1.0.0"),
    ("eval", "2.6.0"),
    ("eval_ro", "7.0.0"),
    ("evalsha", "2.6.0"),
    ("evalsha_ro", "7.0.0"),
    ("exec", "1.2.0"),
    ("exists", "1.0.0"),
    ("expire", "1.0.0"),
    ("expireat", "1.2.0"),
    ("expiretime", "7.0.0"),
    ("failover", "6.2.0"),
    ("fcall", "7.0.0"),
    ("fcall_ro", "7.0.0"),
    ("flushall", "1.0.0"),
    ("flushdb", "1.0.0"),
    ("function", "7.0.0"),
    ("geoadd", "3.2.0"),
    ("geodist", "3.2.0"),
    ("geohash", "3.2.0"),
    ("geopos", "3.2.0"),
    ("georadius", "3.2.0"),
    ("georadius_ro", "3.2.10"),
    ("georadiusbymember", "3.2.0"),
    ("georadiusbymember_ro", "3.2.10"),
    ("geosearch", "6.2.0"),
    ("geosearchstore", "6.2.0"),
    ("get", "1.0.0"),
    ("getbit", "2.2.0"),
    ("getdel", "6.2.0"),
    ("getex", "6.2.0"),
    ("getrange", "2.4.0"),
    ("getset", "1.0.0"),
    ("hdel", "2.0.0"),
    ("hello", "6.0.0"),
    ("hexists", "2.0.0"),
    ("hget", "2.0.0"),
    ("hgetall", "2.0.0"),
    ("hincrby", "2.0.0"),
    ("hincrbyfloat", "2.6.0"),
    ("hkeys", "2.0.0"),
    ("hlen", "2.0.0"),
    ("hmget", "2.0.0"),
    ("hmset", "2.0.0"),
    ("hrandfield", "6.2.0"),
    ("hscan", "2.8.0"),
    ("hset", "2.0.0"),
    ("hsetnx", "2.0.0"),
    ("hstrlen", "3.2.0"),
    ("hvals", "2.0.0"),
    ("incr", "1.0.0"),
    ("incrby", "1.0.0"),
    ("incrbyfloat", "2.6.0"),
    ("info", "1.0.0"),
    ("keys", "1.0.0"),
    ("lastsave", "1.0.0"),
    ("latency", "2.8.13"),
    ("lcs", "7.0.0"),
    ("lindex", "1.0.0"),
    ("linsert", "2.2.0"),
    ("llen", "1.0.0"),
    ("lmove", "6.2.0"),
    ("lmpop", "7.0.0"),
    ("lolwut", "5.0.0"),
    ("lpop", "1.0.0"),
    ("lpos", "6.0.6"),
    ("lpush", "1.0.0"),
    ("lpushx", "2.2.0"),
    ("lrange", "1.0.0"),
    ("lrem", "1.0.0"),
    ("lset", "1.0.0"),
    ("ltrim", "1.0.0"),
    ("memory", "4.0.0"),
    ("mget", "1.0.0"),
    ("migrate", "2.6.0"),
    ("module", "4.0.0"),
    ("monitor", "1.0.0"),
    ("move", "1.0.0"),
    ("mset", "1.0.1"),
    ("msetnx", "1.0.1"),
    ("multi", "1.2.0"),
    ("object", "2.2.3"),
    ("persist", "2.2.0"),
    ("pexpire", "2.6.0"),
    ("pexpireat", "2.6.0"),
    ("pexpiretime", "7.0.0"),
    ("pfadd", "2.8.9"),
    ("pfcount", "2.8.9"),
    ("pfdebug", "2.8.9"),
    ("pfmerge", "2.8.9"),
    ("pfselftest", "2.8.9"),
    ("ping", "1.0.0"),
    ("psetex", "2.6.0"),
    ("psubscribe", "2.0.0"),
    ("psync", "2.8.0"),
    ("pttl", "2.6.0"),
    ("publish", "2.0.0"),
    ("pubsub", "2.8.0"),
    ("punsubscribe", "2.0.0"),
    ("quit", "1.0.0"),
    ("randomkey", "1.0.0"),
    ("readonly", "3.0.0"),
    ("readwrite", "3.0.0"),
    ("rename", "1.0.0"),
    ("renamenx", "1.0.0"),
    ("replconf", "3.0.0"),
    ("replicaof", "5.0.0"),
    ("reset", "6.2.0"),
    ("restore", "2.6.0"),
    ("restore-asking", "3.0.0"),
    ("role", "2.8.12"),
    ("rpop", "1.0.0"),
    ("rpoplpush", "1.2.0"),
    ("rpush", "1.0.0"),
    ("rpushx", "2.2.0"),
    ("sadd", "1.0.0"),
    ("save", "1.0.0"),
    ("scan", "2.8.0"),
    ("scard", "1.0.0"),
    ("script", "2.6.0"),
    ("sdiff", "1.0.0"),
    ("sdiffstore", "1.0.0"),
    ("select", "1.0.0"),
    ("sentinel", "2.8.4"),
    ("set", "1.0.0"),
    ("setbit", "2.2.0"),
    ("setex", "2.0.0"),
    ("setnx", "1.0.0"),
    ("setrange", "2.2.0"),
    ("shutdown", "1.0.0"),
    ("sinter", "1.0.0"),
    ("sintercard", "7.0.0"),
    ("sinterstore", "1.0.0"),
    ("sismember", "1.0.0"),
    ("slaveof", "1.0.0"),
    ("slowlog", "2.2.12"),
    ("smembers", "1.0.0"),
    ("smismember", "6.2.0"),
    ("smove", "1.0.0"),
    ("sort", "1.0.0"),
    ("sort_ro", "7.0.0"),
    ("spop", "1.0.0"),
    ("spublish", "7.0.0"),
    ("srandmember", "1.0.0"),
    ("srem", "1.0.0"),
    ("sscan", "2.8.0"),
    ("ssubscribe", "7.0.0"),
    ("strlen", "2.2.0"),
    ("subscribe", "2.0.0"),
    ("substr", "1.0.0"),
    ("sunion", "1.0.0"),
    ("sunionstore", "1.0.0"),
    ("sunsubscribe", "7.0.0"),
    ("swapdb", "4.0.0"),
    ("sync", "1.0.0"),
    ("time", "2.6.0"),
    ("touch", "3.2.1"),
    ("ttl", "1.0.0"),
    ("type", "1.0.0"),
    ("unlink", "4.0.0"),
    ("unsubscribe", "2.0.0"),
    ("unwatch", "2.2.0"),
    ("wait", "3.0.0"),
    ("watch", "2.2.0"),
    ("xack", "5.0.0"),
    ("xadd", "5.0.0"),
    ("xautoclaim", "6.2.0"),
    ("xclaim", "5.0.0"),
    ("xdel", "5.0.0"),
    ("xgroup", "5.0.0"),
    ("xinfo", "5.0.0"),
    ("xlen", "5.0.0"),
    ("xpending", "5.0.0"),
    ("xrange", "5.0.0"),
    ("xread", "5.0.0"),
    ("xreadgroup", "5.0.0"),
    ("xrevrange", "5.0.0"),
    ("xsetid", "5.0.0"),
    ("xtrim", "5.0.0"),
    ("zadd", "1.2.0"),
    ("zcard", "1.2.0"),
    ("zcount", "2.0.0"),
    ("zdiff", "6.2.0"),
    ("zdiffstore", "6.2.0"),
    ("zincrby", "1.2.0"),
    ("zinter", "6.2.0"),
    ("zintercard", "7.0.0"),
    ("zinterstore", "2.0.0"),
    ("zlexcount", "2.8.9"),
    ("zmpop", "7.0.0"),
    ("zmscore", "6.2.0"),
    ("zpopmax", "5.0.0"),
    ("zpopmin", "5.0.0"),
    ("zrandmember", "6.2.0"),
    ("zrange", "1.2.0"),
    ("zrangebylex", "2.8.9"),
    ("zrangebyscore", "1.0.5"),
    ("zrangestore", "6.2.0"),
    ("zrank", "2.0.0"),
    ("zrem", "1.2.0"),
    ("zremrangebylex", "2.8.9"),
    ("zremrangebyrank", "2.0.0"),
    ("zremrangebyscore", "1.2.0"),
    ("zrevrange", "1.2.0"),
    ("zrevrangebylex", "2.8.9"),
    ("zrevrangebyscore", "2.2.0"),
    ("zrevrank", "2.0.0"),
    ("zscan", "2.8.0"),
    ("zscore", "1.2.0"),
    ("zunion", "6.2.0"),
    ("zunionstore", "2.0.0"),
];
