//! What is there from the first call of a scan to its last is returned, whatever else comes and goes meanwhile, as Redis
//! promises of SCAN, SSCAN, HSCAN and ZSCAN.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use isles_clock::ReplicaId;
use isles_replica::{Replica, ReplicaConfig};
use isles_resp::{Answer, Console};

const NOW_MS: u64 = 1_790_000_000_000;
/// What stays.
const STAYING: u32 = 200;
/// What comes and goes; several times what stays, so that pages and tables grow and shrink.
const PASSING: u32 = 1_500;
/// Of those, how many change between two calls.
const CHANGES: u32 = 60;

struct Node {
    replica: Replica,
    console: Console,
}

impl Node {
    fn new() -> Node {
        Node {
            replica: Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default()),
            console: Console::new(),
        }
    }

    fn run(&mut self, line: &str) -> Answer {
        let answer = self.console.line(&mut self.replica, NOW_MS, line).unwrap();
        assert!(!matches!(answer, Answer::Error(_)), "{line}: {answer}");
        // Nobody is told.
        let taken = self.replica.take_unlogged();
        if let Some(last) = taken.last() {
            self.replica.note_durable(last.number, &[]);
        }
        answer
    }
}

/// How a collection is scanned and changed; `{}` stands for a name.
struct Kind {
    scan: &'static str,
    add: &'static str,
    remove: &'static str,
    /// How many texts of an answer one element is.
    texts: usize,
}

const KINDS: [Kind; 4] = [
    Kind {
        scan: "SCAN",
        add: "SET {} v",
        remove: "DEL {}",
        texts: 1,
    },
    Kind {
        scan: "SSCAN k",
        add: "SADD k {}",
        remove: "SREM k {}",
        texts: 1,
    },
    Kind {
        scan: "HSCAN k",
        add: "HSET k {} v",
        remove: "HDEL k {}",
        texts: 2,
    },
    Kind {
        scan: "ZSCAN k",
        add: "ZADD k 1 {}",
        remove: "ZREM k {}",
        texts: 2,
    },
];

/// Scans from the beginning to the end and changes much between the calls.
fn scan(node: &mut Node, kind: &Kind, count: usize, round: &mut u32) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let answer = node.run(&format!("{} {cursor} COUNT {count}", kind.scan));
        let Answer::Array(parts) = answer else {
            panic!("{answer}");
        };
        let [Answer::Text(next), Answer::Array(texts)] = &parts[..] else {
            panic!("{parts:?}");
        };
        for text in texts.iter().step_by(kind.texts) {
            found.insert(text.to_string());
        }
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            return found;
        }
        // Waves that grow for some calls and shrink for some.
        *round += 1;
        let command = if (*round / 20).is_multiple_of(2) {
            kind.add
        } else {
            kind.remove
        };
        for index in 0..CHANGES {
            let which = (*round).wrapping_mul(7_919).wrapping_add(index * 31) % PASSING;
            node.run(&command.replace("{}", &format!("passing:{which}")));
        }
    }
}

#[test]
fn what_stays_is_returned() {
    for kind in &KINDS {
        let mut node = Node::new();
        for index in 0..STAYING {
            node.run(&kind.add.replace("{}", &format!("staying:{index}")));
        }
        let mut round = 0;
        for count in [2, 10, 57, 500] {
            let found = scan(&mut node, kind, count, &mut round);
            let staying = found.iter().filter(|name| name.starts_with("staying:"));
            assert_eq!(
                staying.count(),
                STAYING as usize,
                "{} COUNT {count}",
                kind.scan
            );
        }
        assert!(
            round > 100,
            "{}: only {round} calls were disturbed",
            kind.scan
        );
    }
}
