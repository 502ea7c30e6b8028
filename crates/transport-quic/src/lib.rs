//! The transport port on QUIC with mutual TLS.
//!
//! Two nodes share one QUIC connection. Each [`TrafficClass`](isles_transport::TrafficClass) has a stream of its
//! own in each direction, so that a lane that nobody reads, or a lost packet in it, delays no other. Both sides
//! prove cluster, region and node with a certificate of the cluster's own authority, and when one refuses the
//! other, both can log the same reason.
//!
//! What this crate never knows: what a message means, which peers a node should have, when to dial again (it has
//! only the arithmetic, [`Backoff`]). quinn and rustls appear in no other crate.
//!
//! In reading order:
//! - [`config`]: everything that can be set, with its defaults and their reasons
//! - [`certificates`]: the cluster's certificate authority, node certificates, and their files
//! - `identity`: `isles://cluster/region/node`, as it stands in a certificate
//! - `verify`: who is let in
//! - `transport`: dialling, accepting, and the exchange that makes both sides sure
//! - `channel`, `lane`: messages on streams
//! - `reason`: why a connection ended, in words
//! - `restart`: how peers learn at once that a node was killed
//! - [`backoff`]: how long to wait before dialling again

pub mod backoff;
pub mod certificates;
mod channel;
pub mod config;
mod identity;
mod lane;
mod reason;
mod restart;
mod socket;
mod tls;
mod transport;
mod verify;

pub use backoff::Backoff;
pub use certificates::{
    CertificateAuthority, CertificateError, CertificateInfo, IssueRequest, NodeCertificate,
};
pub use config::{CongestionControl, PeerRule, QuicConfig};
pub use transport::{QuicError, QuicTransport};
