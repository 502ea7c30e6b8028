//! `isles conflicts`: finds, explains and puts right conflicts, over the Redis port of a running node.
//!
//! In reading order: `options` is the command line; `list` shows records and `table`
//! how; `wizard` restores many; `repair` the rest that writes.

mod list;
pub(crate) mod options;
mod repair;
pub(crate) mod table;
mod wizard;

use std::io::{self, Write};
use std::time::Duration;

use isles_resp::resp3::Value;

use self::options::{ConflictsCommand, ConflictsOptions};
use crate::redis_client::Client;

/// Does what the command line asks for.
///
/// # Errors
/// The node does not answer, or refuses; the error says what to do.
pub(crate) fn run(options: &ConflictsOptions) -> anyhow::Result<()> {
    let timeout = Duration::from_millis(options.timeout_ms);
    let mut client = Journal(Client::connect(&options.redis, timeout)?);
    let mut output = Output {
        json: options.json,
        stream: io::stdout(),
    };
    match &options.command {
        ConflictsCommand::List(list) => list::list(&mut client, list, &mut output),
        ConflictsCommand::Follow(follow) => list::follow(&mut client, follow, &mut output),
        ConflictsCommand::Show { id } => list::show(&mut client, id, &mut output),
        ConflictsCommand::Stats => list::stats(&mut client, &mut output),
        ConflictsCommand::Restore(restore) => match &restore.id {
            Some(id) => repair::restore(&mut client, id, restore, &mut output),
            None => wizard::restore(&mut client, restore, &mut output),
        },
        ConflictsCommand::Resolve(resolve) => repair::resolve(&mut client, resolve, &mut output),
        ConflictsCommand::Replay(replay) => repair::replay(&mut client, replay, &mut output),
    }
}

/// The journal of conflicts of a node.
struct Journal(Client);

impl Journal {
    /// # Errors
    /// The node refuses, in its words, or does not answer.
    fn conflicts<S: AsRef<[u8]>>(&mut self, words: &[S]) -> anyhow::Result<Value> {
        self.0.demand(&question(words))
    }

    /// The same, where a refusal is an answer.
    ///
    /// # Errors
    /// The node does not answer.
    fn refusable<S: AsRef<[u8]>>(&mut self, words: &[S]) -> anyhow::Result<Value> {
        self.0.ask(&question(words))
    }
}

fn question<S: AsRef<[u8]>>(words: &[S]) -> Vec<&[u8]> {
    let name: &[u8] = b"ISLES.CONFLICTS";
    std::iter::once(name)
        .chain(words.iter().map(AsRef::as_ref))
        .collect()
}

/// Where answers go. Whoever reads may stop to: that is an error here and not a panic.
struct Output {
    json: bool,
    stream: io::Stdout,
}

impl Output {
    /// A line for a program, where one asked; else a line for people.
    fn line(&mut self, value: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        match self.json {
            true => writeln!(self.stream, "{}", value.to_json()),
            false => writeln!(self.stream, "{}", text().trim_end()),
        }
    }

    fn say_json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        writeln!(self.stream, "{value}")
    }

    /// A line for people only.
    fn say(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        match self.json {
            true => Ok(()),
            false => writeln!(self.stream, "{}", text.as_ref().trim_end()),
        }
    }
}
