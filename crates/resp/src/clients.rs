//! Who is connected, for CLIENT LIST and CLIENT KILL.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::tcp::OwnedWriteHalf;

use crate::reply::Protocol;
use crate::table::CommandId;

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
    details: Mutex<Details>,
}

/// What changes rarely.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) name: Vec<u8>,
    pub(crate) library_name: Vec<u8>,
    pub(crate) library_version: Vec<u8>,
    pub(crate) protocol: Protocol,
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

    /// The line of CLIENT LIST, in Redis's format. The client that asks names the command itself.
    pub(crate) fn line(&self, wall_ms: u64, running: Option<&str>) -> String {
        let details = self.details().clone();
        let mut flags = String::new();
        flags.extend(details.queued.map(|_| 'x'));
        flags.extend(self.waiting.load(Ordering::Relaxed).then_some('b'));
        flags.extend(details.no_evict.then_some('e'));
        flags.extend(details.no_touch.then_some('T'));
        if flags.is_empty() {
            flags.push('N');
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let command = CommandId::from_u16(self.last_command.load(Ordering::Relaxed));
        let mut line = String::with_capacity(320);
        write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db=0 sub=0 psub=0 ssub=0 multi={} qbuf=0 \
             qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={} user=default \
             redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local,
            text(&details.name),
            wall_ms.saturating_sub(self.connected_ms) / 1000,
            wall_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed)) / 1000,
            details.queued.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX)),
            running.unwrap_or_else(|| command.map_or("NULL", |id| id.spec().name)),
            details.protocol.number(),
            text(&details.library_name),
            text(&details.library_version),
        )
        .expect("writing to a string cannot fail");
        line
    }
}

/// Every connection of a listener.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    last_id: AtomicU64,
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
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
