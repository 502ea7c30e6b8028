//! CLIENT: who is connected, and how this connection behaves.

use std::sync::Arc;
use std::time::Duration;

use super::config::help;
use super::connection::check_name;
use super::tracking::{caching, tracking, tracking_info};
use crate::call::{Call, integer, is};
use crate::clients::Client;
use crate::error::{Failure, Outcome, preview};
use crate::pause::Paused;
use crate::session::{Answers, Next};
use crate::spec::Subcommand;

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "GETNAME",
    "GETREDIR",
    "ID",
    "INFO",
    "KILL <ip:port>",
    "KILL <option> <value> [<option> <value> [...]]",
    "LIST [TYPE <type>] [ID <id> [<id> ...]]",
    "NO-EVICT (ON|OFF)",
    "NO-TOUCH (ON|OFF)",
    "PAUSE <timeout> [WRITE|ALL]",
    "REPLY (ON|OFF|SKIP)",
    "SETINFO <LIB-NAME|LIB-VER> <value>",
    "SETNAME <name>",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
    "TRACKINGINFO",
    "UNBLOCK <id> [TIMEOUT|ERROR]",
    "UNPAUSE",
];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("caching", 3),
    ("getname", 2),
    ("getredir", 2),
    ("help", 2),
    ("id", 2),
    ("info", 2),
    ("kill", -3),
    ("list", -2),
    ("no-evict", 3),
    ("no-touch", 3),
    ("pause", -3),
    ("reply", 3),
    ("setinfo", 4),
    ("setname", 3),
    ("tracking", -3),
    ("trackinginfo", 2),
    ("unblock", -3),
    ("unpause", 2),
];

pub(super) fn client(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    let own = Arc::clone(&call.session.client);
    let known = |word| is(subcommand, word);
    match *rest {
        [] if known("ID") => call.reply.integer(signed(own.id)),
        [] if known("INFO") => call
            .reply
            .verbatim(&(own.line(call.surroundings.wall_ms, running(call, "client|info")) + "\n")),
        [] if known("GETNAME") => {
            let name = own.details().name.clone();
            call.reply
                .bulk_or_null(Some(name.as_slice()).filter(|name| !name.is_empty()));
        }
        [] if known("GETREDIR") => call.reply.integer(own.redirect()),
        [switch, ref options @ ..] if known("TRACKING") => tracking(call, switch, options)?,
        [] if known("TRACKINGINFO") => tracking_info(call),
        [word] if known("CACHING") => caching(call, word)?,
        [length, ref mode @ ..] if known("PAUSE") && mode.len() < 2 => pause(call, length, mode)?,
        [] if known("UNPAUSE") => {
            call.surroundings.server.pause.end();
            call.reply.ok();
        }
        [] if known("HELP") => help(call, "CLIENT", HELP),
        _ if known("LIST") => list(call, rest)?,
        [_, ..] if known("KILL") => kill(call, rest)?,
        [name] if known("SETNAME") => {
            check_name(name, "Client names")?;
            name.clone_into(&mut own.details().name);
            call.reply.ok();
        }
        [attribute, value] if known("SETINFO") => set_info(call, attribute, value)?,
        [mode] if known("REPLY") => set_answers(call, mode)?,
        [switch] if known("NO-EVICT") => {
            own.details().no_evict = on_or_off(switch)?;
            call.reply.ok();
        }
        [switch] if known("NO-TOUCH") => {
            let unnoticed = on_or_off(switch)?;
            own.details().no_touch = unnoticed;
            call.session.unnoticed = unnoticed;
            call.txn.set_unnoticed(unnoticed);
            call.reply.ok();
        }
        [id] if known("UNBLOCK") => unblock(call, id, None)?,
        [id, reason] if known("UNBLOCK") => {
            let error = if is(reason, "TIMEOUT") {
                None
            } else if is(reason, "ERROR") {
                Some(Failure::other(
                    "UNBLOCKED client unblocked via CLIENT UNBLOCK",
                ))
            } else {
                return Err(Failure::other(
                    "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
                ));
            };
            unblock(call, id, error)?;
        }
        _ => return Err(Failure::subcommand(subcommand, "client")),
    }
    Ok(())
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// The command that runs, and how many bytes its request had.
fn running<'n>(call: &Call<'_, '_>, name: &'n str) -> Option<(&'n str, usize)> {
    let digits = |number: usize| number.to_string().len();
    let request = call.args.iter().map(|argument| {
        let length = argument.len();
        1 + digits(length) + 2 + length + 2
    });
    Some((
        name,
        1 + digits(call.args.len()) + 2 + request.sum::<usize>(),
    ))
}

/// Holds commands of clients back; what peers write is applied meanwhile.
fn pause(call: &mut Call<'_, '_>, length: &[u8], mode: &[&[u8]]) -> Outcome {
    let paused = match mode {
        [] => Paused::Everything,
        [word] if is(word, "ALL") => Paused::Everything,
        [word] if is(word, "WRITE") => Paused::Writes,
        _ => {
            return Err(Failure::other("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    let timeout = |reason| Failure::other(format!("ERR timeout is {reason}"));
    let ms = integer(length).map_err(|_| timeout("not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| timeout("negative"))?;
    let server = call.surroundings.server;
    server.pause.begin(paused, Duration::from_millis(ms));
    call.session.next = Next::Release;
    call.reply.ok();
    Ok(())
}

fn on_or_off(word: &[u8]) -> Result<bool, Failure> {
    if is(word, "ON") {
        Ok(true)
    } else if is(word, "OFF") {
        Ok(false)
    } else {
        Err(Failure::Syntax)
    }
}

fn set_answers(call: &mut Call<'_, '_>, mode: &[u8]) -> Outcome {
    call.session.answers = if is(mode, "ON") {
        call.reply.ok();
        Answers::All
    } else if is(mode, "OFF") {
        Answers::None
    } else if is(mode, "SKIP") {
        // While nothing is answered at all there is nothing to skip.
        match call.session.answers {
            Answers::None => Answers::None,
            _ => Answers::SkipThis,
        }
    } else {
        return Err(Failure::Syntax);
    };
    Ok(())
}

fn set_info(call: &mut Call<'_, '_>, attribute: &[u8], value: &[u8]) -> Outcome {
    let mut details = call.session.client.details();
    let (slot, what) = if is(attribute, "LIB-NAME") {
        (&mut details.library_name, "lib-name")
    } else if is(attribute, "LIB-VER") {
        (&mut details.library_version, "lib-ver")
    } else {
        return Err(Failure::other(format!(
            "ERR Unrecognized option '{}'",
            preview(attribute)
        )));
    };
    check_name(value, what)?;
    value.clone_into(slot);
    call.reply.ok();
    Ok(())
}

fn unblock(call: &mut Call<'_, '_>, id: &[u8], error: Option<Failure>) -> Outcome {
    let id = u64::try_from(integer(id)?).unwrap_or(0);
    let waiting = &call.surroundings.server.waiting;
    call.reply.flag(waiting.unblock(id, error.as_ref()));
    Ok(())
}

fn list(call: &mut Call<'_, '_>, options: &[&[u8]]) -> Outcome {
    let clients = &call.surroundings.server.clients;
    let shown = match *options {
        [] => clients.all(),
        [word, kind] if is(word, "TYPE") => {
            let wanted = client_kind(kind)?;
            let mut shown = clients.all();
            shown.retain(|client| wanted == Some(kind_of(client)));
            shown
        }
        [word, _, ..] if is(word, "ID") => {
            let ids: Result<Vec<u64>, Failure> =
                options[1..].iter().map(|id| client_id(id)).collect();
            ids?.into_iter().filter_map(|id| clients.get(id)).collect()
        }
        _ => return Err(Failure::Syntax),
    };
    let mut lines = String::new();
    for client in shown {
        let running = match client.id == call.session.client.id {
            true => running(call, "client|list"),
            false => None,
        };
        lines.push_str(&client.line(call.surroundings.wall_ms, running));
        lines.push('\n');
    }
    call.reply.verbatim(&lines);
    Ok(())
}

/// The types of clients; Redis has others too, of which there are none here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientKind {
    Normal,
    PubSub,
}

fn kind_of(client: &Client) -> ClientKind {
    match client.is_subscribed() {
        true => ClientKind::PubSub,
        false => ClientKind::Normal,
    }
}

/// The type of this name; none for a type that no client has.
fn client_kind(kind: &[u8]) -> Result<Option<ClientKind>, Failure> {
    if is(kind, "NORMAL") {
        return Ok(Some(ClientKind::Normal));
    }
    if is(kind, "PUBSUB") {
        return Ok(Some(ClientKind::PubSub));
    }
    if ["MASTER", "REPLICA", "SLAVE"]
        .iter()
        .any(|known| is(kind, known))
    {
        return Ok(None);
    }
    Err(Failure::other(format!(
        "ERR Unknown client type '{}'",
        preview(kind)
    )))
}

fn client_id(text: &[u8]) -> Result<u64, Failure> {
    let id = integer(text)
        .ok()
        .and_then(|id| u64::try_from(id).ok())
        .filter(|id| *id > 0);
    id.ok_or_else(|| Failure::other("ERR Invalid client ID"))
}

/// Which connections CLIENT KILL closes.
#[derive(Default)]
struct Targets {
    id: Option<u64>,
    address: Option<String>,
    local: Option<String>,
    kind: Option<Option<ClientKind>>,
    own_too: bool,
}

impl Targets {
    fn parse(options: &[&[u8]]) -> Result<Targets, Failure> {
        let mut targets = Targets::default();
        for option in options.chunks(2) {
            let [word, value] = *option else {
                return Err(Failure::Syntax);
            };
            if is(word, "ID") {
                let id = integer(value)
                    .ok()
                    .and_then(|id| u64::try_from(id).ok())
                    .filter(|id| *id > 0);
                let id =
                    id.ok_or_else(|| Failure::other("ERR client-id should be greater than 0"))?;
                targets.id = Some(id);
            } else if is(word, "ADDR") {
                targets.address = Some(preview(value));
            } else if is(word, "LADDR") {
                targets.local = Some(preview(value));
            } else if is(word, "USER") {
                // There is one user.
                if *value != *b"default" {
                    return Err(Failure::other(format!(
                        "ERR No such user '{}'",
                        preview(value)
                    )));
                }
            } else if is(word, "TYPE") {
                targets.kind = Some(client_kind(value)?);
            } else if is(word, "SKIPME") {
                targets.own_too = if is(value, "YES") {
                    false
                } else if is(value, "NO") {
                    true
                } else {
                    return Err(Failure::Syntax);
                };
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(targets)
    }

    fn include(&self, client: &Client) -> bool {
        self.kind.is_none_or(|kind| kind == Some(kind_of(client)))
            && self.id.is_none_or(|id| client.id == id)
            && self
                .address
                .as_ref()
                .is_none_or(|address| client.address == *address)
            && self
                .local
                .as_ref()
                .is_none_or(|local| client.local == *local)
    }
}

fn kill(call: &mut Call<'_, '_>, options: &[&[u8]]) -> Outcome {
    if let [address] = *options {
        let targets = Targets {
            address: Some(preview(address)),
            own_too: true,
            ..Targets::default()
        };
        if kill_all(call, &targets) == 0 {
            return Err(Failure::other("ERR No such client"));
        }
        call.reply.ok();
        return Ok(());
    }
    let targets = Targets::parse(options)?;
    let killed = kill_all(call, &targets);
    call.reply.count(killed);
    Ok(())
}

fn kill_all(call: &mut Call<'_, '_>, targets: &Targets) -> usize {
    let own = call.session.client.id;
    let mut killed = 0;
    for client in call.surroundings.server.clients.all() {
        if !targets.include(&client) || (client.id == own && !targets.own_too) {
            continue;
        }
        killed += 1;
        if client.id == own {
            // It still gets the answer.
            call.session.next = Next::Close;
        } else {
            client.kill();
            // It may wait without looking at its socket.
            call.surroundings.server.waiting.dismiss(client.id);
        }
    }
    killed
}
