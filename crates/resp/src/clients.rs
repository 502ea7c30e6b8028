//! Who is connected, for CLIENT LIST and CLIENT KILL.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::tcp::OwnedWriteHalf;

use crate::outbox::Outbox;
use crate::reply::Protocol;
use crate::table::CommandId;
use crate::tracking::{Mode, Reads};

/// The part of a connection that other connections can see.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) local: String,
    socket: Option<Arc<OwnedWriteHalf>>,
    connected_ms: u64,
    active_ms: AtomicU64,
    last_command: AtomicU16,
    killed: AtomicBool,
    waiting: AtomicBool,
    /// What others send it.
    pub(crate) outbox: Outbox,
    protocol: AtomicU8,
    /// Channels, patterns and shard channels that it subscribes to.
    subscriptions: [AtomicU32; 3],
    monitoring: AtomicBool,
    tracking: Mutex<Option<Mode>>,
    details: Mutex<Details>,
}

/// What changes rarely.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) name: Vec<u8>,
    pub(crate) library_name: Vec<u8>,
    pub(crate) library_version: Vec<u8>,
    /// Commands queued by MULTI.
    pub(crate) queued: Option<usize>,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
}

const NO_COMMAND: u16 = u16::MAX;

impl Client {
    pub(crate) fn details(&self) -> MutexGuard<'_, Details> {
        // A panic elsewhere leaves nothing half-changed here.
        self.details
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How the client tracks keys, if it does.
    pub(crate) fn tracking(&self) -> MutexGuard<'_, Option<Mode>> {
        self.tracking
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self.protocol.load(Ordering::Relaxed) {
            3 => Protocol::Resp3,
            _ => Protocol::Resp2,
        }
    }

    pub(crate) fn note_protocol(&self, protocol: Protocol) {
        self.protocol
            .store(protocol.number() as u8, Ordering::Relaxed);
    }

    pub(crate) fn note_subscriptions(&self, counts: [usize; 3]) {
        for (shown, count) in self.subscriptions.iter().zip(counts) {
            shown.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Whether it listens to any channel.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscription_counts().iter().any(|count| *count > 0)
    }

    fn subscription_counts(&self) -> [u32; 3] {
        [0, 1, 2].map(|topic| self.subscriptions[topic].load(Ordering::Relaxed))
    }

    pub(crate) fn note_monitoring(&self, monitoring: bool) {
        self.monitoring.store(monitoring, Ordering::Relaxed);
    }

    /// Whether it has asked to be told things, so that silence from it means nothing.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_subscribed() || self.monitoring.load(Ordering::Relaxed)
    }

    pub(crate) fn note_activity(&self, wall_ms: u64, last: Option<CommandId>) {
        self.active_ms.store(wall_ms, Ordering::Relaxed);
        self.last_command.store(
            last.map_or(NO_COMMAND, CommandId::as_u16),
            Ordering::Relaxed,
        );
    }

    /// Closes the socket under the connection, which then finds that its client has gone.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.shut(Shutdown::Both);
        // It may be waiting for something else than its socket.
        self.outbox.wake_owner();
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Its command waits for a key, or does not any more.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Lets the connection answer what it has read, and read nothing further.
    pub(crate) fn stop_reading(&self) {
        self.shut(Shutdown::Read);
    }

    fn shut(&self, how: Shutdown) {
        if let Some(socket) = &self.socket {
            // It fails only when the other end was faster.
            let _ = socket2::SockRef::from((**socket).as_ref()).shutdown(how);
        }
    }

    /// One letter for each thing that is special about it.
    fn flags(&self, details: &Details) -> String {
        let mut flags = String::new();
        flags.extend(self.monitoring.load(Ordering::Relaxed).then_some('O'));
        flags.extend(self.is_subscribed().then_some('P'));
        flags.extend(details.queued.map(|_| 'x'));
        flags.extend(self.waiting.load(Ordering::Relaxed).then_some('b'));
        if let Some(mode) = &*self.tracking() {
            flags.push('t');
            flags.extend(mode.broken.then_some('R'));
            flags.extend((mode.reads == Reads::Broadcast).then_some('B'));
        }
        flags.extend(details.no_evict.then_some('e'));
        flags.extend(details.no_touch.then_some('T'));
        if flags.is_empty() {
            flags.push('N');
        }
        flags
    }

    /// The client that is told instead of this one; zero if none is, and -1 where this one does not track.
    pub(crate) fn redirect(&self) -> i64 {
        self.tracking().as_ref().map_or(-1, |mode| {
            i64::try_from(mode.redirect.unwrap_or(0)).unwrap_or(i64::MAX)
        })
    }

    /// The line of CLIENT LIST, in Redis's format. The client that asks names the command itself, and how long its
    /// request was.
    pub(crate) fn line(&self, wall_ms: u64, running: Option<(&str, usize)>) -> String {
        let details = self.details().clone();
        let flags = self.flags(&details);
        let [channels, patterns, shards] = self.subscription_counts();
        let (letters, letter_bytes) = self.outbox.size();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let command = CommandId::from_u16(self.last_command.load(Ordering::Relaxed));
        let mut line = String::with_capacity(320);
        write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db=0 sub={channels} psub={patterns} \
             ssub={shards} multi={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll={letters} \
             omem={letter_bytes} tot-mem=0 events=r cmd={} user=default redir={} resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local,
            text(&details.name),
            wall_ms.saturating_sub(self.connected_ms) / 1000,
            wall_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed)) / 1000,
            details.queued.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX)),
            running.map_or(0, |(_, bytes)| bytes),
            running.map_or_else(|| command.map_or("NULL", |id| id.spec().name), |(name, _)| name),
            self.redirect(),
            self.protocol().number(),
            text(&details.library_name),
            text(&details.library_version),
        )
        .expect("writing to a string cannot fail");
        line
    }
}

/// Every connection of a listener.
#[derive(Debug)]
pub(crate) struct Clients {
    outbox_bytes_max: usize,
    last_id: AtomicU64,
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    pub(crate) fn new(outbox_bytes_max: usize) -> Clients {
        Clients {
            outbox_bytes_max,
            last_id: AtomicU64::new(0),
            by_id: Mutex::default(),
        }
    }

    pub(crate) fn add(
        &self,
        address: String,
        local: String,
        socket: Option<Arc<OwnedWriteHalf>>,
        wall_ms: u64,
    ) -> Arc<Client> {
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            address,
            local,
            socket,
            connected_ms: wall_ms,
            active_ms: AtomicU64::new(wall_ms),
            last_command: AtomicU16::new(NO_COMMAND),
            killed: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            outbox: Outbox::new(self.outbox_bytes_max),
            protocol: AtomicU8::new(2),
            subscriptions: Default::default(),
            monitoring: AtomicBool::new(false),
            tracking: Mutex::default(),
            details: Mutex::default(),
        });
        self.lock().insert(client.id, Arc::clone(&client));
        client
    }

    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// All connections, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.by_id
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
