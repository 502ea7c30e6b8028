//! A cluster on loopback with quick timeouts.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use isles_transport::PeerIdentity;
use isles_transport_quic::{CertificateAuthority, NodeCertificate, QuicConfig, QuicTransport};

/// Long enough for a busy machine: it is reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Cluster {
    pub(crate) authority: CertificateAuthority,
}

impl Cluster {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            authority: CertificateAuthority::create(name).expect("a plain name"),
        }
    }

    pub(crate) fn identity(&self, node: &str, region: &str) -> PeerIdentity {
        PeerIdentity {
            cluster: self.authority.cluster().to_owned(),
            node: node.to_owned(),
            region: region.to_owned(),
        }
    }

    pub(crate) fn certificate(&self, node: &str, region: &str) -> NodeCertificate {
        self.authority
            .issue(node, region, &[], 30)
            .expect("plain names")
    }

    pub(crate) fn node(&self, node: &str, region: &str) -> QuicTransport {
        start(config(self.certificate(node, region)))
    }
}

/// Loopback, a free port, and timeouts that a test can wait for.
pub(crate) fn config(certificate: NodeCertificate) -> QuicConfig {
    let mut config = QuicConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), certificate);
    config.keep_alive = Duration::from_millis(200);
    config.idle_timeout = Duration::from_secs(2);
    config.connect_timeout = Duration::from_secs(1);
    config
}

pub(crate) fn start(config: QuicConfig) -> QuicTransport {
    QuicTransport::new(config).expect("loopback has free ports")
}

pub(crate) async fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("within the deadline")
}
