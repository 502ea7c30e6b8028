//! Asking others for what does not arrive by itself.
//!
//! What a replica lacks it learns from acks, hellos and the `deps` of frames. If nothing of it arrives for a while, one
//! connected peer that holds it is asked, and from then on answers with everything that is missing here, in the order
//! of its log, until frames arrive directly again.

use std::collections::BTreeMap;

use isles_clock::{ReplicaId, VectorClock};
use isles_transport::{Message, Pull};

use super::acks::shown_applied;
use super::{Host, Now, Timing};
use crate::delivery::{Lane, LaneKind};

/// A repeated question waits at most this many doublings of `pull_after_ms`.
const BACKOFF_DOUBLINGS_MAX: u32 = 5;

/// What is missing here, and since when nothing of it has arrived.
#[derive(Debug, Default)]
pub(super) struct Wants {
    seen: VectorClock,
    missing: BTreeMap<ReplicaId, Missing>,
}

#[derive(Debug)]
struct Missing {
    progress_ms: u64,
    /// Who has been asked since the last progress.
    asked: Vec<ReplicaId>,
}

/// Entries of one replica that exist and are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) replica: ReplicaId,
    /// What is here without a gap, applied or waiting.
    pub(super) reach: u64,
    /// Later frames of the replica are here.
    pub(super) hole: bool,
}

impl Wants {
    /// Somebody holds all of this.
    pub(super) fn see(&mut self, clock: &VectorClock) {
        self.seen.merge(clock);
    }

    /// A new frame of `replica` has arrived.
    pub(super) fn note_progress(&mut self, now: Now, replica: ReplicaId) {
        if let Some(missing) = self.missing.get_mut(&replica) {
            missing.progress_ms = now.ms;
            missing.asked.clear();
        }
    }

    pub(super) fn note_asked(&mut self, now: Now, replica: ReplicaId, peer: ReplicaId) {
        if let Some(missing) = self.missing.get_mut(&replica) {
            missing.progress_ms = now.ms;
            missing.asked.push(peer);
            let remembered = BACKOFF_DOUBLINGS_MAX as usize;
            missing
                .asked
                .drain(..missing.asked.len().saturating_sub(remembered));
        }
    }

    /// How often `peer` has been asked for `replica` in vain.
    pub(super) fn asked(&self, replica: ReplicaId, peer: ReplicaId) -> usize {
        let missing = self.missing.get(&replica);
        missing.map_or(0, |missing| {
            missing.asked.iter().filter(|asked| **asked == peer).count()
        })
    }

    fn review(&mut self, now: Now, gaps: &[Gap]) {
        self.missing
            .retain(|replica, _| gaps.iter().any(|gap| gap.replica == *replica));
        for gap in gaps {
            let since_now = || Missing {
                progress_ms: now.ms,
                asked: Vec::new(),
            };
            self.missing.entry(gap.replica).or_insert_with(since_now);
        }
    }

    fn due_ms(&self, replica: ReplicaId, timing: &Timing) -> Option<u64> {
        let missing = self.missing.get(&replica)?;
        let doublings = (missing.asked.len() as u32).min(BACKOFF_DOUBLINGS_MAX);
        Some(missing.progress_ms + (timing.pull_after_ms << doublings))
    }
}

/// The asking side of one session.
#[derive(Debug)]
pub(super) struct Asker {
    /// A question is to be sent.
    ask: bool,
    questions: u64,
    answers: u64,
    look_ms: u64,
}

impl Asker {
    pub(super) fn new() -> Self {
        Asker {
            ask: false,
            questions: 0,
            answers: 0,
            look_ms: u64::MAX,
        }
    }

    /// When to look again whether something is missing.
    pub(super) fn due_ms(&self) -> u64 {
        self.look_ms
    }

    /// Something may be missing since now.
    pub(super) fn look_by(&mut self, at_ms: u64) {
        self.look_ms = self.look_ms.min(at_ms);
    }

    /// The peer begins a new answer.
    pub(super) fn answer_begins(&mut self) {
        self.answers += 1;
    }

    /// Whether frames in the pull lane belong to the newest question. Those of older answers are dropped: the newest
    /// answer repeats what is still missing of them, in order.
    pub(super) fn is_answered(&self) -> bool {
        self.questions > 0 && self.answers == self.questions
    }

    /// Looks for what is missing, and decides whether this peer is to be asked for it.
    pub(super) fn review<H: Host>(
        &mut self,
        now: Now,
        peer: ReplicaId,
        region: &str,
        timing: &Timing,
        host: &mut H,
    ) {
        let gaps = gaps(host);
        let exchange = host.exchange_mut();
        exchange.wants_mut().review(now, &gaps);
        self.look_ms = u64::MAX;
        let mut asked = Vec::new();
        for gap in &gaps {
            let due_ms = exchange
                .wants()
                .due_ms(gap.replica, timing)
                .expect("invariant: every gap was reviewed");
            if due_ms > now.ms {
                self.look_by(due_ms);
            } else if exchange.source(gap, region) == Some(peer) {
                asked.push(gap.replica);
            } else {
                // Another session asks; if it does not, or nobody can be asked, things may be different later.
                self.look_by(now.ms + timing.pull_after_ms);
            }
        }
        if !asked.is_empty() {
            exchange.begin_pull(now, peer, &asked);
            self.look_by(now.ms + timing.pull_after_ms);
            self.ask = true;
            self.questions += 1;
            // The answer repeats what waits in its lane; keeping that could fill the lane before the first frame of the
            // answer, which everything else waits for.
            host.delivery_mut().discard(Lane {
                peer,
                kind: LaneKind::Pulled,
            });
        }
    }

    pub(super) fn poll<H: Host>(&mut self, peer: ReplicaId, host: &mut H) -> Option<Message> {
        if std::mem::take(&mut self.ask) {
            return Some(Message::Pull(Pull {
                have: shown_applied(host),
            }));
        }
        host.exchange_mut()
            .take_stop(peer)
            .then_some(Message::PullStop)
    }
}

/// What exists and is not here.
fn gaps<H: Host>(host: &H) -> Vec<Gap> {
    let (applied, delivery) = (host.applied(), host.delivery());
    let mut gaps = Vec::new();
    for known in [&host.exchange().wants().seen, delivery.named()] {
        for (replica, _, through) in known.minus(applied) {
            let reach = delivery.reach(replica, applied);
            let listed = gaps.iter().any(|gap: &Gap| gap.replica == replica);
            if replica != host.id() && reach < through && !listed {
                gaps.push(Gap {
                    replica,
                    reach,
                    hole: delivery.has_gap(replica, applied),
                });
            }
        }
    }
    gaps
}
