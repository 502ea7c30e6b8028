//! Nodes inside one process, joined by links that can be cut and healed.
//!
//! Messages are encoded and decoded as on a real link, and each lane has a window in bytes, so that code
//! tested here meets the same back-pressure and the same decoding errors as behind a socket.

mod channel;
mod network;

pub use network::{MemoryNetwork, MemoryTransport};
