//! The loop that gives a session its messages, its time, and its consequences.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isles_replica::session::{Effect, Effects, Received, Session, SessionConfig, SessionError};
use isles_transport::{Channel, ChannelError, Hello, Message, TrafficClass};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Ended, Peers, Signals, courier, feeder};

/// How often figures of a connection are taken over into the peer's state.
const FIGURES: Duration = Duration::from_millis(500);
const LANES: [TrafficClass; 3] = [
    TrafficClass::Control,
    TrafficClass::Frames,
    TrafficClass::Pull,
];

/// A session and who drives it.
pub(super) struct Drive<'d> {
    pub(super) peers: &'d Peers,
    /// The session's number.
    pub(super) number: u64,
    pub(super) channel: &'d dyn Channel,
    pub(super) session: Mutex<Session>,
    /// Something changed for the tasks that send frames.
    pub(super) feed: Notify,
    /// Whether the peer's state counts this session.
    greeted: AtomicBool,
    signals: &'d Signals,
}

/// Speaks with a peer; returns why it ended.
pub(super) async fn drive(
    peers: &Peers,
    number: u64,
    channel: &dyn Channel,
    config: SessionConfig,
    signals: &Signals,
) -> Ended {
    let session = Mutex::new(Session::new(config, peers.now()));
    let drive = Drive {
        peers,
        number,
        channel,
        session,
        feed: Notify::new(),
        greeted: AtomicBool::new(false),
        signals,
    };
    let ended = tokio::select! {
        ended = drive.converse() => ended,
        ended = feeder::feed(&drive, TrafficClass::Frames) => ended,
        ended = feeder::feed(&drive, TrafficClass::Pull) => ended,
        ended = courier::send(&drive) => ended,
        ended = courier::receive(&drive) => ended,
        reason = channel.closed() => Ended::Channel(reason),
    };
    drive.say_goodbye().await;
    ended
}

impl Drive<'_> {
    async fn converse(&self) -> Ended {
        let mut progress = self.peers.database.progress();
        let mut figures = tokio::time::interval(FIGURES);
        loop {
            if let Err(ended) = self.transmit().await {
                return ended;
            }
            let [control, frames, pull] = LANES.map(|lane| self.may_read(lane));
            let due = self.due();
            let step = tokio::select! {
                message = self.channel.receive(TrafficClass::Control), if control => self.handle(TrafficClass::Control, message),
                message = self.channel.receive(TrafficClass::Frames), if frames => self.handle(TrafficClass::Frames, message),
                message = self.channel.receive(TrafficClass::Pull), if pull => self.handle(TrafficClass::Pull, message),
                _ = progress.changed() => self.advance(),
                () = self.signals.wake.notified() => self.advance(),
                () = self.signals.replaced.notified() => Err(SessionError::Replaced.into()),
                () = tokio::time::sleep(due) => self.advance(),
                _ = figures.tick() => {
                    self.note_figures();
                    Ok(())
                }
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    /// Sends what the session has to say.
    async fn transmit(&self) -> Result<(), Ended> {
        loop {
            let message = {
                let mut session = self.session.lock();
                let now = self.peers.now();
                self.peers
                    .database
                    .hold_state(|state, _| session.poll_transmit(now, &mut state.host()))
            };
            let Some(message) = message else {
                return Ok(());
            };
            self.send(TrafficClass::Control, message).await?;
        }
    }

    pub(super) async fn send(&self, class: TrafficClass, message: Message) -> Result<(), Ended> {
        self.channel
            .send(class, message)
            .await
            .map_err(|error| Ended::Channel(error.to_string()))
    }

    /// Waits until the session is established, and gives what the peer has said of itself.
    pub(super) async fn established(&self) -> Hello {
        loop {
            let changed = self.feed.notified();
            let hello = match self.greeted.load(Ordering::Relaxed) {
                true => self.session.lock().peer().cloned(),
                false => None,
            };
            match hello {
                Some(hello) => return hello,
                None => changed.await,
            }
        }
    }

    fn may_read(&self, class: TrafficClass) -> bool {
        let session = self.session.lock();
        self.peers
            .database
            .hold_state(|state, _| session.may_read(class, &state.host()))
    }

    /// How long the session may be left alone.
    fn due(&self) -> Duration {
        let due_ms = self.session.lock().poll_timeout();
        let now_ms = self.peers.now().ms;
        due_ms.map_or(FIGURES, |due_ms| {
            Duration::from_millis(due_ms.saturating_sub(now_ms).max(1))
        })
    }

    fn handle(
        &self,
        class: TrafficClass,
        message: Result<Message, ChannelError>,
    ) -> Result<(), Ended> {
        let message = match message {
            Ok(message) => message,
            Err(ChannelError::Decode { error, .. }) if error.is_skippable() => return Ok(()),
            Err(error) => return Err(Ended::Channel(error.to_string())),
        };
        if let Message::Ack(ack) = &message {
            self.note_ack(ack);
        }
        let received = Received::decode(class, message);
        let effects = {
            let mut session = self.session.lock();
            let now = self.peers.now();
            self.peers
                .database
                .hold_state(|state, _| session.handle(now, received, &mut state.host()))
        };
        self.follow(effects?)
    }

    fn advance(&self) -> Result<(), Ended> {
        let effects = {
            let mut session = self.session.lock();
            let now = self.peers.now();
            self.peers
                .database
                .hold_state(|state, _| session.advance(now, &mut state.host()))
        };
        self.follow(effects?)
    }

    /// Does what the session asks for.
    fn follow(&self, effects: Effects) -> Result<(), Ended> {
        for effect in effects {
            match effect {
                Effect::Established => self.greet(),
                Effect::Replace { session } => {
                    if let Some(signals) = self.peers.signals(session) {
                        signals.replaced.notify_one();
                    }
                }
                Effect::Wake { session } => {
                    if let Some(signals) = self.peers.signals(session) {
                        signals.wake.notify_one();
                    }
                }
                Effect::Ready => self.peers.database.apply_ready(),
                Effect::Feed => self.feed.notify_waiters(),
                Effect::Diverged {
                    bucket,
                    ours,
                    theirs,
                } => self.report_divergence(bucket, ours, theirs),
                _ => {}
            }
        }
        Ok(())
    }

    fn greet(&self) {
        self.greeted.store(true, Ordering::Relaxed);
        let node = &self.channel.peer().node;
        let replica = self.session.lock().peer().map(|hello| hello.replica);
        tracing::info!("session with {} established", self.channel.peer());
        if let Some(replica) = replica {
            self.peers
                .note_name(replica, node, &self.channel.peer().region);
        }
        self.peers.change(node, |state| {
            if let Some(namesake) = state.replica.filter(|other| state.is_connected() && Some(*other) != replica) {
                let newer = replica.map(|replica| replica.to_string()).unwrap_or_default();
                tracing::warn!(
                    "two nodes call themselves {node}: replica {namesake} is connected, and now replica {newer}; unless it was just given a new \
                     id, give one of them another name and a certificate for it (`isles certs node`)"
                );
            }
            state.sessions += 1;
            state.replica = replica;
            state.last_error = None;
            state.excludes_us = false;
            if state.region.is_empty() {
                state.region = self.channel.peer().region.clone();
            }
        });
        metrics::gauge!("isles_peer_connected", "peer" => node.clone()).set(1.0);
        self.feed.notify_waiters();
    }

    fn note_ack(&self, ack: &isles_transport::Ack) {
        let about_the_peer = self
            .session
            .lock()
            .peer()
            .is_some_and(|hello| hello.replica == ack.about);
        if about_the_peer {
            self.peers.change(&self.channel.peer().node, |state| {
                state.acknowledged = Some(Instant::now());
            });
            self.peers
                .database
                .note_peer_durable(&self.channel.peer().node, &ack.durable);
        }
    }

    fn note_figures(&self) {
        let stats = self.channel.stats();
        let (cursor, skew, replica) = {
            let session = self.session.lock();
            let replica = session.peer().map(|hello| hello.replica);
            let cursor = session.feed_cursor(TrafficClass::Frames);
            (cursor, session.skew(), replica)
        };
        let peer = self.channel.peer();
        let known = self
            .peers
            .states
            .lock()
            .get(&peer.node)
            .and_then(|state| state.skew);
        if let Some(replica) = replica.filter(|_| skew.is_some() && skew != known) {
            self.peers
                .note_origin(replica, &peer.node, &peer.region, skew);
        }
        let backlog = cursor.map(|cursor| self.peers.database.history().lock().backlog(cursor));
        self.peers.change(&self.channel.peer().node, |state| {
            state.round_trip = Some(stats.rtt);
            (state.bytes_sent, state.bytes_received) = (stats.bytes_sent, stats.bytes_received);
            state.backlog_bytes = backlog.map_or(0, |backlog| backlog.own_bytes);
            state.skew = skew.or(state.skew);
        });
    }

    /// Equal histories and different content: a bug, and the most important thing that a log can say.
    fn report_divergence(&self, bucket: Option<u32>, ours: u128, theirs: u128) {
        metrics::counter!("isles_divergence_total").increment(1);
        let keys = bucket
            .and_then(|bucket| u16::try_from(bucket).ok())
            .map_or_else(Vec::new, |bucket| {
                self.peers.database.hold(|replica, _| {
                    replica
                        .bucket_keys(bucket)
                        .map(|(key, sum)| format!("{}={sum:032x}", key.escape_ascii()))
                        .collect()
                })
            });
        let node = &self.channel.peer().node;
        tracing::error!(
            "content differs from {node}'s although both have applied the same: bucket {bucket:?}, sum {ours:032x} here, \
             {theirs:032x} there; keys in memory here: {keys:?}"
        );
    }

    /// Tells the peer why, if the session can still say it, and lets the replica forget it.
    async fn say_goodbye(&self) {
        let message = {
            let mut session = self.session.lock();
            let now = self.peers.now();
            let (message, waiting) = self.peers.database.hold_state(|state, _| {
                let message = session.poll_transmit(now, &mut state.host());
                (message, session.close(&mut state.host()))
            });
            if let Some(signals) = waiting.and_then(|session| self.peers.signals(session)) {
                signals.wake.notify_one();
            }
            if self.greeted.load(Ordering::Relaxed) {
                let node = &self.channel.peer().node;
                self.peers.change(node, |state| {
                    state.sessions -= 1;
                    let connected = f64::from(u8::from(state.is_connected()));
                    metrics::gauge!("isles_peer_connected", "peer" => node.clone()).set(connected);
                });
            }
            message
        };
        if let Some(message @ Message::Reject(_)) = message {
            let _ = self.channel.send(TrafficClass::Control, message).await;
        }
    }
}
