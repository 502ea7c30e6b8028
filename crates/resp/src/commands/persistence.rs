//! SAVE and its kin, and SHUTDOWN: what they mean where every write goes to a log.

use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::session::Next;
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    persistence(
        "bgrewriteaof",
        1,
        bgrewriteaof,
        "Begins a checkpoint, after which the log before it can go.",
    )
    .admin()
    .no_script(),
    persistence("bgsave", -1, bgsave, "Begins a checkpoint.")
        .admin()
        .no_script(),
    persistence(
        "lastsave",
        1,
        lastsave,
        "Returns the Unix timestamp of the last checkpoint.",
    )
    .loading()
    .fast(),
    persistence(
        "save",
        1,
        save,
        "Syncs the log and makes a checkpoint, and answers when both are on disk.",
    )
    .admin()
    .no_script()
    .no_multi(),
    persistence(
        "shutdown",
        -1,
        shutdown,
        "Stops the node as SIGTERM does, where its configuration allows it.",
    )
    .admin()
    .no_script()
    .no_multi()
    .loading()
    .allow_busy(),
];

const fn persistence(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Server, name, arity, Run::Data(run), summary)
}

/// The answer is sent when the connection has waited for both, without the replica.
fn save(call: &mut Call<'_, '_>) -> Outcome {
    call.session.next = Next::Save;
    call.reply.ok();
    Ok(())
}

fn bgsave(call: &mut Call<'_, '_>) -> Outcome {
    let scheduled = match *call.args {
        [_] => false,
        [_, word] if is(word, "SCHEDULE") => true,
        _ => return Err(Failure::Syntax),
    };
    if !call.surroundings.host.begin_save() && !scheduled {
        return Err(Failure::other("ERR Background save already in progress"));
    }
    call.reply
        .simple(match scheduled || call.session.executing {
            true => "Background saving scheduled",
            false => "Background saving started",
        });
    Ok(())
}

fn bgrewriteaof(call: &mut Call<'_, '_>) -> Outcome {
    let begun = call.surroundings.host.begin_save();
    call.reply.simple(match begun && !call.session.executing {
        true => "Background append only file rewriting started",
        false => "Background append only file rewriting scheduled",
    });
    Ok(())
}

fn lastsave(call: &mut Call<'_, '_>) -> Outcome {
    let at_ms = call.surroundings.host.info().saves.last_ms;
    call.reply
        .integer(i64::try_from(at_ms / 1000).unwrap_or(i64::MAX));
    Ok(())
}

/// What is to be saved makes no difference: the log has it already, and a stop in order ends with a checkpoint.
fn shutdown(call: &mut Call<'_, '_>) -> Outcome {
    let (mut save, mut no_save, mut abort, mut others) = (false, false, false, false);
    for word in &call.args[1..] {
        match () {
            () if is(word, "SAVE") => save = true,
            () if is(word, "NOSAVE") => no_save = true,
            () if is(word, "ABORT") => abort = true,
            () if is(word, "NOW") || is(word, "FORCE") => others = true,
            () => return Err(Failure::Syntax),
        }
    }
    if save && no_save || abort && (save || no_save || others) {
        return Err(Failure::Syntax);
    }
    if abort {
        return Err(Failure::other("ERR No shutdown in progress."));
    }
    if let Some(kind) = call.surroundings.busy.filter(|_| !no_save) {
        return Err(kind.refusal());
    }
    call.surroundings
        .host
        .shut_down()
        .map_err(|why| Failure::other(format!("ERR {why}")))?;
    call.session.next = Next::Close;
    Ok(())
}
