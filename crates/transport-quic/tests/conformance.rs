//! QUIC keeps the port's contract, over loopback.

mod support;

use std::sync::Arc;

use isles_transport::Transport;
use isles_transport::conformance::{self, Pair};

use support::{Cluster, within_deadline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let cluster = Cluster::new("test");
    let open = async || {
        let (left, right) = (cluster.node("eu-1", "eu"), cluster.node("us-1", "us"));
        Pair {
            left_identity: cluster.identity("eu-1", "eu"),
            right_identity: cluster.identity("us-1", "us"),
            left: Arc::new(left) as Arc<dyn Transport>,
            right: Arc::new(right) as Arc<dyn Transport>,
        }
    };
    within_deadline(conformance::check(open)).await;
}
