//! What a command needs that is not in memory: found out before it runs where it names its keys, and by running it where it does not.
//!
//! Rows are read without the replica, as an errand (`errand.rs`): named under the lock, read beside it, taken in under it. The keys
//! that a command names are looked at first, so that nearly every command runs once. What is only found out as it runs, by a
//! script say, has it refused and undone by the replica, and run again from its beginning when all is there: so
//! what it publishes waits until it is certain (`publications.rs`).

use std::fmt;
use std::sync::Arc;

use isles_replica::{Admitted, Listing, Loaded, Missing, Replica, Scope, Unlisted, WriteRefused};

use crate::call::{Surroundings, is};
use crate::commands::{keyspaces, scan};
use crate::engine::{Kept, RowSource};
use crate::errand::Errand;
use crate::execute::Arguments;
use crate::glob::{Case, Glob};
use crate::session::Session;
use crate::spec::{Flow, Keys, Run, Spec};
use crate::table::CommandId;

/// Keys that are loaded at once.
const LOADED_MAX: usize = 1024;
/// A transaction or script that asks for all keys is refused where only the table has more than so many.
const ALL_KEYS_MAX: usize = 1_000_000;
/// Keys that FLUSHALL loads at once.
const FLUSHED_MAX: usize = 4096;
/// A command for which something is read so often has rows leaving memory faster than it runs.
const ROUNDS_MAX: u32 = 64;

/// Something to be read from the table.
pub(crate) struct Fetch {
    rows: Arc<dyn RowSource>,
    what: What,
    kept: Option<Kept>,
}

enum What {
    /// These rows.
    Rows(Vec<Missing>),
    /// The names of keys, those only that a pattern matches.
    Keys(Unlisted, Option<Vec<u8>>),
    /// Rows that are to be cleared.
    Doomed(Unlisted),
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Fetched {
    result: Result<Found, String>,
    kept: Option<Kept>,
}

#[derive(Debug)]
enum Found {
    Rows(Vec<Loaded>),
    Keys(Listing),
    Doomed(Vec<Loaded>),
}

/// What the command that comes next has been given so far.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The keys of buckets that are not in memory.
    pub(crate) listing: Listing,
    /// Rows stay in memory meanwhile.
    kept: Option<Kept>,
    /// It clears everything by itself, and all that it clears is in memory.
    pub(crate) clears_alone: bool,
    /// The bucket from which on it has yet to clear what is not in memory.
    cleared_to: usize,
    /// Why it gets no more.
    failure: Option<String>,
    rounds: u32,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetch")
    }
}

impl Fetch {
    /// Reads it, which takes as long as the disk takes.
    pub(crate) fn run(self) -> Fetched {
        let Fetch { rows, what, kept } = self;
        let result = what.find(&*rows);
        Fetched { result, kept }
    }
}

impl What {
    fn find(self, rows: &dyn RowSource) -> Result<Found, String> {
        let failed = std::cell::RefCell::new(None);
        let get = &mut |key: &[u8]| rows.get(key);
        let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
            if let Err(error) = rows.scan(prefix, each) {
                failed.replace(Some(error));
            }
        };
        let found = match self {
            What::Rows(missing) => {
                let loaded = missing.into_iter().map(|missing| missing.load(get, scan));
                Ok(Found::Rows(loaded.collect()))
            }
            What::Keys(unlisted, pattern) => {
                let glob = pattern.and_then(|pattern| Glob::new(&pattern, Case::Sensitive).ok());
                let wanted = |key: &[u8]| glob.as_ref().is_none_or(|glob| glob.matches(key));
                unlisted.list(&wanted, scan).map(Found::Keys)
            }
            What::Doomed(unlisted) => unlisted.load(get, scan).map(Found::Doomed),
        };
        match failed.into_inner() {
            Some(error) => Err(error),
            None => found.map_err(|error| error.to_string()),
        }
    }
}

impl Given {
    /// Why the command cannot have what it needs, in words for its client.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

/// Takes in what was read; called under the lock.
pub(crate) fn take_in(
    fetched: Fetched,
    replica: &mut Replica,
    given: &mut Given,
    surroundings: Surroundings<'_>,
) {
    given.kept = fetched.kept.or(given.kept.take());
    match fetched.result {
        Ok(Found::Rows(loaded)) => admit(loaded, replica, given, surroundings),
        Ok(Found::Keys(listing)) => given.listing.extend(listing),
        Ok(Found::Doomed(loaded)) => {
            let keys: Vec<Vec<u8>> = loaded.iter().map(|loaded| loaded.key().to_vec()).collect();
            admit(loaded, replica, given, surroundings);
            if given.failure.is_none() {
                clear(&keys, replica, given, surroundings);
            }
        }
        Err(error) => given.failure = Some(error),
    }
}

fn admit(
    loaded: Vec<Loaded>,
    replica: &mut Replica,
    given: &mut Given,
    surroundings: Surroundings<'_>,
) {
    for loaded in loaded {
        match replica.admit(loaded, surroundings.wall_ms) {
            // Of a stale one the command finds out when it runs.
            Ok(Admitted::Known | Admitted::Stale(_)) => {}
            Err(error) => given.failure = Some(error.to_string()),
        }
    }
}

/// Clears what has been loaded on the way to clearing everything, of which clients are told at the end.
fn clear(
    keys: &[Vec<u8>],
    replica: &mut Replica,
    given: &mut Given,
    surroundings: Surroundings<'_>,
) {
    let mut txn = replica.txn(surroundings.wall_ms, Scope::Once);
    txn.clear_keys(keys.iter().map(Vec::as_slice));
    if let Err(refused) = txn.commit() {
        given.failure = Some(refused.to_string());
    }
    drop(replica.take_changes());
}

/// What is to be read before a command runs.
pub(crate) fn fetch_of(
    command: CommandId,
    args: &[&[u8]],
    replica: &Replica,
    session: &mut Session,
    surroundings: Surroundings<'_>,
) -> Option<Errand> {
    let given = &session.errands.given;
    if replica.cold_rows() == 0 || given.failure.is_some() || given.rounds >= ROUNDS_MAX {
        return None;
    }
    let missing = missing_of(command, args, replica, session);
    if !missing.is_empty() {
        session.errands.given.rounds += 1;
        return fetch(What::Rows(missing), false, surroundings);
    }
    let random = session.random.next();
    let spec = command.spec();
    let known = &session.errands.given.listing;
    let (what, keep) = match (spec.name, args) {
        ("scan", [_, cursor, options @ ..]) => {
            let (cursor, count) = scan::range(cursor, options)?;
            (
                What::Keys(replica.unlisted(cursor, count, known), None),
                false,
            )
        }
        ("keys", [_, pattern]) => {
            let unlisted = replica.unlisted(0, usize::MAX, known);
            (What::Keys(unlisted, Some(pattern.to_vec())), true)
        }
        ("randomkey", [_]) if known.first_bucket().is_none() => {
            let bucket = random % isles_replica::BUCKETS as u64;
            let unlisted = match replica.unlisted(bucket, 1, known) {
                none if none.is_empty() => replica.unlisted(0, 1, known),
                unlisted => unlisted,
            };
            (What::Keys(unlisted, None), false)
        }
        ("flushall" | "flushdb", _) if replica.cold_keys() == 0 => {
            session.errands.given.clears_alone = true;
            return None;
        }
        ("flushall" | "flushdb", _) => {
            let from = session.errands.given.cleared_to;
            let again = || replica.cold_buckets_from(0, FLUSHED_MAX);
            let (unlisted, next) = replica
                .cold_buckets_from(from, FLUSHED_MAX)
                .or_else(again)?;
            session.errands.given.cleared_to = next;
            (What::Doomed(unlisted), true)
        }
        ("isles.keyspace", [_, word, _, options @ ..]) if is(word, "MIGRATE") => {
            let (cursor, count) = keyspaces::range(options).ok()?;
            (
                What::Keys(replica.unlisted(cursor, count, known), None),
                false,
            )
        }
        _ => return None,
    };
    let keep = keep && session.errands.given.kept.is_none();
    match &what {
        What::Keys(unlisted, _) | What::Doomed(unlisted) if unlisted.is_empty() => None,
        // It ends when all are gone.
        What::Doomed(_) => fetch(what, keep, surroundings),
        _ => {
            session.errands.given.rounds += 1;
            fetch(what, keep, surroundings)
        }
    }
}

fn fetch(what: What, keep: bool, surroundings: Surroundings<'_>) -> Option<Errand> {
    let rows = surroundings.host.rows()?;
    let kept = keep.then(|| rows.keep());
    Some(Errand::Fetch(Fetch { rows, what, kept }))
}

/// The keys that a command names and of which memory does not know whether they are there.
fn missing_of(
    command: CommandId,
    args: &[&[u8]],
    replica: &Replica,
    session: &Session,
) -> Vec<Missing> {
    let mut missing = match (command.spec().run, &session.queue) {
        (Run::Flow(Flow::Exec), Some(queue)) => {
            let commands = queue.commands.iter().enumerate();
            let missing = commands.flat_map(|(index, queued)| {
                let args: Arguments<'_> = queue.batch.arguments(index, &queue.bytes).collect();
                missing_keys(queued.spec(), &args, replica)
            });
            missing.take(LOADED_MAX).collect()
        }
        // It is only put into the queue.
        (Run::Data(_), Some(_)) => Vec::new(),
        _ => missing_keys(command.spec(), args, replica),
    };
    missing.truncate(LOADED_MAX);
    missing
}

fn missing_keys(spec: &Spec, args: &[&[u8]], replica: &Replica) -> Vec<Missing> {
    match spec.keys {
        Keys::None | Keys::Channels { .. } => Vec::new(),
        Keys::Range { first, last, .. } if last == first as isize => {
            replica.missing(args.get(first).copied())
        }
        _ => replica.missing(spec.keys_of(args)),
    }
}

/// What a command has missed as it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Rows, which the replica names.
    Rows,
    /// The names of keys.
    Keys,
}

impl Miss {
    /// What a transaction has missed that was refused.
    pub(crate) fn of(refused: WriteRefused) -> Option<Miss> {
        match refused {
            WriteRefused::NotResident => Some(Miss::Rows),
            WriteRefused::Unlisted => Some(Miss::Keys),
            _ => None,
        }
    }
}

/// Has a command that has missed something run again when it is there; whether it is to. If not, its answer says why.
pub(crate) fn run_again(
    miss: Miss,
    command: CommandId,
    replica: &mut Replica,
    session: &mut Session,
    surroundings: Surroundings<'_>,
) -> bool {
    let missing = replica.take_missing();
    let given = &mut session.errands.given;
    if given.failure.is_some() || given.rounds >= ROUNDS_MAX {
        return false;
    }
    given.rounds += 1;
    let errand = match miss {
        Miss::Rows => fetch(What::Rows(missing), false, surroundings),
        // It asks for them before it runs.
        Miss::Keys if lists_keys(command.spec()) => None,
        Miss::Keys if replica.cold_keys() > ALL_KEYS_MAX => {
            given.failure = Some(format!(
                "a transaction or script asks for keys, and {} are not in memory, more than {ALL_KEYS_MAX}: use SCAN outside of it",
                replica.cold_keys()
            ));
            return false;
        }
        Miss::Keys => {
            let unlisted = replica.unlisted(0, usize::MAX, &given.listing);
            fetch(
                What::Keys(unlisted, None),
                given.kept.is_none(),
                surroundings,
            )
        }
    };
    session.errands.begin_again(errand);
    true
}

fn lists_keys(spec: &Spec) -> bool {
    matches!(spec.name, "scan" | "keys" | "randomkey" | "isles.keyspace")
}
