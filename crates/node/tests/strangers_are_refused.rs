//! Who is not the right node is refused, both logs say why, and both nodes go on serving.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::time::{Duration, SystemTime};

use isles_clock::{ReplicaId, VectorClock};
use isles_transport::{Channel, Hello, Message, PeerIdentity, Role, TrafficClass, Transport};
use isles_transport_quic::{
    CertificateAuthority, IssueRequest, NodeCertificate, QuicConfig, QuicTransport,
};
use support::{Cluster, Files, Node, Options, Ports, Spec, eventually};

/// Two nodes that are configured for each other and not started yet.
fn pair() -> Cluster {
    Cluster::prepare(&Options {
        nodes: 2,
        ..Options::default()
    })
}

/// Writes the node's files again, after its configuration or certificate has changed.
fn rewrite(cluster: &mut Cluster, node: usize, certificate: &NodeCertificate) {
    let folder = cluster.folder().to_owned();
    let node = &mut cluster.nodes[node];
    node.files = Files::write(&folder, &node.spec, Some(certificate));
}

/// Starts both; each one's log must give the reason, and each must serve clients.
fn check_refused(cluster: &mut Cluster, reason: &str) {
    cluster.nodes.iter_mut().for_each(Node::spawn);
    cluster.nodes.iter_mut().for_each(Node::await_ready);
    for node in &cluster.nodes {
        eventually(&format!("{} logs: {reason}", node.spec.node), || {
            node.log().contains(reason)
        });
    }
    check_serving(cluster);
    assert!(!cluster.are_connected(0, 1));
}

fn check_serving(cluster: &Cluster) {
    for node in &cluster.nodes {
        let stored: String = redis::cmd("SET")
            .arg("key")
            .arg("value")
            .query(&mut node.connect())
            .unwrap();
        assert_eq!(stored, "OK");
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}

#[test]
fn a_certificate_of_another_authority() {
    let mut cluster = pair();
    let other = CertificateAuthority::create("test").unwrap();
    rewrite(
        &mut cluster,
        1,
        &other.issue("us-1", "us", &[], 30).unwrap(),
    );
    check_refused(&mut cluster, "was not issued by the authority that");
}

#[test]
fn a_node_of_another_cluster() {
    let mut cluster = pair();
    cluster.nodes[1].spec.cluster = "other".to_owned();
    let identity = PeerIdentity {
        cluster: "other".into(),
        node: "us-1".into(),
        region: "us".into(),
    };
    let request = IssueRequest {
        identity,
        names: &[],
        start: SystemTime::now(),
        validity_days: 30,
    };
    let certificate = cluster.authority.issue_request(&request).unwrap();
    rewrite(&mut cluster, 1, &certificate);
    check_refused(&mut cluster, "to cluster");
}

#[test]
fn another_node_than_the_configured_one() {
    let mut cluster = pair();
    let folder = cluster.folder().to_owned();
    let mut spec = cluster.nodes[1].spec.clone();
    spec.node = "us-2".to_owned();
    let certificate = cluster.authority.issue("us-2", "us", &[], 30).unwrap();
    let files = Files::write(&folder, &spec, Some(&certificate));
    cluster.nodes[1] = Node::new(spec, files);
    check_refused(&mut cluster, "us-2");
    let reason =
        "expected node us-1 of region us, but the certificate names node us-2 of region us";
    let told = cluster
        .nodes
        .iter()
        .filter(|node| node.log().contains(reason))
        .count();
    assert_eq!(told, 2, "both logs give the same reason");
}

#[test]
fn two_nodes_with_one_name() {
    let mut cluster = pair();
    let folder = cluster.folder().join("namesake");
    let mut spec = cluster.nodes[1].spec.clone();
    spec.node = "eu-1".to_owned();
    // Its own configuration may not name itself, so the peer goes by another name there.
    spec.peers[0].0 = "eu-2".to_owned();
    let certificate = cluster.authority.issue("eu-1", "us", &[], 30).unwrap();
    let files = Files::write(&folder, &spec, Some(&certificate));
    cluster.nodes[1] = Node::new(spec, files);
    cluster.nodes.iter_mut().for_each(Node::spawn);
    cluster.nodes.iter_mut().for_each(Node::await_ready);
    for node in &cluster.nodes {
        eventually("a log tells of the namesake", || {
            node.log().contains("both ends are called eu-1")
        });
    }
    check_serving(&cluster);
}

// Its certificate is good and its data are its own, so nothing else is wrong with it.
#[test]
fn a_third_node_with_the_name_of_another() {
    let mut cluster = pair();
    cluster.nodes.iter_mut().for_each(Node::spawn);
    cluster.nodes.iter_mut().for_each(Node::await_ready);
    cluster.await_connected();
    let mut ports = Ports::take();
    let folder = cluster.folder().join("namesake");
    let mut spec = cluster.nodes[1].spec.clone();
    let own = Spec::alone("us-1", "us", &mut ports);
    (spec.listen, spec.redis, spec.admin) = (own.listen, own.redis, own.admin);
    let certificate = cluster.authority.issue("us-1", "us", &[], 30).unwrap();
    let files = Files::write(&folder, &spec, Some(&certificate));
    let mut namesake = Node::new(spec, files);
    namesake.spawn();
    eventually("the log of eu-1 tells of the namesake", || {
        let log = cluster.nodes[0].log();
        log.contains("two nodes call themselves us-1")
            && log.contains("give one of them another name")
    });
    check_serving(&cluster);
}

// Certificates last days; this one begins so long ago that it ends in a few seconds.
#[test]
fn a_certificate_that_expires_while_the_node_runs() {
    const LEFT: Duration = Duration::from_secs(6);
    let mut cluster = pair();
    let identity = PeerIdentity {
        cluster: "test".into(),
        node: "us-1".into(),
        region: "us".into(),
    };
    let end = SystemTime::now() + LEFT;
    let start = end - Duration::from_secs(86_400);
    let request = IssueRequest {
        identity,
        names: &[],
        start,
        validity_days: 1,
    };
    let certificate = cluster.authority.issue_request(&request).unwrap();
    rewrite(&mut cluster, 1, &certificate);
    cluster.nodes[1].start();
    eventually("the certificate expires", || {
        SystemTime::now() > end + Duration::from_secs(1)
    });
    cluster.nodes[0].start();
    for node in &cluster.nodes {
        eventually("a log tells of the expired certificate", || {
            let log = node.log();
            log.contains("the certificate of us-1 (region us, cluster test) expired on")
                && log.contains("isles certs node")
        });
    }
    check_serving(&cluster);
}

/// Somebody with a good certificate for us-1 who speaks for itself.
struct Rogue {
    transport: QuicTransport,
    runtime: tokio::runtime::Runtime,
}

impl Rogue {
    fn new(cluster: &Cluster) -> Rogue {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let certificate = cluster.authority.issue("us-1", "us", &[], 30).unwrap();
        let config = QuicConfig::new(cluster.nodes[1].spec.listen, certificate);
        let transport = runtime
            .block_on(async { QuicTransport::new(config) })
            .unwrap();
        Rogue { transport, runtime }
    }

    /// Dials, says hello in its way, and gives the reason for which it is refused.
    fn refusal(&self, address: &str, hello: Hello) -> String {
        self.runtime.block_on(async {
            let channel = self.transport.connect(address).await.unwrap();
            channel
                .send(TrafficClass::Control, Message::Hello(hello))
                .await
                .unwrap();
            rejection(&*channel).await
        })
    }
}

/// The reason comes as a message, and again with the close, which may overtake it.
async fn rejection(channel: &dyn Channel) -> String {
    loop {
        match channel.receive(TrafficClass::Control).await {
            Ok(Message::Reject(reject)) => return reject.reason,
            Ok(_) => {}
            Err(_) => return channel.closed().await,
        }
    }
}

fn good_hello() -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        cluster: "test".to_owned(),
        replica: ReplicaId::from_u128(7),
        node: "us-1".to_owned(),
        region: "us".to_owned(),
        role: Role::Leader,
        nonce: 7,
        applied: VectorClock::new(),
        durable: VectorClock::new(),
        chains: Vec::new(),
        floor: Vec::new(),
        extensions: Vec::new(),
    }
}

#[test]
fn a_peer_that_speaks_otherwise_than_it_may() {
    let mut cluster = pair();
    cluster.nodes[0].start();
    let own: String = cluster.nodes[0].status()["replica"]
        .as_str()
        .unwrap()
        .to_owned();
    let rogue = Rogue::new(&cluster);
    let cases = [
        (
            Hello {
                protocol_min: 900,
                protocol_max: 901,
                ..good_hello()
            },
            "the other 900 to 901: upgrade the older node",
        ),
        (
            Hello {
                cluster: "other".into(),
                ..good_hello()
            },
            "the other to \"other\"",
        ),
        (
            Hello {
                node: "ap-1".into(),
                ..good_hello()
            },
            "the peer calls itself ap-1",
        ),
        (
            Hello {
                replica: own.parse().unwrap(),
                ..good_hello()
            },
            "one of the two data directories is a copy",
        ),
    ];
    let address = cluster.nodes[0].spec.listen.to_string();
    for (hello, words) in cases {
        let told = rogue.refusal(&address, hello);
        assert!(told.contains(words), "{told}");
        let node = &cluster.nodes[0];
        eventually(&format!("the log says {words}"), || {
            node.log().contains(words)
        });
    }
    // The right node gets in all the same.
    drop(rogue);
    cluster.nodes[1].start();
    cluster.await_connected();
    check_serving(&cluster);
    cluster.await_convergence();
}

// Bytes that are no messages, and packets that are no QUIC.
#[test]
fn noise_on_the_peers_port() {
    let mut cluster = pair();
    cluster.nodes[0].start();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..1200_usize {
        let noise: Vec<u8> = (0..length)
            .map(|index| (index * 131 + length * 17) as u8)
            .collect();
        let _ = socket.send_to(&noise, cluster.nodes[0].spec.listen);
    }
    cluster.nodes[1].start();
    cluster.await_connected();
    check_serving(&cluster);
    cluster.await_convergence();
}
