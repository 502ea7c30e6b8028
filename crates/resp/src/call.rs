//! What a command gets to work with.

use isles_replica::{Replica, Txn};

use crate::busy::Kind;
use crate::engine::Host;
use crate::error::Failure;
use crate::number::parse_i64;
use crate::reply::Reply;
use crate::server::Server;
use crate::session::Session;
use crate::watch::Watch;

/// One command on a transaction.
pub(crate) struct Call<'c, 'r> {
    pub(crate) txn: &'c mut Txn<'r>,
    /// The name and the arguments; the table has checked how many.
    pub(crate) args: &'c [&'c [u8]],
    pub(crate) reply: &'c mut Reply,
    pub(crate) session: &'c mut Session,
    pub(crate) surroundings: Surroundings<'c>,
}

/// One command on the replica as a whole.
pub(crate) struct Inspection<'c> {
    pub(crate) replica: &'c mut Replica,
    pub(crate) reply: &'c mut Reply,
    pub(crate) surroundings: Surroundings<'c>,
}

/// What lies around the transaction.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'c> {
    pub(crate) server: &'c Server,
    pub(crate) host: &'c dyn Host,
    /// The wall clock in milliseconds since 1970.
    pub(crate) wall_ms: u64,
    /// The log position through which everything is durable.
    pub(crate) durable: isles_replica::Position,
    pub(crate) loading: bool,
    /// A script of this kind holds the replica and is late; what there is instead of it is empty.
    pub(crate) busy: Option<Kind>,
    pub(crate) watch: Watch,
}

/// Reads an argument as an integer.
pub(crate) fn integer(argument: &[u8]) -> Result<i64, Failure> {
    parse_i64(argument).ok_or(Failure::NotAnInteger)
}

/// Whether the argument is this word, in any case.
pub(crate) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}
