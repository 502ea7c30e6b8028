//! A peer with a valid certificate and broken software: it is told what it did, and this node lives on.

mod support;

use std::sync::Arc;

use isles_transport::{
    AcceptError, Channel, ChannelError, DecodeError, Message, Refuser, TrafficClass, Transport,
};
use isles_transport_quic::QuicTransport;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use support::{Cluster, within_deadline};

/// The right certificate behind a QUIC client of its own, which the crate's rules do not bind.
struct Rogue {
    node: QuicTransport,
    endpoint: Endpoint,
    tls: rustls::ClientConfig,
}

impl Rogue {
    fn new() -> Self {
        let cluster = Cluster::new("demo");
        let home = tempfile::tempdir().expect("a temporary directory");
        cluster
            .certificate("eu-1", "eu")
            .save(home.path())
            .expect("saves");
        let file = |name: &str| home.path().join(name);
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file("ca.pem")).expect("ca"))
            .expect("a root");
        let chain = vec![CertificateDer::from_pem_file(file("node.pem")).expect("certificate")];
        let key = PrivateKeyDer::from_pem_file(file("node.key")).expect("key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("key fits certificate");
        tls.alpn_protocols = vec![b"isles/1".to_vec()];
        let names = ["rogue.test".to_owned()];
        let certificate = cluster
            .authority
            .issue("us-1", "us", &names, 1)
            .expect("issues");
        let node = support::start(support::config(certificate));
        let endpoint =
            Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("loopback");
        Self {
            node,
            endpoint,
            tls,
        }
    }

    async fn dial(&self) -> Result<Connection, quinn::ConnectionError> {
        let tls = QuicClientConfig::try_from(self.tls.clone()).expect("TLS 1.3");
        let client = ClientConfig::new(Arc::new(tls));
        let address = self.node.local_address();
        self.endpoint
            .connect_with(client, address, "rogue.test")
            .expect("dials")
            .await
    }

    async fn connect(&self) -> (Connection, Arc<dyn Channel>) {
        let (rogue, node) = tokio::join!(self.dial(), self.node.accept());
        (rogue.expect("connects"), node.expect("accepts"))
    }

    /// Opens a stream that begins with `bytes`, and keeps it open.
    async fn write(connection: &Connection, bytes: &[u8]) -> quinn::SendStream {
        let mut stream = connection.open_uni().await.expect("opens");
        stream.write_all(bytes).await.expect("writes");
        stream
    }

    async fn told(connection: &Connection) -> String {
        match connection.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                String::from_utf8_lossy(&close.reason).into_owned()
            }
            other => panic!("expected to be told a reason, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_absurd_length_closes_the_connection_with_a_reason() {
    let rogue = Rogue::new();
    within_deadline(async {
        let (connection, node) = rogue.connect().await;
        let _stream = Rogue::write(&connection, &[1, 0xFF, 0xFF, 0xFF, 0xFF]).await;
        let received = node.receive(TrafficClass::Control).await;
        let reason = "on the control stream, a message has 4294967295 bytes, the limit is 1048576";
        assert_eq!(
            received,
            Err(ChannelError::Closed(format!(
                "closed by this node: {reason}"
            )))
        );
        assert_eq!(Rogue::told(&connection).await, reason);
    })
    .await;
}

#[tokio::test]
async fn two_streams_of_one_class_close_the_connection_with_a_reason() {
    let rogue = Rogue::new();
    within_deadline(async {
        let (connection, node) = rogue.connect().await;
        let _first = Rogue::write(&connection, &[2]).await;
        let _second = Rogue::write(&connection, &[2]).await;
        assert_eq!(
            Rogue::told(&connection).await,
            "two frames streams in one connection"
        );
        assert_eq!(
            node.closed().await,
            "closed by this node: two frames streams in one connection"
        );
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_an_unknown_class_is_ignored() {
    let rogue = Rogue::new();
    within_deadline(async {
        let (connection, node) = rogue.connect().await;
        let unknown = Rogue::write(&connection, &[99, 1, 2, 3]).await;
        unknown
            .stopped()
            .await
            .expect("is told that nobody reads it");
        let _control = Rogue::write(&connection, &[1, 2, 0, 0, 0, 1, 4]).await;
        assert_eq!(
            node.receive(TrafficClass::Control).await,
            Ok(Message::PullStop)
        );
    })
    .await;
}

#[tokio::test]
async fn an_unknown_message_is_reported_and_the_next_one_arrives() {
    let rogue = Rogue::new();
    within_deadline(async {
        let (connection, node) = rogue.connect().await;
        let two = [1, 5, 0, 0, 0, 1, 250, 7, 7, 7, 2, 0, 0, 0, 1, 4];
        let _control = Rogue::write(&connection, &two).await;
        let class = TrafficClass::Control;
        let unknown = Err(ChannelError::Decode {
            class,
            error: DecodeError::UnknownTag(250),
        });
        assert_eq!(node.receive(class).await, unknown);
        assert_eq!(node.receive(class).await, Ok(Message::PullStop));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_closes_the_connection() {
    let rogue = Rogue::new();
    within_deadline(async {
        let (connection, node) = rogue.connect().await;
        let mut control = Rogue::write(&connection, &[1, 9, 0]).await;
        control.finish().expect("is open");
        let received = node.receive(TrafficClass::Control).await;
        assert_eq!(
            received,
            Err(ChannelError::Closed(
                "closed by this node: the control stream ended".into()
            ))
        );
    })
    .await;
}

#[tokio::test]
async fn another_protocol_version_is_refused_in_the_handshake() {
    let mut rogue = Rogue::new();
    rogue.tls.alpn_protocols = vec![b"isles/2".to_vec()];
    let (dialled, accepted) =
        within_deadline(async { tokio::join!(rogue.dial(), rogue.node.accept()) }).await;
    let dialled = dialled.expect_err("is refused").to_string();
    assert!(
        dialled.contains("no application protocol") || dialled.contains("120"),
        "{dialled}"
    );
    let Some(AcceptError::Refused {
        by: Refuser::ThisNode,
        reason,
        ..
    }) = accepted.err()
    else {
        panic!("the node reports whom it has refused");
    };
    assert!(reason.contains("protocol"), "{reason}");
}
