//! Runs the commands of a read buffer on the replica.
//!
//! Everything here happens under the replica's lock and is synchronous. It ends early when the lock has been held for
//! long enough, when the answers should be sent first, or when a command asks for a pause; the connection then goes on
//! with the rest.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use isles_replica::{
    KEY_BYTES_MAX, Position, RESERVED_PREFIX, Replica, Scope, Txn, WARM_MAX, WARM_MIN, Wanted,
    WriteRefused,
};
use smallvec::SmallVec;

use crate::busy::{self, Aside};
use crate::call::{Call, Inspection, Surroundings};
use crate::cold::{self, Miss};
use crate::error::{Failure, Outcome, preview};
use crate::meters::TIMED_EVERY;
use crate::notices;
use crate::parser::Batch;
use crate::publications;
use crate::reply::Reply;
use crate::server::Server;
use crate::session::{Answers, Next, Session};
use crate::spec::{Family, Flags, Flow, Keys, Run, Spec};
use crate::table::{self, CommandId};
use crate::watch::Told;
use crate::{errand, expiry, transaction, unsupported, waiting, watch};

/// The lock is released after this long, between commands.
const HOLD_MAX: Duration = Duration::from_micros(100);
/// So many short commands run before the clock is looked at.
const COMMANDS_PER_LOOK: u32 = 16;
/// Longer requests count as long commands.
pub(crate) const SHORT_ARGUMENTS_MAX: usize = 64;
/// Answers are sent when there are so many bytes of them, before more are made.
const REPLY_BYTES_BEFORE_SEND: usize = 256 << 10;

/// The arguments of a command; most have at most a handful.
pub(crate) type Arguments<'b> = SmallVec<[&'b [u8]; 8]>;

/// The commands of a read buffer, found in the table before the lock is taken.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    commands: Vec<Option<CommandId>>,
    writes: bool,
}

impl Plan {
    pub(crate) fn prepare(&mut self, batch: &Batch, buffer: &[u8]) {
        self.commands.clear();
        self.writes = false;
        for index in 0..batch.len() {
            let command = table::find(batch.name(index, buffer));
            self.writes |= command.is_some_and(|command| command.spec().flags.has(Flags::WRITE));
            self.commands.push(command);
        }
    }

    /// Whether any command may write; EXEC does.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    pub(crate) fn last(&self) -> Option<CommandId> {
        self.commands.last().copied().flatten()
    }
}

/// A read buffer under execution.
pub(crate) struct Work<'b> {
    pub(crate) buffer: &'b [u8],
    pub(crate) batch: &'b Batch,
    pub(crate) plan: &'b Plan,
    /// The next command to run.
    pub(crate) at: usize,
}

impl<'b> Work<'b> {
    /// Brings the rows of the next commands near.
    fn warm(&self, replica: &Replica) {
        let next = self.at..self.batch.len();
        if next.len() >= WARM_MIN {
            replica.warm(next.filter_map(|index| self.wanted(index)));
        }
    }

    /// The first key of a command, and what it wants of it.
    fn wanted(&self, index: usize) -> Option<Wanted<'b>> {
        let spec = self.plan.commands[index]?.spec();
        let first = match spec.keys {
            Keys::Range { first, .. } => first,
            Keys::Counted { at } if spec.family == Family::Scripting => at + 1,
            _ => return None,
        };
        let element = match spec.family {
            Family::Sets | Family::Hashes => Some(first + 1),
            // Most commands that write name the score first.
            Family::SortedSets if spec.flags.has(Flags::WRITE) => Some(first + 2),
            Family::SortedSets => Some(first + 1),
            _ => None,
        };
        Some(Wanted {
            key: self.batch.argument(index, first, self.buffer)?,
            element: element.and_then(|at| self.batch.argument(index, at, self.buffer)),
            is_written: spec.flags.has(Flags::WRITE),
        })
    }
}

/// Why execution stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All commands have run.
    Done,
    /// Others want the lock.
    Release,
    /// There are enough answers to send.
    Send,
    Sleep(Duration),
    /// The command waits, with the session's ticket.
    Wait,
    /// The next command needs the replica, which is held for long.
    Held,
    /// The log and a checkpoint must be on disk before the answer is sent.
    Save,
    /// The next command must wait for the end of a pause.
    Paused,
    /// The next command needs something that is not done under the lock, see [`errand`].
    Errand,
    Close,
    /// An answer is too large to be sent.
    Abort,
}

pub(crate) fn run(
    work: &mut Work<'_>,
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
) -> Stop {
    let mut args = Arguments::new();
    let mut hold = Hold::default();
    let mut warm_from = work.at;
    expiry::hold_while_paused(replica, surroundings.watch.paused);
    serve_waiting(replica, surroundings);
    session.errands.settle(replica, surroundings);
    while work.at < work.batch.len() {
        if work.at >= warm_from {
            warm_from = work.at + WARM_MAX;
            work.warm(replica);
        }
        let command = work.plan.commands[work.at];
        args.clear();
        args.extend(work.batch.arguments(work.at, work.buffer));
        let server = surroundings.server;
        if surroundings.busy.is_some() {
            if command.is_some_and(|command| busy::aside(command.spec(), &args) == Aside::Waits) {
                return Stop::Held;
            }
        } else if surroundings
            .watch
            .holds_back(command, &args, session, server)
        {
            return Stop::Paused;
        }
        let long = command.is_some_and(|command| command.spec().flags.has(Flags::LONG));
        if (long || replica.has_modules() || replica.cold_rows() > 0)
            && surroundings.busy.is_none()
            && command.is_some_and(|command| {
                errand::comes_first(command, &args, replica, session, surroundings)
            })
        {
            return Stop::Errand;
        }
        work.at += 1;
        hold.before(long || args.len() > SHORT_ARGUMENTS_MAX);
        let before = notices::Before::of(session, replica);
        timed(replica, session, reply, surroundings, command, &args);
        if session.missed.take().is_some() {
            // It has done nothing and answered nothing.
            work.at -= 1;
            match session.errands.pending.is_some() {
                true => return Stop::Errand,
                false => continue,
            }
        }
        before.note(session, replica);
        session.errands.end();
        if replica.has_changed_keys() {
            waiting::serve(replica, surroundings);
        }
        match session.next {
            Next::Continue => {}
            Next::Release => {
                session.next = Next::Continue;
                if work.at < work.batch.len() {
                    return Stop::Release;
                }
            }
            Next::Sleep(pause) => {
                session.next = Next::Continue;
                return Stop::Sleep(pause);
            }
            Next::Wait => {
                session.next = Next::Continue;
                return Stop::Wait;
            }
            Next::Save => {
                session.next = Next::Continue;
                return Stop::Save;
            }
            Next::Close => return Stop::Close,
            Next::Abort => return Stop::Abort,
        }
        if reply.len() > surroundings.server.options.max_reply_bytes {
            return Stop::Abort;
        }
        if work.at == work.batch.len() {
            break;
        }
        if reply.len() >= REPLY_BYTES_BEFORE_SEND {
            return Stop::Send;
        }
        if hold.is_over() {
            return Stop::Release;
        }
    }
    Stop::Done
}

/// Runs what waits for keys that peers have written.
fn serve_waiting(replica: &mut Replica, surroundings: Surroundings<'_>) {
    if replica.has_changed_keys() {
        waiting::serve(replica, surroundings);
    }
    if replica.waited_for() > 0 && surroundings.server.waiting.len() == 0 {
        replica.wait_for_nothing();
    }
}

/// How long the lock has been held; looks at the clock as rarely as it can.
#[derive(Default)]
struct Hold {
    started: Option<Instant>,
    since_look: u32,
}

impl Hold {
    fn before(&mut self, long: bool) {
        if long {
            self.started.get_or_insert_with(Instant::now);
            self.since_look = COMMANDS_PER_LOOK;
        }
        self.since_look += 1;
    }

    fn is_over(&mut self) -> bool {
        if self.since_look < COMMANDS_PER_LOOK {
            return false;
        }
        self.since_look = 0;
        let now = Instant::now();
        now - *self.started.get_or_insert(now) >= HOLD_MAX
    }
}

/// Runs a command. Times one in so many, and those that may turn out to be slow.
#[inline]
fn timed(
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
    command: Option<CommandId>,
    args: &[&[u8]],
) {
    session.until_timed -= 1;
    let sampled = session.until_timed == 0;
    let watched = command.is_some_and(|command| surroundings.watch.times(command, args.len()));
    if !sampled && !watched {
        dispatch(replica, session, reply, surroundings, command, args);
        return;
    }
    let started = Instant::now();
    let ran = dispatch(replica, session, reply, surroundings, command, args);
    let took = started.elapsed();
    if sampled {
        session.until_timed = TIMED_EVERY;
        let family = command.map_or(Family::Unknown, |command| command.spec().family);
        let meters = &surroundings.server.meters;
        meters.time(family, took.as_secs_f64());
    }
    // A command that waits is noted when it has got what it wants.
    let ended = ran == Ran::Executed && session.next != Next::Wait;
    if let Some(command) = command.filter(|_| ended) {
        watch::note_time(session, surroundings, command, args, took);
    }
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It ran, and may have refused by itself.
    Executed,
    /// MULTI keeps it for later.
    Queued,
    /// It was refused before it ran.
    Refused,
    /// It runs again, with what it has missed.
    Missed,
}

/// Runs one command and leaves its answer in the reply.
pub(crate) fn dispatch(
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
    command: Option<CommandId>,
    args: &[&[u8]],
) -> Ran {
    let start = reply.len();
    let mut ran = Ran::Refused;
    let outcome = match command {
        None if is_http(args[0]) => {
            session.next = Next::Close;
            Err(Failure::other(
                "ERR this port speaks the Redis protocol, not HTTP; the connection is closed",
            ))
        }
        None => Err(unknown(args)),
        Some(command) => {
            let spec = command.spec();
            session.counts[spec.family as usize] += 1;
            let checked = check(spec, args, session, surroundings);
            if checked.is_ok() {
                ran = match spec.run {
                    Run::Data(_) if session.queue.is_some() => Ran::Queued,
                    _ => Ran::Executed,
                };
            }
            checked.and_then(|()| match spec.run {
                Run::Data(_) if ran == Ran::Queued => {
                    transaction::queue(command, args, session, reply, surroundings)
                }
                Run::Data(run) => single(run, command, replica, session, reply, surroundings, args),
                Run::Inspect(run) => {
                    // What it shows is computed from everything applied so far.
                    session.depend_on(replica.position());
                    run(&mut Inspection {
                        replica,
                        reply,
                        surroundings,
                    })
                }
                Run::Flow(flow) => {
                    transaction::flow(flow, replica, session, reply, surroundings, args)
                }
            })
        }
    };
    if let Some(miss) = session.missed
        && let Some(command) = command
    {
        if cold::run_again(miss, command, replica, session, surroundings) {
            reply.truncate(start);
            session.counts[command.spec().family as usize] -= 1;
            return Ran::Missed;
        }
        session.missed = None;
    }
    if let Err(mut failure) = outcome {
        let flow = command.map(|command| command.spec().run);
        let executing = matches!(flow, Some(Run::Flow(_)));
        let is_exec = matches!(flow, Some(Run::Flow(Flow::Exec)));
        // With arguments it is no EXEC.
        if ran == Ran::Refused && is_exec && !matches!(failure, Failure::Arity(_)) {
            session.discard();
            failure = Failure::other(format!(
                "EXECABORT Transaction discarded because of: {failure}"
            ));
        }
        if command.is_none() {
            session.counts[Family::Unknown as usize] += 1;
        }
        if ran == Ran::Refused || !executing {
            session.spoil();
        }
        if let Some(command) = command {
            let stats = &surroundings.server.stats;
            match ran {
                Ran::Refused => stats.count_rejected(command, args),
                _ => stats.count_failed(command, args),
            }
        }
        reply.truncate(start);
        match std::mem::take(&mut session.error_counted) {
            true => reply.error(&failure),
            false => refuse(reply, &failure, surroundings.server),
        }
    }
    if session.answers != Answers::All {
        hide(session, reply, start);
    }
    if let Some(command) = command.filter(|_| ran == Ran::Executed) {
        // After it has run, so that CONFIG RESETSTAT is the first that is counted.
        surroundings.server.stats.count(command, args);
        if surroundings.watch.monitored {
            let origin = &session.client.address;
            watch::show(&surroundings.server.hub, origin, command, args);
        }
    }
    ran
}

/// What holds for any command, whether it runs now or is queued.
fn check(
    spec: &Spec,
    args: &[&[u8]],
    session: &Session,
    surroundings: Surroundings<'_>,
) -> Outcome {
    spec.check(args)?;
    if session.restricted {
        check_restricted(spec, args)?;
    }
    if session.queue.is_some() && spec.flags.has(Flags::NO_MULTI) {
        return Err(Failure::other(
            "ERR Command not allowed inside a transaction",
        ));
    }
    if surroundings.watch.lacks_replicas
        && spec.flags.has(Flags::WRITE)
        && surroundings.busy.is_none()
        && is_write(spec, args, session, surroundings.server)
    {
        return Err(not_enough_replicas());
    }
    check_here(spec, args, surroundings)
}

/// Whether a command that may write must be taken for one that does. EXEC writes if what is queued does.
#[cold]
fn is_write(spec: &Spec, args: &[&[u8]], session: &Session, server: &Server) -> bool {
    let writes = |spec: &Spec, args: &[&[u8]]| {
        spec.flags.has(Flags::WRITE) && server.scripting.is_write(spec, args)
    };
    match spec.run {
        Run::Flow(Flow::Exec) => session.queue.iter().any(|queue| queue.any(writes)),
        _ => writes(spec, args),
    }
}

/// Too few peers have acknowledged something recently, and `min-replicas-to-write` asks for more.
pub(crate) fn not_enough_replicas() -> Failure {
    Failure::other("NOREPLICAS Not enough good replicas to write.")
}

/// Answers with a refusal, and counts it.
pub(crate) fn refuse(reply: &mut Reply, failure: &Failure, server: &Server) {
    let start = reply.len();
    reply.error(failure);
    server.errors.count(&reply.as_bytes()[start + 1..]);
}

/// The part of it that holds inside a script as well.
pub(crate) fn check_here(spec: &Spec, args: &[&[u8]], surroundings: Surroundings<'_>) -> Outcome {
    if let Some(kind) = surroundings.busy
        && busy::aside(spec, args) == Aside::Refused
    {
        return Err(kind.refusal());
    }
    if surroundings.loading && !spec.flags.has(Flags::LOADING) {
        return Err(Failure::other(
            "LOADING Redis is loading the dataset in memory",
        ));
    }
    if spec.flags.has(Flags::WRITE) {
        check_keys(spec, args)?;
    }
    // Summing is cheap for the few arguments that most commands have, and a single large one is not summed twice.
    if spec.flags.has(Flags::WRITE) {
        let bytes: usize = args.iter().map(|argument| argument.len()).sum();
        if bytes > surroundings.server.options.max_entry_bytes {
            return Err(too_large(surroundings));
        }
    }
    Ok(())
}

/// To a RESP2 client that listens to channels messages look like answers, so that few commands make sense.
#[cold]
fn check_restricted(spec: &Spec, args: &[&[u8]]) -> Outcome {
    let allowed = [
        "subscribe",
        "unsubscribe",
        "psubscribe",
        "punsubscribe",
        "ssubscribe",
        "sunsubscribe",
        "ping",
        "quit",
        "reset",
    ];
    if allowed.contains(&spec.name) {
        return Ok(());
    }
    Err(Failure::other(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        spec.full_name(args)
    )))
}

/// Most commands write one key once, which needs no note of how it was before.
pub(crate) fn scope(spec: &Spec, args: &[&[u8]]) -> Scope {
    if spec.flags.has(Flags::MANY) && args.len() > 2 {
        Scope::Many
    } else {
        Scope::Once
    }
}

/// Writes are aimed neither at Isles' own keys nor at keys longer than any.
fn check_keys(spec: &Spec, args: &[&[u8]]) -> Outcome {
    match spec.keys {
        Keys::Range {
            first: 1, last: 1, ..
        } => check_key(args[1]),
        Keys::None => Ok(()),
        _ => spec.keys_of(args).into_iter().try_for_each(check_key),
    }
}

fn check_key(key: &[u8]) -> Outcome {
    if key.starts_with(RESERVED_PREFIX) {
        return Err(Failure::other(
            "ERR keys that start with \\0isles: belong to Isles; see ISLES.KEYSPACE",
        ));
    }
    if key.len() > KEY_BYTES_MAX {
        let bytes = key.len();
        return Err(Failure::other(format!(
            "ERR {}",
            WriteRefused::KeyTooLong { bytes }
        )));
    }
    Ok(())
}

fn single(
    run: fn(&mut Call<'_, '_>) -> Outcome,
    command: CommandId,
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
    args: &[&[u8]],
) -> Outcome {
    let spec = command.spec();
    let start = reply.len();
    session.wait = None;
    let mut txn = replica.txn(surroundings.wall_ms, scope(spec, args));
    txn.set_unnoticed(session.unnoticed);
    let outcome = run(&mut Call {
        txn: &mut txn,
        args,
        reply,
        session,
        surroundings,
    });
    let position = commit(txn, session, surroundings)?;
    session.depend_on(position);
    let outcome = outcome.and_then(|()| {
        let Some(wait) = session
            .wait
            .take()
            .filter(|_| spec.flags.has(Flags::BLOCKING))
        else {
            return Ok(());
        };
        let in_vain = reply.as_bytes()[start..].to_vec();
        reply.truncate(start);
        let waiting = &surroundings.server.waiting;
        waiting.park(wait, command, args, in_vain, replica, session)?;
        session.next = Next::Wait;
        Ok(())
    });
    if replica.has_changes() || session.tracker.is_some() || session.changes.len() > 0 {
        watch::after(replica, session, surroundings, command, args, position);
    }
    outcome
}

/// Commits also where the command refused: its refusal may depend on what it read.
pub(crate) fn commit(
    txn: Txn<'_>,
    session: &mut Session,
    surroundings: Surroundings<'_>,
) -> Result<Position, Failure> {
    let committed = txn.commit();
    publications::end(session, committed.is_ok(), surroundings);
    committed.map_err(|refused| {
        // All of it was undone, so nobody is told of any.
        session.changes = Told::default();
        session.missed = Miss::of(refused);
        match session.errands.given.failure() {
            Some(failure) if session.missed.is_some() => Failure::other(format!("ERR {failure}")),
            _ => failure_of(refused, surroundings),
        }
    })
}

/// What a client is told of a write that cannot be logged.
pub(crate) fn failure_of(refused: WriteRefused, surroundings: Surroundings<'_>) -> Failure {
    match refused {
        WriteRefused::EntryTooLarge { .. } => too_large(surroundings),
        other => Failure::other(format!("ERR {other}")),
    }
}

pub(crate) fn too_large(surroundings: Surroundings<'_>) -> Failure {
    Failure::other(format!(
        "ERR one write is larger than the limit of {} bytes; split it",
        surroundings.server.options.max_entry_bytes
    ))
}

/// Bytes of arguments that the error for an unknown command repeats.
const UNKNOWN_ARGUMENT_BYTES: usize = 128;

/// What an HTTP request has in the place of a command. A web page could otherwise have a browser on this machine send
/// commands in the body of a request.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"HOST:")
}

fn unknown(args: &[&[u8]]) -> Failure {
    if let Some(known) = unsupported::find(args[0]) {
        return known.refusal(&preview(args[0]));
    }
    let mut shown = String::new();
    let _ = args[1..].iter().try_for_each(|argument| {
        let room = UNKNOWN_ARGUMENT_BYTES.saturating_sub(shown.len());
        if room == 0 {
            return ControlFlow::Break(());
        }
        shown.push('\'');
        shown.push_str(&preview(&argument[..argument.len().min(room)]));
        shown.push_str("' ");
        ControlFlow::Continue(())
    });
    Failure::other(format!(
        "ERR unknown command '{}', with args beginning with: {shown}",
        preview(args[0])
    ))
}

#[cold]
fn hide(session: &mut Session, reply: &mut Reply, start: usize) {
    // A message is no answer.
    let start = match std::mem::take(&mut session.told) {
        true => reply.len(),
        false => start,
    };
    session.answers = match session.answers {
        Answers::SkipThis => Answers::SkipNext,
        Answers::SkipNext => {
            reply.truncate(start);
            Answers::All
        }
        Answers::None => {
            reply.truncate(start);
            Answers::None
        }
        Answers::All => Answers::All,
    };
}
