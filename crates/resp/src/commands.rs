//! The commands, one file per family and per concept in it.

mod acl;
pub(crate) mod backup;
mod bitfield;
mod bitmaps;
mod bits;
mod bounded;
mod categories;
mod client;
mod command;
mod config;
pub(crate) mod conflicts;
mod connection;
mod dump;
mod expiry;
mod flags;
mod functions;
mod geo;
mod geo_search;
mod hash_random;
mod hashes;
mod info;
mod isles;
mod keys;
pub(crate) mod keyspaces;
mod latency;
mod lcs;
mod list_blocking;
mod list_move;
mod list_position;
mod lists;
mod object;
mod persistence;
mod policy;
mod pubsub;
pub(crate) mod resolvers;
pub(crate) mod scan;
mod scripting;
mod server;
mod set_algebra;
mod set_options;
mod set_random;
mod sets;
mod siblings;
mod sketches;
mod slowlog;
mod sort;
mod sorted_add;
mod sorted_algebra;
mod sorted_bounds;
mod sorted_pop;
mod sorted_random;
mod sorted_range;
mod sorted_sets;
mod stream_claims;
mod stream_group_read;
mod stream_groups;
mod stream_info;
mod stream_pending;
mod stream_read;
mod stream_trim;
mod streams;
mod strings;
mod tracking;
mod transactions;

pub(crate) use self::conflicts::encode_record;
pub use self::conflicts::{ConflictsAnswer, read_conflicts};
pub(crate) use self::connection::REDIS_VERSION;
pub(crate) use self::stream_read::blocks as stream_blocks;
use crate::spec::Spec;

/// Every command, by family.
pub(crate) const GROUPS: &[&[Spec]] = &[
    strings::COMMANDS,
    keys::COMMANDS,
    sets::COMMANDS,
    hashes::COMMANDS,
    transactions::COMMANDS,
    connection::COMMANDS,
    acl::COMMANDS,
    server::COMMANDS,
    persistence::COMMANDS,
    conflicts::COMMANDS,
    isles::COMMANDS,
    keyspaces::COMMANDS,
    backup::COMMANDS,
    policy::COMMANDS,
    resolvers::COMMANDS,
    siblings::COMMANDS,
    sorted_sets::COMMANDS,
    geo::COMMANDS,
    lists::COMMANDS,
    streams::COMMANDS,
    sketches::COMMANDS,
    sort::COMMANDS,
    dump::COMMANDS,
    bitmaps::COMMANDS,
    flags::COMMANDS,
    bounded::COMMANDS,
    pubsub::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    scripting::COMMANDS,
    functions::COMMANDS,
];
