//! Over a long link that gets cut: both sides notice, and come back when it is healed.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isles_transport::{Channel, ConnectError, Message, TrafficClass, Transport};
use isles_transport_quic::{PeerRule, QuicTransport};
use isles_wan::{Direction, Relay};

use support::{Cluster, within_deadline};

const LOST: &str = "connection lost: nothing heard from the peer within the idle timeout";

struct World {
    eu: QuicTransport,
    us: QuicTransport,
    link: Relay,
}

/// Two regions that know each other by the relay's addresses only, as in a demo.
fn world(link: &str) -> World {
    let cluster = Cluster::new("demo");
    let (eu, us) = (cluster.node("eu-1", "eu"), cluster.node("us-1", "us"));
    let link = link.parse().expect("a link");
    let link = Relay::start(link, eu.local_address(), us.local_address(), 7).expect("loopback");
    let rule = |node: &str, region: &str, address: String| {
        vec![PeerRule {
            node: node.into(),
            region: region.into(),
            address: Some(address),
        }]
    };
    eu.set_peers(rule("us-1", "us", link.address_of_b().to_string()));
    us.set_peers(rule("eu-1", "eu", link.address_of_a().to_string()));
    World { eu, us, link }
}

impl World {
    async fn connect(&self) -> (Arc<dyn Channel>, Arc<dyn Channel>) {
        let address = self.link.address_of_b().to_string();
        let (eu, us) = tokio::join!(self.eu.connect(&address), self.us.accept());
        (eu.expect("connects"), us.expect("accepts"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_notice_a_cut_and_reconnect_after_it_is_healed() {
    within_deadline(async {
        let world = world("20ms");
        let (eu, us) = world.connect().await;
        assert!(
            eu.stats().rtt >= Duration::from_millis(19),
            "{:?}",
            eu.stats().rtt
        );

        world.link.cut();
        let (eu_lost, us_lost) = tokio::join!(eu.closed(), us.closed());
        assert_eq!((eu_lost.as_str(), us_lost.as_str()), (LOST, LOST));
        let address = world.link.address_of_b().to_string();
        let refused = world.eu.connect(&address).await.err();
        assert!(
            matches!(refused, Some(ConnectError::Unreachable { .. })),
            "{refused:?}"
        );

        world.link.heal();
        // The other side dials this time: the address of the relay leads both ways.
        let back = world.link.address_of_a().to_string();
        let (us, eu) = tokio::join!(world.us.connect(&back), world.eu.accept());
        let (us, eu) = (us.expect("connects"), eu.expect("accepts"));
        us.send(TrafficClass::Control, Message::Probe { nonce: 1 })
            .await
            .expect("sends");
        assert_eq!(
            eu.receive(TrafficClass::Control).await,
            Ok(Message::Probe { nonce: 1 })
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_keeps_dialling_gets_through_after_the_heal() {
    within_deadline(async {
        let world = world("2ms");
        world.link.cut();
        let address = world.link.address_of_b().to_string();
        let mut failures = 0;
        let dialled = async {
            loop {
                match world.eu.connect(&address).await {
                    Ok(channel) => return channel,
                    Err(ConnectError::Unreachable { .. }) => failures += 1,
                    Err(other) => panic!("a cut is no refusal: {other}"),
                }
                if failures == 2 {
                    world.link.heal();
                }
            }
        };
        let (_eu, us) = tokio::join!(dialled, world.us.accept());
        assert_eq!(us.expect("accepts").peer().node, "eu-1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_one_way_only_is_lost_for_both() {
    within_deadline(async {
        let world = world("2ms");
        let (eu, us) = world.connect().await;
        world.link.cut_direction(Direction::AToB);
        let (eu_lost, us_lost) = tokio::join!(eu.closed(), us.closed());
        assert_eq!((eu_lost.as_str(), us_lost.as_str()), (LOST, LOST));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_cut_loses_nothing() {
    within_deadline(async {
        let world = world("2ms");
        let (eu, us) = world.connect().await;
        world.link.cut();
        eu.send(
            TrafficClass::Frames,
            Message::Frame(Bytes::from_static(b"kept")),
        )
        .await
        .expect("sends");
        let before = world.link.counters(Direction::AToB).cut_packets;
        while world.link.counters(Direction::AToB).cut_packets == before {
            tokio::task::yield_now().await;
        }
        world.link.heal();
        let kept = us.receive(TrafficClass::Frames).await;
        assert_eq!(kept, Ok(Message::Frame(Bytes::from_static(b"kept"))));
    })
    .await;
}

/// Megabytes wait in front of a slow, lossy link; an ack must not wait behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_overtakes_a_backlog_of_frames_and_snapshots() {
    within_deadline(async {
        let world = world("20ms/0.1%/50mbit");
        let (eu, us) = world.connect().await;
        let frame = Bytes::from(vec![7; 64 << 10]);
        let backlog = async {
            for _ in 0..64 {
                for class in [TrafficClass::Frames, TrafficClass::Snapshot] {
                    eu.send(class, Message::Frame(frame.clone()))
                        .await
                        .expect("sends");
                }
            }
        };
        // 8 MiB: more than a second at 50 Mbit/s.
        backlog.await;
        let start = Instant::now();
        eu.send(TrafficClass::Control, Message::Probe { nonce: 1 })
            .await
            .expect("sends");
        assert_eq!(
            us.receive(TrafficClass::Control).await,
            Ok(Message::Probe { nonce: 1 })
        );
        let took = start.elapsed();
        for class in [TrafficClass::Frames, TrafficClass::Snapshot] {
            for _ in 0..64 {
                assert_eq!(us.receive(class).await, Ok(Message::Frame(frame.clone())));
            }
        }
        let all = start.elapsed();
        assert!(took < all / 2, "control took {took:?}, the backlog {all:?}");
        println!("control {took:?}, backlog of 8 MiB {all:?}");
    })
    .await;
}
