//! A UDP relay that behaves like a long link: delay, jitter, loss, bandwidth, cuts.
//!
//! It stands between two nodes of a demo, a test or a benchmark on one machine, and makes them believe that an ocean
//! lies between them. It forwards datagrams of any protocol.
//!
//! What it deliberately is not: a model of a whole network. There is one link with two directions; it delays and
//! drops, and never changes, doubles or reorders. What this crate never knows: QUIC, nodes, regions' meaning.
//!
//! In reading order:
//! - [`spec`]: `80ms/5ms/0.1%/100mbit` and `eu-us=80ms,eu-ap=180ms`, as people write them
//! - [`link`]: what happens to a packet in one direction, as arithmetic without sockets or clocks
//! - [`relay`]: the sockets around two such links
//! - `delay`: packets that wait for their moment

mod delay;
pub mod link;
pub mod relay;
pub mod spec;

pub use link::{Link, LinkCounters};
pub use relay::{Direction, Relay};
pub use spec::{LinkSpec, SpecError, WanSpec};
