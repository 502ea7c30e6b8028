//! A node that was killed and is started again: its peers hear of it by their next packet, not by their idle timeout.

mod support;

use std::time::Duration;

use isles_transport::Transport;
use isles_transport_quic::{PeerRule, QuicConfig, QuicTransport};
use isles_wan::Relay;

use support::{Cluster, config, start, within_deadline};

/// Longer than the test may take: whoever waits for it fails.
const NEVER: Duration = Duration::from_secs(600);

fn patient(certificate: isles_transport_quic::NodeCertificate) -> QuicConfig {
    let mut config = config(certificate);
    config.idle_timeout = NEVER;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_dialled_it_hears_that_it_has_forgotten_the_connection() {
    within_deadline(async {
        let cluster = Cluster::new("demo");
        let (eu, us) = (
            cluster.certificate("eu-1", "eu"),
            cluster.certificate("us-1", "us"),
        );
        let home = tempfile::tempdir().expect("a temporary directory");
        us.save(home.path()).expect("saves");
        let us = start(patient(us));
        let eu = start(patient(eu));
        let (ours, theirs) = (eu.local_address(), us.local_address());
        let link = Relay::start("1ms".parse().expect("a link"), ours, theirs, 7).expect("loopback");
        let address = link.address_of_b().to_string();
        eu.set_peers(vec![PeerRule {
            node: "us-1".into(),
            region: "us".into(),
            address: Some(address.clone()),
        }]);
        let (dialled, accepted) = tokio::join!(eu.connect(&address), us.accept());
        let (dialled, accepted) = (dialled.expect("connects"), accepted.expect("accepts"));

        // Nothing that the dying process may still say arrives.
        link.cut();
        drop((accepted, us));
        let us = loop {
            let certificate = isles_transport_quic::NodeCertificate::load(home.path());
            let mut again = patient(certificate.expect("it was saved"));
            again.listen = theirs;
            match QuicTransport::new(again) {
                Ok(us) => break us,
                // The first process has not let the port go yet.
                Err(_) => tokio::task::yield_now().await,
            }
        };
        link.heal();
        assert_eq!(
            dialled.closed().await,
            "connection lost: the peer restarted"
        );
        let (again, accepted) = tokio::join!(eu.connect(&address), us.accept());
        assert!(again.is_ok() && accepted.is_ok());
    })
    .await;
}
