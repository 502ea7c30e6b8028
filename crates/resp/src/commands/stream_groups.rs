//! XGROUP and XACK.

use isles_replica::{GroupError, GroupStart, StreamId};

use super::config::help;
use super::stream_read::start;
use super::streams::id;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome, preview};
use crate::spec::Subcommand;

pub(super) const XGROUP: &[Subcommand] = &[
    ("create", -5),
    ("createconsumer", 5),
    ("delconsumer", 5),
    ("destroy", 4),
    ("help", 2),
    ("setid", -5),
];

/// How a command names what it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// The key.
    Key,
    /// The group; the key is there.
    Group,
    /// Either.
    KeyOrGroup,
    /// Either, as XREADGROUP says it.
    ToRead,
}

/// What a command on a group answers when it cannot be done.
pub(super) fn refused(error: GroupError, lacking: Lacking, key: &[u8], group: &[u8]) -> Failure {
    let (key, group) = (preview(key), preview(group));
    Failure::other(match error {
        GroupError::WrongType => return Failure::WrongType,
        GroupError::NoStream if lacking == Lacking::Key => return Failure::NoSuchKey,
        GroupError::NoStream if lacking == Lacking::Group => return requires_key(),
        GroupError::NoStream | GroupError::NoGroup => match lacking {
            Lacking::Key | Lacking::Group => {
                format!("NOGROUP No such consumer group '{group}' for key name '{key}'")
            }
            Lacking::KeyOrGroup => {
                format!("NOGROUP No such key '{key}' or consumer group '{group}'")
            }
            Lacking::ToRead => format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            ),
        },
        GroupError::Exists => "BUSYGROUP Consumer Group name already exists".to_owned(),
        other => format!("ERR {other}"),
    })
}

fn requires_key() -> Failure {
    Failure::other(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
         to create an empty stream automatically.",
    )
}

pub(super) fn xgroup(call: &mut Call<'_, '_>) -> Outcome {
    let subcommand = call.args[1];
    match *call.args {
        [_, _] if is(subcommand, "HELP") => {
            help(call, "XGROUP", HELP);
            Ok(())
        }
        [_, _, key, name, at, ref options @ ..] if is(subcommand, "CREATE") => {
            let options = Options::parse(options, subcommand, true)?;
            let exists = call.txn.stream_info(key)?.is_some();
            if !exists && !options.creates_stream {
                return Err(requires_key());
            }
            let start = match at {
                b"$" => GroupStart::Last,
                at => GroupStart::After(id(at, 0)?),
            };
            let created =
                call.txn
                    .group_create(key, name, start, options.creates_stream, options.read);
            created.map_err(|error| refused(error, Lacking::Group, key, name))?;
            call.reply.ok();
            Ok(())
        }
        [_, _, key, name, at, ref options @ ..] if is(subcommand, "SETID") => {
            let options = Options::parse(options, subcommand, false)?;
            let refuse = |error| refused(error, Lacking::Group, key, name);
            call.txn.group_has_new(key, name).map_err(refuse)?;
            let at = match at {
                b"$" => GroupStart::Last,
                at => GroupStart::After(plain_or_edge(at)?),
            };
            call.txn
                .group_set_id(key, name, at, options.read)
                .map_err(refuse)?;
            call.reply.ok();
            Ok(())
        }
        [_, _, key, name] if is(subcommand, "DESTROY") => {
            let there = call.txn.group_destroy(key, name);
            let there = there.map_err(|error| refused(error, Lacking::Group, key, name))?;
            call.reply.flag(there);
            Ok(())
        }
        [_, _, key, name, consumer] if is(subcommand, "CREATECONSUMER") => {
            let created = call.txn.consumer_create(key, name, consumer);
            let created = created.map_err(|error| refused(error, Lacking::Group, key, name))?;
            call.reply.flag(created);
            Ok(())
        }
        [_, _, key, name, consumer] if is(subcommand, "DELCONSUMER") => {
            let pending = call.txn.consumer_remove(key, name, consumer);
            let pending = pending.map_err(|error| refused(error, Lacking::Group, key, name))?;
            call.reply.count(pending.unwrap_or(0));
            Ok(())
        }
        _ => Err(Failure::subcommand_or_arity(subcommand, "XGROUP")),
    }
}

const HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];

/// An id, or `-` or `+`.
fn plain_or_edge(text: &[u8]) -> Result<StreamId, Failure> {
    match text {
        b"-" | b"+" => start(text),
        text => id(text, 0),
    }
}

/// What follows the id of XGROUP CREATE and SETID.
#[derive(Default)]
struct Options {
    creates_stream: bool,
    read: Option<u64>,
}

impl Options {
    fn parse(words: &[&[u8]], subcommand: &[u8], creates: bool) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if creates && is(word, "MKSTREAM") {
                options.creates_stream = true;
            } else if is(word, "ENTRIESREAD")
                && let Some(number) = words.next()
            {
                options.read = match integer(number)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| {
                        Failure::other("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(Failure::subcommand_or_arity(subcommand, "XGROUP"));
            }
        }
        Ok(options)
    }
}

pub(super) fn xack(call: &mut Call<'_, '_>) -> Outcome {
    let (key, name) = (call.args[1], call.args[2]);
    // The type is looked at first, as Redis does.
    call.txn.stream_len(key)?;
    let lacks = matches!(
        call.txn.group_pending_span(key, name),
        Err(GroupError::NoStream | GroupError::NoGroup)
    );
    if lacks {
        call.reply.integer(0);
        return Ok(());
    }
    let ids: Vec<StreamId> = call.args[3..]
        .iter()
        .map(|text| id(text, 0))
        .collect::<Result<_, _>>()?;
    let acknowledged = call.txn.group_ack(key, name, &ids);
    let acknowledged =
        acknowledged.map_err(|error| refused(error, Lacking::KeyOrGroup, key, name))?;
    call.reply.count(acknowledged);
    Ok(())
}
