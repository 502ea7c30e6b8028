//! Lua scripts in Redis's environment: what they find, what they must not reach, and what they may use.
//!
//! An [`Interpreter`] runs scripts; a [`Host`] runs the commands that they call. What a script leaves behind in Lua is
//! garbage: globals are closed, settings last until it ends, and after it met a limit the whole state is dropped. This
//! crate deliberately knows no database, no connection and no replication.
//!
//! In reading order:
//!
//! * `interpreter`: [`Interpreter`], [`ScriptError`]; `limits`: time and its [`Overseer`], memory and depth; `heap`: its garbage.
//! * `environment` and `prelude.lua`: what scripts find, written in Lua; `native`: how that calls Rust; `bytecode`: its size.
//! * `host`: [`Host`], and how a script calls commands; `decode`: their answers into Lua's values.
//! * `answer`: [`Answer`], what a script answers; `convert`: Lua's values into that.
//! * `json`, `msgpack`, `layout` (struct), `bits`, `random`, `strings` and `pattern`: the libraries.
//! * `shebang`: the first line of a script; `sha1`, `number`: names and digits as Redis writes them.

mod answer;
mod bits;
mod bytecode;
mod convert;
mod decode;
mod environment;
mod heap;
mod host;
mod interpreter;
mod json;
mod layout;
mod limits;
mod msgpack;
mod native;
mod number;
mod pattern;
mod random;
mod sha1;
mod shebang;
mod strings;

#[cfg(test)]
mod tests;

pub use crate::answer::{Answer, Version};
pub use crate::host::Host;
pub use crate::interpreter::{Interpreter, Registered, Script, ScriptError};
pub use crate::limits::{
    ANSWER_BYTES_MAX, ANSWER_VALUES_MAX, DEPTH_MAX, MEMORY_BYTES_MAX, Overseer, TEXT_BYTES_MAX,
    Verdict,
};
pub use crate::sha1::sha1_hex;
pub use crate::shebang::{Shebang, ShebangError};
