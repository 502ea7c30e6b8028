//! Two people edit the same page in two places. Who overwrote whom, and who did not know of the other?
//!
//! `cargo run -p isles-clock --example concurrent_edits`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use isles_clock::{Causality, ReplicaId, VectorClock};

/// A page as one replica holds it: the text, and the edits that led to it.
#[derive(Clone)]
struct Page {
    text: &'static str,
    edits: VectorClock,
}

impl Page {
    fn edit(&mut self, replica: ReplicaId, text: &'static str) {
        self.text = text;
        self.edits.next(replica);
    }

    /// Takes the other copy where it is newer, and asks a person where neither is.
    fn receive(&mut self, other: &Self) {
        let causality = self.edits.compare(&other.edits);
        println!(
            "{} {:?} {}: ours {causality:?} theirs",
            self.edits, self.text, other.edits
        );
        match causality {
            Causality::Equal | Causality::After => {}
            Causality::Before => *self = other.clone(),
            Causality::Concurrent => {
                println!("  conflict between {:?} and {:?}", self.text, other.text);
                self.edits.merge(&other.edits);
                self.text = "Tea, black, with milk";
            }
        }
    }
}

fn main() {
    let (eu, us) = (
        ReplicaId::from_u128(0xe0 << 120),
        ReplicaId::from_u128(0x05 << 120),
    );
    let nothing = VectorClock::new();
    let mut in_europe = Page {
        text: "",
        edits: nothing,
    };

    in_europe.edit(eu, "Tea");
    let mut in_america = in_europe.clone();
    in_america.edit(us, "Tea, black");
    in_europe.receive(&in_america);
    assert_eq!(in_europe.text, "Tea, black");

    // The line is cut, and both go on.
    in_europe.edit(eu, "Tea, with milk");
    in_america.edit(us, "Tea, black, strong");
    in_europe.receive(&in_america);
    assert_eq!(in_europe.text, "Tea, black, with milk");

    // What was decided in Europe covers both edits; it is an edit of its own, and replaces them in America.
    in_europe.edits.next(eu);
    in_america.receive(&in_europe);
    assert_eq!(in_america.text, in_europe.text);

    // What Europe must send to one who has seen only the first edit.
    let newcomer = VectorClock::from_iter([(eu, 1)]);
    for (replica, after, through) in in_america.edits.minus(&newcomer) {
        println!(
            "a newcomer lacks the edits {} to {through} of {replica:?}",
            after + 1
        );
    }
}
