//! Resolvers that users bring as WebAssembly.

use isles_replica::{Lens, LoadedResolver, ResolverName};
use isles_resolve_wasm::{Limits, SAMPLES_MAX};

use super::config::help;
use super::isles::{data, write_stamp};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome, preview};
use crate::settings::Settings;
use crate::spec::{Spec, Subcommand};

/// The command's name, by which a module to be loaded is found before the command runs.
pub(crate) const NAME: &str = "isles.resolver";

pub(super) const COMMANDS: &[Spec] = &[data(
    NAME,
    -2,
    resolver,
    "Loads and shows merge functions in WebAssembly.",
)
.subcommands(SUBCOMMANDS)
.write()
.long()
.no_script()
.no_multi()];

const SUBCOMMANDS: &[Subcommand] = &[
    ("del", 3),
    ("failed", -2),
    ("get", 3),
    ("help", 2),
    ("list", 2),
    ("load", -4),
];

const HELP: &[&str] = &[
    "DEL <name>",
    "FAILED [COUNT <count>]",
    "GET <name>",
    "LIST",
    "LOAD <name> <module> [<sample> ...]",
];

/// Resolvers that LOAD makes; concurrent loads elsewhere may add some.
const RESOLVERS_MAX: usize = 64;
/// Keys that FAILED lists unless told otherwise.
const FAILED_DEFAULT: usize = 100;

/// What CONFIG allows a module.
pub(crate) struct Limited {
    pub(crate) module_bytes_max: usize,
    pub(crate) limits: Limits,
}

impl Limited {
    pub(crate) fn of(settings: &Settings) -> Limited {
        let number = |name| {
            let value = settings.get(name).and_then(|value| value.parse().ok());
            value.unwrap_or(0)
        };
        Limited {
            module_bytes_max: number("resolver-module-max") as usize,
            limits: Limits {
                fuel: number("resolver-fuel-max"),
                memory_bytes: number("resolver-memory-max") as u32,
                answer_bytes: number("resolver-answer-max") as u32,
            },
        }
    }
}

fn resolver(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    match *rest {
        [name, module, ref samples @ ..] if is(subcommand, "LOAD") => {
            load(call, name, module, samples)
        }
        [name] if is(subcommand, "DEL") => delete(call, name),
        [name] if is(subcommand, "GET") => get(call, name),
        [] if is(subcommand, "LIST") => list(call),
        [] if is(subcommand, "FAILED") => failed(call, FAILED_DEFAULT),
        [word, count] if is(subcommand, "FAILED") && is(word, "COUNT") => {
            let count = usize::try_from(integer(count)?).map_err(|_| Failure::NotPositive)?;
            failed(call, count)
        }
        [] if is(subcommand, "HELP") => {
            help(call, "ISLES.RESOLVER", HELP);
            Ok(())
        }
        _ => Err(Failure::Syntax),
    }
}

fn name_of(text: &[u8]) -> Result<ResolverName, Failure> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse()
        .map_err(|error| Failure::other(format!("ERR {error}")))
}

pub(super) fn missing(name: &ResolverName) -> Failure {
    Failure::other(format!(
        "ERR no resolver '{name}' is loaded; see ISLES.RESOLVER LOAD"
    ))
}

/// A lens by its name, whether or not its module is there.
pub(super) fn parse_lens(text: &[u8]) -> Result<Lens, Failure> {
    use isles_replica::ParseLensError::Name;
    let parsed = std::str::from_utf8(text).unwrap_or_default().parse();
    parsed.map_err(|error| match error {
        Name => Failure::other(format!("ERR {error}")),
        _ => {
            let known = isles_resolve::Strategy::ALL.map(isles_resolve::Strategy::name);
            Failure::other(format!(
                "ERR unknown strategy '{}', expected one of: {}, wasm:<resolver>",
                preview(text),
                known.join(", ")
            ))
        }
    })
}

/// The lens that a keyspace is to be read by; a module must be there.
pub(super) fn lens(call: &mut Call<'_, '_>, text: &[u8]) -> Result<Lens, Failure> {
    let lens = parse_lens(text)?;
    match lens.module() {
        Some(name) if !call.txn.has_resolver(name) => Err(missing(name)),
        _ => Ok(lens),
    }
}

/// Stores a module that has been checked before the command ran.
fn load(call: &mut Call<'_, '_>, name: &[u8], module: &[u8], samples: &[&[u8]]) -> Outcome {
    let name = name_of(name)?;
    let limited = Limited::of(&call.surroundings.server.settings);
    if module.len() > limited.module_bytes_max {
        return Err(Failure::other(format!(
            "ERR the module has {} bytes, and resolver-module-max is {}",
            module.len(),
            limited.module_bytes_max
        )));
    }
    if samples.len() > SAMPLES_MAX {
        return Err(Failure::other(format!(
            "ERR at most {SAMPLES_MAX} samples are looked at"
        )));
    }
    let known = call.txn.resolvers();
    if known.len() >= RESOLVERS_MAX && known.iter().all(|(known, _)| *known != name) {
        return Err(Failure::other(format!(
            "ERR there are {RESOLVERS_MAX} resolvers already"
        )));
    }
    let checked = call.session.errands.take_checked();
    let checked = checked.ok_or_else(|| Failure::other("ERR the module could not be checked"))?;
    let report = checked
        .result
        .map_err(|refusal| Failure::other(format!("ERR the module is refused: {refusal}")))?;
    call.txn.resolver_set(&name, module, checked.limits);
    let counts = [
        ("bytes", module.len() as u64),
        ("sets", report.sets),
        ("generated_sets", report.generated_sets),
        ("calls", report.calls),
        ("undecided", report.undecided),
        ("failed", report.failed),
        ("fuel_max", report.fuel_max),
    ];
    call.reply.map(counts.len() + 1);
    call.reply.text("name");
    call.reply.text(name.as_str());
    for (label, count) in counts {
        call.reply.text(label);
        write_u64(call, count);
    }
    Ok(())
}

fn write_u64(call: &mut Call<'_, '_>, number: u64) {
    call.reply
        .integer(i64::try_from(number).unwrap_or(i64::MAX));
}

fn delete(call: &mut Call<'_, '_>, name: &[u8]) -> Outcome {
    let name = name_of(name)?;
    let deleted = call.txn.resolver_delete(&name).map_err(|in_use| {
        Failure::other(format!(
            "ERR keyspace '{}' is read by resolver '{name}': give it another strategy first",
            preview(&in_use.prefix)
        ))
    })?;
    call.reply.flag(deleted);
    Ok(())
}

fn get(call: &mut Call<'_, '_>, name: &[u8]) -> Outcome {
    let name = name_of(name)?;
    let known = call.txn.resolvers();
    let found = known.iter().find(|(known, _)| *known == name);
    let parts = found.and_then(|(_, loaded)| loaded.parts());
    call.reply.bulk_or_null(parts.map(|(_, module)| module));
    Ok(())
}

fn list(call: &mut Call<'_, '_>) -> Outcome {
    let known = call.txn.resolvers();
    call.reply.array(known.len());
    for (name, loaded) in &known {
        write_resolver(call, name, loaded);
    }
    Ok(())
}

fn write_resolver(call: &mut Call<'_, '_>, name: &ResolverName, loaded: &LoadedResolver) {
    let keyspaces = call.txn.keyspaces_under(name);
    let version = call.txn.resolver_version(name);
    let failures = call.txn.failures_of(name);
    let (limits, module) = loaded.parts().unzip();
    let limits = limits.unwrap_or_default();
    call.reply.map(8 + if version.is_some() { 5 } else { 0 });
    call.reply.text("name");
    call.reply.text(name.as_str());
    call.reply.text("strategy");
    call.reply.text(format!("wasm:{name}"));
    for (label, number) in [
        ("bytes", module.map_or(0, <[u8]>::len) as u64),
        ("fuel", limits.fuel),
        ("memory_bytes", u64::from(limits.memory_bytes)),
        ("answer_bytes", u64::from(limits.answer_bytes)),
    ] {
        call.reply.text(label);
        write_u64(call, number);
    }
    call.reply.text("keyspaces");
    call.reply.array(keyspaces.len());
    keyspaces.iter().for_each(|prefix| call.reply.bulk(prefix));
    call.reply.text("failures");
    call.reply.map(failures.len());
    for (failure, count) in failures {
        call.reply.text(failure.name());
        write_u64(call, count);
    }
    if let Some(version) = version {
        call.reply.text("version");
        call.reply.text(version.dot.to_string());
        write_stamp(call.reply, version.stamp, call.surroundings.host);
    }
}

/// The keys whose readers get siblings because a resolver has failed.
fn failed(call: &mut Call<'_, '_>, count: usize) -> Outcome {
    let mut failed = call.txn.failed_keys();
    failed.truncate(count);
    call.reply.array(failed.len());
    for each in failed {
        call.reply.map(4);
        call.reply.text("key");
        call.reply.bulk(&each.key);
        call.reply.text("resolver");
        call.reply.text(each.name.as_str());
        call.reply.text("failure");
        call.reply.text(each.failure.name());
        call.reply.text("reason");
        call.reply.text(each.failure.to_string());
    }
    Ok(())
}
