use isles_clock::Hlc;

use super::*;
use crate::frame::{FrameHeader, OpenFrame};

const OWN: ReplicaId = ReplicaId::from_u128(1);
const EU: ReplicaId = ReplicaId::from_u128(2);
const US: ReplicaId = ReplicaId::from_u128(3);
const DIRECT: Lane = Lane {
    peer: EU,
    kind: LaneKind::Direct,
};
const PULLED: Lane = Lane {
    peer: EU,
    kind: LaneKind::Pulled,
};

fn frame(
    replica: ReplicaId,
    first: u64,
    count: u32,
    deps: &[(ReplicaId, u64)],
    previous: u64,
) -> Frame {
    let header = FrameHeader {
        replica,
        first,
        count,
        base: Hlc::new(first, 0),
        deps: deps.iter().copied().collect(),
        extensions: Vec::new(),
    };
    OpenFrame {
        header,
        body: vec![0; 10],
    }
    .seal(previous)
}

/// A replica's frames of the given lengths, linked.
fn history(replica: ReplicaId, counts: &[u32]) -> Vec<Frame> {
    let (mut first, mut chain) = (1, GENESIS_CHAIN);
    let seal = |count: &u32| {
        let frame = frame(replica, first, *count, &[], chain);
        (first, chain) = (frame.last() + 1, frame.chain());
        frame
    };
    counts.iter().map(seal).collect()
}

struct Node {
    delivery: Delivery,
    applied: VectorClock,
}

impl Node {
    fn new() -> Self {
        Node::with(DeliveryLimits::default())
    }

    fn with(limits: DeliveryLimits) -> Self {
        Node {
            delivery: Delivery::new(OWN, limits),
            applied: VectorClock::new(),
        }
    }

    fn offer(&mut self, frame: &Frame) -> Offer {
        self.delivery.offer(frame.clone(), DIRECT, &self.applied)
    }

    fn note_applied(&mut self, frame: &Frame) {
        self.applied.observe(frame.last_dot());
        self.delivery.note_chain(frame);
    }

    /// Applies all that is ready and says what that was.
    fn apply(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        while let Some(frame) = self.delivery.next_ready(&self.applied) {
            self.note_applied(&frame);
            done.push(frame.last_dot().to_string());
        }
        done
    }
}

#[test]
fn frames_wait_for_their_sequence() {
    let (mut node, frames) = (Node::new(), history(EU, &[2, 1, 3]));
    assert_eq!(node.offer(&frames[2]), Offer::Accepted);
    assert_eq!(node.offer(&frames[1]), Offer::Accepted);
    assert!(node.apply().is_empty());
    assert!(node.delivery.has_gap(EU, &node.applied));
    assert_eq!(node.delivery.missing(&node.applied), [(EU, 0, 6)]);
    assert_eq!(node.offer(&frames[0]), Offer::Accepted);
    assert_eq!(node.delivery.reach(EU, &node.applied), 6);
    assert!(node.delivery.missing(&node.applied).is_empty());
    assert_eq!(node.apply().len(), 3);
    assert_eq!(node.delivery.held(DIRECT), Held::default());
}

#[test]
fn frames_wait_for_their_deps_and_say_for_which() {
    let mut node = Node::new();
    let needy = frame(EU, 1, 1, &[(US, 2)], GENESIS_CHAIN);
    assert_eq!(node.offer(&needy), Offer::Accepted);
    assert!(node.apply().is_empty());
    assert_eq!(node.delivery.missing(&node.applied), [(US, 0, 2)]);
    for frame in history(US, &[1, 1]) {
        assert_eq!(node.offer(&frame), Offer::Accepted);
    }
    assert_eq!(node.apply(), ["00000000:1", "00000000:2", "00000000:1"]);
}

#[test]
fn duplicates_are_skipped_applied_or_waiting() {
    let (mut node, frames) = (Node::new(), history(EU, &[1, 1, 1]));
    assert_eq!(node.offer(&frames[0]), Offer::Accepted);
    assert_eq!(node.offer(&frames[0]), Offer::Duplicate);
    assert_eq!(node.apply().len(), 1);
    assert_eq!(node.offer(&frames[0]), Offer::Duplicate);
    assert_eq!(node.offer(&frames[2]), Offer::Accepted);
    assert_eq!(node.offer(&frames[2]), Offer::Duplicate);
    assert_eq!(node.delivery.held(DIRECT).frames, 1);
}

#[test]
fn a_full_lane_leaves_room_in_the_others() {
    let mut node = Node::with(DeliveryLimits {
        lane_bytes: 1 << 20,
        lane_frames: 2,
    });
    let frames = history(EU, &[1, 1, 1, 1]);
    assert_eq!(node.offer(&frames[2]), Offer::Accepted);
    assert_eq!(node.offer(&frames[3]), Offer::Accepted);
    assert!(!node.delivery.has_room(DIRECT));
    assert_eq!(node.offer(&frames[1]), Offer::Full);
    assert_eq!(
        node.delivery
            .offer(frames[0].clone(), PULLED, &node.applied),
        Offer::Accepted
    );
    assert_eq!(
        node.delivery
            .offer(frames[1].clone(), PULLED, &node.applied),
        Offer::Accepted
    );
    assert_eq!(node.apply().len(), 4);
    assert!(node.delivery.has_room(DIRECT) && node.delivery.has_room(PULLED));
}

#[test]
fn a_lane_below_its_limit_takes_one_frame_of_any_size() {
    let mut node = Node::with(DeliveryLimits {
        lane_bytes: 1,
        lane_frames: 100,
    });
    let frames = history(EU, &[1, 1]);
    assert_eq!(node.offer(&frames[0]), Offer::Accepted);
    assert_eq!(node.offer(&frames[1]), Offer::Full);
}

// A restored image that wrote on past its peers: they would have skipped its new entries as duplicates (A2).
#[test]
fn a_frame_that_does_not_continue_the_chain_is_a_fork() {
    let (mut node, ours) = (Node::new(), history(EU, &[2, 2]));
    let restored = frame(EU, 3, 2, &[(US, 7)], ours[0].chain());
    let beyond = frame(EU, 5, 1, &[], restored.chain());
    ours.iter()
        .for_each(|frame| assert_eq!(node.offer(frame), Offer::Accepted));
    assert_eq!(node.apply().len(), 2);
    let known = Fork {
        replica: EU,
        sequence: 4,
        ours: Some(ours[1].chain()),
        theirs: restored.chain(),
    };
    assert_eq!(node.offer(&restored), Offer::Fork(known));
    assert!(matches!(
        node.offer(&beyond),
        Offer::Fork(Fork { sequence: 5, .. })
    ));
    let straddling = frame(EU, 4, 3, &[], ours[0].chain());
    assert!(matches!(
        node.offer(&straddling),
        Offer::Fork(Fork { sequence: 6, .. })
    ));
}

#[test]
fn a_fork_among_waiting_frames_is_found_when_their_turn_comes() {
    let (mut node, frames) = (Node::new(), history(EU, &[1, 1]));
    let forged = frame(EU, 2, 1, &[], 12345);
    assert_eq!(node.offer(&forged), Offer::Accepted);
    assert!(matches!(node.offer(&frames[1]), Offer::Fork(_)));
    assert_eq!(node.offer(&frames[0]), Offer::Accepted);
    assert_eq!(node.apply().len(), 1);
    assert_eq!(
        node.delivery.take_fork(EU).map(|fork| fork.theirs),
        Some(forged.chain())
    );
    assert_eq!(node.delivery.take_fork(EU), None);
    assert_eq!(node.offer(&frames[1]), Offer::Accepted);
    assert_eq!(node.apply().len(), 1);
}

#[test]
fn a_frame_that_knows_more_of_us_than_we_do_is_amnesia() {
    let mut node = Node::new();
    let own = history(OWN, &[2]);
    node.note_applied(&own[0]);
    assert_eq!(node.offer(&own[0]), Offer::Duplicate);
    let dependent = frame(EU, 1, 1, &[(OWN, 5)], GENESIS_CHAIN);
    assert_eq!(
        node.offer(&dependent),
        Offer::Amnesia(Amnesia {
            known: 5,
            remembered: 2
        })
    );
    let lost = frame(OWN, 3, 1, &[], own[0].chain());
    assert_eq!(
        node.offer(&lost),
        Offer::Amnesia(Amnesia {
            known: 3,
            remembered: 2
        })
    );
}

#[test]
fn discarding_a_lane_frees_its_room_and_keeps_the_rest() {
    let (mut node, frames) = (Node::new(), history(EU, &[1, 1, 1]));
    assert_eq!(node.offer(&frames[1]), Offer::Accepted);
    assert_eq!(
        node.delivery
            .offer(frames[2].clone(), PULLED, &node.applied),
        Offer::Accepted
    );
    node.delivery.discard(DIRECT);
    assert_eq!(
        (
            node.delivery.held(DIRECT).frames,
            node.delivery.held(PULLED).frames
        ),
        (0, 1)
    );
    assert_eq!(node.delivery.missing(&node.applied), [(EU, 0, 3)]);
}

#[test]
fn replicas_take_turns() {
    let mut node = Node::new();
    for frame in history(EU, &[1, 1]).iter().chain(&history(US, &[1, 1])) {
        assert_eq!(node.offer(frame), Offer::Accepted);
    }
    let mut turns = Vec::new();
    while let Some(frame) = node.delivery.next_ready(&node.applied) {
        node.note_applied(&frame);
        turns.push(frame.replica());
    }
    assert_eq!(turns, [EU, US, EU, US]);
}
