//! How far a peer's clock is from ours, and how long its answers take.
//!
//! Cristian's algorithm (F. Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989): the peer's
//! clock, as its answer shows it, against the middle between question and answer. Of the last answers the fastest one
//! tells most (RFC 5905, section 10): its error is at most half its round trip.

use std::collections::VecDeque;

use isles_transport::Message;

use super::{Now, Timing};

/// Answers that are remembered.
const SAMPLES: usize = 8;

/// How far a peer's clock is from this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// The peer's wall clock minus this one, in milliseconds.
    pub ahead_ms: i64,
    /// How long the answer took that tells so; the error is at most half of it.
    pub round_trip_ms: u64,
}

/// Asks one peer again and again.
#[derive(Debug)]
pub(super) struct SkewMeter {
    due_ms: u64,
    nonce: u64,
    asked: Option<Now>,
    samples: VecDeque<Skew>,
}

impl SkewMeter {
    pub(super) fn new(now: Now, seed: u64) -> Self {
        SkewMeter {
            due_ms: now.ms,
            nonce: seed,
            asked: None,
            samples: VecDeque::with_capacity(SAMPLES),
        }
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// The next question. One that was not answered by then is given up.
    pub(super) fn poll(&mut self, now: Now, timing: &Timing) -> Option<Message> {
        if now.ms < self.due_ms {
            return None;
        }
        self.due_ms = now.ms + timing.skew_every_ms;
        self.nonce = self.nonce.wrapping_add(1);
        self.asked = Some(now);
        Some(Message::Probe { nonce: self.nonce })
    }

    /// Takes an answer; if it is to the last question, returns the longest of the last round trips.
    pub(super) fn answered(&mut self, now: Now, nonce: u64, their_wall_ms: u64) -> Option<u64> {
        let asked = self.asked.take_if(|_| nonce == self.nonce)?;
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        let round_trip_ms = now.ms.saturating_sub(asked.ms);
        let middle_ms = asked.wall_ms.saturating_add(round_trip_ms / 2);
        self.samples.push_back(Skew {
            ahead_ms: their_wall_ms.wrapping_sub(middle_ms) as i64,
            round_trip_ms,
        });
        self.samples.iter().map(|sample| sample.round_trip_ms).max()
    }

    pub(super) fn estimate(&self) -> Option<Skew> {
        let samples = self.samples.iter().rev();
        samples.min_by_key(|sample| sample.round_trip_ms).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            ms,
            wall_ms: 1_000_000 + ms,
        }
    }

    /// Asks at a time, and has the answer so much later from a clock that is ahead by 40 ms.
    fn ask(meter: &mut SkewMeter, ms: u64, there_ms: u64, back_ms: u64) -> Option<u64> {
        let Some(Message::Probe { nonce }) = meter.poll(at(ms), &Timing::default()) else {
            panic!("nothing is asked at {ms}");
        };
        meter.answered(
            at(ms + there_ms + back_ms),
            nonce,
            1_000_040 + ms + there_ms,
        )
    }

    #[test]
    fn the_fastest_answer_tells_most_and_the_slowest_how_long_to_wait() {
        let mut meter = SkewMeter::new(at(0), 7);
        assert_eq!(meter.estimate(), None);
        assert_eq!(ask(&mut meter, 0, 100, 10), Some(110));
        let skew = |ahead_ms, round_trip_ms| {
            Some(Skew {
                ahead_ms,
                round_trip_ms,
            })
        };
        assert_eq!(
            meter.estimate(),
            skew(85, 110),
            "wrong by 45, of 55 at most"
        );
        assert_eq!(ask(&mut meter, 10_000, 10, 10), Some(110));
        assert_eq!(meter.estimate(), skew(40, 20));
        assert_eq!(meter.poll(at(19_999), &Timing::default()), None);
        for turn in 2..10 {
            ask(&mut meter, 10_000 * turn, 30, 30);
        }
        assert_eq!(meter.estimate(), skew(40, 60), "old answers are forgotten");
    }

    #[test]
    fn an_answer_to_something_else_is_ignored() {
        let mut meter = SkewMeter::new(at(0), 7);
        assert!(meter.poll(at(0), &Timing::default()).is_some());
        assert_eq!(meter.answered(at(5), 3, 0), None);
        assert_eq!(meter.answered(at(5), 8, 1_000_000), Some(5));
        assert_eq!(meter.answered(at(6), 8, 1_000_000), None, "only once");
    }
}
