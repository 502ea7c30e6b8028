//! The binary `isles`: sockets, threads, config and signals.
fn main() {}
