//! COMMAND: the table, as clients read it.

use super::categories;
use super::config::help;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::glob::{Case, Glob};
use crate::reply::Reply;
use crate::spec::{Flags, Keys, Spec, Subcommand};
use crate::table;

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("count", 2),
    ("docs", -2),
    ("getkeys", -4),
    ("getkeysandflags", -4),
    ("help", 2),
    ("info", -2),
    ("list", -2),
];

pub(super) fn command(call: &mut Call<'_, '_>) -> Outcome {
    let Some((subcommand, rest)) = call.args[1..].split_first() else {
        return infos(call, &[]);
    };
    let known = |word| is(subcommand, word);
    match rest {
        [] if known("COUNT") => call.reply.count(table::all().len()),
        _ if known("INFO") => infos(call, rest)?,
        _ if known("DOCS") => docs(call, rest),
        _ if known("LIST") => list(call, rest)?,
        _ if known("GETKEYS") => get_keys(call, rest)?,
        _ if known("GETKEYSANDFLAGS") => get_keys_and_flags(call, rest)?,
        [] if known("HELP") => {
            let lines = [
                "(no subcommand)",
                "COUNT",
                "DOCS [<command-name> ...]",
                "GETKEYS <full-command>",
                "GETKEYSANDFLAGS <full-command>",
                "INFO [<command-name> ...]",
                "LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]",
            ];
            help(call, "COMMAND", &lines);
        }
        _ => return Err(Failure::subcommand(subcommand, "COMMAND")),
    }
    Ok(())
}

/// All commands, or those named; nothing where there is none of the name.
fn infos(call: &mut Call<'_, '_>, names: &[&[u8]]) -> Outcome {
    if names.is_empty() {
        call.reply.array(table::all().len());
        let all = table::all().iter();
        all.for_each(|spec| info(call.reply, spec, None));
        return Ok(());
    }
    call.reply.array(names.len());
    for name in names {
        match find(name) {
            Some((spec, subcommand)) => info(call.reply, spec, subcommand),
            None => call.reply.null_array(),
        }
    }
    Ok(())
}

/// A command, or one of its subcommands after a bar.
fn find(name: &[u8]) -> Option<(&'static Spec, Option<&'static Subcommand>)> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let spec = table::find(parts.next()?)?.spec();
    let Some(wanted) = parts.next() else {
        return Some((spec, None));
    };
    let subcommand = spec.subcommands.iter().find(|(name, _)| is(wanted, name))?;
    Some((spec, Some(subcommand)))
}

/// Every name that COMMAND LIST knows, with the command that it belongs to, and as which subcommand.
fn names() -> impl Iterator<Item = (String, &'static Spec, Option<&'static str>)> {
    table::all().iter().flat_map(|spec| {
        let subcommands = spec.subcommands.iter();
        let subcommands =
            subcommands.map(|(name, _)| (format!("{}|{name}", spec.name), *spec, Some(*name)));
        std::iter::once((spec.name.to_owned(), *spec, None)).chain(subcommands)
    })
}

/// What Redis refuses when its memory is full. Nothing is refused for that here; clients are told of it.
const DENY_OOM: [&str; 57] = [
    "append",
    "bitfield",
    "bitop",
    "blmove",
    "brpoplpush",
    "copy",
    "decr",
    "decrby",
    "function|load",
    "function|restore",
    "geoadd",
    "georadius",
    "georadiusbymember",
    "geosearchstore",
    "getset",
    "hincrby",
    "hincrbyfloat",
    "hmset",
    "hset",
    "hsetnx",
    "incr",
    "incrby",
    "incrbyfloat",
    "linsert",
    "lmove",
    "lpush",
    "lpushx",
    "lset",
    "mset",
    "msetnx",
    "pfadd",
    "pfmerge",
    "psetex",
    "restore",
    "rpoplpush",
    "rpush",
    "rpushx",
    "sadd",
    "sdiffstore",
    "set",
    "setbit",
    "setex",
    "setnx",
    "setrange",
    "sinterstore",
    "sort",
    "sunionstore",
    "xadd",
    "xgroup|create",
    "xgroup|createconsumer",
    "xsetid",
    "zadd",
    "zdiffstore",
    "zincrby",
    "zinterstore",
    "zrangestore",
    "zunionstore",
];

/// The flags of a command, or of a subcommand of it.
fn flags(spec: &Spec, name: &str) -> Vec<&'static str> {
    let denied = DENY_OOM.contains(&name).then_some("denyoom");
    spec.flags.names().chain(denied).collect()
}

fn info(reply: &mut Reply, spec: &Spec, subcommand: Option<&Subcommand>) {
    let (name, arity) = match subcommand {
        Some((name, arity)) => (format!("{}|{name}", spec.name), *arity),
        None => (spec.name.to_owned(), spec.arity),
    };
    let flags = flags(spec, &name);
    let (first, last, step) = match spec.keys {
        Keys::Range { first, last, step } => (first, last as i64, step),
        Keys::Channels { last } => (1, last as i64, 1),
        Keys::StoredCounted { .. } | Keys::AfterStore => (1, 1, 1),
        Keys::And { first, .. } => (first, first as i64, 1),
        Keys::None | Keys::Counted { .. } | Keys::AfterStreams => (0, 0, 0),
    };
    reply.array(10);
    reply.text(name);
    reply.integer(i64::from(arity));
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.count(first);
    reply.integer(last);
    reply.count(step);
    show_categories(
        reply,
        &categories::of(spec, subcommand.map(|(name, _)| *name)),
    );
    // Tips.
    reply.array(0);
    key_specification(reply, spec);
    subcommands(reply, spec);
}

fn show_categories(reply: &mut Reply, categories: &[&str]) {
    reply.set(categories.len());
    for category in categories {
        reply.simple(&format!("@{category}"));
    }
}

/// Where the keys are, in the words of Redis 7. A key after a word has no specification.
fn key_specification(reply: &mut Reply, spec: &Spec) {
    let (begin, find) = match spec.keys {
        // Keys after a word have no specification.
        Keys::None | Keys::AfterStreams => return reply.array(0),
        Keys::Channels { last } => {
            let last = if last < 0 { last } else { last - 1 };
            let find = [("lastkey", last as i64), ("keystep", 1), ("limit", 0)];
            (1, ("range", find))
        }
        Keys::Range { first, last, step } => {
            // Redis counts from the first key, or from the end.
            let last = if last < 0 {
                last
            } else {
                last - first as isize
            };
            let find = [
                ("lastkey", last as i64),
                ("keystep", step as i64),
                ("limit", 0),
            ];
            (first, ("range", find))
        }
        Keys::And { .. } | Keys::StoredCounted { .. } | Keys::AfterStore => {
            let find = [("lastkey", 0), ("keystep", 1), ("limit", 0)];
            let first = match spec.keys {
                Keys::And { first, .. } => first,
                _ => 1,
            };
            (first, ("range", find))
        }
        Keys::Counted { at } => {
            let find = [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)];
            (at, ("keynum", find))
        }
    };
    reply.array(1);
    reply.map(3);
    reply.text("flags");
    let flags = match spec.keys {
        Keys::Channels { .. } => &["not_key"],
        _ => key_flags(spec, 0),
    };
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.text("begin_search");
    reply.map(2);
    reply.text("type");
    reply.text("index");
    reply.text("spec");
    reply.map(1);
    reply.text("index");
    reply.count(begin);
    reply.text("find_keys");
    reply.map(2);
    reply.text("type");
    reply.text(find.0);
    reply.text("spec");
    reply.map(find.1.len());
    for (name, value) in find.1 {
        reply.text(name);
        reply.integer(value);
    }
}

fn subcommands(reply: &mut Reply, spec: &Spec) {
    reply.array(spec.subcommands.len());
    for (subcommand, arity) in spec.subcommands {
        reply.array(10);
        let name = format!("{}|{subcommand}", spec.name);
        let flags = flags(spec, &name);
        reply.text(name);
        reply.integer(i64::from(*arity));
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
        for _ in 0..3 {
            reply.integer(0);
        }
        show_categories(reply, &categories::of(spec, Some(subcommand)));
        for _ in 0..3 {
            reply.array(0);
        }
    }
}

fn docs(call: &mut Call<'_, '_>, names: &[&[u8]]) {
    let specs: Vec<&Spec> = if names.is_empty() {
        table::all().to_vec()
    } else {
        names
            .iter()
            .filter_map(|name| table::find(name))
            .map(table::CommandId::spec)
            .collect()
    };
    call.reply.map(specs.len());
    for spec in specs {
        call.reply.text(spec.name);
        call.reply.map(2);
        call.reply.text("summary");
        call.reply.text(spec.summary);
        call.reply.text("group");
        call.reply.text(spec.family.group());
    }
}

fn list(call: &mut Call<'_, '_>, options: &[&[u8]]) -> Outcome {
    let all = names();
    let names: Vec<String> = match *options {
        [] => all.map(|(name, ..)| name).collect(),
        [by, pattern, value] if is(by, "FILTERBY") && is(pattern, "PATTERN") => {
            let glob = Glob::new(value, Case::Ignored)?;
            all.map(|(name, ..)| name)
                .filter(|name| glob.matches(name.as_bytes()))
                .collect()
        }
        [by, category, value] if is(by, "FILTERBY") && is(category, "ACLCAT") => all
            .filter(|(_, spec, subcommand)| {
                let categories = categories::of(spec, *subcommand);
                categories.iter().any(|category| is(value, category))
            })
            .map(|(name, ..)| name)
            .collect(),
        [by, module, _] if is(by, "FILTERBY") && is(module, "MODULE") => Vec::new(),
        _ => return Err(Failure::Syntax),
    };
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.text(name));
    Ok(())
}

fn get_keys(call: &mut Call<'_, '_>, full: &[&[u8]]) -> Outcome {
    let (_, keys) = keys_of(full)?;
    call.reply.array(keys.len());
    keys.iter().for_each(|key| call.reply.bulk(key));
    Ok(())
}

fn get_keys_and_flags(call: &mut Call<'_, '_>, full: &[&[u8]]) -> Outcome {
    let (spec, keys) = keys_of(full)?;
    call.reply.array(keys.len());
    for (index, key) in keys.iter().enumerate() {
        let flags = key_flags(spec, index);
        call.reply.array(2);
        call.reply.bulk(key);
        call.reply.set(flags.len());
        flags.iter().for_each(|flag| call.reply.simple(flag));
    }
    Ok(())
}

fn keys_of<'a>(full: &[&'a [u8]]) -> Result<(&'static Spec, Vec<&'a [u8]>), Failure> {
    let command =
        table::find(full[0]).ok_or_else(|| Failure::other("ERR Invalid command specified"))?;
    let spec = command.spec();
    if matches!(spec.keys, Keys::None | Keys::Channels { .. }) {
        return Err(Failure::other("ERR The command has no key arguments"));
    }
    if spec.check(full).is_err() {
        return Err(Failure::other(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    // Of these only some subcommands have a key, and always there.
    let keys = match spec.name {
        "memory" | "object" | "xgroup" | "xinfo" => full.get(2).copied().into_iter().collect(),
        _ => spec.keys_of(full),
    };
    if keys.is_empty() && !spec.flags.has(Flags::MOVABLE_KEYS) {
        return Err(Failure::other("ERR The command has no key arguments"));
    }
    Ok((spec, keys))
}

/// What a command does to its keys, as far as the table tells: Redis's words for it.
fn key_flags(spec: &Spec, index: usize) -> &'static [&'static str] {
    match (spec.name, index) {
        ("set" | "setex" | "psetex" | "mset" | "getset", _) | ("sort", 1) => &["OW", "update"],
        ("setnx" | "msetnx", _) => &["OW", "insert"],
        ("sort", _) => &["RO", "access"],
        ("del" | "unlink", _) => &["RM", "delete"],
        ("lmove" | "blmove" | "rpoplpush" | "brpoplpush" | "smove" | "rename" | "renamenx", 0) => {
            &["RW", "access", "delete"]
        }
        ("lmove" | "blmove" | "rpoplpush" | "brpoplpush" | "smove", _) => &["RW", "insert"],
        _ if spec.flags.has(Flags::READ) => &["RO", "access"],
        _ => &["RW", "access", "update"],
    }
}
