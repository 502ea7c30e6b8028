//! CLIENT TRACKING, CACHING and TRACKINGINFO: keys that a client keeps in a cache of its own.

use crate::call::{Call, is};
use crate::error::{Failure, Outcome, preview};
use crate::tracking::{Mode, Reads, Tracker};
use crate::{number::parse_i64, watch};

/// Prefixes of one client.
const PREFIXES_MAX: usize = 1024;

pub(super) fn tracking(call: &mut Call<'_, '_>, switch: &[u8], options: &[&[u8]]) -> Outcome {
    let mode = parse(call, options)?;
    if is(switch, "ON") {
        begin(call, mode)?;
    } else if is(switch, "OFF") {
        call.session.tracker = None;
    } else {
        return Err(Failure::Syntax);
    }
    call.reply.ok();
    Ok(())
}

fn parse(call: &Call<'_, '_>, options: &[&[u8]]) -> Result<Mode, Failure> {
    let mut mode = Mode::default();
    let (mut opt_in, mut opt_out, mut broadcast) = (false, false, false);
    let mut rest = options;
    while let [word, tail @ ..] = rest {
        rest = match tail {
            [id, tail @ ..] if is(word, "REDIRECT") => {
                mode.redirect = Some(target(call, mode.redirect, id)?);
                tail
            }
            [prefix, tail @ ..] if is(word, "PREFIX") => {
                mode.prefixes.push((*prefix).into());
                tail
            }
            tail => {
                match () {
                    () if is(word, "BCAST") => broadcast = true,
                    () if is(word, "OPTIN") => opt_in = true,
                    () if is(word, "OPTOUT") => opt_out = true,
                    () if is(word, "NOLOOP") => mode.no_loop = true,
                    () => return Err(Failure::Syntax),
                }
                tail
            }
        };
    }
    mode.reads = match (broadcast, opt_in, opt_out) {
        (false, _, _) if !mode.prefixes.is_empty() => {
            return Err(Failure::other(
                "ERR PREFIX option requires BCAST mode to be enabled",
            ));
        }
        (true, false, false) => Reads::Broadcast,
        (true, ..) => {
            return Err(Failure::other(
                "ERR OPTIN and OPTOUT are not compatible with BCAST",
            ));
        }
        (_, true, true) => {
            return Err(Failure::other(
                "ERR You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        (_, true, _) => Reads::OptIn,
        (_, _, true) => Reads::OptOut,
        (false, false, false) => Reads::All,
    };
    Ok(mode)
}

fn target(call: &Call<'_, '_>, known: Option<u64>, id: &[u8]) -> Result<u64, Failure> {
    if known.is_some() {
        return Err(Failure::other(
            "ERR A client can only redirect to a single other client",
        ));
    }
    let id = parse_i64(id).ok_or(Failure::NotAnInteger)?;
    let clients = &call.surroundings.server.clients;
    u64::try_from(id)
        .ok()
        .filter(|id| clients.get(*id).is_some())
        .ok_or_else(|| Failure::other("ERR The client ID you want redirect to does not exist"))
}

fn begin(call: &mut Call<'_, '_>, mut mode: Mode) -> Outcome {
    let earlier = call.session.client.tracking().clone();
    let broadcast = mode.reads == Reads::Broadcast;
    if let Some(earlier) = &earlier {
        if broadcast != (earlier.reads == Reads::Broadcast) {
            return Err(Failure::other(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling \
                 it with a different mode.",
            ));
        }
        if matches!(
            (earlier.reads, mode.reads),
            (Reads::OptIn, Reads::OptOut) | (Reads::OptOut, Reads::OptIn)
        ) {
            return Err(Failure::other(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling \
                 it with a different mode.",
            ));
        }
    }
    if broadcast {
        join_prefixes(
            &mut mode,
            earlier.map_or_else(Vec::new, |earlier| earlier.prefixes),
        )?;
    }
    // The earlier one ends before the new one begins, or it would take the new one's prefixes with it.
    call.session.tracker = None;
    let hub = &call.surroundings.server.hub;
    call.session.tracker = Some(Tracker::begin(hub, &call.session.client, mode));
    watch::begin(hub, call.txn);
    Ok(())
}

/// Adds the prefixes that the client has already, after checking that none of the new ones is part of another.
fn join_prefixes(mode: &mut Mode, earlier: Vec<Box<[u8]>>) -> Outcome {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    for (index, prefix) in mode.prefixes.iter().enumerate() {
        let refused = |other: &[u8], what: &str| {
            Failure::other(format!(
                "ERR Prefix '{}' overlaps with {what} prefix '{}'. Prefixes for a single client must not overlap.",
                preview(prefix),
                preview(other)
            ))
        };
        if let Some(other) = earlier.iter().find(|other| overlap(prefix, other)) {
            return Err(refused(other, "an existing"));
        }
        if let Some(other) = mode.prefixes[index + 1..]
            .iter()
            .find(|other| overlap(prefix, other))
        {
            return Err(refused(other, "another provided"));
        }
    }
    if mode.prefixes.is_empty() && !earlier.iter().any(|prefix| prefix.is_empty()) {
        mode.prefixes.push(Box::default());
    }
    mode.prefixes.extend(earlier);
    if mode.prefixes.len() > PREFIXES_MAX {
        return Err(Failure::other(format!(
            "ERR a client can track at most {PREFIXES_MAX} prefixes"
        )));
    }
    Ok(())
}

pub(super) fn caching(call: &mut Call<'_, '_>, word: &[u8]) -> Outcome {
    let Some(tracker) = &mut call.session.tracker else {
        return Err(Failure::other(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    tracker.caching = if is(word, "YES") {
        if tracker.reads != Reads::OptIn {
            return Err(Failure::other(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
        Some(true)
    } else if is(word, "NO") {
        if tracker.reads != Reads::OptOut {
            return Err(Failure::other(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
        Some(false)
    } else {
        return Err(Failure::Syntax);
    };
    call.reply.ok();
    Ok(())
}

pub(super) fn tracking_info(call: &mut Call<'_, '_>) {
    let mode = call.session.client.tracking().clone();
    let caching = call
        .session
        .tracker
        .as_ref()
        .and_then(|tracker| tracker.caching);
    let mut flags = vec![if mode.is_some() { "on" } else { "off" }];
    if let Some(mode) = &mode {
        match mode.reads {
            Reads::All => {}
            Reads::OptIn => flags.push("optin"),
            Reads::OptOut => flags.push("optout"),
            Reads::Broadcast => flags.push("bcast"),
        }
        match caching {
            None => {}
            Some(true) => flags.push("caching-yes"),
            Some(false) => flags.push("caching-no"),
        }
        flags.extend(mode.no_loop.then_some("noloop"));
        flags.extend(mode.broken.then_some("broken_redirect"));
    }
    let redirect = call.session.client.redirect();
    let prefixes = mode.map_or_else(Vec::new, |mode| mode.prefixes);
    let reply = &mut *call.reply;
    reply.map(3);
    reply.text("flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.text(flag));
    reply.text("redirect");
    reply.integer(redirect);
    reply.text("prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
}
