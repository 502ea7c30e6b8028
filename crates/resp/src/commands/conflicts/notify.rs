//! ISLES.NOTIFY: whether a connection is told when a write of its own loses.

use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::notices::Notice;
use crate::reply::Protocol;
use crate::watch;

pub(super) fn notify(call: &mut Call<'_, '_>) -> Outcome {
    match *call.args {
        [_] => {
            let is_on = call.session.notice.is_some();
            call.reply.text(if is_on { "on" } else { "off" });
            return Ok(());
        }
        [_, word] if is(word, "ON") => begin(call)?,
        [_, word] if is(word, "OFF") => call.session.notice = None,
        [_, _] => return Err(Failure::Syntax),
        _ => return Err(Failure::arity("isles.notify")),
    }
    call.reply.ok();
    Ok(())
}

/// Asking again changes nothing: what was written before is still remembered.
fn begin(call: &mut Call<'_, '_>) -> Outcome {
    if call.reply.protocol == Protocol::Resp2 {
        return Err(Failure::other(
            "ERR ISLES.NOTIFY needs RESP3, whose messages cannot be taken for answers: send HELLO 3 first",
        ));
    }
    let (hub, client) = (&call.surroundings.server.hub, &call.session.client);
    if call.session.notice.is_none() {
        call.session.notice = Some(Notice::begin(hub, client));
    }
    watch::begin(hub, call.txn);
    Ok(())
}
