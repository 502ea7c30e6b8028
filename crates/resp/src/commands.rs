//! The commands, one file per family and per concept in it.

mod bits;
mod client;
mod command;
mod config;
mod connection;
mod expiry;
mod functions;
mod hash_random;
mod hashes;
mod info;
mod isles;
mod keys;
mod lcs;
mod object;
mod scan;
mod scripting;
mod server;
mod set_algebra;
mod set_options;
mod set_random;
mod sets;
mod strings;
mod transactions;

pub(crate) use self::connection::REDIS_VERSION;
use crate::spec::Spec;

/// Every command, by family.
pub(crate) const GROUPS: &[&[Spec]] = &[
    strings::COMMANDS,
    keys::COMMANDS,
    sets::COMMANDS,
    hashes::COMMANDS,
    transactions::COMMANDS,
    connection::COMMANDS,
    server::COMMANDS,
    isles::COMMANDS,
    scripting::COMMANDS,
    functions::COMMANDS,
];
