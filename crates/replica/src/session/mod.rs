//! One conversation with one peer, without any IO.
//!
//! What it deliberately does not do: read a clock, open or await anything, keep frames that wait to be sent (a feed is
//! a cursor over the log), or apply frames (it hands them to [`Delivery`](crate::delivery::Delivery)).
//!
//! In reading order: [`config`](SessionConfig) and [`host`](Host), what a session is given; `handle`, what it does with
//! each message; `hello`, whether two nodes fit together; `feed`, frames out; `acks`, how far everybody has come; `pull`, asking for what does not arrive;
//! `audit`, comparing content; `skew`, how far the peer's clock is off; `watermark`, up to when all regions are equal; `exchange`, what all sessions of a replica share; `error`, how it ends.

mod acks;
mod audit;
mod config;
mod error;
mod exchange;
mod feed;
mod handle;
mod hello;
mod host;
mod pull;
mod skew;
mod watermark;

use std::collections::VecDeque;

use isles_clock::ReplicaId;
use isles_transport::{Hello, Message, Reject, StreamStart, TrafficClass};

use crate::delivery::{Lane, LaneKind};

pub use acks::{ACKED_MAX, Acks, Stability};
pub use audit::{AuditCounts, BucketContent};
pub use config::{Direction, Now, SessionConfig, Timing};
pub use error::{Retry, SessionError};
pub use exchange::{Exchange, PROBE_ROUND_TRIPS};
pub use feed::{Batch, BatchLimits, FeedRequest, Origins, Place};
pub use hello::{PROTOCOL_MAX, PROTOCOL_MIN};
pub use host::{Effect, Effects, Host, Received, ReplicaHost};
pub use skew::Skew;
pub use watermark::watermark;

use feed::Feed;

/// One conversation with one peer.
///
/// # The calling contract
///
/// A session never acts by itself. Its driver owns the channel and the clock, and calls it under the replica's lock
/// (feeds excepted: they need no replica). There are four kinds of method.
///
/// *Something happened.* [`handle`](Self::handle) takes a message; [`advance`](Self::advance) says that time has passed
/// or that the replica has moved (frames were applied or became durable). Both return [`Effects`] or the error that
/// ends the session. Decode messages with [`Received::decode`] before taking the lock.
///
/// *What now?* After each of these, poll in this order: [`poll_transmit`](Self::poll_transmit) until it has nothing
/// more, sending each message in the control lane, in order; then [`poll_timeout`](Self::poll_timeout), which says when
/// to call `advance` at the latest. Also after an error: the last message tells the peer why. Then close the channel
/// with the error as the reason, and call [`close`](Self::close).
///
/// *May I read?* Each lane is read by itself, and only while [`may_read`](Self::may_read) says so: ask before each
/// message, wait while it says no, and ask again after frames were applied and after every effect of this session. Not
/// reading is what holds a fast peer back.
///
/// *Frames out.* For each of the two lanes that carry frames, one task loops: [`feed_request`](Self::feed_request) says
/// where to read, [`History::read`](crate::history::History::read) answers, or the log on disk where that is behind;
/// [`feed`](Self::feed) takes the batch and returns the messages to send in this lane, all of them and in order, before
/// the next request. The lane's own back-pressure is the window. Where there is nothing to read (no request, `AtEnd`,
/// or a batch from disk that got nowhere), wait until more is durable, or for [`Effect::Established`] or
/// [`Effect::Feed`].
///
/// ```text
/// let mut session = Session::new(config, now);
/// loop {
///     while let Some(message) = session.poll_transmit(now, replica) { channel.send(Control, message) }
///     select! {
///         message = receive(Control) if session.may_read(Control, replica) => session.handle(now, decode(message), replica),
///         message = receive(Frames)  if session.may_read(Frames, replica)  => session.handle(now, decode(message), replica),
///         message = receive(Pull)    if session.may_read(Pull, replica)    => session.handle(now, decode(message), replica),
///         _ = replica_moved()                                              => session.advance(now, replica),
///         _ = until(session.poll_timeout())                                => session.advance(now, replica),
///     } -> effects, or the error that ends the loop
/// }
/// // beside it, for each lane of Frames and Pull:
/// loop {
///     let Some(request) = session.feed_request(lane) else { wait for Established or Feed };
///     match history.read(&request, limits) {
///         Found(batch) => for message in session.feed(&request, batch) { channel.send(lane, message) },
///         Behind       => the same with a batch that `request.collect` makes from the log on disk,
///         AtEnd        => wait until more is durable, or for Feed,
///     }
/// }
/// ```
///
/// A session that lost its connection is not revived: a new one says hello again, and both sides go on from there.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    greeted: bool,
    hello: Option<Hello>,
    direct: Option<Feed>,
    answer: Option<Feed>,
    /// Pulls received.
    questions: u64,
    /// Starts of answers that are still to be sent: one for each pull, so that the asker knows which one is answered.
    answers_owed: usize,
    acks: acks::AckSender,
    asker: pull::Asker,
    audit: audit::Audit,
    skew: skew::SkewMeter,
    /// Numbers that the peer wants to see again.
    probes_to_answer: VecDeque<u64>,
    /// The session that takes this one's place once it has gone.
    successor: Option<u64>,
    reject: Option<Reject>,
    counts: SessionCounts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the peer's hello.
    Greeting { until_ms: u64 },
    /// Waits until another connection with the peer shows that it lives, or does not.
    Doubted { until_ms: u64 },
    /// All is well.
    Established { peer: ReplicaId },
    /// It is over.
    Ended,
}

/// What a session has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Frames that were new.
    pub accepted: u64,
    /// Frames that were here already.
    pub duplicates: u64,
    /// Frames of answers that a newer question made void.
    pub void: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Session {
    /// A session on a new connection.
    pub fn new(config: SessionConfig, now: Now) -> Session {
        Session {
            state: State::Greeting {
                until_ms: now.ms + config.timing.hello_ms,
            },
            greeted: false,
            hello: None,
            direct: None,
            answer: None,
            questions: 0,
            answers_owed: 0,
            acks: acks::AckSender::new(now),
            asker: pull::Asker::new(),
            audit: audit::Audit::new(now, &config.timing, config.nonce),
            skew: skew::SkewMeter::new(now, config.nonce),
            probes_to_answer: VecDeque::new(),
            successor: None,
            reject: None,
            counts: SessionCounts::default(),
            config,
        }
    }

    /// Takes a message from the peer.
    ///
    /// # Errors
    /// The session is over, and this is why.
    pub fn handle<H: Host>(
        &mut self,
        now: Now,
        received: Received,
        host: &mut H,
    ) -> Result<Effects, SessionError> {
        let result = self.dispatch(now, received, host);
        self.conclude(result, host)
    }

    /// Time has passed, or the replica has moved.
    ///
    /// # Errors
    /// The session is over, and this is why.
    pub fn advance<H: Host>(&mut self, now: Now, host: &mut H) -> Result<Effects, SessionError> {
        let result = self.look_around(now, host);
        self.conclude(result, host)
    }

    /// The next message to send in the control lane.
    pub fn poll_transmit<H: Host>(&mut self, now: Now, host: &mut H) -> Option<Message> {
        if let Some(reject) = self.reject.take() {
            return Some(Message::Reject(reject));
        }
        if self.state != State::Ended && !std::mem::replace(&mut self.greeted, true) {
            return Some(Message::Hello(hello::compose(&self.config, host)));
        }
        let State::Established { peer } = self.state else {
            return None;
        };
        if let Some(nonce) = self.probes_to_answer.pop_front() {
            let wall_ms = now.wall_ms;
            return Some(Message::ProbeReply { nonce, wall_ms });
        }
        if let Some(nonce) = host.exchange_mut().take_probe(peer) {
            return Some(Message::Probe { nonce });
        }
        let timing = self.config.timing;
        self.asker
            .poll(peer, host)
            .or_else(|| self.acks.poll(now, peer, &timing, host))
            .or_else(|| self.audit.poll(now, &timing, peer, host))
            .or_else(|| self.skew.poll(now, &timing))
    }

    /// When [`advance`](Self::advance) must be called at the latest, on the clock of [`Now::ms`].
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Greeting { until_ms } | State::Doubted { until_ms } => Some(until_ms),
            State::Established { .. } => Some(
                self.acks
                    .due_ms()
                    .min(self.asker.due_ms())
                    .min(self.audit.due_ms())
                    .min(self.skew.due_ms()),
            ),
            State::Ended => None,
        }
    }

    /// Whether the next message of this lane may be read from the channel.
    pub fn may_read<H: Host>(&self, class: TrafficClass, host: &H) -> bool {
        let room = |peer, kind| host.delivery().has_room(Lane { peer, kind });
        match (self.state, class) {
            (State::Greeting { .. } | State::Established { .. }, TrafficClass::Control) => true,
            (State::Established { peer }, TrafficClass::Frames) => room(peer, LaneKind::Direct),
            (State::Established { peer }, TrafficClass::Pull) => {
                !self.asker.is_answered() || room(peer, LaneKind::Pulled)
            }
            _ => false,
        }
    }

    /// What to read next for a lane that carries frames; none while nothing is to be sent there.
    pub fn feed_request(&self, class: TrafficClass) -> Option<FeedRequest> {
        self.lane_feed(class).map(Feed::request)
    }

    /// Takes what was read for `request` and returns what to send of it, in this order and in the same lane.
    pub fn feed(&mut self, request: &FeedRequest, batch: Batch) -> Vec<Message> {
        let feeds = [&mut self.direct, &mut self.answer].into_iter().flatten();
        let mut of_request = feeds.filter(|feed| feed.generation() == request.generation);
        let Some(feed) = of_request.next() else {
            return Vec::new();
        };
        let starts = match request.generation {
            feed::DIRECT => 0,
            _ => std::mem::take(&mut self.answers_owed),
        };
        // `deps` are absolute in every frame, so the start of an answer has no bases to name.
        let start = Message::StreamStart(StreamStart { bases: Vec::new() });
        std::iter::repeat_n(start, starts)
            .chain(feed.advance(batch))
            .collect()
    }

    /// The log no longer holds what `request` asks for. A pull is then left unanswered: others will be asked.
    ///
    /// # Errors
    /// The peer can no longer be served at all.
    pub fn feed_unavailable<H: Host>(
        &mut self,
        request: &FeedRequest,
        host: &mut H,
    ) -> Result<(), SessionError> {
        if self
            .answer
            .take_if(|feed| feed.generation() == request.generation)
            .is_some()
        {
            return Ok(());
        }
        let replica = host.id();
        let floor = host.exchange().log_floor();
        let direct = self.direct.as_mut();
        if direct.is_some_and(|feed| feed.pass_trimmed(floor)) {
            return Ok(());
        }
        let hello = self.hello.as_ref();
        let has = hello.map_or(0, |hello| hello.applied.get(replica));
        let floor = host
            .exchange()
            .log_floor()
            .iter()
            .find(|floor| floor.0 == replica)
            .map_or(0, |floor| floor.1);
        let error = SessionError::TooOld {
            node: self.peer_name(),
            replica,
            next: has + 1,
            floor,
        };
        self.conclude(Err(error), host).map(drop)
    }

    /// The number through which the log was read for a lane: `History::backlog` counts from here.
    pub fn feed_cursor(&self, class: TrafficClass) -> Option<u64> {
        self.lane_feed(class)?.cursor()
    }

    /// The connection is gone. Call it once, whatever ended the session; returns a session that has waited for this and
    /// must be woken.
    #[must_use]
    pub fn close<H: Host>(&mut self, host: &mut H) -> Option<u64> {
        self.leave(host);
        self.successor.take()
    }

    fn leave<H: Host>(&mut self, host: &mut H) {
        if let Some(hello) = &self.hello {
            let waiting = host
                .exchange_mut()
                .leave(hello.replica, self.config.session);
            self.successor = self.successor.or(waiting);
        }
        self.state = State::Ended;
        (self.direct, self.answer) = (None, None);
    }

    /// What the peer said of itself, once it has.
    pub fn peer(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Whether the peer is known and accepted.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established { .. })
    }

    /// What has been received.
    pub fn counts(&self) -> SessionCounts {
        self.counts
    }

    /// What the audit has found.
    pub fn audit(&self) -> &AuditCounts {
        self.audit.counts()
    }

    /// How far the peer's clock is from this one, once the peer has answered.
    pub fn skew(&self) -> Option<Skew> {
        self.skew.estimate()
    }

    fn lane_feed(&self, class: TrafficClass) -> Option<&Feed> {
        match class {
            TrafficClass::Frames => self.direct.as_ref(),
            TrafficClass::Pull => self.answer.as_ref(),
            TrafficClass::Control | TrafficClass::Snapshot | TrafficClass::Publish => None,
        }
    }

    fn peer_name(&self) -> String {
        self.hello
            .as_ref()
            .map_or_else(|| "the peer".to_owned(), |hello| hello.node.clone())
    }

    fn violation(&self, what: &str) -> SessionError {
        SessionError::violation(&self.peer_name(), what)
    }
}

#[cfg(test)]
mod tests;
