//! The Redis protocol and its commands, executed on a transaction.
//!
//! [`serve`] accepts Redis clients (RESP2 and RESP3) and runs what they send on an [`Engine`], the port behind which a
//! replica and its log live. This crate deliberately knows no storage and no peers, starts no threads, and never waits
//! while it holds the replica.
//!
//! In reading order:
//!
//! * `engine`: [`Engine`] and [`Host`], what the node implements.
//! * `server`: [`serve`] and [`ServeOptions`]; `connection`: one client's loop; `line`: connections that wait for the replica; `clients`: who is connected.
//! * [`parser`]: requests out of a read buffer without copying; `reply`: answers into the output buffer.
//! * `table` and `spec`: finding a command by name; `unsupported`: those of Redis that are not there, and why; `session`: what a connection remembers between commands.
//! * `console`: [`Console`], commands without sockets, for embedders and tests; [`resp3`]: answers as values and as JSON.
//! * `execute`: runs a read buffer's commands under the lock; `transaction`: MULTI and EXEC; `waiting`:
//!   commands that wait for a key.
//! * `scripts`: what EVAL and FCALL run; `hosted`: how it calls commands; `busy`: what others are told meanwhile; `function_dump`: libraries as FUNCTION DUMP gives them.
//! * `commands`: one file per family; `call`: what a command gets; `error`: what it refuses with.
//! * `outbox`: what others send to a connection. `hub` brings it there: `pubsub`, `notify` (keyspace notifications),
//!   `tracking` (client-side caches), `conflict_news` and `notices` (what lost to whom), `monitor`; `expiry` finds keys that have expired, for those who want to know.
//! * `watch`: what is looked at around each command, for `slowlog`, `latency`, `stats`, `pause` and `replicas`;
//!   `errors`: how many were answered.
//! * `number`, `decimal`, `glob`, `token`, `random`, `settings`, `meters`: what commands share.

mod busy;
mod call;
mod clients;
mod cold;
mod commands;
mod conflict_news;
mod connection;
mod console;
mod decimal;
mod double;
mod engine;
mod errand;
mod error;
mod errors;
mod execute;
mod expiry;
mod function_dump;
mod geo_hash;
mod glob;
mod hosted;
mod hub;
mod latency;
mod line;
mod meters;
mod monitor;
mod notices;
mod notify;
mod number;
mod outbox;
pub mod parser;
mod pause;
mod publications;
mod pubsub;
mod random;
mod replicas;
mod reply;
pub mod resp3;
mod scripts;
mod server;
mod session;
mod settings;
mod slowlog;
mod spec;
mod stats;
mod table;
mod token;
mod tracking;
mod transaction;
mod unsupported;
mod waiting;
mod watch;

#[cfg(test)]
mod tests;

pub use crate::commands::{ConflictsAnswer, read_conflicts};
pub use crate::console::{Answer, Console};
pub use crate::engine::{
    BackupJob, BackupPiece, BackupStep, ChannelKind, ConfigError, Engine, EngineStopped, Host,
    Kept, NodeInfo, PeerInfo, RowSource, Saves, Writer,
};
pub use crate::hub::Inbox;
pub use crate::server::{ServeOptions, serve};
pub use crate::token::{decode_token, encode_token};
