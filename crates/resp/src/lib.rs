//! The Redis protocol and its commands, executed on a transaction.
