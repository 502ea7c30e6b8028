//! COMMAND: the table, as clients read it.

use super::config::help;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::glob::{self, Case};
use crate::reply::Reply;
use crate::spec::{Keys, Spec, Subcommand};
use crate::table;

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("count", 2),
    ("docs", -2),
    ("getkeys", -4),
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
        [] if known("HELP") => {
            let lines = [
                "(no subcommand)",
                "COUNT",
                "DOCS [<command-name> ...]",
                "GETKEYS <full-command>",
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
        table::all().iter().for_each(|spec| info(call.reply, spec));
        return Ok(());
    }
    call.reply.array(names.len());
    for name in names {
        match table::find(name) {
            Some(command) => info(call.reply, command.spec()),
            None => call.reply.null_array(),
        }
    }
    Ok(())
}

fn info(reply: &mut Reply, spec: &Spec) {
    let flags: Vec<&str> = spec.flags.names().collect();
    let (first, last, step) = match spec.keys {
        Keys::Range { first, last, step } => (first, last as i64, step),
        Keys::StoredCounted { .. } | Keys::AfterStore => (1, 1, 1),
        Keys::None | Keys::Counted { .. } | Keys::AfterStreams => (0, 0, 0),
    };
    reply.array(10);
    reply.text(spec.name);
    reply.integer(i64::from(spec.arity));
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.count(first);
    reply.integer(last);
    reply.count(step);
    reply.set(1);
    reply.simple(&format!("@{}", spec.family.group()));
    // Tips, key specifications and subcommands.
    reply.array(0);
    reply.array(0);
    reply.array(0);
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
    let all = table::all().iter();
    let names: Vec<&str> = match *options {
        [] => all.map(|spec| spec.name).collect(),
        [by, pattern, value] if is(by, "FILTERBY") && is(pattern, "PATTERN") => all
            .map(|spec| spec.name)
            .filter(|name| glob::matches(value, name.as_bytes(), Case::Ignored))
            .collect(),
        [by, category, value] if is(by, "FILTERBY") && is(category, "ACLCAT") => all
            .filter(|spec| is(value, spec.family.group()))
            .map(|spec| spec.name)
            .collect(),
        [by, module, _] if is(by, "FILTERBY") && is(module, "MODULE") => Vec::new(),
        _ => return Err(Failure::Syntax),
    };
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.text(name));
    Ok(())
}

fn get_keys(call: &mut Call<'_, '_>, full: &[&[u8]]) -> Outcome {
    let command =
        table::find(full[0]).ok_or_else(|| Failure::other("ERR Invalid command specified"))?;
    let spec = command.spec();
    if spec.check(full).is_err() {
        return Err(Failure::other(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let keys = spec.keys_of(full);
    if keys.is_empty() {
        return Err(Failure::other("ERR The command has no key arguments"));
    }
    call.reply.array(keys.len());
    keys.iter().for_each(|key| call.reply.bulk(key));
    Ok(())
}
