//! Commands on the connection itself.

use super::client::{self, client};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::number::parse_i64;
use crate::reply::Protocol;
use crate::spec::{Family, Flow, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    connection("auth", -2, auth, "Authenticates the connection.")
        .no_script()
        .allow_busy(),
    connection(
        "client",
        -2,
        client,
        "Inspects and changes client connections.",
    )
    .subcommands(client::SUBCOMMANDS)
    .no_script(),
    connection("echo", 2, echo, "Returns the given string."),
    connection("hello", -1, hello, "Handshakes with the server.")
        .no_script()
        .allow_busy(),
    // Not while data is loaded: who asks this to know whether a node is there means one that serves.
    Spec::new(
        Family::Connection,
        "ping",
        -1,
        Run::Data(ping),
        "Returns the server's liveliness response.",
    )
    .fast(),
    connection("select", 2, select, "Changes the selected database."),
    Spec::new(
        Family::Connection,
        "quit",
        -1,
        Run::Flow(Flow::Quit),
        "Closes the connection.",
    )
    .loading()
    .fast()
    .no_script()
    .allow_busy(),
    Spec::new(
        Family::Connection,
        "reset",
        1,
        Run::Flow(Flow::Reset),
        "Resets the connection.",
    )
    .loading()
    .fast()
    .no_script()
    .allow_busy(),
];

const fn connection(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Connection, name, arity, Run::Data(run), summary)
        .loading()
        .fast()
}

/// The version of Redis whose answers these are, for clients that ask.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

fn ping(call: &mut Call<'_, '_>) -> Outcome {
    match *call.args {
        // Something that is recognised among messages.
        [_] | [_, _] if call.session.restricted => {
            call.reply.array(2);
            call.reply.text("pong");
            call.reply
                .bulk(call.args.get(1).copied().unwrap_or_default());
        }
        [_] => call.reply.simple("PONG"),
        [_, text] => call.reply.bulk(text),
        _ => return Err(Failure::arity("ping")),
    }
    Ok(())
}

fn echo(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.bulk(call.args[1]);
    Ok(())
}

fn select(call: &mut Call<'_, '_>) -> Outcome {
    let index = integer(call.args[1])?;
    if call.surroundings.server.options.select_any {
        if !(0..16).contains(&index) {
            return Err(Failure::DatabaseIndex);
        }
    } else if index != 0 {
        return Err(Failure::other(
            "ERR DB index is out of range: Isles has one database, 0",
        ));
    }
    call.reply.ok();
    Ok(())
}

/// Accepting a password that nobody checks would look like protection, so every one is refused.
fn auth(call: &mut Call<'_, '_>) -> Outcome {
    match call.args.len() {
        2 => Err(Failure::other(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        // The one user needs no password, so any is right.
        3 if call.args[1] == b"default" => {
            call.reply.ok();
            Ok(())
        }
        3 => Err(wrong_password()),
        _ => Err(Failure::Syntax),
    }
}

fn wrong_password() -> Failure {
    Failure::other("WRONGPASS invalid username-password pair or user is disabled.")
}

fn hello(call: &mut Call<'_, '_>) -> Outcome {
    let protocol = match call.args.get(1) {
        None => call.reply.protocol,
        Some(version) => match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Failure::other("NOPROTO unsupported protocol version")),
            None => {
                return Err(Failure::other(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        },
    };
    let name = hello_options(call.args.get(2..).unwrap_or_default())?;
    if let Some(name) = name {
        name.clone_into(&mut call.session.client.details().name);
    }
    call.reply.protocol = protocol;
    call.session.client.note_protocol(protocol);
    call.session.restrict(protocol);
    if protocol == Protocol::Resp2 {
        // It has no pushes.
        call.session.notice = None;
    }
    greet(call);
    Ok(())
}

/// The name that the client gives itself, if any.
fn hello_options<'c>(words: &[&'c [u8]]) -> Result<Option<&'c [u8]>, Failure> {
    let mut name = None;
    let mut rest = words;
    while let [word, tail @ ..] = rest {
        rest = match tail {
            [b"default", _, tail @ ..] if is(word, "AUTH") => tail,
            [_, _, ..] if is(word, "AUTH") => return Err(wrong_password()),
            [given, tail @ ..] if is(word, "SETNAME") => {
                check_name(given, "Client names")?;
                name = Some(*given);
                tail
            }
            _ => {
                let text = crate::error::preview(word);
                return Err(Failure::other(format!(
                    "ERR Syntax error in HELLO option '{text}'"
                )));
            }
        };
    }
    Ok(name)
}

/// Names appear in CLIENT LIST, whose columns are separated by blanks.
pub(super) fn check_name(name: &[u8], what: &str) -> Outcome {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(())
    } else {
        Err(Failure::other(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        )))
    }
}

fn greet(call: &mut Call<'_, '_>) {
    let id = i64::try_from(call.session.client.id).unwrap_or(i64::MAX);
    let reply = &mut *call.reply;
    reply.map(7);
    reply.text("server");
    reply.text("redis");
    reply.text("version");
    reply.text(REDIS_VERSION);
    reply.text("proto");
    reply.integer(reply.protocol.number());
    reply.text("id");
    reply.integer(id);
    reply.text("mode");
    reply.text("standalone");
    reply.text("role");
    reply.text("master");
    reply.text("modules");
    reply.array(0);
}
