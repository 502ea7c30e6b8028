//! Many peers at one moment, as after a power cut: all get in, also those that must first prove their address.

mod support;

use std::sync::Arc;

use isles_transport::Transport;

use support::{Cluster, within_deadline};

/// More than may have a handshake under way without proving their address.
const PEERS: usize = 48;

#[tokio::test]
async fn a_crowd_gets_in() {
    let cluster = Cluster::new("demo");
    let acceptor = cluster.node("us-1", "us");
    let dialer = Arc::new(cluster.node("eu-1", "eu"));
    let address = acceptor.local_address().to_string();
    within_deadline(async {
        let mut dials = tokio::task::JoinSet::new();
        for _ in 0..PEERS {
            let (dialer, address) = (Arc::clone(&dialer), address.clone());
            dials.spawn(async move { dialer.connect(&address).await });
        }
        let mut accepted = Vec::new();
        while accepted.len() < PEERS {
            accepted.push(acceptor.accept().await.expect("accepts"));
        }
        for dialled in dials.join_all().await {
            dialled.expect("connects");
        }
    })
    .await;
}
