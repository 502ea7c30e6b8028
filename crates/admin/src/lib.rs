//! The HTTP side of a node: what operators, load balancers and Prometheus ask.
//!
//! It answers `/metrics` in Prometheus's text format, `/healthz` (the process answers), `/readyz` (the node may be given
//! traffic; 503 and the reason until then), and as JSON `/status` and the journal of conflicts under `/conflicts` (503
//! while the node is loading). It is handed what it serves as a [`Probe`] and knows nothing of replicas, logs or peers; it
//! has no TLS and no passwords, so it changes nothing, and is meant to listen on a private address.
//!
//! In reading order: [`status`] is what a node says about itself, [`server`] binds and answers, `query` reads what stands behind
//! the question mark; the connections in between are few and do not stay idle for long.

mod connection;
mod query;
pub mod server;
pub mod status;

pub use server::{Admin, BindError, ConflictsError, Probe};
pub use status::{ClockEntry, HotConflict, HotConflicts, LogStatus, NodeStatus, PeerStatus};
