//! The behaviour that every [`Transport`] has in common, as functions that panic where it is missing.
//!
//! An implementation's tests call [`check`] with a function that opens a fresh pair of nodes; put a
//! deadline around it, since a lost message shows as a wait without end.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::{
    AcceptError, Channel, ChannelError, ConnectError, MAX_CONTROL_BYTES, MAX_FRAME_BYTES, Message,
    PeerIdentity, TrafficClass, Transport,
};

/// Two nodes that may talk to each other.
pub struct Pair {
    /// The node that dials.
    pub left: Arc<dyn Transport>,
    /// Who it is.
    pub left_identity: PeerIdentity,
    /// The node that is dialled.
    pub right: Arc<dyn Transport>,
    /// Who it is.
    pub right_identity: PeerIdentity,
}

/// A connected pair; the transports stay alive with it.
struct Connected {
    pair: Pair,
    left: Arc<dyn Channel>,
    right: Arc<dyn Channel>,
}

/// Runs every check, each on a pair of its own.
///
/// # Panics
/// Where the implementation differs from the contract.
pub async fn check<F: Future<Output = Pair>>(open: impl Fn() -> F) {
    both_sides_know_each_other(connect(open().await).await).await;
    each_class_keeps_its_order(connect(open().await).await).await;
    frames_arrive_verbatim(connect(open().await).await).await;
    a_full_lane_delays_no_other(connect(open().await).await).await;
    an_abandoned_receive_loses_nothing(connect(open().await).await).await;
    too_large_a_message_is_refused_and_the_channel_lives(connect(open().await).await).await;
    both_sides_see_why_a_channel_closed(connect(open().await).await).await;
    a_closed_transport_ends_everything(connect(open().await).await).await;
}

async fn connect(pair: Pair) -> Connected {
    let address = pair.right.local_address().to_string();
    let (left, right) = tokio::join!(pair.left.connect(&address), pair.right.accept());
    let left = left.expect("the left node connects");
    let right = right.expect("the right node accepts");
    Connected { pair, left, right }
}

async fn both_sides_know_each_other(nodes: Connected) {
    assert_eq!(nodes.left.peer(), &nodes.pair.right_identity);
    assert_eq!(nodes.right.peer(), &nodes.pair.left_identity);
    round_trip(&nodes, 1).await;
    for stats in [nodes.left.stats(), nodes.right.stats()] {
        assert!(
            stats.bytes_sent > 0 && stats.bytes_received > 0,
            "bytes are counted: {stats:?}"
        );
    }
}

async fn each_class_keeps_its_order(nodes: Connected) {
    const MESSAGES: u64 = 500;
    let send_all = |channel: Arc<dyn Channel>| async move {
        for nonce in 0..MESSAGES {
            for class in TrafficClass::ALL {
                channel
                    .send(class, Message::Probe { nonce })
                    .await
                    .expect("sends");
            }
        }
    };
    let receive_all = |channel: Arc<dyn Channel>| async move {
        // Lanes are read one after the other: none may depend on another being read.
        for class in TrafficClass::ALL.into_iter().rev() {
            for nonce in 0..MESSAGES {
                let message = channel.receive(class).await.expect("receives");
                assert_eq!(message, Message::Probe { nonce }, "order of class {class}");
            }
        }
    };
    tokio::join!(
        send_all(Arc::clone(&nodes.left)),
        send_all(Arc::clone(&nodes.right)),
        receive_all(Arc::clone(&nodes.left)),
        receive_all(Arc::clone(&nodes.right)),
    );
}

async fn frames_arrive_verbatim(nodes: Connected) {
    for size in [0, 1, 1199, 65_536, (3 << 20) + 7] {
        let frame = patterned(size);
        let (sent, received) = tokio::join!(
            nodes
                .left
                .send(TrafficClass::Frames, Message::Frame(frame.clone())),
            nodes.right.receive(TrafficClass::Frames),
        );
        sent.expect("sends a frame");
        assert!(
            received == Ok(Message::Frame(frame)),
            "a frame of {size} bytes changed on its way"
        );
    }
}

/// Fills the three bulk lanes until none of them takes any more, and talks on the control lane meanwhile.
async fn a_full_lane_delays_no_other(nodes: Connected) {
    /// More than any window that a peer may grant: a lane that takes this much has no back-pressure.
    const FLOOD_BYTES_MAX: u64 = 512 << 20;
    /// Round trips without any bulk progress, after which the lanes count as full.
    const QUIET_ROUND_TRIPS: u32 = 2000;
    let sent_bytes = AtomicU64::new(0);
    let frame = patterned(256 << 10);
    let flood = async |class: TrafficClass| {
        loop {
            nodes
                .left
                .send(class, Message::Frame(frame.clone()))
                .await
                .expect("sends");
            let total = sent_bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
            assert!(
                total < FLOOD_BYTES_MAX,
                "nobody reads, but the sender never waits"
            );
        }
    };
    let talk = async {
        let (mut quiet, mut before) = (0, 0);
        for nonce in 0.. {
            round_trip(&nodes, nonce).await;
            let now = sent_bytes.load(Ordering::Relaxed);
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            if now > 0 && quiet >= QUIET_ROUND_TRIPS {
                break;
            }
        }
    };
    let flood_all = async {
        tokio::join!(
            flood(TrafficClass::Frames),
            flood(TrafficClass::Pull),
            flood(TrafficClass::Snapshot)
        )
    };
    let resume = async {
        talk.await;
        let before = sent_bytes.load(Ordering::Relaxed);
        while sent_bytes.load(Ordering::Relaxed) == before {
            for class in [
                TrafficClass::Frames,
                TrafficClass::Pull,
                TrafficClass::Snapshot,
            ] {
                nodes.right.receive(class).await.expect("receives");
            }
        }
    };
    tokio::select! {
        _ = flood_all => unreachable!("floods never end by themselves"),
        () = resume => {}
    }
}

async fn an_abandoned_receive_loses_nothing(nodes: Connected) {
    for nonce in 0..100 {
        for class in [TrafficClass::Control, TrafficClass::Frames] {
            poll_once(nodes.right.receive(class)).await;
            nodes
                .left
                .send(class, Message::Frame(patterned(5_000)))
                .await
                .expect("sends");
            // May or may not see the first bytes by now; what it saw must not be lost with it.
            if let Some(received) = poll_once(nodes.right.receive(class)).await {
                assert_eq!(received, Ok(Message::Frame(patterned(5_000))));
            } else {
                let received = nodes.right.receive(class).await;
                assert_eq!(
                    received,
                    Ok(Message::Frame(patterned(5_000))),
                    "message {nonce}"
                );
            }
        }
    }
}

async fn too_large_a_message_is_refused_and_the_channel_lives(nodes: Connected) {
    let too_large = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
    let refused = nodes
        .left
        .send(TrafficClass::Frames, Message::Frame(too_large.clone()))
        .await;
    assert!(
        matches!(refused, Err(ChannelError::Limit(_))),
        "{refused:?}"
    );
    let for_control = Message::Frame(too_large.slice(..MAX_CONTROL_BYTES));
    let refused = nodes.left.send(TrafficClass::Control, for_control).await;
    assert!(
        matches!(refused, Err(ChannelError::Limit(_))),
        "{refused:?}"
    );
    round_trip(&nodes, 9).await;
}

async fn both_sides_see_why_a_channel_closed(nodes: Connected) {
    round_trip(&nodes, 1).await;
    let (waiting, ()) = tokio::join!(
        nodes.right.receive(TrafficClass::Frames),
        nodes.left.close("enough for today")
    );
    let Err(ChannelError::Closed(reason)) = waiting else {
        panic!("a waiting receive ends with the channel, not with {waiting:?}");
    };
    assert!(reason.contains("enough for today"), "{reason}");
    for channel in [&nodes.left, &nodes.right] {
        let reason = channel.closed().await;
        assert!(reason.contains("enough for today"), "{reason}");
        let sent = channel.send(TrafficClass::Control, Message::PullStop).await;
        assert!(matches!(sent, Err(ChannelError::Closed(_))), "{sent:?}");
    }
    assert_ne!(
        nodes.left.closed().await,
        nodes.right.closed().await,
        "it is clear who closed"
    );
}

async fn a_closed_transport_ends_everything(nodes: Connected) {
    round_trip(&nodes, 1).await;
    let address = nodes.pair.right.local_address().to_string();
    nodes.pair.right.close().await;
    nodes.left.closed().await;
    nodes.right.closed().await;
    assert_eq!(
        nodes.pair.right.accept().await.err(),
        Some(AcceptError::Closed)
    );
    let back = nodes.pair.left.local_address().to_string();
    assert_eq!(
        nodes.pair.right.connect(&back).await.err(),
        Some(ConnectError::Closed)
    );
    let refused = nodes.pair.left.connect(&address).await.err();
    assert!(
        matches!(refused, Some(ConnectError::Unreachable { .. })),
        "{refused:?}"
    );
    let nonsense = nodes.pair.left.connect("no port here").await.err();
    assert!(
        matches!(nonsense, Some(ConnectError::Address { .. })),
        "{nonsense:?}"
    );
}

/// A question and its answer on the control lane.
async fn round_trip(nodes: &Connected, nonce: u64) {
    let question = Message::Probe { nonce };
    nodes
        .left
        .send(TrafficClass::Control, question.clone())
        .await
        .expect("sends a question");
    assert_eq!(
        nodes.right.receive(TrafficClass::Control).await,
        Ok(question)
    );
    let answer = Message::ProbeReply { nonce, wall_ms: 7 };
    nodes
        .right
        .send(TrafficClass::Control, answer.clone())
        .await
        .expect("sends an answer");
    assert_eq!(nodes.left.receive(TrafficClass::Control).await, Ok(answer));
}

async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = ready(()) => None,
    }
}

fn patterned(size: usize) -> Bytes {
    (0..size).map(|index| (index % 251) as u8).collect()
}
