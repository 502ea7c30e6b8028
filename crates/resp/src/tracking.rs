//! CLIENT TRACKING: who may have which key in a cache, and telling them when it changes.
//!
//! In the default mode the table remembers who has read which key, and forgets it when the key changes, since the clients
//! are told once; it is bounded by telling clients of keys that did not change. In broadcast mode clients name prefixes and
//! nothing is remembered. A change by a peer is one like any other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use isles_replica::Position;
use smallvec::SmallVec;

use crate::clients::Client;
use crate::hub::Hub;
use crate::outbox::Letter;
use crate::reply::{Protocol, Reply};

/// Keys in the table, unless `tracking-table-max-keys` says otherwise.
pub(crate) const KEYS_MAX_DEFAULT: usize = 1_000_000;
/// Bytes of the table, whatever the number of keys.
const TABLE_BYTES_MAX: usize = 256 << 20;
/// What a key costs besides its bytes, and what each of its readers does.
const KEY_OVERHEAD_BYTES: usize = 96;
const READER_BYTES: usize = 8;
/// Removed keys stay in the order of eviction until there are so many times more of them than of keys.
const ORDER_SLACK: usize = 2;

/// The channel under which clients of RESP2 are told.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// How a client tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Another client that is told instead.
    pub(crate) redirect: Option<u64>,
    /// The one that was to be told is gone.
    pub(crate) broken: bool,
    pub(crate) no_loop: bool,
    pub(crate) reads: Reads,
    /// In broadcast mode.
    pub(crate) prefixes: Vec<Box<[u8]>>,
}

/// Which reads a client is told about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reads {
    #[default]
    All,
    /// Those after CLIENT CACHING YES.
    OptIn,
    /// All but those after CLIENT CACHING NO.
    OptOut,
    /// None: it is told of all keys with its prefixes.
    Broadcast,
}

type Listeners = BTreeMap<u64, Arc<Client>>;

#[derive(Debug, Default)]
struct Table {
    readers: HashMap<Arc<[u8]>, SmallVec<[u64; 2]>>,
    /// Keys as they came in, to evict the oldest; some are no longer in the table.
    order: VecDeque<Arc<[u8]>>,
    items: usize,
    bytes: usize,
    prefixes: BTreeMap<Box<[u8]>, Listeners>,
}

/// All clients that track, and what they read.
#[derive(Debug)]
pub(crate) struct Tracking {
    clients: AtomicUsize,
    keys_max: AtomicUsize,
    table: Mutex<Table>,
}

impl Default for Tracking {
    fn default() -> Self {
        Tracking {
            clients: AtomicUsize::new(0),
            keys_max: AtomicUsize::new(KEYS_MAX_DEFAULT),
            table: Mutex::default(),
        }
    }
}

/// What INFO says of tracking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) items: usize,
    pub(crate) prefixes: usize,
}

impl Tracking {
    /// Whether any client tracks.
    pub(crate) fn is_on(&self) -> bool {
        self.clients.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn figures(&self) -> Figures {
        let table = self.lock();
        Figures {
            clients: self.clients.load(Ordering::Relaxed),
            keys: table.readers.len(),
            items: table.items,
            prefixes: table.prefixes.len(),
        }
    }

    /// Bounds the table; zero means by its bytes only.
    pub(crate) fn set_keys_max(&self, hub: &Hub, keys: usize) {
        let keys = if keys == 0 { usize::MAX } else { keys };
        self.keys_max.store(keys, Ordering::Relaxed);
        self.evict(hub, &mut self.lock());
    }

    /// Notes that a client has read keys.
    pub(crate) fn remember(&self, hub: &Hub, client: &Client, keys: &[&[u8]]) {
        let mut table = self.lock();
        keys.iter().for_each(|key| table.add(key, client.id));
        self.evict(hub, &mut table);
    }

    /// Tells whoever may have one of the keys; each key comes with the client that changed it, if it was one of ours.
    pub(crate) fn invalidate(&self, hub: &Hub, keys: &[(&[u8], Option<u64>)], barrier: Position) {
        let mut table = self.lock();
        for (key, author) in keys {
            table.tell_readers(hub, key, *author, barrier);
        }
        table.broadcast(hub, keys, barrier);
    }

    /// Tells everybody that nothing they have is good any more.
    pub(crate) fn invalidate_all(&self, hub: &Hub, barrier: Position) {
        let mut table = self.lock();
        table.forget_readers();
        for client in hub.clients.all() {
            if client.tracking().is_some() {
                send(hub, &client, None, barrier);
            }
        }
    }

    fn evict(&self, hub: &Hub, table: &mut Table) {
        let keys_max = self.keys_max.load(Ordering::Relaxed);
        while table.readers.len() > keys_max || table.bytes > TABLE_BYTES_MAX {
            let Some(key) = table.order.pop_front() else {
                break;
            };
            table.tell_readers(hub, &key, None, Position::ZERO);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_readers(&mut self) {
        self.readers.clear();
        self.order.clear();
        (self.items, self.bytes) = (0, 0);
    }

    fn add(&mut self, key: &[u8], id: u64) {
        if let Some(readers) = self.readers.get_mut(key) {
            if !readers.contains(&id) {
                readers.push(id);
                self.items += 1;
                self.bytes += READER_BYTES;
            }
            return;
        }
        let key: Arc<[u8]> = key.into();
        self.items += 1;
        self.bytes += key.len() + KEY_OVERHEAD_BYTES + READER_BYTES;
        self.order.push_back(Arc::clone(&key));
        self.readers.insert(key, SmallVec::from_slice(&[id]));
        if self.order.len() > ORDER_SLACK * (self.readers.len() + 1) {
            let readers = &self.readers;
            self.order.retain(|key| readers.contains_key(key));
        }
    }

    fn tell_readers(&mut self, hub: &Hub, key: &[u8], author: Option<u64>, barrier: Position) {
        let Some(readers) = self.readers.remove(key) else {
            return;
        };
        self.items -= readers.len();
        self.bytes -= key.len() + KEY_OVERHEAD_BYTES + readers.len() * READER_BYTES;
        for id in readers {
            let Some(client) = hub.clients.get(id) else {
                continue;
            };
            let told = client.tracking().as_ref().is_some_and(|mode| {
                mode.reads != Reads::Broadcast && !(mode.no_loop && author == Some(id))
            });
            if told {
                send(hub, &client, Some(&[key]), barrier);
            }
        }
    }

    fn broadcast(&self, hub: &Hub, keys: &[(&[u8], Option<u64>)], barrier: Position) {
        for (prefix, listeners) in &self.prefixes {
            let matching: Vec<_> = keys
                .iter()
                .filter(|(key, _)| key.starts_with(prefix))
                .collect();
            if matching.is_empty() {
                continue;
            }
            for (id, client) in listeners {
                let no_loop = client.tracking().as_ref().is_some_and(|mode| mode.no_loop);
                let mut told: Vec<&[u8]> = matching
                    .iter()
                    .filter(|(_, author)| !(no_loop && *author == Some(*id)))
                    .map(|(key, _)| *key)
                    .collect();
                told.sort_unstable();
                told.dedup();
                if !told.is_empty() {
                    send(hub, client, Some(&told), barrier);
                }
            }
        }
    }
}

/// Tells a client, or whom it has named instead, of some keys, or of all.
fn send(hub: &Hub, client: &Arc<Client>, keys: Option<&[&[u8]]>, barrier: Position) {
    let redirect = client.tracking().as_ref().and_then(|mode| mode.redirect);
    let target = match redirect {
        None => Some(Arc::clone(client)),
        Some(id) => hub.clients.get(id).filter(|target| !target.is_killed()),
    };
    let Some(target) = target else {
        if let Some(mode) = client.tracking().as_mut() {
            mode.broken = true;
        }
        if client.protocol() == Protocol::Resp3 {
            hub.post(client, broken(redirect.unwrap_or_default()), barrier);
        }
        return;
    };
    let protocol = target.protocol();
    if protocol == Protocol::Resp2 && (redirect.is_none() || !target.is_subscribed()) {
        return;
    }
    let (first, rest) = encode(protocol, keys);
    hub.post_letter(&target, Letter { first, rest }, barrier);
}

fn encode(protocol: Protocol, keys: Option<&[&[u8]]>) -> (u8, Bytes) {
    let mut reply = Reply::default();
    reply.protocol = protocol;
    match protocol {
        Protocol::Resp2 => {
            reply.array(3);
            reply.text("message");
            reply.bulk(CHANNEL);
        }
        Protocol::Resp3 => {
            reply.push(2);
            reply.text("invalidate");
        }
    }
    match keys {
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        None => reply.null(),
    }
    let bytes = reply.as_bytes();
    (bytes[0], Bytes::copy_from_slice(&bytes[1..]))
}

fn broken(id: u64) -> Bytes {
    let mut reply = Reply::default();
    reply.array(2);
    reply.text("tracking-redir-broken");
    reply.integer(i64::try_from(id).unwrap_or(i64::MAX));
    Bytes::copy_from_slice(&reply.as_bytes()[1..])
}

/// A client that tracks, as long as it does.
#[derive(Debug)]
pub(crate) struct Tracker {
    hub: Arc<Hub>,
    client: Arc<Client>,
    /// Whether its reads are remembered.
    pub(crate) reads: Reads,
    /// What CLIENT CACHING has said of the next command.
    pub(crate) caching: Option<bool>,
}

impl Tracker {
    pub(crate) fn begin(hub: &Arc<Hub>, client: &Arc<Client>, mode: Mode) -> Tracker {
        hub.tracking.clients.fetch_add(1, Ordering::Relaxed);
        let tracker = Tracker {
            hub: Arc::clone(hub),
            client: Arc::clone(client),
            reads: mode.reads,
            caching: None,
        };
        let mut table = hub.tracking.lock();
        for prefix in &mode.prefixes {
            let listeners = table.prefixes.entry(prefix.clone()).or_default();
            listeners.insert(client.id, Arc::clone(client));
        }
        drop(table);
        *client.tracking() = Some(mode);
        tracker
    }

    /// Remembers what a command has read.
    pub(crate) fn note_reads(&self, keys: &[&[u8]]) {
        let wanted = match self.reads {
            Reads::All => true,
            Reads::OptIn => self.caching == Some(true),
            Reads::OptOut => self.caching != Some(false),
            Reads::Broadcast => false,
        };
        if wanted && !keys.is_empty() {
            self.hub.tracking.remember(&self.hub, &self.client, keys);
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let mode = self.client.tracking().take();
        let mut table = self.hub.tracking.lock();
        for prefix in mode.iter().flat_map(|mode| &mode.prefixes) {
            if let Some(listeners) = table.prefixes.get_mut(prefix) {
                listeners.remove(&self.client.id);
                if listeners.is_empty() {
                    table.prefixes.remove(prefix);
                }
            }
        }
        if self.hub.tracking.clients.fetch_sub(1, Ordering::Relaxed) == 1 {
            // From here on nobody hears of changes, so what was read would grow stale in the table, and a client that tracks
            // anew would be told of what it has not read since. Who begins just now cannot have read anything before the
            // table is free again.
            table.forget_readers();
        }
    }
}
