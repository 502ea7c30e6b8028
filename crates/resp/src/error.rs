//! What a command answers when it refuses, in Redis's own words, since clients match on them.

use isles_replica::{IncrementError, WrongType};
use thiserror::Error;

use crate::unsupported;

/// How a command ends: its answer is in the reply, or it refused.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a command refused. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR value is not a valid float")]
    NotAFloat,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR value is out of range")]
    OutOfRange,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR invalid cursor")]
    Cursor,
    #[error("ERR DB index is out of range")]
    DatabaseIndex,
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    #[error("ERR unknown subcommand '{0}'. Try {1} HELP.")]
    Subcommand(String, String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A refusal that no other command shares; the text starts with its code.
    pub(crate) fn other(text: impl Into<String>) -> Failure {
        Failure::Other(text.into())
    }

    /// The wrong number of arguments for the command of this name.
    pub(crate) fn arity(name: &str) -> Failure {
        Failure::Arity(name.to_ascii_lowercase())
    }

    /// A subcommand that there is not, or not with these arguments.
    pub(crate) fn subcommand_or_arity(given: &[u8], command: &str) -> Failure {
        Failure::Other(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try {command} HELP.",
            preview(given)
        ))
    }

    pub(crate) fn subcommand(given: &[u8], command: &str) -> Failure {
        let (given, command) = (preview(given), command.to_ascii_uppercase());
        match unsupported::find_subcommand(&command, given.as_bytes()) {
            Some(known) => known.refusal(&format!("{command} {given}")),
            None => Failure::Subcommand(given, command),
        }
    }
}

/// Bytes of a client's text that an error repeats.
const PREVIEW_BYTES_MAX: usize = 128;

/// The first bytes of what a client sent, fit to be repeated in an error.
pub(crate) fn preview(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(PREVIEW_BYTES_MAX)]).into_owned()
}

impl From<WrongType> for Failure {
    fn from(_: WrongType) -> Failure {
        Failure::WrongType
    }
}

impl From<IncrementError> for Failure {
    fn from(error: IncrementError) -> Failure {
        match error {
            IncrementError::WrongType => Failure::WrongType,
            IncrementError::Overflow => Failure::Overflow,
            _ => Failure::NotAnInteger,
        }
    }
}
