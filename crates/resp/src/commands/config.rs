//! CONFIG, and the form that HELP answers have.

use std::collections::BTreeMap;

use crate::call::{Call, is};
use crate::engine::ConfigError;
use crate::error::{Failure, Outcome};
use crate::glob::{Case, Glob};
use crate::session::Next;
use crate::settings::{HIDDEN, Set, obeyed_name};
use crate::spec::Subcommand;
use crate::{notify, watch};

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("get", -3),
    ("help", 2),
    ("resetstat", 2),
    ("rewrite", 2),
    ("set", -4),
];

pub(super) fn config(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    match rest {
        [_, ..] if is(subcommand, "GET") => get(call, rest)?,
        [_, _, ..] if is(subcommand, "SET") && rest.len().is_multiple_of(2) => set(call, rest)?,
        [] if is(subcommand, "RESETSTAT") => {
            call.surroundings.server.reset_totals();
            call.reply.ok();
        }
        [] if is(subcommand, "REWRITE") => {
            return Err(Failure::other(
                "ERR The server is running without a config file",
            ));
        }
        [] if is(subcommand, "HELP") => {
            let lines = [
                "GET <pattern> [<pattern> ...]",
                "SET <name> <value> [<name> <value> ...]",
                "RESETSTAT",
            ];
            help(call, "CONFIG", &lines);
        }
        _ if is(subcommand, "SET") => return Err(Failure::Syntax),
        _ => return Err(Failure::subcommand(subcommand, "CONFIG")),
    }
    Ok(())
}

fn get(call: &mut Call<'_, '_>, patterns: &[&[u8]]) -> Outcome {
    let globs = patterns
        .iter()
        .map(|pattern| Glob::new(pattern, Case::Ignored));
    let globs: Vec<Glob> = globs.collect::<Result<_, _>>()?;
    let wanted = |name: &str| match HIDDEN.contains(&name) {
        true => patterns.iter().any(|pattern| is(pattern, name)),
        false => globs.iter().any(|glob| glob.matches(name.as_bytes())),
    };
    // What the node says of itself is truer than a default.
    let mut settings: BTreeMap<String, String> = call.surroundings.server.settings.all();
    settings.extend(call.surroundings.host.config());
    settings.retain(|name, _| wanted(name));
    call.reply.map(settings.len());
    for (name, value) in settings {
        call.reply.text(name);
        call.reply.text(value);
    }
    Ok(())
}

/// Checks everything before anything is set; only the node itself can still refuse then.
fn set(call: &mut Call<'_, '_>, pairs: &[&[u8]]) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs: Vec<(String, String)> = pairs
        .chunks_exact(2)
        .map(|pair| (text(pair[0]).to_ascii_lowercase(), text(pair[1])))
        .collect();
    let settings = &call.surroundings.server.settings;
    let of_node: BTreeMap<String, String> = call.surroundings.host.config().into_iter().collect();
    let (mut remembered, mut for_node) = (Vec::new(), Vec::new());
    for (index, (name, value)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(refused(name, "duplicate parameter"));
        }
        match settings.check(name, value) {
            _ if of_node.get(name).is_some_and(|current| current == value) => {}
            _ if of_node.contains_key(name) => for_node.push((name, value)),
            Set::Remembered => remembered.push((name, value)),
            Set::Fixed => return Err(refused(name, "can't set immutable config")),
            Set::TooLong => return Err(refused(name, "argument is too long")),
            Set::NotYesOrNo => return Err(refused(name, "argument must be 'yes' or 'no'")),
            Set::NotOneOf(choices) => {
                let choices = choices.join(", ");
                let reason = format!("argument(s) must be one of the following: {choices}");
                return Err(refused(name, &reason));
            }
            Set::NotANumber => {
                return Err(refused(name, "argument couldn't be parsed into an integer"));
            }
            Set::NotBetween(min, max) => {
                let reason = format!("argument must be between {min} and {max} inclusive");
                return Err(refused(name, &reason));
            }
            Set::NotAPercentage => {
                return Err(refused(
                    name,
                    "percentage argument must be less or equal to 100",
                ));
            }
            Set::BadEvents => return Err(refused(name, notify::BAD_LETTER)),
            Set::Unknown if name == "port" => {
                return Err(refused(
                    name,
                    "Unable to listen on this port: ports are set in the node's configuration",
                ));
            }
            Set::Unknown => for_node.push((name, value)),
        }
    }
    for (name, value) in for_node {
        set_on_node(call, name, value, of_node.contains_key(name))?;
    }
    for (name, value) in remembered {
        settings.set(name, value);
        obey(call, name, value);
    }
    call.reply.ok();
    Ok(())
}

/// Takes over a setting that is not merely remembered.
fn obey(call: &mut Call<'_, '_>, name: &str, value: &str) {
    let server = call.surroundings.server;
    let number: i64 = value.parse().unwrap_or(0);
    let count = usize::try_from(number).unwrap_or(0);
    let running = &server.scripting.running;
    match obeyed_name(name) {
        "busy-reply-threshold" => running.set_late_after_ms(number),
        "script-time-max" => running.set_time_max_ms(count as u64),
        "min-replicas-to-write" => server.replicas.set_least(count),
        "min-replicas-max-lag" => server.replicas.set_max_lag_s(count as u64),
        "notify-keyspace-events" => {
            server
                .hub
                .notifications
                .set(notify::parse(value).unwrap_or(0));
            watch::begin(&server.hub, call.txn);
        }
        "tracking-table-max-keys" => server.hub.tracking.set_keys_max(&server.hub, count),
        "hll-sparse-max-bytes" => call.txn.set_sparse_bytes_max(count),
        "slowlog-log-slower-than" => server.slowlog.set_slower_than_us(number),
        "slowlog-max-len" => server.slowlog.set_len_max(count),
        "latency-monitor-threshold" => server.latency.set_threshold_ms(count as u64),
        _ => return,
    }
    // What is looked at around commands is looked up when a hold of the lock begins.
    call.session.next = Next::Release;
}

fn set_on_node(call: &Call<'_, '_>, name: &str, value: &str, shown: bool) -> Outcome {
    call.surroundings
        .host
        .set_config(name, value)
        .map_err(|error| match error {
            ConfigError::Unknown(_) if shown => refused(name, "can't set immutable config"),
            ConfigError::Unknown(name) => Failure::other(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            )),
            ConfigError::Refused(reason) => refused(name, &reason),
        })
}

fn refused(name: &str, reason: &str) -> Failure {
    Failure::other(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    ))
}

/// The list of a command's subcommands.
pub(super) fn help(call: &mut Call<'_, '_>, command: &str, lines: &[&str]) {
    call.reply.array(lines.len() + 2);
    call.reply.simple(&format!(
        "{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    lines.iter().for_each(|line| call.reply.simple(line));
    call.reply.simple("HELP");
}
