//! A deterministic world in one thread, from one seed.
//!
//! Real replicas on real logs and tables, with simulated disks, network and clocks: everything that happens follows
//! from a seed, so that a failure is a number. What the replicas hold and answer is compared with what it is *by
//! definition*, evaluated on the set of all entries and their contexts.
//!
//! What it deliberately is not: a node. Threads, sockets and timers of the operating system live there; here only the
//! order of what they would do is chosen, as unkindly as possible.
//!
//! In reading order: [`options`], what a run is like; [`command`] and [`step`], what happens in it; [`engine`],
//! [`node`], [`network`] and [`world`], to whom, with `talk`, `crash`, `cold` and `outside`, its larger parts; [`model`] and
//! [`ledger`], what it means by definition; [`client`], `check` and `journals`, where the two are compared; `settle`, the end of a
//! run; [`mutant`] and [`plant`], bugs that it must find; [`run`](mod@run), whole runs and shrinking.

pub mod client;
pub mod command;
pub mod engine;
pub mod failure;
pub mod groups;
pub mod ledger;
pub mod model;
pub mod mutant;
pub mod network;
pub mod node;
pub mod options;
pub mod plant;
pub mod random;
pub mod resolvers;
pub mod run;
pub mod small_kinds;
pub mod step;
pub mod world;

mod check;
mod cold;
mod crash;
mod journals;
mod outside;
mod settle;
mod talk;

pub use self::failure::{Failure, Invariant};
pub use self::mutant::Mutant;
pub use self::options::{Options, Policy};
pub use self::run::{Report, examine, run_seed};
