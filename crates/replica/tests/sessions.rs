//! Two replicas that speak through sessions, driven by the loop that the session's documentation describes, come to the
//! same content and can show it.

use std::collections::VecDeque;

use isles_clock::{ReplicaId, VectorClock};
use isles_replica::history::{HISTORY_BYTES, History, Lookup};
use isles_replica::session::{
    BatchLimits, Direction, Exchange, Now, Received, ReplicaHost, Session, SessionConfig, Timing,
};
use isles_replica::{Expiry, Frame, Replica, ReplicaConfig, Scope, UnloggedContent};
use isles_transport::{Message, Role, TrafficClass};

type Lanes = VecDeque<(TrafficClass, Message)>;

/// A node without a disk: what it has applied counts as durable at once.
struct Node {
    replica: Replica,
    exchange: Exchange,
    history: History,
    session: Session,
    chain: u64,
}

impl Node {
    fn new(id: u128, direction: Direction) -> Node {
        let config = SessionConfig {
            session: 1,
            direction,
            cluster: "isles".to_owned(),
            node: format!("node-{id}"),
            region: format!("region-{id}"),
            role: Role::Leader,
            nonce: id as u64,
            proven: None,
            serves: Vec::new(),
            timing: Timing::default(),
        };
        let id = ReplicaId::from_u128(id);
        Node {
            replica: Replica::new(id, ReplicaConfig::default()),
            exchange: Exchange::default(),
            history: History::new(id, 0, VectorClock::new(), HISTORY_BYTES),
            session: Session::new(config, at(0)),
            chain: 0,
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let mut txn = self.replica.txn(1, Scope::Once);
        txn.set_string(key.as_bytes(), value.as_bytes(), Expiry::Clear);
        txn.commit().expect("it is small");
    }

    fn get(&mut self, key: &str) -> Option<String> {
        let mut txn = self.replica.txn(1, Scope::Once);
        let value = txn.string(key.as_bytes()).expect("it is a string");
        value.map(|value| String::from_utf8(value.into_owned()).expect("it is text"))
    }

    fn log(&mut self) {
        let mut unlogged = self.replica.take_unlogged();
        while self.replica.apply_ready(1) > 0 {
            unlogged.extend(self.replica.take_unlogged());
        }
        for record in unlogged {
            let frame: Frame = match record.content {
                UnloggedContent::Own(open) => {
                    let frame = open.seal(self.chain);
                    self.chain = frame.chain();
                    frame
                }
                UnloggedContent::Remote(frame) => frame,
                _ => continue,
            };
            self.replica.note_durable(record.number, [&frame]);
            self.history.push(record.number, frame);
        }
    }

    /// One round of the driver's loop: what came in, what time it is, what goes out.
    fn round(&mut self, now: Now, inbox: &mut Lanes) -> Lanes {
        let host = &mut ReplicaHost {
            replica: &mut self.replica,
            exchange: &mut self.exchange,
        };
        for (class, message) in inbox.drain(..) {
            assert!(
                self.session.may_read(class, host),
                "nothing here is ever full"
            );
            self.session
                .handle(now, Received::decode(class, message), host)
                .expect("the peers fit together");
        }
        self.session.advance(now, host).expect("nothing ends it");
        let mut outbox = Lanes::new();
        while let Some(message) = self.session.poll_transmit(now, host) {
            outbox.push_back((TrafficClass::Control, message));
        }
        self.log();
        for class in [TrafficClass::Frames, TrafficClass::Pull] {
            let Some(request) = self.session.feed_request(class) else {
                continue;
            };
            let Lookup::Found(batch) = self.history.read(&request, BatchLimits::default()) else {
                continue;
            };
            outbox.extend(
                self.session
                    .feed(&request, batch)
                    .into_iter()
                    .map(|message| (class, message)),
            );
        }
        outbox
    }
}

fn at(ms: u64) -> Now {
    Now { ms, wall_ms: ms }
}

#[test]
fn two_replicas_come_to_the_same_content_and_show_it() {
    let mut nodes = [
        Node::new(1, Direction::Dialed),
        Node::new(2, Direction::Accepted),
    ];
    let mut lanes = [Lanes::new(), Lanes::new()];
    nodes[0].set("theirs", "never seen");
    nodes[0].set("both", "of one");
    nodes[1].set("both", "of two");
    for ms in 0..1_100 {
        let [first, second] = &mut nodes;
        lanes = [
            second.round(at(ms), &mut lanes[1]),
            first.round(at(ms), &mut lanes[0]),
        ];
    }
    let [first, second] = &mut nodes;
    assert_eq!(first.get("both"), second.get("both"));
    assert_eq!(second.get("theirs").as_deref(), Some("never seen"));
    assert_eq!(
        (first.replica.digest(), first.replica.applied()),
        (second.replica.digest(), second.replica.applied())
    );
    for node in &nodes {
        assert_eq!(node.replica.conflicts().len(), 1);
        assert_eq!(
            &node.session.audit().agreed,
            node.replica.applied(),
            "the audit has seen it, too"
        );
        assert_eq!(node.session.audit().diverged, 0);
    }
}
