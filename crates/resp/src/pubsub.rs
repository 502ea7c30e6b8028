//! Who listens to what: channels, patterns and shard channels, and the delivery of messages to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use isles_replica::Position;

use crate::clients::Client;
use crate::engine::ChannelKind;
use crate::glob::{self, Case};
use crate::hub::Hub;
use crate::outbox::Letter;
use crate::reply::{Protocol, Reply};

/// Bytes of all names that one client subscribes to.
pub(crate) const SUBSCRIPTION_BYTES_MAX: usize = 16 << 20;
/// What a subscription costs besides its name.
const SUBSCRIPTION_OVERHEAD_BYTES: usize = 64;

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Channel,
    Pattern,
    /// In a cluster of Redis these live in one shard; here they are a second namespace of channels.
    Shard,
}

impl Topic {
    pub(crate) const ALL: [Topic; 3] = [Topic::Channel, Topic::Pattern, Topic::Shard];

    /// What those who name this channel itself listen to.
    pub(crate) fn of(kind: ChannelKind) -> Topic {
        match kind {
            ChannelKind::Plain => Topic::Channel,
            ChannelKind::Shard => Topic::Shard,
        }
    }
}

type Listeners = BTreeMap<u64, Arc<Client>>;

/// All subscriptions of a listener's clients.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Subscriptions of all kinds: while there are none nothing is locked.
    count: AtomicUsize,
    topics: Mutex<[HashMap<Box<[u8]>, Listeners>; 3]>,
}

impl Channels {
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Sends a message to those who listen here; to how many subscriptions.
    pub(crate) fn deliver(
        &self,
        hub: &Hub,
        topic: Topic,
        channel: &[u8],
        payload: &[u8],
        barrier: Position,
    ) -> usize {
        if self.is_empty() {
            return 0;
        }
        let topics = self.lock();
        let mut receivers = 0;
        if let Some(listeners) = topics[topic as usize].get(channel) {
            let word = if topic == Topic::Shard {
                &b"smessage"[..]
            } else {
                b"message"
            };
            let rest = encode(&[word, channel, payload]);
            receivers += listeners.len();
            listeners
                .values()
                .for_each(|client| hub.post(client, rest.clone(), barrier));
        }
        if topic == Topic::Channel {
            for (pattern, listeners) in &topics[Topic::Pattern as usize] {
                if !glob::matches(pattern, channel, Case::Sensitive) {
                    continue;
                }
                let rest = encode(&[b"pmessage", pattern, channel, payload]);
                receivers += listeners.len();
                listeners
                    .values()
                    .for_each(|client| hub.post(client, rest.clone(), barrier));
            }
        }
        receivers
    }

    /// The names of one kind that have subscribers.
    pub(crate) fn names(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let topics = self.lock();
        let wanted = |name: &[u8]| {
            pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Sensitive))
        };
        topics[topic as usize]
            .keys()
            .filter(|name| wanted(name))
            .cloned()
            .collect()
    }

    pub(crate) fn listeners(&self, topic: Topic, name: &[u8]) -> usize {
        self.lock()[topic as usize]
            .get(name)
            .map_or(0, BTreeMap::len)
    }

    /// Number of names of one kind that have subscribers.
    pub(crate) fn len(&self, topic: Topic) -> usize {
        self.lock()[topic as usize].len()
    }

    fn add(&self, topic: Topic, name: &[u8], client: &Arc<Client>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.lock()[topic as usize]
            .entry(name.into())
            .or_default()
            .insert(client.id, Arc::clone(client));
    }

    fn remove(&self, topic: Topic, name: &[u8], client: &Client) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let mut topics = self.lock();
        let names = &mut topics[topic as usize];
        if let Some(listeners) = names.get_mut(name) {
            listeners.remove(&client.id);
            if listeners.is_empty() {
                names.remove(name);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, [HashMap<Box<[u8]>, Listeners>; 3]> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An array of texts without the byte that says which kind of array it is.
pub(crate) fn encode(texts: &[&[u8]]) -> Bytes {
    let mut reply = Reply::default();
    reply.array(texts.len());
    texts.iter().for_each(|text| reply.bulk(text));
    Bytes::copy_from_slice(&reply.as_bytes()[1..])
}

/// A message for a client of this version of the protocol.
pub(crate) fn letter(protocol: Protocol, rest: Bytes) -> Letter {
    let first = match protocol {
        Protocol::Resp2 => b'*',
        Protocol::Resp3 => b'>',
    };
    Letter { first, rest }
}

/// What one client listens to. It all ends with the connection.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    hub: Arc<Hub>,
    client: Arc<Client>,
    names: [BTreeSet<Box<[u8]>>; 3],
    bytes: usize,
}

/// A client's subscriptions would exceed [`SUBSCRIPTION_BYTES_MAX`].
#[derive(Debug)]
pub(crate) struct TooMany;

impl Subscriptions {
    pub(crate) fn new(hub: Arc<Hub>, client: Arc<Client>) -> Subscriptions {
        Subscriptions {
            hub,
            client,
            names: Default::default(),
            bytes: 0,
        }
    }

    /// Subscribes; once is enough.
    pub(crate) fn add(&mut self, topic: Topic, name: &[u8]) -> Result<(), TooMany> {
        if self.names[topic as usize].contains(name) {
            return Ok(());
        }
        let bytes = self.bytes + name.len() + SUBSCRIPTION_OVERHEAD_BYTES;
        if bytes > SUBSCRIPTION_BYTES_MAX {
            return Err(TooMany);
        }
        self.bytes = bytes;
        self.names[topic as usize].insert(name.into());
        self.hub.channels.add(topic, name, &self.client);
        self.show();
        Ok(())
    }

    pub(crate) fn remove(&mut self, topic: Topic, name: &[u8]) {
        if self.names[topic as usize].remove(name) {
            self.bytes -= name.len() + SUBSCRIPTION_OVERHEAD_BYTES;
            self.hub.channels.remove(topic, name, &self.client);
            self.show();
        }
    }

    pub(crate) fn of(&self, topic: Topic) -> Vec<Box<[u8]>> {
        self.names[topic as usize].iter().cloned().collect()
    }

    /// What the answer to a subscription counts: channels and patterns together, shard channels by themselves.
    pub(crate) fn count(&self, topic: Topic) -> usize {
        let [channels, patterns, shards] = &self.names;
        match topic {
            Topic::Channel | Topic::Pattern => channels.len() + patterns.len(),
            Topic::Shard => shards.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }

    pub(crate) fn clear(&mut self) {
        for topic in Topic::ALL {
            for name in std::mem::take(&mut self.names[topic as usize]) {
                self.hub.channels.remove(topic, &name, &self.client);
            }
        }
        self.bytes = 0;
        self.show();
    }

    fn show(&self) {
        self.client
            .note_subscriptions([0, 1, 2].map(|topic| self.names[topic].len()));
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.clear();
    }
}
