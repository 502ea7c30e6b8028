//! How far everybody has come, and telling it.
//!
//! Each replica says what it holds durably, what it promises, and what it has applied. Nodes pass on the newest that
//! they know of everyone, so that a cut between two members does not hide their progress from each other.

use std::collections::{BTreeMap, VecDeque};

use isles_clock::{Context, Dot, Hlc, ReplicaId, VectorClock};
use isles_transport::{Ack, Message};

use super::{Host, Now, Timing};

/// Acks of so many replicas are kept; those of further ones are ignored.
pub const ACKED_MAX: usize = isles_transport::message::MAX_REPLICAS;

/// Of one replica so many acks wait until they count.
const PENDING_MAX: usize = 8;

/// The acks of all other replicas.
#[derive(Clone, Debug, Default)]
pub struct Acks {
    known: BTreeMap<ReplicaId, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    newest: Ack,
    counting: Option<Ack>,
    /// Acks that name entries of their replica that are not here yet, oldest first. When it is full the newest one is
    /// replaced, never the oldest: under load every newest ack is ahead of us, and none would ever count.
    pending: VecDeque<Ack>,
}

/// What a set of members is known to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stability {
    /// Every member holds this durably, and all that a member had written before it said so is here.
    pub clock: VectorClock,
    /// No member will write anything with a smaller stamp.
    pub promise: Hlc,
}

impl Acks {
    /// Takes an ack, from whomever it came; says whether it is newer than what was known.
    pub fn record(&mut self, ack: Ack, applied: &VectorClock) -> bool {
        if let Some(known) = self.known.get_mut(&ack.about) {
            if age(&ack) <= age(&known.newest) {
                return false;
            }
            known.newest = ack.clone();
            known.push(ack);
            known.settle(applied);
            return true;
        }
        if self.known.len() >= ACKED_MAX {
            return false;
        }
        let mut known = Known {
            newest: ack.clone(),
            counting: None,
            pending: VecDeque::new(),
        };
        known.push(ack.clone());
        known.settle(applied);
        self.known.insert(ack.about, known);
        true
    }

    /// The newest ack about `replica`. Write levels count its durable clock.
    pub fn newest(&self, replica: ReplicaId) -> Option<&Ack> {
        self.known.get(&replica).map(|known| &known.newest)
    }

    /// The newest ack about each replica, in the order of replicas.
    pub fn iter(&self) -> impl Iterator<Item = &Ack> {
        self.known.values().map(|known| &known.newest)
    }

    /// Whether every one of `members` is known to hold the entry durably, by acks that count.
    pub fn is_stable(&mut self, dot: Dot, members: &[ReplicaId], applied: &VectorClock) -> bool {
        members.iter().all(|member| {
            self.counting(*member, applied)
                .is_some_and(|ack| ack.durable.covers(dot))
        })
    }

    /// What all of `members` hold, by acks that count; nothing if one of them has not been heard of. The caller adds
    /// what it holds itself.
    pub fn stability(&mut self, members: &[ReplicaId], applied: &VectorClock) -> Option<Stability> {
        let (first, others) = members.split_first()?;
        let first = self.counting(*first, applied)?;
        let mut stability = Stability {
            clock: first.durable.clone(),
            promise: first.promise,
        };
        for member in others {
            let ack = self.counting(*member, applied)?;
            stability.clock = stability
                .clock
                .iter()
                .map(|(replica, through)| (replica, through.min(ack.durable.get(replica))))
                .filter(|(_, through)| *through > 0)
                .collect();
            stability.promise = stability.promise.min(ack.promise);
        }
        Some(stability)
    }

    /// Forgets a replica that is no longer a member.
    pub fn forget(&mut self, replica: ReplicaId) {
        self.known.remove(&replica);
    }

    /// The newest ack of `member` such that all that it had written before is here.
    fn counting(&mut self, member: ReplicaId, applied: &VectorClock) -> Option<&Ack> {
        let known = self.known.get_mut(&member)?;
        known.settle(applied);
        known.counting.as_ref()
    }
}

impl Known {
    fn push(&mut self, ack: Ack) {
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_back();
        }
        self.pending.push_back(ack);
    }

    fn settle(&mut self, applied: &VectorClock) {
        while self
            .pending
            .front()
            .is_some_and(|ack| applied.get(ack.about) >= ack.durable.get(ack.about))
        {
            self.counting = self.pending.pop_front();
        }
    }
}

/// What tells an older ack from a newer one.
type Age = (Hlc, Hlc, u128, u128);

/// Acks of one replica are totally ordered: none of these ever falls, except in a crash, after which the clock goes on. A
/// restarted replica has promised nothing yet, so the promise alone would make its acks seem older than those before.
fn age(ack: &Ack) -> Age {
    let sum = |clock: &VectorClock| clock.iter().map(|(_, sequence)| u128::from(sequence)).sum();
    (ack.as_of, ack.promise, sum(&ack.durable), sum(&ack.applied))
}

/// This replica's own ack, as of now.
pub(super) fn own_ack<H: Host>(now: Now, host: &mut H) -> Ack {
    let promise = host.promise(now.wall_ms);
    Ack {
        about: host.id(),
        durable: host.durable().clone(),
        promise,
        applied: shown_applied(host),
        as_of: host.as_of(now.wall_ms),
    }
}

/// What may be said of the applied clock: own entries leave only when they are durable.
pub(super) fn shown_applied<H: Host>(host: &H) -> VectorClock {
    let mut applied = host.applied().clone();
    applied.set(host.id(), host.durable().get(host.id()));
    applied
}

/// Which acks one peer has been told.
#[derive(Debug)]
pub(super) struct AckSender {
    sent: Option<(u64, Ack)>,
    own_due_ms: u64,
    relay_due_ms: u64,
    /// Of each other replica, the newest ack that the peer knows from us or told us.
    told: BTreeMap<ReplicaId, Age>,
    relaying: Vec<Ack>,
}

impl AckSender {
    pub(super) fn new(now: Now) -> Self {
        AckSender {
            sent: None,
            own_due_ms: now.ms,
            relay_due_ms: now.ms,
            told: BTreeMap::new(),
            relaying: Vec::new(),
        }
    }

    /// The peer knows this one.
    pub(super) fn heard(&mut self, ack: &Ack) {
        let told = self.told.entry(ack.about).or_default();
        *told = (*told).max(age(ack));
    }

    pub(super) fn poll<H: Host>(
        &mut self,
        now: Now,
        peer: ReplicaId,
        timing: &Timing,
        host: &mut H,
    ) -> Option<Message> {
        self.poll_own(now, timing, host)
            .or_else(|| self.poll_relay(now, peer, timing, host))
            .map(Message::Ack)
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.own_due_ms.min(self.relay_due_ms)
    }

    fn poll_own<H: Host>(&mut self, now: Now, timing: &Timing, host: &mut H) -> Option<Ack> {
        let idle_due_ms = self
            .sent
            .as_ref()
            .map_or(now.ms, |(at_ms, _)| at_ms + timing.ack_idle_ms);
        let changed = self.sent.as_ref().is_none_or(|(_, sent)| {
            sent.durable != *host.durable() || sent.applied != shown_applied(host)
        });
        let soon_due_ms = self
            .sent
            .as_ref()
            .map_or(now.ms, |(at_ms, _)| at_ms + timing.ack_every_ms);
        self.own_due_ms = if changed {
            soon_due_ms.min(idle_due_ms)
        } else {
            idle_due_ms
        };
        if now.ms < self.own_due_ms {
            return None;
        }
        let ack = own_ack(now, host);
        self.sent = Some((now.ms, ack.clone()));
        self.own_due_ms = now.ms + timing.ack_idle_ms;
        Some(ack)
    }

    fn poll_relay<H: Host>(
        &mut self,
        now: Now,
        peer: ReplicaId,
        timing: &Timing,
        host: &mut H,
    ) -> Option<Ack> {
        if self.relaying.is_empty() && now.ms >= self.relay_due_ms {
            self.relay_due_ms = now.ms + timing.relay_every_ms;
            let told = &self.told;
            let news = |ack: &&Ack| {
                ack.about != peer && told.get(&ack.about).is_none_or(|told| *told < age(ack))
            };
            self.relaying = host
                .exchange()
                .acks()
                .iter()
                .filter(news)
                .cloned()
                .collect();
        }
        let ack = self.relaying.pop()?;
        self.heard(&ack);
        Some(ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: ReplicaId = ReplicaId::from_u128(1);
    const EU: ReplicaId = ReplicaId::from_u128(2);
    const US: ReplicaId = ReplicaId::from_u128(3);

    fn ack(about: ReplicaId, durable: &[(ReplicaId, u64)], promise: u64) -> Ack {
        let durable: VectorClock = durable.iter().copied().collect();
        Ack {
            about,
            applied: durable.clone(),
            durable,
            promise: Hlc::new(promise, 0),
            as_of: Hlc::ZERO,
        }
    }

    fn clock(entries: &[(ReplicaId, u64)]) -> VectorClock {
        entries.iter().copied().collect()
    }

    #[test]
    fn only_newer_acks_are_taken() {
        let (mut acks, here) = (Acks::default(), VectorClock::new());
        assert!(acks.record(ack(EU, &[(OWN, 3)], 5), &here));
        assert!(!acks.record(ack(EU, &[(OWN, 3)], 5), &here));
        assert!(!acks.record(ack(EU, &[(OWN, 2)], 4), &here));
        assert!(acks.record(ack(EU, &[(OWN, 4)], 5), &here));
        assert_eq!(acks.newest(EU).map(|ack| ack.durable.get(OWN)), Some(4));
    }

    // A replica that was stopped and started, and wrote nothing since, was not heard any more: its promise had fallen.
    #[test]
    fn a_restarted_replica_is_heard_although_it_has_promised_nothing_yet() {
        let (mut acks, here) = (Acks::default(), VectorClock::new());
        let at = |ack: Ack, as_of| Ack {
            as_of: Hlc::new(as_of, 0),
            ..ack
        };
        assert!(acks.record(at(ack(EU, &[(OWN, 3)], 5), 8), &here));
        assert!(acks.record(at(ack(EU, &[(OWN, 4)], 0), 9), &here));
        assert_eq!(acks.newest(EU).map(|ack| ack.durable.get(OWN)), Some(4));
    }

    // An ack of R says nothing about stability before R's own entries up to it are here: one of them may be older than
    // what it acks, and has not been applied yet.
    #[test]
    fn an_ack_counts_only_when_its_writers_entries_are_here() {
        let mut acks = Acks::default();
        let dot = Dot::new(OWN, 7);
        assert!(acks.record(ack(EU, &[(OWN, 7), (EU, 5)], 9), &clock(&[(EU, 4)])));
        assert!(!acks.is_stable(dot, &[EU], &clock(&[(EU, 4)])));
        assert!(acks.is_stable(dot, &[EU], &clock(&[(EU, 5)])));
    }

    #[test]
    fn under_load_an_older_ack_counts_while_newer_ones_are_ahead() {
        let mut acks = Acks::default();
        for sequence in 1..100 {
            assert!(acks.record(
                ack(EU, &[(EU, sequence), (OWN, sequence)], sequence),
                &VectorClock::new()
            ));
        }
        let stability = acks
            .stability(&[EU], &clock(&[(EU, 3)]))
            .expect("three acks count");
        assert_eq!(
            stability,
            Stability {
                clock: clock(&[(EU, 3), (OWN, 3)]),
                promise: Hlc::new(3, 0)
            }
        );
        let stability = acks
            .stability(&[EU], &clock(&[(EU, 99)]))
            .expect("all acks count");
        assert_eq!(stability.clock.get(OWN), 99);
    }

    #[test]
    fn stability_is_what_every_member_holds() {
        let (mut acks, here) = (Acks::default(), clock(&[(EU, 2), (US, 9)]));
        assert!(acks.record(ack(EU, &[(EU, 2), (US, 5), (OWN, 4)], 20), &here));
        assert_eq!(acks.stability(&[EU, US], &here), None);
        assert!(acks.record(ack(US, &[(US, 9), (OWN, 3)], 10), &here));
        let stability = acks.stability(&[EU, US], &here).expect("both were heard");
        assert_eq!(
            stability,
            Stability {
                clock: clock(&[(US, 5), (OWN, 3)]),
                promise: Hlc::new(10, 0)
            }
        );
        assert!(!acks.is_stable(Dot::new(OWN, 4), &[EU, US], &here));
    }
}
