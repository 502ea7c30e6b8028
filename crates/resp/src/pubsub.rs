//! Who listens to what: channels, patterns and shard channels, and the delivery of messages to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use isles_replica::Position;

use crate::clients::Client;
use crate::conflict_news;
use crate::engine::ChannelKind;
use crate::error::{Failure, Outcome};
use crate::glob::{Case, Glob};
use crate::hub::Hub;
use crate::outbox::Letter;
use crate::reply::{Protocol, Reply};

/// Bytes of all names that one client subscribes to.
pub(crate) const SUBSCRIPTION_BYTES_MAX: usize = 16 << 20;
/// What a subscription costs besides its name, and its pattern as read.
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
    /// Those among them that may match a channel of conflicts.
    near_conflicts: AtomicUsize,
    topics: Mutex<Topics>,
}

type Names = HashMap<Box<[u8]>, Listeners>;

#[derive(Debug, Default)]
struct Topics {
    names: [Names; 3],
    /// The patterns that are subscribed to, as read.
    globs: HashMap<Box<[u8]>, Glob>,
}

impl Channels {
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether anybody may be listening to conflicts: one look at a number.
    pub(crate) fn may_hear_conflicts(&self) -> bool {
        self.near_conflicts.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody would get a message on this channel. Costs a look at each pattern, unless the channel itself has
    /// listeners.
    pub(crate) fn hears(&self, channel: &[u8]) -> bool {
        let topics = self.lock();
        topics.names[Topic::Channel as usize].contains_key(channel)
            || topics.globs.values().any(|glob| glob.matches(channel))
    }

    /// How many subscriptions a message goes to.
    pub(crate) fn receivers(&self, topic: Topic, channel: &[u8]) -> usize {
        if self.is_empty() {
            return 0;
        }
        let topics = self.lock();
        let listeners = |topic: Topic, name: &[u8]| {
            let listeners = topics.names[topic as usize].get(name);
            listeners.map_or(0, |listeners| listeners.len())
        };
        let by_pattern = topics
            .globs
            .iter()
            .filter(|(_, glob)| glob.matches(channel));
        let by_pattern = by_pattern.map(|(pattern, _)| listeners(Topic::Pattern, pattern));
        match topic {
            Topic::Channel => listeners(topic, channel) + by_pattern.sum::<usize>(),
            _ => listeners(topic, channel),
        }
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
        if let Some(listeners) = topics.names[topic as usize].get(channel) {
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
            let listened = &topics.names[Topic::Pattern as usize];
            for (pattern, glob) in &topics.globs {
                if !glob.matches(channel) {
                    continue;
                }
                let Some(listeners) = listened.get(pattern) else {
                    continue;
                };
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
    pub(crate) fn names(&self, topic: Topic, glob: Option<&Glob>) -> Vec<Box<[u8]>> {
        let topics = self.lock();
        let wanted = |name: &[u8]| glob.is_none_or(|glob| glob.matches(name));
        topics.names[topic as usize]
            .keys()
            .filter(|name| wanted(name))
            .cloned()
            .collect()
    }

    pub(crate) fn listeners(&self, topic: Topic, name: &[u8]) -> usize {
        self.lock().names[topic as usize]
            .get(name)
            .map_or(0, BTreeMap::len)
    }

    /// Number of names of one kind that have subscribers.
    pub(crate) fn len(&self, topic: Topic) -> usize {
        self.lock().names[topic as usize].len()
    }

    fn add(&self, topic: Topic, name: &[u8], glob: Option<Glob>, client: &Arc<Client>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if conflict_news::may_reach(topic, name) {
            self.near_conflicts.fetch_add(1, Ordering::Relaxed);
        }
        let mut topics = self.lock();
        if let Some(glob) = glob {
            topics.globs.entry(name.into()).or_insert(glob);
        }
        topics.names[topic as usize]
            .entry(name.into())
            .or_default()
            .insert(client.id, Arc::clone(client));
    }

    fn remove(&self, topic: Topic, name: &[u8], client: &Client) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if conflict_news::may_reach(topic, name) {
            self.near_conflicts.fetch_sub(1, Ordering::Relaxed);
        }
        let mut topics = self.lock();
        let Topics { names, globs } = &mut *topics;
        let names = &mut names[topic as usize];
        if let Some(listeners) = names.get_mut(name) {
            listeners.remove(&client.id);
            if listeners.is_empty() {
                names.remove(name);
                if topic == Topic::Pattern {
                    globs.remove(name);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
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
    /// With what each costs.
    names: [BTreeMap<Box<[u8]>, usize>; 3],
    bytes: usize,
}

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
    ///
    /// # Errors
    /// A client's subscriptions would exceed [`SUBSCRIPTION_BYTES_MAX`], or the pattern is too long.
    pub(crate) fn add(&mut self, topic: Topic, name: &[u8]) -> Outcome {
        if self.names[topic as usize].contains_key(name) {
            return Ok(());
        }
        let glob = match topic {
            Topic::Pattern => Some(Glob::new(name, Case::Sensitive)?),
            Topic::Channel | Topic::Shard => None,
        };
        let glob_bytes = glob.as_ref().map_or(0, Glob::bytes);
        let cost = name.len() + glob_bytes + SUBSCRIPTION_OVERHEAD_BYTES;
        let bytes = self.bytes + cost;
        if bytes > SUBSCRIPTION_BYTES_MAX {
            return Err(Failure::other(format!(
                "ERR the subscriptions of one client exceed {SUBSCRIPTION_BYTES_MAX} bytes"
            )));
        }
        self.bytes = bytes;
        self.names[topic as usize].insert(name.into(), cost);
        self.hub.channels.add(topic, name, glob, &self.client);
        self.show();
        Ok(())
    }

    pub(crate) fn remove(&mut self, topic: Topic, name: &[u8]) {
        if let Some(cost) = self.names[topic as usize].remove(name) {
            self.bytes -= cost;
            self.hub.channels.remove(topic, name, &self.client);
            self.show();
        }
    }

    pub(crate) fn of(&self, topic: Topic) -> Vec<Box<[u8]>> {
        self.names[topic as usize].keys().cloned().collect()
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
        self.names.iter().all(BTreeMap::is_empty)
    }

    pub(crate) fn clear(&mut self) {
        for topic in Topic::ALL {
            for (name, _) in std::mem::take(&mut self.names[topic as usize]) {
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
