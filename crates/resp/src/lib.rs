//! The Redis protocol and its commands, executed on a transaction.
//!
//! [`serve`] accepts Redis clients (RESP2 and RESP3) and runs what they send on an [`Engine`], the port behind which a
//! replica and its log live. This crate deliberately knows no storage and no peers, starts no threads, and never waits
//! while it holds the replica.
//!
//! In reading order:
//!
//! * `engine`: [`Engine`] and [`Host`], what the node implements.
//! * `server`: [`serve`] and [`ServeOptions`]; `connection`: one client's loop; `clients`: who is connected.
//! * [`parser`]: requests out of a read buffer without copying; `reply`: answers into the output buffer.
//! * `table` and `spec`: finding a command by name; `session`: what a connection remembers between commands.
//! * `console`: [`Console`], commands without sockets, for embedders and tests.
//! * `execute`: runs a read buffer's commands under the lock; `transaction`: MULTI and EXEC; `waiting`:
//!   commands that wait for a key.
//! * `commands`: one file per family; `call`: what a command gets; `error`: what it refuses with.
//! * `number`, `decimal`, `glob`, `token`, `random`, `settings`, `meters`: what commands share.

mod call;
mod clients;
mod commands;
mod connection;
mod console;
mod decimal;
mod double;
mod engine;
mod error;
mod execute;
mod geo_hash;
mod glob;
mod meters;
mod number;
pub mod parser;
mod random;
mod reply;
mod server;
mod session;
mod settings;
mod spec;
mod table;
mod token;
mod transaction;
mod waiting;

#[cfg(test)]
mod tests;

pub use crate::console::{Answer, Console};
pub use crate::engine::{ConfigError, Engine, EngineStopped, Host, NodeInfo, PeerInfo, Writer};
pub use crate::server::{ServeOptions, serve};
pub use crate::token::{decode_token, encode_token};
