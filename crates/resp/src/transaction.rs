//! MULTI, EXEC, DISCARD and WATCH: several commands as one entry.

use isles_replica::{Replica, Scope};

use crate::call::{Call, Surroundings};
use crate::error::{Failure, Outcome};
use crate::execute::{Arguments, commit, refuse, too_large};
use crate::reply::{Protocol, Reply};
use crate::session::{Answers, Next, Queue, Session, WATCHED_BYTES_MAX};
use crate::spec::{Flow, Run};
use crate::table::CommandId;
use crate::watch;

/// Keeps a command for EXEC.
pub(crate) fn queue(
    command: CommandId,
    args: &[&[u8]],
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
) -> Outcome {
    let Some(queue) = &mut session.queue else {
        return Ok(());
    };
    // After an error EXEC will refuse them all, so nothing is kept any more.
    if !queue.spoiled {
        let bytes_max = surroundings.server.options.max_entry_bytes;
        queue
            .push(command, args, bytes_max)
            .map_err(|_| too_large(surroundings))?;
        session.client.details().queued = Some(queue.commands.len());
    }
    reply.simple("QUEUED");
    Ok(())
}

pub(crate) fn flow(
    flow: Flow,
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
    args: &[&[u8]],
) -> Outcome {
    match flow {
        Flow::Multi => multi(session, reply),
        Flow::Exec => exec(replica, session, reply, surroundings),
        Flow::Discard => {
            session
                .discard()
                .ok_or_else(|| Failure::other("ERR DISCARD without MULTI"))?;
            reply.ok();
            Ok(())
        }
        Flow::Watch => watch(replica, session, reply, surroundings, &args[1..]),
        Flow::Reset => {
            reset(session, reply);
            Ok(())
        }
        Flow::Quit => {
            session.next = Next::Close;
            reply.ok();
            Ok(())
        }
    }
}

fn multi(session: &mut Session, reply: &mut Reply) -> Outcome {
    if session.queue.is_some() {
        return Err(Failure::other("ERR MULTI calls can not be nested"));
    }
    session.queue = Some(Queue::default());
    session.client.details().queued = Some(0);
    reply.ok();
    Ok(())
}

fn watch(
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
    keys: &[&[u8]],
) -> Outcome {
    if session.queue.is_some() {
        return Err(Failure::other("ERR WATCH inside MULTI is not allowed"));
    }
    for key in keys {
        if !session
            .watched
            .add(key, replica.version(key, surroundings.wall_ms))
        {
            return Err(Failure::other(format!(
                "ERR the watched keys exceed {WATCHED_BYTES_MAX} bytes"
            )));
        }
    }
    reply.ok();
    Ok(())
}

fn exec(
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
) -> Outcome {
    let changed = is_changed(replica, session, surroundings.wall_ms);
    if session.queue.is_none() {
        return Err(Failure::other("ERR EXEC without MULTI"));
    }
    let watched = std::mem::take(&mut session.watched);
    let queue = session.discard().unwrap_or_default();
    if queue.spoiled {
        return Err(Failure::other(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if changed {
        session.depend_on(replica.position());
        reply.null_array();
        return Ok(());
    }
    let ran = run(&queue, replica, session, reply, surroundings);
    if session.missed.is_some() {
        // It comes again.
        (session.queue, session.watched) = (Some(queue), watched);
    }
    ran
}

fn is_changed(replica: &mut Replica, session: &Session, wall_ms: u64) -> bool {
    session
        .watched
        .iter()
        .any(|(key, version)| replica.version(key, wall_ms) != version)
}

fn run(
    queue: &Queue,
    replica: &mut Replica,
    session: &mut Session,
    reply: &mut Reply,
    surroundings: Surroundings<'_>,
) -> Outcome {
    while session.client.outbox.has_letters() {
        let barrier = reply.append_letters(&session.client.outbox);
        session.depend_on(barrier);
    }
    session.executing = true;
    reply.array(queue.commands.len());
    let mut txn = replica.txn(surroundings.wall_ms, Scope::Many);
    txn.set_unnoticed(session.unnoticed);
    let mut args = Arguments::new();
    for (index, command) in queue.commands.iter().enumerate() {
        let Run::Data(run) = command.spec().run else {
            continue;
        };
        args.clear();
        args.extend(queue.batch.arguments(index, &queue.bytes));
        let start = reply.len();
        let mut call = Call {
            txn: &mut txn,
            args: &args,
            reply: &mut *reply,
            session: &mut *session,
            surroundings,
        };
        within(&mut call, *command, run, None);
        if reply.len() > surroundings.server.options.max_reply_bytes {
            // The connection will be closed for it, so the rest runs without keeping its answers.
            reply.truncate(start);
            session.next = Next::Abort;
        }
    }
    session.executing = false;
    let position = commit(txn, session, surroundings)?;
    session.depend_on(position);
    let told = std::mem::take(&mut session.changes);
    told.tell(replica, session, surroundings, position);
    if let Some(tracker) = &mut session.tracker {
        tracker.caching = None;
    }
    Ok(())
}

/// Runs one command on a transaction that goes on afterwards, as EXEC's and a script's do: a refusal becomes its answer.
/// `origin` is what MONITOR shows instead of the client's address.
pub(crate) fn within(
    call: &mut Call<'_, '_>,
    command: CommandId,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    origin: Option<&str>,
) {
    let start = call.reply.len();
    if let Err(failure) = watched(call, command, run, origin) {
        call.reply.truncate(start);
        match std::mem::take(&mut call.session.error_counted) {
            true => call.reply.error(&failure),
            false => refuse(call.reply, &failure, call.surroundings.server),
        }
    }
    // Inside a transaction nothing waits: what it answers when it has waited in vain is its answer.
    call.session.wait = None;
    call.session.changes.gather(call.txn, command, call.args);
    // Of a script the keys that it names are noted instead, once it has read something.
    if origin.is_none() {
        watch::note_reads(call.session, command, call.args);
    }
}

/// Runs a command inside a transaction with all that is looked at around any command.
fn watched(
    call: &mut Call<'_, '_>,
    command: CommandId,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    origin: Option<&str>,
) -> Outcome {
    let (server, watch) = (call.surroundings.server, call.surroundings.watch);
    let started = watch
        .times(command, call.args.len())
        .then(std::time::Instant::now);
    let outcome = run(call);
    if let Some(started) = started {
        let took = started.elapsed();
        watch::note_time(call.session, call.surroundings, command, call.args, took);
    }
    server.stats.count(command, call.args);
    if outcome.is_err() {
        server.stats.count_failed(command, call.args);
    }
    if watch.monitored {
        watch::show(
            &server.hub,
            origin.unwrap_or(&call.session.client.address),
            command,
            call.args,
        );
    }
    outcome
}

/// Puts the connection back to how it began.
fn reset(session: &mut Session, reply: &mut Reply) {
    session.discard();
    session.watched.clear();
    session.answers = Answers::All;
    session.subscriptions = None;
    session.tracker = None;
    session.notice = None;
    session.monitoring = None;
    // What was on its way to it was asked for before.
    session.client.outbox.clear();
    reply.protocol = Protocol::Resp2;
    session.restrict(Protocol::Resp2);
    session.client.note_protocol(Protocol::Resp2);
    let mut details = session.client.details();
    details.name.clear();
    details.no_evict = false;
    details.no_touch = false;
    drop(details);
    session.unnoticed = false;
    reply.simple("RESET");
}
