//! What the sessions of one replica share: who is connected, what everybody holds, and who is asked for what is missing.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{ReplicaId, VectorClock};
use isles_transport::{Ack, Hello};
use smallvec::SmallVec;

use super::acks::Acks;
use super::pull::{Gap, Wants};
use super::watermark::Watermark;
use super::{Direction, Now, Timing};

/// What the sessions of one replica share. It lives beside the replica, behind the same lock.
#[derive(Debug, Default)]
pub struct Exchange {
    acks: Acks,
    wants: Wants,
    live: BTreeMap<ReplicaId, Live>,
    processes: BTreeMap<ReplicaId, Process>,
    log_floor: Vec<(ReplicaId, u64)>,
    watermark: Watermark,
}

/// The session with one peer.
#[derive(Debug)]
struct Live {
    session: u64,
    nonce: u64,
    direction: Direction,
    region: String,
    /// The longest of the last round trips, once there was one.
    round_trip_ms: Option<u64>,
    floor: Vec<(ReplicaId, u64)>,
    /// The replicas for whose sake a pull is open; empty when it is to be stopped.
    pulling: Option<BTreeSet<ReplicaId>>,
    probe: Option<Probe>,
}

/// The process that last spoke for a peer. What it holds durably outlasts its connections, and ends with it: a disk may
/// have been put back in between.
#[derive(Debug)]
struct Process {
    nonce: u64,
    durable: VectorClock,
}

/// A question to the peer over its older connection, for the sake of a newer one.
#[derive(Debug)]
struct Probe {
    nonce: u64,
    /// The newer connection's session.
    asker: u64,
    /// Both connections are with one process.
    same_process: bool,
    until_ms: u64,
    sent: bool,
    answered: bool,
}

/// What has become of a question.
enum Answer {
    Alive,
    Silent,
    Awaited { until_ms: u64 },
}

/// A process that does not answer within so many round trips no longer runs: one to ask, one more should a packet be
/// lost, and two for a busy machine.
pub const PROBE_ROUND_TRIPS: u64 = 4;

/// A session that wants to be the one with its peer.
pub(super) struct Applicant<'a> {
    pub(super) session: u64,
    pub(super) direction: Direction,
    /// This node's name.
    pub(super) node: &'a str,
    pub(super) hello: &'a Hello,
}

/// Whether it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is the only one.
    Alone,
    /// It is, and this older session must end.
    Replacing(u64),
    /// There is another connection with this identity: this older session must ask whether it still lives.
    Doubted { older: u64, until_ms: u64 },
    /// Another process with this identity still runs.
    Clone,
    /// Both ends dialled each other, and the other connection lives.
    Redundant,
}

impl Exchange {
    /// How far everybody has come.
    pub fn acks(&self) -> &Acks {
        &self.acks
    }

    /// How far everybody has come, for questions about what counts.
    pub fn acks_mut(&mut self) -> &mut Acks {
        &mut self.acks
    }

    pub(super) fn acks_and_watermark(&mut self) -> (&Acks, &mut Watermark) {
        (&self.acks, &mut self.watermark)
    }

    /// The peers that are connected, with their sessions.
    pub fn peers(&self) -> impl Iterator<Item = (ReplicaId, u64)> {
        self.live.iter().map(|(peer, live)| (*peer, live.session))
    }

    /// Per replica, the first sequence that the log still holds; those that are not listed are held from their first.
    pub fn log_floor(&self) -> &[(ReplicaId, u64)] {
        &self.log_floor
    }

    /// The log has been trimmed.
    pub fn set_log_floor(&mut self, floor: Vec<(ReplicaId, u64)>) {
        self.log_floor = floor;
    }

    pub(super) fn admit(
        &mut self,
        now: Now,
        applicant: &Applicant<'_>,
        timing: &Timing,
    ) -> Admission {
        let Some(older) = self.live.get_mut(&applicant.hello.replica) else {
            self.register(applicant);
            return Admission::Alone;
        };
        let session = older.session;
        if session == applicant.session {
            return Admission::Alone;
        }
        if older.yields_to(applicant) {
            self.register(applicant);
            return Admission::Replacing(session);
        }
        match older.ask(now, applicant, timing) {
            Answer::Alive if older.nonce == applicant.hello.nonce => Admission::Redundant,
            Answer::Alive => Admission::Clone,
            Answer::Silent => {
                self.register(applicant);
                Admission::Replacing(session)
            }
            Answer::Awaited { until_ms } => Admission::Doubted {
                older: session,
                until_ms,
            },
        }
    }

    /// What the process that said this hello holds durably, by what it said over older connections: acks over those may
    /// have been sent after the hello, and arrived before it.
    pub(super) fn held_by(&self, hello: &Hello) -> Option<&VectorClock> {
        let process = self.processes.get(&hello.replica);
        process
            .filter(|process| process.nonce == hello.nonce)
            .map(|process| &process.durable)
    }

    pub(super) fn is_current(&self, peer: ReplicaId, session: u64) -> bool {
        self.live
            .get(&peer)
            .is_some_and(|live| live.session == session)
    }

    /// A session has ended; returns the one that waited to see whether it lives.
    pub(super) fn leave(&mut self, peer: ReplicaId, session: u64) -> Option<u64> {
        if !self.is_current(peer, session) {
            return None;
        }
        let left = self.live.remove(&peer)?;
        left.probe.map(|probe| probe.asker)
    }

    /// The number to ask the peer with, if somebody doubts that it still runs and it has not been asked.
    pub(super) fn take_probe(&mut self, peer: ReplicaId) -> Option<u64> {
        let probe = self.live.get_mut(&peer)?.probe.as_mut()?;
        (!std::mem::replace(&mut probe.sent, true)).then_some(probe.nonce)
    }

    /// The peer has answered; returns the session that waited for it.
    pub(super) fn probe_answered(&mut self, peer: ReplicaId, nonce: u64) -> Option<u64> {
        let probe = self
            .live
            .get_mut(&peer)?
            .probe
            .as_mut()
            .filter(|probe| probe.nonce == nonce)?;
        probe.answered = true;
        Some(probe.asker)
    }

    /// The peer asks over the older of two connections whether *we* still read it, so it does itself. Without this, one
    /// end could give that connection up while the other is told that it lives, and closes the newer one.
    pub(super) fn probe_received(&mut self, peer: ReplicaId) -> Option<u64> {
        let probe = self.live.get_mut(&peer)?.probe.as_mut()?;
        probe.same_process.then(|| {
            probe.answered = true;
            probe.asker
        })
    }

    /// How long the slowest of the peer's last answers took.
    pub(super) fn note_round_trip(&mut self, peer: ReplicaId, round_trip_ms: u64) {
        if let Some(live) = self.live.get_mut(&peer) {
            live.round_trip_ms = Some(round_trip_ms);
        }
    }

    /// Takes an ack that `peer` sent, about itself or about another.
    pub(super) fn heard(&mut self, peer: ReplicaId, ack: Ack, applied: &VectorClock) {
        self.wants.see(&ack.durable);
        let process = self.processes.get_mut(&peer);
        if let Some(process) = process.filter(|_| ack.about == peer) {
            process.durable.merge(&ack.durable);
        }
        self.acks.record(ack, applied);
    }

    pub(super) fn wants(&self) -> &Wants {
        &self.wants
    }

    pub(super) fn wants_mut(&mut self) -> &mut Wants {
        &mut self.wants
    }

    /// The best peer to ask for what is missing of one replica. Its writer sends it unasked, so it is asked itself only
    /// if it has left a hole.
    pub(super) fn source(&self, gap: &Gap, own_region: &str) -> Option<ReplicaId> {
        let has_it = |peer: ReplicaId, live: &Live| {
            let durable = self.processes.get(&peer).map(|process| &process.durable);
            durable.is_some_and(|durable| durable.get(gap.replica) > gap.reach)
                && live.floor_of(gap.replica) <= gap.reach + 1
                && (peer != gap.replica || gap.hole)
        };
        let rank = |peer: ReplicaId, live: &Live| {
            (
                self.wants.asked(gap.replica, peer),
                live.region != own_region,
                live.pulling.is_none(),
                peer,
            )
        };
        let candidates = self.live.iter().filter(|(peer, live)| has_it(**peer, live));
        candidates
            .map(|(peer, live)| rank(*peer, live))
            .min()
            .map(|best| best.3)
    }

    pub(super) fn begin_pull(&mut self, now: Now, peer: ReplicaId, replicas: &[ReplicaId]) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        live.pulling.get_or_insert_default().extend(replicas);
        replicas
            .iter()
            .for_each(|replica| self.wants.note_asked(now, *replica, peer));
    }

    /// A frame of `replica` was new and came by the pull from `peer`: the pull is worth keeping.
    pub(super) fn arrived_by_pull(&mut self, peer: ReplicaId, replica: ReplicaId) {
        let live = self.live.get_mut(&peer).filter(|_| peer != replica);
        if let Some(pulling) = live.and_then(|live| live.pulling.as_mut()) {
            pulling.insert(replica);
        }
    }

    /// A frame of `replica` came unasked: nobody needs to be asked for those any more. Returns the sessions that now
    /// have a pull to stop.
    pub(super) fn arrived_directly(&mut self, replica: ReplicaId) -> SmallVec<[u64; 2]> {
        let stops = |live: &mut Live| {
            let pulling = live.pulling.as_mut()?;
            (pulling.remove(&replica) && pulling.is_empty()).then_some(live.session)
        };
        self.live.values_mut().filter_map(stops).collect()
    }

    /// Whether the pull from `peer` is to be stopped; it is closed by this.
    pub(super) fn take_stop(&mut self, peer: ReplicaId) -> bool {
        let live = self.live.get_mut(&peer);
        live.is_some_and(|live| live.pulling.take_if(|pulling| pulling.is_empty()).is_some())
    }

    fn register(&mut self, applicant: &Applicant<'_>) {
        let hello = applicant.hello;
        self.wants.see(&hello.durable);
        let live = Live {
            session: applicant.session,
            nonce: hello.nonce,
            direction: applicant.direction,
            region: hello.region.clone(),
            round_trip_ms: None,
            floor: hello.floor.clone(),
            pulling: None,
            probe: None,
        };
        self.live.insert(hello.replica, live);
        match self.processes.get_mut(&hello.replica) {
            Some(process) if process.nonce == hello.nonce => process.durable.merge(&hello.durable),
            _ => {
                let process = Process {
                    nonce: hello.nonce,
                    durable: hello.durable.clone(),
                };
                self.processes.insert(hello.replica, process);
            }
        }
    }
}

impl Live {
    /// Two connections of the same two processes. Of two that one end has dialled it wants the newer one. Of one from
    /// each end both keep what the node with the smaller name has dialled, whichever came first and however long ago:
    /// an age would be another one at the other end, and each could close what the other keeps.
    fn yields_to(&self, applicant: &Applicant<'_>) -> bool {
        let hello = applicant.hello;
        let we_are_smaller = applicant.node < hello.node.as_str();
        let preferred = (applicant.direction == Direction::Dialed) == we_are_smaller;
        self.nonce == hello.nonce && (self.direction == applicant.direction || preferred)
    }

    /// Whether the peer still answers over this connection: for the applicant, which waits until that is known.
    fn ask(&mut self, now: Now, applicant: &Applicant<'_>, timing: &Timing) -> Answer {
        let patience_ms = self.patience_ms(timing);
        match &self.probe {
            Some(probe) if probe.asker == applicant.session && probe.answered => {
                self.probe = None;
                return Answer::Alive;
            }
            Some(probe) if now.ms < probe.until_ms => {
                let until_ms = probe.until_ms;
                return Answer::Awaited { until_ms };
            }
            Some(probe) if probe.asker == applicant.session => return Answer::Silent,
            _ => {}
        }
        let until_ms = now.ms + patience_ms;
        self.probe = Some(Probe {
            nonce: applicant.hello.nonce,
            asker: applicant.session,
            same_process: self.nonce == applicant.hello.nonce,
            until_ms,
            sent: false,
            answered: false,
        });
        Answer::Awaited { until_ms }
    }

    fn patience_ms(&self, timing: &Timing) -> u64 {
        let measured = self.round_trip_ms.map(|ms| ms * PROBE_ROUND_TRIPS);
        measured.map_or(timing.probe_ms, |ms| {
            ms.clamp(timing.probe_min_ms.min(timing.probe_ms), timing.probe_ms)
        })
    }

    fn floor_of(&self, replica: ReplicaId) -> u64 {
        self.floor
            .iter()
            .find(|floor| floor.0 == replica)
            .map_or(0, |floor| floor.1)
    }
}
