//! Strings with all their concurrent values: reading them, and writing in the context of what was read.

use isles_clock::VectorClock;
use isles_replica::ContextError;

use super::isles::{data, write_stamp};
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::spec::Spec;
use crate::token::{decode_token, encode_token};

pub(super) const COMMANDS: &[Spec] = &[
    data(
        "isles.cas",
        4,
        compare_and_set,
        "Sets a string if it is as it was at an earlier read.",
    )
    .write()
    .key(),
    data(
        "isles.set",
        -3,
        set,
        "Sets a string in the context of an earlier read.",
    )
    // The context holds for a whole entry.
    .no_script()
    .write()
    .key(),
    data(
        "isles.siblings",
        2,
        siblings,
        "Returns all concurrent values of a string, and their context.",
    )
    .read()
    .key(),
];

fn siblings(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    // Also where the key holds another type, which is not the same as having no value.
    call.txn.string_len(key)?;
    let Some(siblings) = call.txn.siblings(key) else {
        call.reply.null();
        return Ok(());
    };
    let failed = call.txn.failure_of(key);
    let (reply, host) = (&mut *call.reply, call.surroundings.host);
    reply.map(5);
    reply.text("kind");
    reply.text(siblings.kind.name());
    reply.text("context");
    reply.text(encode_token(&siblings.context));
    reply.text("counter");
    match siblings.counter {
        Some(sum) => reply.integer(sum),
        None => reply.null(),
    }
    reply.text("failure");
    let failed = failed.map(|failed| failed.to_string());
    reply.bulk_or_null(failed.as_ref().map(|text| text.as_bytes()));
    reply.text("siblings");
    reply.array(siblings.versions.len());
    for version in &siblings.versions {
        reply.map(6);
        reply.text("value");
        reply.bulk(&version.value);
        reply.text("dot");
        reply.text(version.dot.to_string());
        write_stamp(reply, version.stamp, host);
    }
    Ok(())
}

fn set(call: &mut Call<'_, '_>) -> Outcome {
    let [_, key, value, word, token] = *call.args else {
        return Err(Failure::Syntax);
    };
    if !is(word, "CONTEXT") {
        return Err(Failure::Syntax);
    }
    let context = context(token)?;
    call.txn
        .set_string_in_context(key, value, &context)
        .map_err(|error| match error {
            ContextError::WrongType => Failure::WrongType,
            ContextError::Ahead | ContextError::Counted => {
                Failure::other(format!("TRYAGAIN {error}"))
            }
            other => Failure::other(format!("ERR {other}")),
        })?;
    call.reply.ok();
    Ok(())
}

/// Nil where somebody else was faster, as `SET … NX` answers.
fn compare_and_set(call: &mut Call<'_, '_>) -> Outcome {
    let [_, key, token, value] = *call.args else {
        return Err(Failure::Syntax);
    };
    let context = context(token)?;
    match call.txn.compare_and_set_string(key, value, &context)? {
        true => call.reply.ok(),
        false => call.reply.null(),
    }
    Ok(())
}

fn context(token: &[u8]) -> Result<VectorClock, Failure> {
    decode_token(token).ok_or_else(|| {
        Failure::other("ERR invalid context token, expected the one that ISLES.SIBLINGS answered")
    })
}
