//! What reaches connections from elsewhere: messages, notifications, invalidations and the commands of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use isles_replica::{Change, ChangeObserver, Effect, Position, RemoteChange};
use tracing::warn;

use crate::clients::{Client, Clients};
use crate::conflict_news;
use crate::engine::ChannelKind;
use crate::monitor::Monitors;
use crate::notices::Notices;
use crate::notify::{self, Event, Notifications};
use crate::outbox::Letter;
use crate::pubsub::{self, Channels, Topic};
use crate::tracking::Tracking;

/// Everything through which one connection's doings reach others.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) clients: Arc<Clients>,
    pub(crate) channels: Channels,
    pub(crate) notifications: Notifications,
    pub(crate) tracking: Tracking,
    pub(crate) notices: Notices,
    pub(crate) monitors: Monitors,
    overflows: metrics::Counter,
    pub(crate) overflows_total: AtomicU64,
}

impl Hub {
    pub(crate) fn new(clients: Arc<Clients>) -> Arc<Hub> {
        Arc::new(Hub {
            clients,
            channels: Channels::default(),
            notifications: Notifications::default(),
            tracking: Tracking::default(),
            notices: Notices::default(),
            monitors: Monitors::default(),
            overflows: metrics::counter!("isles_outbox_overflows_total"),
            overflows_total: AtomicU64::new(0),
        })
    }

    /// Sends an array without its first byte to a client, in its version of the protocol.
    pub(crate) fn post(&self, client: &Client, rest: Bytes, barrier: Position) {
        self.post_letter(client, pubsub::letter(client.protocol(), rest), barrier);
    }

    /// A client that does not read what it has asked to be told is disconnected: it would take all memory.
    pub(crate) fn post_letter(&self, client: &Client, letter: Letter, barrier: Position) {
        if client.outbox.post(letter, barrier).is_err() {
            self.overflows.increment(1);
            self.overflows_total.fetch_add(1, Ordering::Relaxed);
            warn!(
                id = client.id,
                address = client.address,
                "disconnected a client that does not read its messages"
            );
            client.kill();
        }
    }

    /// Whether anybody is told when keys change.
    pub(crate) fn wants_changes(&self) -> bool {
        self.notifications.are_on() || self.tracking.is_on()
    }

    /// Whether anybody is told of conflicts.
    pub(crate) fn wants_conflicts(&self) -> bool {
        self.channels.may_hear_conflicts() || self.notices.are_on()
    }

    /// Sends notifications of events to those who listen here.
    pub(crate) fn notify(&self, events: &[Event<'_>], barrier: Position) {
        let flags = self.notifications.flags();
        if flags == 0 || self.channels.is_empty() {
            return;
        }
        for event in events.iter().filter(|event| event.is_wanted(flags)) {
            let send = |wanted: u32, channel: &dyn Fn() -> Vec<u8>, payload: &[u8]| {
                if flags & wanted != 0 {
                    self.channels
                        .deliver(self, Topic::Channel, &channel(), payload, barrier);
                }
            };
            let name = event.name.as_bytes();
            send(
                notify::KEYSPACE,
                &|| [b"__keyspace@0__:", event.key].concat(),
                name,
            );
            send(
                notify::KEYEVENT,
                &|| [b"__keyevent@0__:", name].concat(),
                event.key,
            );
        }
    }

    /// Tells of what a command has changed: `events` names it, `changes` are the keys.
    pub(crate) fn tell(
        &self,
        author: Option<&Client>,
        events: &[Event<'_>],
        changes: &[Change],
        barrier: Position,
    ) {
        self.notify(events, barrier);
        if !self.tracking.is_on() {
            return;
        }
        if changes
            .iter()
            .any(|change| change.effect == Effect::Cleared)
        {
            self.tracking.invalidate_all(self, barrier);
        }
        let named = changes
            .iter()
            .filter(|change| change.effect != Effect::Cleared)
            .map(|change| {
                // That a key expired is news to its writer too.
                let author = author.filter(|_| change.effect != Effect::Expired);
                (&*change.key, author.map(|client| client.id))
            });
        let keys: Vec<(&[u8], Option<u64>)> = named.collect();
        self.tracking.invalidate(self, &keys, barrier);
    }
}

/// Where messages that clients of other nodes have published go in.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Hub>);

impl Inbox {
    pub(crate) fn of(hub: &Arc<Hub>) -> Inbox {
        Inbox(Arc::clone(hub))
    }

    /// Delivers a message to the clients that listen here; to how many subscriptions. Never waits. Of conflicts only the
    /// own journal is told: what a peer says of them has been published by a client of an earlier version.
    pub fn deliver(&self, kind: ChannelKind, channel: &[u8], payload: &[u8]) -> usize {
        if conflict_news::is_reserved(channel) {
            return 0;
        }
        let topic = Topic::of(kind);
        self.0
            .channels
            .deliver(&self.0, topic, channel, payload, Position::ZERO)
    }
}

/// Tells the clients of a hub of what peers write.
#[derive(Debug)]
pub(crate) struct FromPeers {
    hub: Arc<Hub>,
    /// Keys changed since the last run of entries, for caches that are told of many keys at once.
    keys: Vec<Box<[u8]>>,
    barrier: Position,
}

/// Keys after which caches are told, though more entries follow.
const KEYS_AT_ONCE: usize = 256;

impl FromPeers {
    pub(crate) fn of(hub: &Arc<Hub>) -> Box<dyn ChangeObserver> {
        Box::new(FromPeers {
            hub: Arc::clone(hub),
            keys: Vec::new(),
            barrier: Position::ZERO,
        })
    }

    fn invalidate(&mut self) {
        let keys: Vec<(&[u8], Option<u64>)> = self.keys.iter().map(|key| (&**key, None)).collect();
        self.hub.tracking.invalidate(&self.hub, &keys, self.barrier);
        self.keys.clear();
    }
}

impl ChangeObserver for FromPeers {
    fn changed(&mut self, change: &RemoteChange<'_, '_>) {
        if self.hub.notifications.are_on() {
            let events = notify::of_remote(change);
            self.hub.notify(&events, change.position);
        }
        if self.hub.tracking.is_on() {
            self.keys.push(change.op.key.0.into());
            self.barrier = change.position;
            if self.keys.len() >= KEYS_AT_ONCE {
                self.invalidate();
            }
        }
    }

    fn settled(&mut self) {
        if !self.keys.is_empty() {
            self.invalidate();
        }
    }
}
