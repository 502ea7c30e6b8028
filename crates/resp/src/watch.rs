//! What is looked at around each command: its time, who watches it, whether it must wait, and whom to tell of what it
//! changed. All of it is off by default or takes one look per hold of the lock.
//!
//! *What timing costs.* Two reads of the clock per command, which nobody should pay by default. So commands that cannot take
//! long by themselves are only timed if a threshold is below [`EXACT_BELOW_US`], or as one in 64, as ever. Those that can
//! take long, by their flag or by the number of their arguments, are always timed while anybody wants to know: for them
//! the hold looks at the clock in any case.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isles_replica::{Change, Position, Replica, Txn};

use crate::call::{Call, Surroundings};
use crate::conflict_news::ConflictNews;
use crate::engine::Host;
use crate::execute::SHORT_ARGUMENTS_MAX;
use crate::hub::{FromPeers, Hub};
use crate::notify;
use crate::pause::Paused;
use crate::server::Server;
use crate::session::{Next, Session};
use crate::slowlog::{self, SlowCommand};
use crate::spec::{Family, Flags, Run, Spec};
use crate::table::{self, CommandId};

/// Below this many microseconds also a short command may be slow, so that every one is timed.
const EXACT_BELOW_US: u64 = 1_000;

/// What holds for the commands of one hold of the lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    timing: Timing,
    pub(crate) monitored: bool,
    pub(crate) paused: Paused,
    /// Fewer peers than `min-replicas-to-write` asks for have acknowledged something recently.
    pub(crate) lacks_replicas: bool,
}

/// Which commands are timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Timing {
    #[default]
    None,
    Long,
    Every,
}

impl Watch {
    pub(crate) fn of(server: &Server, host: &dyn Host) -> Watch {
        let slow_us = u64::try_from(server.slowlog.slower_than_us()).ok();
        let latency_us = Some(server.latency.threshold_ms() * 1000).filter(|us| *us > 0);
        let least_us = slow_us.into_iter().chain(latency_us).min();
        Watch {
            timing: match least_us {
                None => Timing::None,
                Some(us) if us < EXACT_BELOW_US => Timing::Every,
                Some(_) => Timing::Long,
            },
            monitored: server.hub.monitors.are_on(),
            paused: server.pause.now(),
            lacks_replicas: server.replicas.are_lacking(host),
        }
    }

    /// Whether the clock is read around this command.
    #[inline]
    pub(crate) fn times(&self, command: CommandId, arguments: usize) -> bool {
        match self.timing {
            Timing::None => false,
            Timing::Every => true,
            Timing::Long => {
                command.spec().flags.has(Flags::LONG) || arguments > SHORT_ARGUMENTS_MAX
            }
        }
    }

    /// Whether this command must wait until a pause is over.
    #[inline]
    pub(crate) fn holds_back(
        &self,
        command: Option<CommandId>,
        args: &[&[u8]],
        session: &Session,
        server: &Server,
    ) -> bool {
        self.paused != Paused::Nothing && is_held_back(self.paused, command, args, session, server)
    }
}

/// A command that is refused anyway is refused at once.
#[cold]
fn is_held_back(
    paused: Paused,
    command: Option<CommandId>,
    args: &[&[u8]],
    session: &Session,
    server: &Server,
) -> bool {
    let Some(spec) = command.map(CommandId::spec) else {
        return false;
    };
    if spec.check(args).is_err() {
        return false;
    }
    let reaches_others = |spec: &Spec, args: &[&[u8]]| {
        spec.flags.has(Flags::MAY_REPLICATE)
            || (spec.flags.has(Flags::WRITE) && server.scripting.may_write(spec, args))
    };
    match (paused, spec.name) {
        (Paused::Everything, _) => true,
        (_, "exec") => {
            let mut queue = session.queue.iter();
            queue.any(|queue| queue.any(reaches_others))
        }
        _ => reaches_others(spec, args),
    }
}

/// Keeps what timing a command has shown.
#[cold]
pub(crate) fn note_time(
    session: &Session,
    surroundings: Surroundings<'_>,
    command: CommandId,
    args: &[&[u8]],
    took: Duration,
) {
    let server = surroundings.server;
    // A pause that the command has asked for is part of it, though others run meanwhile.
    let took = match session.next {
        Next::Sleep(pause) => took + pause,
        _ => took,
    };
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    server.stats.time(command, args, took_us);
    let spec = command.spec();
    if spec.name == "exec" {
        return;
    }
    let at_s = surroundings.wall_ms / 1000;
    let event = match spec.flags.has(Flags::FAST) {
        true => "fast-command",
        false => "command",
    };
    server.latency.note(event, at_s, took_us / 1000);
    if server.slowlog.is_slow(took_us) {
        server.slowlog.push(SlowCommand {
            id: 0,
            at_s,
            took_us,
            args: slowlog::trimmed(args),
            address: session.client.address.clone(),
            name: session.client.details().name.clone(),
        });
    }
}

/// Shows a command that has run to those who watch all of them; `origin` is the client's address, or `lua`.
#[cold]
pub(crate) fn show(hub: &Hub, origin: &str, command: CommandId, args: &[&[u8]]) {
    let flags = command.spec().flags;
    if !flags.has(Flags::ADMIN) && !flags.has(Flags::SKIP_MONITOR) {
        show_line(hub, origin, args);
    }
}

/// Shows a command that runs others, before they are shown.
pub(crate) fn show_first(call: &Call<'_, '_>) {
    if call.surroundings.watch.monitored {
        let hub = &call.surroundings.server.hub;
        show_line(hub, &call.session.client.address, call.args);
    }
}

#[cold]
fn show_line(hub: &Hub, origin: &str, args: &[&[u8]]) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    hub.monitors.show(hub, now.as_micros(), origin, args);
}

/// What commands of one entry have changed, each under the name of its own command.
#[derive(Debug, Default)]
pub(crate) struct Told {
    runs: Vec<RunTold>,
}

/// What one command has changed.
#[derive(Debug)]
struct RunTold {
    name: &'static str,
    args: Vec<Vec<u8>>,
    changes: Vec<Change>,
}

impl Told {
    /// Number of commands with something to tell.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Forgets what came after the first so many: it was undone.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.runs.truncate(len);
    }

    /// Notes what the command that has just run in this transaction has changed.
    #[inline]
    pub(crate) fn gather(&mut self, txn: &mut Txn<'_>, command: CommandId, args: &[&[u8]]) {
        if txn.has_changes() {
            let args = args.iter().map(|argument| argument.to_vec()).collect();
            self.runs.push(RunTold {
                name: command.spec().name,
                args,
                changes: txn.take_changes(),
            });
        }
    }

    /// Tells of it all, once the entry has its place in the log.
    pub(crate) fn tell(
        self,
        replica: &mut Replica,
        session: &Session,
        surroundings: Surroundings<'_>,
        position: Position,
    ) {
        if self.runs.is_empty() {
            return;
        }
        let hub = &surroundings.server.hub;
        let mut changes = Vec::new();
        for run in self.runs {
            if hub.notifications.are_on() {
                let args: Vec<&[u8]> = run.args.iter().map(Vec::as_slice).collect();
                hub.notify(&notify::of_own(run.name, &args, &run.changes), position);
            }
            changes.extend(run.changes);
        }
        hub.tell(Some(&session.client), &[], &changes, position);
        if !hub.wants_changes() {
            replica.observe_changes(None);
        }
    }
}

/// Tells of what a command by itself has changed, and remembers what it has read.
#[cold]
pub(crate) fn after(
    replica: &mut Replica,
    session: &mut Session,
    surroundings: Surroundings<'_>,
    command: CommandId,
    args: &[&[u8]],
    position: Position,
) {
    let hub = &surroundings.server.hub;
    let told = std::mem::take(&mut session.changes);
    told.tell(replica, session, surroundings, position);
    let changes = replica.take_changes();
    if !changes.is_empty() {
        let events = match hub.notifications.are_on() {
            true => notify::of_own(command.spec().name, args, &changes),
            false => Vec::new(),
        };
        hub.tell(Some(&session.client), &events, &changes, position);
        if !hub.wants_changes() {
            replica.observe_changes(None);
        }
    }
    note_reads(session, command, args);
    if let Some(tracker) = session
        .tracker
        .as_mut()
        .filter(|_| command.spec().name != "client")
    {
        tracker.caching = None;
    }
}

/// Remembers what a client that tracks has read. Those that a script names are noted where it has read something.
pub(crate) fn note_reads(session: &Session, command: CommandId, args: &[&[u8]]) {
    let spec = command.spec();
    if let Some(tracker) = session
        .tracker
        .as_ref()
        .filter(|_| reads(spec) && matches!(spec.run, Run::Data(_)))
        .filter(|_| spec.family != Family::Scripting)
    {
        tracker.note_reads(&spec.keys_of(args));
    }
}

/// Whether what a command answers depends on its keys; of OBJECT and MEMORY only the subcommands say so.
fn reads(spec: &Spec) -> bool {
    spec.flags.has(Flags::READ) || matches!(spec.name, "object" | "memory")
}

/// The same for the keys that a command names, whoever reads them: a client that tracks takes a script's answer for theirs.
pub(crate) fn note_keys(session: &Session, args: &[&[u8]]) {
    if let Some(tracker) = &session.tracker
        && let Some(command) = table::find(args[0])
    {
        tracker.note_reads(&command.spec().keys_of(args));
    }
}

/// Has the replica tell of changes and of conflicts, if somebody has begun to want that.
pub(crate) fn begin(hub: &Arc<Hub>, txn: &mut Txn<'_>) {
    if hub.wants_conflicts() && !txn.observes_journal() {
        txn.observe_journal(Some(ConflictNews::of(hub)));
    }
    if hub.wants_changes() && !txn.observes_changes() {
        txn.observe_changes(Some(FromPeers::of(hub)));
    }
}
