//! Keyspace notifications: which are wanted, and what changes are called.
//!
//! An own command's events have Redis's names. What a peer wrote arrives as an op, which no longer says which command it
//! was: its events have the name of the plainest command with the same effect. Nothing here runs while notifications are
//! off, as they are by default.

use std::sync::atomic::{AtomicU32, Ordering};

use isles_replica::op::{Base, GroupStep, KeyOp, Kind, Part, StreamPart};
use isles_replica::{Change, Effect, RemoteChange, Sight};

use crate::call::is;
use crate::number::parse_u64;

pub(crate) const KEYSPACE: u32 = 1;
pub(crate) const KEYEVENT: u32 = 1 << 1;
const GENERIC: u32 = 1 << 2;
const STRING: u32 = 1 << 3;
const LIST: u32 = 1 << 4;
const SET: u32 = 1 << 5;
const HASH: u32 = 1 << 6;
const ZSET: u32 = 1 << 7;
const EXPIRED: u32 = 1 << 8;
const EVICTED: u32 = 1 << 9;
const STREAM: u32 = 1 << 10;
const KEY_MISS: u32 = 1 << 11;
const MODULE: u32 = 1 << 12;
const NEW: u32 = 1 << 13;
const ALL: u32 = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;

/// Letters and what they select, in the order in which CONFIG GET shows them.
const LETTERS: [(char, u32); 15] = [
    ('g', GENERIC),
    ('$', STRING),
    ('l', LIST),
    ('s', SET),
    ('h', HASH),
    ('z', ZSET),
    ('x', EXPIRED),
    ('e', EVICTED),
    ('t', STREAM),
    ('d', MODULE),
    ('n', NEW),
    ('K', KEYSPACE),
    ('E', KEYEVENT),
    ('m', KEY_MISS),
    ('A', ALL),
];

/// What a letter that selects nothing is answered with.
pub(crate) const BAD_LETTER: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

/// Which notifications are sent. Nothing is evicted here and no module runs, so `e` and `d` select nothing. Nor does `m`: every
/// look-up would have to be watched for it.
#[derive(Debug, Default)]
pub(crate) struct Notifications(AtomicU32);

impl Notifications {
    pub(crate) fn flags(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether any notification can be sent at all: a class of events needs a kind of channel.
    pub(crate) fn are_on(&self) -> bool {
        self.flags() & (KEYSPACE | KEYEVENT) != 0
    }

    pub(crate) fn set(&self, flags: u32) {
        self.0.store(flags, Ordering::Relaxed);
    }
}

/// Reads the letters of `notify-keyspace-events`.
pub(crate) fn parse(letters: &str) -> Option<u32> {
    letters.chars().try_fold(0, |flags, letter| {
        let (_, flag) = LETTERS.iter().find(|(known, _)| *known == letter)?;
        Some(flags | flag)
    })
}

/// The letters of these flags, as Redis writes them.
pub(crate) fn show(flags: u32) -> String {
    let all = flags & ALL == ALL;
    let mut letters = String::from(if all { "A" } else { "" });
    for (letter, flag) in &LETTERS[..LETTERS.len() - 1] {
        if flags & flag != 0 && !(all && ALL & flag != 0) {
            letters.push(*letter);
        }
    }
    letters
}

/// Something that happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<'k> {
    class: u32,
    pub(crate) name: &'static str,
    pub(crate) key: &'k [u8],
}

impl Event<'_> {
    pub(crate) fn is_wanted(&self, flags: u32) -> bool {
        flags & self.class != 0
    }
}

/// How a command's event is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// This, and `del` after it if nothing is left of the key.
    Change(u32, &'static str),
    /// This, or just `del` if nothing is left.
    Whole(u32, &'static str),
    /// This, whatever is left.
    Always(u32, &'static str),
    /// As [`Naming::Whole`], and then that a deadline was set.
    WithDeadline(u32, &'static str),
}

/// The events of a command of this name.
pub(crate) fn of_own<'c>(
    command: &'static str,
    args: &[&[u8]],
    changes: &'c [Change],
) -> Vec<Event<'c>> {
    if let Some((pop, push)) = move_names(command, args) {
        return of_move(pop, push, args, changes);
    }
    let mut events = Vec::with_capacity(changes.len());
    for change in in_order(command, args, changes) {
        match change.effect {
            Effect::Expired => events.push(Event {
                class: EXPIRED,
                name: "expired",
                key: &change.key,
            }),
            Effect::Cleared => {}
            Effect::Written(sight) => {
                let naming = naming(command, args, &change.key);
                name(naming, sight, &change.key, &mut events);
                if command == "xadd" && sight.after && sight.trimmed {
                    events.push(Event {
                        class: STREAM,
                        name: "xtrim",
                        key: &change.key,
                    });
                }
            }
        }
    }
    events
}

/// How taking and putting are called in a command that moves an element between lists.
fn move_names(command: &str, args: &[&[u8]]) -> Option<(&'static str, &'static str)> {
    let is_left = |at: usize| args.get(at).is_some_and(|word| is(word, "left"));
    match command {
        "rpoplpush" | "brpoplpush" => Some(("rpop", "lpush")),
        "lmove" | "blmove" => Some((
            if is_left(3) { "lpop" } else { "rpop" },
            if is_left(4) { "lpush" } else { "rpush" },
        )),
        _ => None,
    }
}

/// Redis tells that the element was put before it tells that it was taken. A list that it was taken from and put back to
/// was never away.
fn of_move<'c>(
    pop: &'static str,
    push: &'static str,
    args: &[&[u8]],
    changes: &'c [Change],
) -> Vec<Event<'c>> {
    let rotates = args.get(1) == args.get(2);
    let (mut events, mut taken) = (Vec::new(), Vec::new());
    for change in changes {
        let key = &change.key;
        let class = LIST;
        match change.effect {
            Effect::Expired => events.push(Event {
                class: EXPIRED,
                name: "expired",
                key,
            }),
            Effect::Cleared => {}
            // Inside a transaction these are two changes.
            Effect::Written(_) if rotates => {
                if taken.is_empty() {
                    let [put, pop] = [push, pop].map(|name| Event { class, name, key });
                    events.push(put);
                    taken.push(pop);
                }
            }
            Effect::Written(sight) if args.get(1).is_some_and(|source| **source == **key) => {
                name(Naming::Change(LIST, pop), sight, key, &mut taken);
            }
            Effect::Written(sight) => name(Naming::Change(LIST, push), sight, key, &mut events),
        }
    }
    events.append(&mut taken);
    events
}

/// A rename is told from its source on.
fn in_order<'c>(
    command: &str,
    args: &[&[u8]],
    changes: &'c [Change],
) -> impl Iterator<Item = &'c Change> {
    let source = matches!(command, "rename" | "renamenx" | "smove").then(|| args[1].to_vec());
    let is_source = move |change: &&Change| source.as_ref().is_some_and(|key| **key == *change.key);
    let others = is_source.clone();
    changes
        .iter()
        .filter(is_source)
        .chain(changes.iter().filter(move |change| !others(change)))
}

fn name<'k>(naming: Naming, sight: Sight, key: &'k [u8], events: &mut Vec<Event<'k>>) {
    let mut push = |class, name| events.push(Event { class, name, key });
    if !sight.before && sight.after {
        push(NEW, "new");
    }
    let (Naming::Change(class, name)
    | Naming::Whole(class, name)
    | Naming::Always(class, name)
    | Naming::WithDeadline(class, name)) = naming;
    let gone = !sight.after;
    if !gone || matches!(naming, Naming::Change(..) | Naming::Always(..)) {
        push(class, name);
    }
    if gone && sight.before && !matches!(naming, Naming::Always(..)) {
        push(GENERIC, "del");
    }
    if !gone && sight.deadline && matches!(naming, Naming::WithDeadline(..)) {
        push(GENERIC, "expire");
    }
}

fn naming(command: &'static str, args: &[&[u8]], key: &[u8]) -> Naming {
    use Naming::{Always, Change, Whole, WithDeadline};
    let options_from = |at: usize| args.get(at..).unwrap_or_default();
    let is_first = args.get(1).is_some_and(|first| *first == key);
    match command {
        "setex" | "psetex" => WithDeadline(STRING, "set"),
        "set" if has(options_from(3), &["ex", "px", "exat", "pxat"]) => WithDeadline(STRING, "set"),
        "set" | "setnx" | "getset" | "mset" | "msetnx" | "bitop" => Whole(STRING, "set"),
        "incr" | "decr" | "incrby" | "decrby" => Whole(STRING, "incrby"),
        "append" => Whole(STRING, "append"),
        "setrange" => Whole(STRING, "setrange"),
        "incrbyfloat" => Whole(STRING, "incrbyfloat"),
        "setbit" | "bitfield" => Whole(STRING, "setbit"),
        "pfadd" | "pfmerge" => Whole(STRING, "pfadd"),
        "getex" if has(options_from(2), &["persist"]) => Whole(GENERIC, "persist"),
        "expire" | "pexpire" | "expireat" | "pexpireat" | "getex" => Whole(GENERIC, "expire"),
        "persist" => Whole(GENERIC, "persist"),
        "del" | "unlink" | "getdel" => Whole(GENERIC, "del"),
        "rename" | "renamenx" => match is_first {
            true => Always(GENERIC, "rename_from"),
            false => Always(GENERIC, "rename_to"),
        },
        "copy" => Whole(GENERIC, "copy_to"),
        "restore" => Whole(GENERIC, "restore"),
        "hset" | "hmset" | "hsetnx" => Change(HASH, "hset"),
        "hdel" => Change(HASH, "hdel"),
        "hincrby" => Change(HASH, "hincrby"),
        "hincrbyfloat" => Change(HASH, "hincrbyfloat"),
        "smove" if is_first => Change(SET, "srem"),
        "sadd" | "smove" => Change(SET, "sadd"),
        "srem" => Change(SET, "srem"),
        "spop" => Change(SET, "spop"),
        "sinterstore" => Whole(SET, "sinterstore"),
        "sunionstore" => Whole(SET, "sunionstore"),
        "sdiffstore" => Whole(SET, "sdiffstore"),
        _ => naming_of_sequences(command, args),
    }
}

/// Whether one of these options is among some arguments.
fn has(arguments: &[&[u8]], options: &[&str]) -> bool {
    let named = |argument: &&[u8]| options.iter().any(|option| is(argument, option));
    arguments.iter().any(named)
}

/// Whether ZADD has the option INCR: options end where the first score is.
fn increments(args: &[&[u8]]) -> bool {
    let options = args.iter().skip(2);
    let mut options =
        options.take_while(|word| has(&[word], &["nx", "xx", "gt", "lt", "ch", "incr"]));
    options.any(|word| is(word, "incr"))
}

/// The place after as many keys as the argument at this one says.
fn after_keys(args: &[&[u8]], at: usize) -> usize {
    let count = args.get(at).and_then(|count| parse_u64(count)).unwrap_or(0);
    usize::try_from(count).map_or(usize::MAX, |count| count.saturating_add(at + 1))
}

/// The same for sorted sets, lists and streams; a command that is in no table keeps its own name.
fn naming_of_sequences(command: &'static str, args: &[&[u8]]) -> Naming {
    use Naming::{Change, Whole};
    let named = |at: usize, word| args.get(at).is_some_and(|argument| is(argument, word));
    match command {
        "zincrby" => Change(ZSET, "zincr"),
        "zadd" if increments(args) => Change(ZSET, "zincr"),
        "zadd" | "geoadd" => Change(ZSET, "zadd"),
        "zmpop" if named(after_keys(args, 1), "max") => Change(ZSET, "zpopmax"),
        "bzmpop" if named(after_keys(args, 2), "max") => Change(ZSET, "zpopmax"),
        "zpopmin" | "bzpopmin" | "zmpop" | "bzmpop" => Change(ZSET, "zpopmin"),
        "zpopmax" | "bzpopmax" => Change(ZSET, "zpopmax"),
        "zrem" | "zremrangebyscore" | "zremrangebyrank" | "zremrangebylex" => Change(ZSET, command),
        "zunionstore" | "zinterstore" | "zdiffstore" | "zrangestore" | "geosearchstore" => {
            Whole(ZSET, command)
        }
        "georadius" | "georadiusbymember" => Whole(ZSET, "georadiusstore"),
        "lpush" | "lpushx" => Change(LIST, "lpush"),
        "rpush" | "rpushx" => Change(LIST, "rpush"),
        "blpop" => Change(LIST, "lpop"),
        "brpop" => Change(LIST, "rpop"),
        "lmpop" if named(after_keys(args, 1), "right") => Change(LIST, "rpop"),
        "blmpop" if named(after_keys(args, 2), "right") => Change(LIST, "rpop"),
        "lmpop" | "blmpop" => Change(LIST, "lpop"),
        "lpop" | "rpop" | "linsert" | "lset" | "ltrim" | "lrem" => Change(LIST, command),
        "sort" => Whole(LIST, "sortstore"),
        "xgroup" if named(1, "create") => Change(STREAM, "xgroup-create"),
        "xgroup" if named(1, "setid") => Change(STREAM, "xgroup-setid"),
        "xgroup" if named(1, "destroy") => Change(STREAM, "xgroup-destroy"),
        "xgroup" if named(1, "delconsumer") => Change(STREAM, "xgroup-delconsumer"),
        "xgroup" | "xreadgroup" | "xclaim" | "xautoclaim" => {
            Change(STREAM, "xgroup-createconsumer")
        }
        "xadd" | "xtrim" | "xdel" | "xsetid" => Change(STREAM, command),
        _ => Whole(GENERIC, command),
    }
}

/// The events of what a peer wrote.
pub(crate) fn of_remote<'c>(change: &RemoteChange<'c, '_>) -> Vec<Event<'c>> {
    let (key, sight) = (change.op.key.0, change.sight);
    let mut events = Vec::with_capacity(2);
    let mut push = |class, name| events.push(Event { class, name, key });
    if sight.lapsed {
        push(EXPIRED, "expired");
    }
    if !sight.before && sight.after {
        push(NEW, "new");
    }
    if sight.after {
        for part in &change.op.parts {
            match part {
                Part::Stream(part) => of_stream(part, &mut |name| push(STREAM, name)),
                // What an overwrite lists of the members that go is no removal that a client has asked for.
                Part::SetRw(part) if part.add.is_empty() && change.op.base != Base::Keep => {}
                // A removal that names a member under both rules of sets is one.
                Part::SetRw(part) if part.add.is_empty() && removes_of_both(change.op) => {}
                part => {
                    if let Some((class, name)) = of_part(part) {
                        push(class, name);
                    }
                }
            }
        }
    } else if sight.expired {
        push(EXPIRED, "expired");
    } else if sight.before {
        push(GENERIC, "del");
    }
    events
}

fn removes_of_both(op: &KeyOp<'_>) -> bool {
    let mut parts = op.parts.iter();
    parts.any(|part| matches!(part, Part::SetAw(part) if part.add.is_empty()))
}

fn of_part(part: &Part<'_>) -> Option<(u32, &'static str)> {
    Some(match part {
        // The tombstone of a register that something else replaces says nothing by itself.
        Part::RegisterLww { value: None, .. } => return None,
        Part::Map(part) if !part.put.is_empty() => (HASH, "hset"),
        Part::Map(part) if !part.add.is_empty() => (HASH, "hincrby"),
        Part::Map(_) => (HASH, "hdel"),
        Part::SortedSet(part) if !part.put.is_empty() => (ZSET, "zadd"),
        Part::SortedSet(part) if !part.add.is_empty() => (ZSET, "zincr"),
        Part::SortedSet(_) => (ZSET, "zrem"),
        Part::List(part) if !part.insert.is_empty() => (LIST, "rpush"),
        Part::List(part) if !part.set.is_empty() => (LIST, "lset"),
        Part::List(_) => (LIST, "lrem"),
        Part::SetAw(part) | Part::SetRw(part) if part.add.is_empty() => (SET, "srem"),
        Part::Deadline { at_ms: None, .. } => (GENERIC, "persist"),
        Part::Deadline { .. } => (GENERIC, "expire"),
        other => match other.kind()? {
            Kind::SetAw | Kind::SetRw => (SET, "sadd"),
            Kind::Counter => (STRING, "incrby"),
            Kind::HyperLogLog => (STRING, "pfadd"),
            _ => (STRING, "set"),
        },
    })
}

/// What was delivered to a group or acknowledged is not told, as in Redis.
fn of_stream(part: &StreamPart<'_>, push: &mut dyn FnMut(&'static str)) {
    // A trim may take the new entry too.
    if !part.add.is_empty() || (part.mark.is_some() && part.trim.is_some()) {
        push("xadd");
    } else if part.mark.is_some() && part.groups.is_empty() {
        push("xsetid");
    }
    if !part.remove.is_empty() {
        push("xdel");
    }
    if part.trim.is_some() {
        push("xtrim");
    }
    for step in &part.groups {
        match step {
            GroupStep::Create(_) => push("xgroup-create"),
            GroupStep::Destroy(_) => push("xgroup-destroy"),
            GroupStep::Change(change) if change.forget.is_some() => push("xgroup-delconsumer"),
            GroupStep::Change(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_written_as_redis_does() {
        for (given, shown) in [
            ("", ""),
            ("gKE", "gKE"),
            ("$lshzxeKE", "$lshzxeKE"),
            ("KA", "AK"),
            ("EA", "AE"),
            ("nKEA", "AnKE"),
            ("mKx", "xKm"),
        ] {
            assert_eq!(parse(given).map(show).as_deref(), Some(shown), "{given}");
        }
        assert_eq!(parse("Kq"), None);
    }
}
