//! Building blocks for replication by operations.
//!
//! A replica that receives every operation exactly once, after everything its writer had observed, needs no tombstones
//! and no state to merge: an operation removes what its [`Context`](isles_clock::Context) covers and adds what it
//! brings. Under that delivery these types converge, whatever the order of concurrent operations; without it they do
//! not, and the state-based types beside this module are the ones to use.
//!
//! An operation observes exactly the dots that its context covers, never its own. A local one has observed
//! [`Everything`](isles_clock::Everything) that its replica holds.
//!
//! * [`Cell`]: a register that keeps every value that no operation has observed.
//! * [`Presence`]: the dots that make one element of a set present.
//! * [`Tally`]: a counter that can be reset, exact also when increments and resets are concurrent.
//!
//! ```
//! use isles_clock::{Dot, Everything, Hlc, ReplicaId, VectorClock};
//! use isles_crdt::op::{Cell, Version};
//!
//! let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
//! let version = |replica, ms, value| Version { dot: Dot::new(replica, 1), hlc: Hlc::new(ms, 0), value };
//!
//! let mut cell = Cell::new();
//! cell.write(version(eu, 10, "red"), &Everything);
//! cell.write(version(us, 20, "blue"), &VectorClock::new()); // its writer had not seen "red"
//! assert_eq!(cell.versions().len(), 2);
//! assert_eq!(cell.latest().map(|version| version.value), Some("blue"));
//! ```

mod cell;
mod op_based;
mod presence;
mod tally;

pub use self::cell::{Cell, Version, Versions};
pub use self::op_based::OpBased;
pub use self::presence::Presence;
pub use self::tally::{Contribution, Increment, Reset, Tally};
