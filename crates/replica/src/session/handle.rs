//! What a session does with what it receives.

use isles_clock::ReplicaId;
use isles_transport::{Ack, Hello, Message, Pull, Reject};

use super::exchange::{Admission, Applicant};
use super::feed::Feed;
use super::{Effect, Effects, Host, Now, Received, Session, SessionError, State, hello};
use crate::delivery::{Amnesia, Lane, LaneKind, Offer};
use crate::frame::Frame;

/// Of a peer's probes so many wait to be answered; of more, the first ones.
const PROBES_MAX: usize = 4;

impl Session {
    pub(super) fn dispatch<H: Host>(
        &mut self,
        now: Now,
        received: Received,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        match (self.state, received) {
            (State::Ended, _) | (_, Received::Skipped) => Ok(Effects::new()),
            (_, Received::Bad(error)) => Err(error),
            (_, Received::Control(Message::Reject(Reject { code, reason }))) => {
                Err(SessionError::Rejected { code, reason })
            }
            (State::Greeting { .. }, Received::Control(Message::Hello(hello))) => {
                self.on_hello(now, hello, host)
            }
            (State::Greeting { .. }, _) => Err(self.violation("spoke before it said hello")),
            (State::Doubted { .. }, _) => Err(SessionError::Overrun),
            (State::Established { peer }, received) => {
                self.check_current(peer, host)?;
                match received {
                    Received::Control(message) => self.on_control(now, peer, message, host),
                    Received::Frame(lane, frame) => {
                        self.on_frame(now, Lane { peer, kind: lane }, frame, host)
                    }
                    Received::AnswerBegins => {
                        self.asker.answer_begins();
                        Ok(Effects::new())
                    }
                    Received::Skipped | Received::Bad(_) => Ok(Effects::new()),
                }
            }
        }
    }

    pub(super) fn look_around<H: Host>(
        &mut self,
        now: Now,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        match self.state {
            State::Greeting { until_ms } if now.ms >= until_ms => Err(SessionError::Silent {
                waited_ms: self.config.timing.hello_ms,
            }),
            State::Doubted { .. } => self.apply_for_place(now, host),
            State::Established { peer } => {
                self.check_current(peer, host)?;
                if let Some(fork) = host.delivery_mut().take_fork(peer) {
                    return Err(SessionError::fork(&self.peer_name(), fork));
                }
                self.asker
                    .review(now, peer, &self.config.region, &self.config.timing, host);
                Ok(Effects::new())
            }
            State::Greeting { .. } | State::Ended => Ok(Effects::new()),
        }
    }

    fn on_hello<H: Host>(
        &mut self,
        now: Now,
        hello: Hello,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        hello::judge(&self.config, &hello, host)?;
        self.hello = Some(hello);
        self.apply_for_place(now, host)
    }

    fn apply_for_place<H: Host>(
        &mut self,
        now: Now,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        let (config, own) = (&self.config, host.id());
        let hello = self
            .hello
            .as_ref()
            .expect("invariant: a place is applied for after hello");
        let applicant = Applicant {
            session: config.session,
            direction: config.direction,
            node: &config.node,
            hello,
        };
        let mut effects = Effects::new();
        match host.exchange_mut().admit(now, &applicant, &config.timing) {
            Admission::Alone => {}
            Admission::Replacing(session) => effects.push(Effect::Replace { session }),
            Admission::Doubted { older, until_ms } => {
                self.state = State::Doubted { until_ms };
                effects.push(Effect::Wake { session: older });
                return Ok(effects);
            }
            Admission::Clone => {
                return Err(SessionError::Clone {
                    replica: hello.replica,
                });
            }
            Admission::Redundant => return Err(SessionError::Redundant),
        }
        let peer = hello.replica;
        // The peer sends again all that it was not told to be applied here, so what waits from it would be in the way.
        host.delivery_mut().discard(Lane {
            peer,
            kind: LaneKind::Direct,
        });
        host.delivery_mut().discard(Lane {
            peer,
            kind: LaneKind::Pulled,
        });
        let mut has = hello.applied.clone();
        host.exchange()
            .held_by(hello)
            .into_iter()
            .for_each(|held| has.merge(held));
        self.direct = Some(Feed::direct(config.direct_origins(own, hello), has));
        self.state = State::Established { peer };
        self.asker
            .review(now, peer, &config.region, &config.timing, host);
        effects.push(Effect::Established);
        Ok(effects)
    }

    fn on_control<H: Host>(
        &mut self,
        now: Now,
        peer: ReplicaId,
        message: Message,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        let mut effects = Effects::new();
        match message {
            Message::Ack(ack) => self.on_ack(now, peer, ack, host)?,
            Message::Pull(Pull { have }) => {
                let direct = self
                    .direct
                    .as_ref()
                    .expect("invariant: an established session has a direct feed");
                self.questions += 1;
                self.answers_owed += 1;
                self.answer = Some(Feed::answer(have, direct, self.questions));
                effects.push(Effect::Feed);
            }
            Message::PullStop => {
                self.answer = None;
                effects.push(Effect::Feed);
            }
            Message::Probe { nonce } => {
                self.probes_to_answer.truncate(PROBES_MAX - 1);
                self.probes_to_answer.push_back(nonce);
                let waiting = host.exchange_mut().probe_received(peer);
                effects.extend(waiting.map(|session| Effect::Wake { session }));
            }
            Message::ProbeReply { nonce, wall_ms } => {
                if let Some(round_trip_ms) = self.skew.answered(now, nonce, wall_ms) {
                    host.exchange_mut().note_round_trip(peer, round_trip_ms);
                }
                let waiting = host.exchange_mut().probe_answered(peer, nonce);
                effects.extend(waiting.map(|session| Effect::Wake { session }));
            }
            Message::Sums(sums) => self.audit.compare(&sums, host, &mut effects),
            Message::Hello(_) => return Err(self.violation("said hello twice")),
            // Newer peers may say more than this program knows.
            _ => {}
        }
        Ok(effects)
    }

    fn on_ack<H: Host>(
        &mut self,
        now: Now,
        peer: ReplicaId,
        ack: Ack,
        host: &mut H,
    ) -> Result<(), SessionError> {
        let (own, known) = (
            host.id(),
            ack.durable.get(host.id()).max(ack.applied.get(host.id())),
        );
        let remembered = host.applied().get(own);
        if known > remembered {
            let amnesia = Amnesia { known, remembered };
            return Err(SessionError::amnesia(own, &self.peer_name(), amnesia));
        }
        self.acks.heard(&ack);
        if ack.about == own {
            return Ok(());
        }
        if ack.about == peer {
            self.direct
                .iter_mut()
                .chain(&mut self.answer)
                .for_each(|feed| feed.note(&ack.applied));
        }
        let applied = host.applied().clone();
        host.exchange_mut().heard(peer, ack, &applied);
        self.asker
            .review(now, peer, &self.config.region, &self.config.timing, host);
        Ok(())
    }

    fn on_frame<H: Host>(
        &mut self,
        now: Now,
        lane: Lane,
        frame: Frame,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        let (origin, bytes, mut effects) =
            (frame.replica(), frame.bytes().len() as u64, Effects::new());
        self.counts.bytes += bytes;
        if lane.kind == LaneKind::Pulled && !self.asker.is_answered() {
            self.counts.void += 1;
            return Ok(effects);
        }
        match host.offer(frame, lane)? {
            Offer::Accepted => {
                self.counts.accepted += 1;
                host.exchange_mut().wants_mut().note_progress(now, origin);
                if lane.kind == LaneKind::Pulled {
                    host.exchange_mut().arrived_by_pull(lane.peer, origin);
                }
                // What it depends on may be missing, which no event will tell.
                self.asker.look_by(now.ms + self.config.timing.ack_every_ms);
                effects.push(Effect::Ready);
            }
            Offer::Duplicate => self.counts.duplicates += 1,
            Offer::Full => return Err(SessionError::Overrun),
            Offer::Fork(fork) => return Err(SessionError::fork(&self.peer_name(), fork)),
            Offer::Amnesia(amnesia) => {
                return Err(SessionError::amnesia(host.id(), &self.peer_name(), amnesia));
            }
        }
        if lane.kind == LaneKind::Direct {
            let stopping = host.exchange_mut().arrived_directly(origin);
            effects.extend(stopping.into_iter().map(|session| Effect::Wake { session }));
        }
        Ok(effects)
    }

    fn check_current<H: Host>(&self, peer: ReplicaId, host: &H) -> Result<(), SessionError> {
        let current = host.exchange().is_current(peer, self.config.session);
        if current {
            Ok(())
        } else {
            Err(SessionError::Replaced)
        }
    }

    pub(super) fn conclude<H: Host>(
        &mut self,
        result: Result<Effects, SessionError>,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        if let Err(error) = &result {
            self.reject = error.reject();
            self.leave(host);
        }
        result
    }
}
