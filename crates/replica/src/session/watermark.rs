//! The convergence watermark: the stamp up to which all regions are equal.
//!
//! *Definition.* The watermark is a stamp T such that every member is known to hold durably every entry of every member
//! with a stamp ≤ T. Members that have applied the same are equal, so up to T all regions are.
//!
//! *How it is known.* An ack of R says of a stamp `as_of` that R's own entries up to it are all covered by the ack's
//! durable clock. The smallest `as_of` of all members, T, together with the union of their durable clocks, C, is a
//! *mark*: every member's entries up to T are in C. Once every member's durable clock has reached C, T is the watermark.
//! All this comes by acks, relayed ones too, so it lags by their way, and stands still while a member is not heard of.
//!
//! *What it does not promise.* A node that is killed and starts with a clock that was set back may still write below
//! the watermark; nothing is decided by it.

use std::collections::VecDeque;

use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_transport::Ack;

use super::acks::own_ack;
use super::{Host, Now};

/// Marks that wait to be reached. When there are more, every second one is dropped: during a long cut they become
/// coarser, never more.
const MARKS_MAX: usize = 64;

/// Every entry of a member with a stamp up to `at` is in `clock`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    at: Hlc,
    clock: VectorClock,
}

/// How far all members are known to be equal.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    /// For whom the rest holds.
    members: Vec<ReplicaId>,
    /// Oldest first; stamps and clocks both rise.
    marks: VecDeque<Mark>,
    reached: Option<Hlc>,
}

impl Watermark {
    /// Takes the newest acks of all members. Another set of members begins anew: a new one may lack what all had.
    fn note(&mut self, acks: &[&Ack]) -> Option<Hlc> {
        let members = acks.iter().map(|ack| ack.about);
        if !members.clone().eq(self.members.iter().copied()) {
            *self = Watermark {
                members: members.collect(),
                ..Watermark::default()
            };
        }
        let at = acks.iter().map(|ack| ack.as_of).min()?;
        if self.marks.back().is_none_or(|mark| mark.at < at) {
            let mut clock = VectorClock::new();
            acks.iter().for_each(|ack| clock.merge(&ack.durable));
            self.push(Mark { at, clock });
        }
        let reached = |mark: &mut Mark| acks.iter().all(|ack| ack.durable.dominates(&mark.clock));
        while let Some(mark) = self.marks.pop_front_if(reached) {
            self.reached = Some(mark.at);
        }
        self.reached
    }

    fn push(&mut self, mark: Mark) {
        if self.marks.len() == MARKS_MAX {
            let mut odd = false;
            self.marks.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.marks.push_back(mark);
    }
}

/// The stamp up to which this replica and all of `peers` are known to be equal; none while one of them has not been
/// heard of. Call it about once a second: it remembers a mark each time. Costs a look at each member's clocks.
pub fn watermark<H: Host>(now: Now, peers: &[ReplicaId], host: &mut H) -> Option<Hlc> {
    let own = own_ack(now, host);
    let exchange = host.exchange_mut();
    let (acks, watermark) = exchange.acks_and_watermark();
    let mut newest = vec![&own];
    for peer in peers {
        newest.push(acks.newest(*peer)?);
    }
    newest.sort_by_key(|ack| ack.about);
    watermark.note(&newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EU: ReplicaId = ReplicaId::from_u128(1);
    const US: ReplicaId = ReplicaId::from_u128(2);
    const AP: ReplicaId = ReplicaId::from_u128(3);

    fn ack(about: ReplicaId, as_of_ms: u64, durable: &[(ReplicaId, u64)]) -> Ack {
        let durable: VectorClock = durable.iter().copied().collect();
        Ack {
            about,
            applied: durable.clone(),
            durable,
            promise: Hlc::ZERO,
            as_of: Hlc::new(as_of_ms, 0),
        }
    }

    fn ms(watermark: Option<Hlc>) -> Option<u64> {
        watermark.map(|hlc| hlc.wall_ms())
    }

    #[test]
    fn members_that_hold_the_same_are_equal_up_to_the_oldest_that_any_of_them_said() {
        let mut watermark = Watermark::default();
        let all = [(EU, 3), (US, 5)];
        let (eu, us) = (ack(EU, 100, &all), ack(US, 80, &all));
        assert_eq!(ms(watermark.note(&[&eu, &us])), Some(80));
    }

    #[test]
    fn it_stands_still_until_the_last_member_has_what_was_written_by_then() {
        let mut watermark = Watermark::default();
        let us = ack(US, 100, &[(EU, 1), (US, 5)]);
        let behind = ack(EU, 100, &[(EU, 1), (US, 4)]);
        assert_eq!(ms(watermark.note(&[&behind, &us])), None);
        // What is written meanwhile is no part of the mark that was set before.
        let us = ack(US, 200, &[(EU, 1), (US, 9)]);
        let here = ack(EU, 200, &[(EU, 1), (US, 5)]);
        assert_eq!(ms(watermark.note(&[&here, &us])), Some(100));
        let here = ack(EU, 300, &[(EU, 1), (US, 9)]);
        assert_eq!(ms(watermark.note(&[&here, &us])), Some(200));
    }

    #[test]
    fn a_member_that_says_nothing_new_holds_it_back_however_long_and_memory_does_not_grow() {
        let mut watermark = Watermark::default();
        let cut = ack(AP, 100, &[(EU, 1)]);
        for turn in 2..10_000 {
            let eu = ack(EU, 100 * turn, &[(EU, turn)]);
            let late = ack(AP, 100 + turn, &[(EU, 1)]);
            let seen = if turn % 2 == 0 { &cut } else { &late };
            assert_eq!(ms(watermark.note(&[&eu, seen])), None);
            assert!(watermark.marks.len() <= MARKS_MAX);
        }
        let (eu, ap) = (
            ack(EU, 1 << 30, &[(EU, 9_999)]),
            ack(AP, 1 << 30, &[(EU, 9_999)]),
        );
        assert_eq!(ms(watermark.note(&[&eu, &ap])), Some(1 << 30));
        assert_eq!(watermark.marks, [], "all are reached");
    }

    #[test]
    fn another_member_begins_anew() {
        let mut watermark = Watermark::default();
        let (eu, us) = (ack(EU, 100, &[(EU, 1)]), ack(US, 100, &[(EU, 1)]));
        assert_eq!(ms(watermark.note(&[&eu, &us])), Some(100));
        let ap = ack(AP, 50, &[]);
        assert_eq!(ms(watermark.note(&[&eu, &us, &ap])), None);
    }
}
