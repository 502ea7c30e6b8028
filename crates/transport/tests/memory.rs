//! The in-process transport keeps the port's contract, and its links can be cut and healed.

use std::sync::Arc;
use std::time::Duration;

use isles_transport::conformance::{self, Pair};
use isles_transport::{
    ConnectError, MemoryNetwork, Message, PeerIdentity, TrafficClass, Transport,
};

const DEADLINE: Duration = Duration::from_secs(60);

fn identity(node: &str, region: &str) -> PeerIdentity {
    PeerIdentity {
        cluster: "test".into(),
        node: node.into(),
        region: region.into(),
    }
}

fn pair(network: &MemoryNetwork) -> Pair {
    let left_identity = identity("eu-1", "eu");
    let right_identity = identity("us-1", "us");
    Pair {
        left: Arc::new(network.join(left_identity.clone())),
        right: Arc::new(network.join(right_identity.clone())),
        left_identity,
        right_identity,
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let check = conformance::check(async || pair(&MemoryNetwork::new()));
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("within the deadline");
}

#[tokio::test]
async fn a_cut_link_loses_its_channels_and_a_healed_one_takes_new_ones() {
    let network = MemoryNetwork::new();
    let nodes = pair(&network);
    let address = nodes.right.local_address().to_string();
    let left = nodes.left.connect(&address).await.expect("connects");
    let right = nodes.right.accept().await.expect("accepts");

    network.cut("us-1", "eu-1");
    assert_eq!(left.closed().await, "connection lost: the link is cut");
    assert_eq!(right.closed().await, "connection lost: the link is cut");
    let refused = nodes.left.connect(&address).await.err();
    assert!(
        matches!(refused, Some(ConnectError::Unreachable { .. })),
        "{refused:?}"
    );

    network.heal("eu-1", "us-1");
    let left = nodes.left.connect(&address).await.expect("connects again");
    let right = nodes.right.accept().await.expect("accepts again");
    left.send(TrafficClass::Control, Message::PullStop)
        .await
        .expect("sends");
    assert_eq!(
        right.receive(TrafficClass::Control).await,
        Ok(Message::PullStop)
    );
}

#[tokio::test]
async fn another_cluster_is_refused_with_one_reason_on_both_sides() {
    let network = MemoryNetwork::new();
    let nodes = pair(&network);
    let mut stranger = identity("ap-1", "ap");
    stranger.cluster = "production".into();
    let stranger = network.join(stranger);
    let dialled = stranger
        .connect(&nodes.left.local_address().to_string())
        .await
        .err();
    let accepted = nodes.left.accept().await.err();
    let reason = "ap-1 belongs to cluster production, this is cluster test";
    assert_eq!(
        dialled.expect("refused").to_string(),
        format!("refused by the peer: {reason}")
    );
    assert!(accepted.expect("refused").to_string().ends_with(reason));
}
