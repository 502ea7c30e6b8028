//! Whoever cannot prove to be the right node is turned away, and both sides can log the same reason.

mod support;

use std::net::UdpSocket;
use std::time::{Duration, SystemTime};

use isles_transport::{AcceptError, ConnectError, PeerIdentity, Refuser, Transport};
use isles_transport_quic::{IssueRequest, NodeCertificate, PeerRule, QuicError, QuicTransport};

use support::{Cluster, config, start, within_deadline};

/// Dials `acceptor` from `dialer`, which must fail, and gives what both sides were told.
async fn refusal(dialer: &QuicTransport, acceptor: &QuicTransport) -> (Side, Side) {
    let address = acceptor.local_address().to_string();
    let (dialled, accepted) =
        within_deadline(async { tokio::join!(dialer.connect(&address), acceptor.accept()) }).await;
    let dialled = match dialled.err() {
        Some(ConnectError::Refused { by, reason }) => Side { by, reason },
        other => panic!("the dialer should have been refused, but: {other:?}"),
    };
    let accepted = match accepted.err() {
        Some(AcceptError::Refused { by, reason, .. }) => Side { by, reason },
        other => panic!("the acceptor should have seen a refusal, but: {other:?}"),
    };
    (dialled, accepted)
}

#[derive(Debug)]
struct Side {
    by: Refuser,
    reason: String,
}

/// Both sides tell the same story: the dialer refused, or the acceptor did.
fn assert_told(sides: &(Side, Side), refused_by_dialer: bool, reason: &str) {
    let (dialled, accepted) = sides;
    assert_eq!(dialled.reason, reason);
    assert_eq!(accepted.reason, reason);
    let (ours, theirs) = (Refuser::ThisNode, Refuser::Peer);
    let expected = if refused_by_dialer {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    assert_eq!((dialled.by, accepted.by), expected);
}

fn rule(node: &str, region: &str, address: Option<String>) -> PeerRule {
    PeerRule {
        node: node.into(),
        region: region.into(),
        address,
    }
}

fn expired(cluster: &Cluster, node: &str, region: &str) -> NodeCertificate {
    let request = IssueRequest {
        identity: cluster.identity(node, region),
        names: &[],
        start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000),
        validity_days: 10,
    };
    cluster
        .authority
        .issue_request(&request)
        .expect("plain names")
}

#[tokio::test]
async fn a_certificate_of_another_authority() {
    let (ours, theirs) = (Cluster::new("demo"), Cluster::new("demo"));
    let sides = refusal(&ours.node("eu-1", "eu"), &theirs.node("us-1", "us")).await;
    let reason = "the certificate of us-1 (region us, cluster demo) was not issued by the authority that eu-1 of cluster demo trusts";
    assert_told(&sides, true, reason);
}

#[tokio::test]
async fn a_certificate_of_another_cluster() {
    let cluster = Cluster::new("demo");
    let request = IssueRequest {
        identity: PeerIdentity {
            cluster: "production".into(),
            ..cluster.identity("us-1", "us")
        },
        names: &[],
        start: SystemTime::now(),
        validity_days: 10,
    };
    let stranger = cluster
        .authority
        .issue_request(&request)
        .expect("plain names");
    let sides = refusal(&cluster.node("eu-1", "eu"), &start(config(stranger))).await;
    assert_told(
        &sides,
        true,
        "us-1 belongs to cluster production, eu-1 to cluster demo",
    );
}

#[tokio::test]
async fn an_expired_certificate_of_the_acceptor() {
    let cluster = Cluster::new("demo");
    let late = start(config(expired(&cluster, "us-1", "us")));
    let sides = refusal(&cluster.node("eu-1", "eu"), &late).await;
    let reason = "the certificate of us-1 (region us, cluster demo) expired on 2020-09-23 12:26 UTC; issue a new one with `isles certs node`";
    assert_told(&sides, true, reason);
}

#[tokio::test]
async fn an_expired_certificate_of_the_dialer() {
    let cluster = Cluster::new("demo");
    let late = start(config(expired(&cluster, "us-1", "us")));
    let sides = refusal(&late, &cluster.node("eu-1", "eu")).await;
    let reason = "the certificate of us-1 (region us, cluster demo) expired on 2020-09-23 12:26 UTC; issue a new one with `isles certs node`";
    assert_told(&sides, false, reason);
}

#[tokio::test]
async fn another_region_than_configured_at_the_dialled_address() {
    let cluster = Cluster::new("demo");
    let acceptor = cluster.node("us-1", "ap");
    let dialer = cluster.node("eu-1", "eu");
    let address = acceptor.local_address().to_string();
    dialer.set_peers(vec![rule("us-1", "us", Some(address))]);
    let sides = refusal(&dialer, &acceptor).await;
    let reason =
        "expected node us-1 of region us, but the certificate names node us-1 of region ap";
    assert_told(&sides, true, reason);
}

#[tokio::test]
async fn another_region_than_configured_for_the_dialer() {
    let cluster = Cluster::new("demo");
    let acceptor = cluster.node("us-1", "us");
    acceptor.set_peers(vec![rule("eu-1", "eu", None), rule("ap-1", "ap", None)]);
    let sides = refusal(&cluster.node("eu-1", "ap"), &acceptor).await;
    let reason =
        "expected node eu-1 of region eu, but the certificate names node eu-1 of region ap";
    assert_told(&sides, false, reason);
}

#[tokio::test]
async fn a_node_that_is_nobodys_peer() {
    let cluster = Cluster::new("demo");
    let acceptor = cluster.node("us-1", "us");
    acceptor.set_peers(vec![rule("ap-1", "ap", None)]);
    let sides = refusal(&cluster.node("eu-1", "eu"), &acceptor).await;
    assert_told(
        &sides,
        false,
        "eu-1 of region eu is not among the peers of us-1",
    );
}

#[tokio::test]
async fn a_namesake() {
    let cluster = Cluster::new("demo");
    let sides = refusal(&cluster.node("eu-1", "eu"), &cluster.node("eu-1", "us")).await;
    let reason = "both ends are called eu-1: two nodes share a name, or an address leads back to its own node";
    assert_told(&sides, true, reason);
}

#[tokio::test]
async fn a_right_peer_still_gets_in_after_a_refusal() {
    let cluster = Cluster::new("demo");
    let acceptor = cluster.node("us-1", "us");
    acceptor.set_peers(vec![rule("eu-1", "eu", None)]);
    refusal(&cluster.node("eu-1", "ap"), &acceptor).await;
    let dialer = cluster.node("eu-1", "eu");
    let address = acceptor.local_address().to_string();
    let both = async { tokio::join!(dialer.connect(&address), acceptor.accept()) };
    let (dialled, accepted) = within_deadline(both).await;
    assert_eq!(
        dialled.expect("connects").peer(),
        &cluster.identity("us-1", "us")
    );
    assert_eq!(
        accepted.expect("accepts").peer(),
        &cluster.identity("eu-1", "eu")
    );
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unreachable() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("is bound").to_string();
    let dialer = Cluster::new("demo").node("eu-1", "eu");
    let error = within_deadline(dialer.connect(&address))
        .await
        .err()
        .expect("nobody answers");
    assert_eq!(
        error.to_string(),
        format!("cannot reach the peer at {address}: no answer within 1 s")
    );
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let cluster = Cluster::new("demo");
    let first = cluster.node("eu-1", "eu");
    let mut second = config(cluster.certificate("us-1", "us"));
    second.listen = first.local_address();
    let error = QuicTransport::new(second).err().expect("the port is taken");
    assert!(matches!(error, QuicError::Listen { address, .. } if address == first.local_address()));
    assert!(
        error
            .to_string()
            .ends_with("is another process using the port?"),
        "{error}"
    );
}
