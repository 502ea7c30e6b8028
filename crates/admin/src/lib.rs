//! The HTTP side of a node: what operators, load balancers and Prometheus ask.
//!
//! It answers five paths: `/metrics` in Prometheus's text format, `/healthz` (the process answers), `/readyz` (the node may be given
//! traffic; 503 and the reason until then), `/status` and `/conflicts/hot` as JSON (503 while the node is loading). It is handed what it serves as a [`Probe`] and knows nothing of
//! replicas, logs or peers; it has no TLS and no passwords, and is meant to listen on a private address.
//!
//! In reading order: [`status`] is what a node says about itself, [`server`] binds and answers; the connections in between are few
//! and do not stay idle for long.

mod connection;
pub mod server;
pub mod status;

pub use server::{Admin, BindError, Probe};
pub use status::{ClockEntry, HotConflict, HotConflicts, LogStatus, NodeStatus, PeerStatus};
