//! The journal of conflicts: finding them, understanding them, and putting them right.
//!
//! In reading order: `query`, the filters that all subcommands share; `answer`, how a record looks; `list`, `stats` and
//! `replay` read; `repair` writes; `notify` has a connection told of its own losses.

mod answer;
mod list;
mod notify;
mod query;
mod repair;
mod replay;
mod stats;

use isles_clock::ReplicaId;
use isles_replica::{Journal, JournalRecord, Replica};

use self::answer::write_record;
use self::query::Query;
pub(crate) use self::replay::{Trial, Verdict};
use super::config::help;
use super::isles::data;
use crate::call::{Call, integer, is};
use crate::engine::{Host, Writer};
use crate::error::{Failure, Outcome, preview};
use crate::glob::{Case, Glob};
use crate::reply::{Protocol, Reply};
use crate::spec::Spec;

/// The command's name, by which a trial is found before the command runs.
pub(crate) const NAME: &str = "isles.conflicts";

pub(super) const COMMANDS: &[Spec] = &[
    data(
        NAME,
        -1,
        conflicts,
        "Lists, explains, restores and resolves conflicts.",
    )
    .subcommands(&[
        ("count", -3),
        ("follow", -2),
        ("help", 2),
        ("hot", -2),
        ("key", -3),
        ("list", -2),
        ("replay", -4),
        ("resolve", -6),
        ("restore", -3),
        ("show", 3),
        ("stats", 2),
    ])
    .write()
    .writing(&["resolve", "restore"])
    .no_multi()
    .no_script()
    .many()
    .long(),
    data(
        "isles.notify",
        -1,
        notify::notify,
        "Says whether this connection is told when a write of its own loses a conflict, or changes that.",
    )
    .no_multi()
    .no_script()
    .fast(),
];

/// Records that one answer lists unless told otherwise.
const CONFLICTS_DEFAULT: usize = 10;
/// Records that one answer of the plain form lists at most.
const CONFLICTS_MAX: usize = 10_000;

/// What subcommands that only read get to work with.
pub(super) struct Reading<'r> {
    pub(super) journal: &'r Journal,
    /// Who else knows of writers; nobody where there is only the journal.
    pub(super) host: Option<&'r dyn Host>,
    pub(super) now_ms: u64,
}

impl Reading<'_> {
    /// The node and the region that write under a replica id, as they are known now.
    fn writer(&self, replica: ReplicaId) -> Option<Writer> {
        let known = self.host.and_then(|host| host.writer(replica));
        known.or_else(|| {
            let origin = self.journal.origin(replica)?;
            Some(Writer {
                node: origin.node.clone(),
                region: origin.region.clone(),
            })
        })
    }
}

fn conflicts(call: &mut Call<'_, '_>) -> Outcome {
    let subcommand = call.args.get(1).copied().unwrap_or(b"count");
    if is(subcommand, "HELP") {
        write_help(call);
        return Ok(());
    }
    if is(subcommand, "RESTORE") {
        return repair::restore(call);
    }
    if is(subcommand, "RESOLVE") {
        return repair::resolve(call);
    }
    if is(subcommand, "REPLAY") {
        return replay::replay(call);
    }
    let now_ms = call.txn.now_ms();
    let reading = Reading {
        journal: call.txn.journal(),
        host: Some(call.surroundings.host),
        now_ms,
    };
    read(&reading, &call.args[1..], call.reply)
}

/// The subcommands that only read, at once; `words` begin with the subcommand.
fn read(reading: &Reading<'_>, words: &[&[u8]], reply: &mut Reply) -> Outcome {
    let Some((subcommand, rest)) = words.split_first() else {
        return plain(reading, &[], reply);
    };
    if is(subcommand, "HOT") {
        return hot_keys(reading, rest, reply);
    }
    if is(subcommand, "LIST") {
        return list::list(reading, rest, reply);
    }
    if is(subcommand, "FOLLOW") {
        return list::follow(reading, rest, reply);
    }
    if is(subcommand, "SHOW") {
        return list::show(reading, rest, reply);
    }
    if is(subcommand, "STATS") {
        return match rest {
            [] => stats::stats(reading, reply),
            [word, ..] => Err(Failure::other(format!(
                "ERR ISLES.CONFLICTS STATS has no option '{}'; it takes none",
                preview(word)
            ))),
        };
    }
    plain(reading, words, reply)
}

/// What is answered to a question about a journal.
#[derive(Debug)]
#[must_use]
pub struct ConflictsAnswer(Prepared);

#[derive(Debug)]
enum Prepared {
    Written(Vec<u8>),
    /// The replica is not needed for the rest.
    Trial(Trial),
}

impl ConflictsAnswer {
    /// The answer, in RESP3. What REPLAY asks of strategies and modules is found here, so call it without the replica: it takes
    /// some seconds at most.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Prepared::Written(answer) => answer,
            Prepared::Trial(trial) => {
                let mut reply = Reply::default();
                reply.protocol = Protocol::Resp3;
                trial.run().write(&mut reply);
                reply.into_bytes()
            }
        }
    }
}

/// Answers a question about a replica's journal, such as `LIST KEY cart:*`: what the HTTP side of a node passes on.
/// The answer may leave once the log is durable through the replica's position.
///
/// # Errors
/// What a Redis client would be answered.
pub fn read_conflicts(
    replica: &Replica,
    host: &dyn Host,
    now_ms: u64,
    words: &[&[u8]],
) -> Result<ConflictsAnswer, String> {
    if let [subcommand, options @ ..] = words
        && is(subcommand, "REPLAY")
    {
        let trial = Trial::of_replica(options, replica, host, now_ms);
        let trial = trial.map_err(|failure| failure.to_string())?;
        return Ok(ConflictsAnswer(Prepared::Trial(trial)));
    }
    let reading = Reading {
        journal: replica.conflicts(),
        host: Some(host),
        now_ms,
    };
    let mut reply = Reply::default();
    reply.protocol = Protocol::Resp3;
    let answered = read(&reading, words, &mut reply);
    answered.map_err(|failure| failure.to_string())?;
    Ok(ConflictsAnswer(Prepared::Written(reply.into_bytes())))
}

/// A record of the journal in RESP3, as lists have it.
pub(crate) fn encode_record(journal: &Journal, record: &JournalRecord) -> Vec<u8> {
    let reading = Reading {
        journal,
        host: None,
        now_ms: record.detected_ms,
    };
    let mut reply = Reply::default();
    reply.protocol = Protocol::Resp3;
    write_record(&mut reply, record, &reading, answer::LISTED_VALUE_BYTES);
    reply.into_bytes()
}

/// `ISLES.CONFLICTS [COUNT n] [KEY glob]`: the newest records.
fn plain(reading: &Reading<'_>, options: &[&[u8]], reply: &mut Reply) -> Outcome {
    let mut count = CONFLICTS_DEFAULT;
    let mut pattern: &[u8] = b"*";
    for option in options.chunks(2) {
        match *option {
            [word, number] if is(word, "COUNT") => {
                count = usize::try_from(integer(number)?)
                    .map_err(|_| Failure::NotPositive)?
                    .min(CONFLICTS_MAX);
            }
            [word, glob] if is(word, "KEY") => pattern = glob,
            _ => return Err(Failure::Syntax),
        }
    }
    let glob = Glob::new(pattern, Case::Sensitive)?;
    let mark = reply.mark();
    let records = reading.journal.iter().rev();
    let shown = records
        .filter(|record| glob.matches(&record.key))
        .take(count);
    let (mut written, start) = (0, reply.len());
    for record in shown {
        write_record(reply, record, reading, answer::LISTED_VALUE_BYTES);
        written += 1;
        if reply.len() - start > answer::ANSWER_BYTES_MAX {
            break;
        }
    }
    reply.array_at(mark, written);
    Ok(())
}

/// The keys that were in conflict most often since start.
fn hot_keys(reading: &Reading<'_>, options: &[&[u8]], reply: &mut Reply) -> Outcome {
    let limit = match *options {
        [] => CONFLICTS_DEFAULT,
        [word, number] if is(word, "COUNT") => {
            usize::try_from(integer(number)?).map_err(|_| Failure::NotPositive)?
        }
        _ => return Err(Failure::Syntax),
    };
    answer::write_hot_keys(reply, reading.journal, limit);
    Ok(())
}

fn write_help(call: &mut Call<'_, '_>) {
    help(
        call,
        "ISLES.CONFLICTS",
        &[
            "[COUNT <count>] [KEY <glob>]",
            "    The newest records, newest first.",
            "LIST [<filter> ...] [COUNT <count>] [CURSOR <cursor>]",
            "    Records that match, newest first, and the cursor of the next page; 0 at the end.",
            "FOLLOW [<filter> ...] [COUNT <count>] [AFTER <cursor>]",
            "    Records after a cursor, oldest first, and the cursor to go on from; without AFTER, where the journal ends now.",
            "SHOW <id>",
            "    One record with all that is kept of its values.",
            "STATS",
            "    Counts by keyspace, kind, strategy and regions; open records; what was dropped.",
            "HOT [COUNT <count>]",
            "    The keys in conflict most often since start.",
            "RESTORE <id> [IFOPEN | FORCE]",
            "    Writes the loser back, as a write that has seen everything.",
            "RESOLVE KEY <key> | ID <id> DOT <dot> | VALUE <value> [FORCE]",
            "    Writes an answer over all contenders and settles their records.",
            "REPLAY STRATEGY <strategy> [<filter> ...] [COUNT <count>] [CURSOR <cursor>]",
            "    What another strategy, or wasm:<resolver>, would have answered, with a sample of the differences.",
            "Filters: KEY <glob>, KEYSPACE <prefix>, KIND <kind>, REGION | LOSER | WINNER <region>,",
            "    SINCE | UNTIL <milliseconds since 1970, or an age such as 90s, 15m, 1h, 7d>, STATE open | resolved | all.",
        ],
    );
}
