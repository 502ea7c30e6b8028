//! ISLES.NOTIFY: connections that want to hear when a write of theirs loses, and which writes are theirs.
//!
//! A write may lose long after it was answered, when a concurrent one of another region arrives. So runs of own sequences
//! are remembered with the connection that wrote them, the newest only, and none before anybody asks: until then a command
//! pays one look at its session.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isles_replica::Replica;

use crate::clients::Client;
use crate::hub::Hub;
use crate::session::Session;

/// Runs of writes that are remembered. A run is at least one write, so at least so many are.
pub(crate) const RUNS_MAX: usize = 65_536;

/// Own entries that one connection wrote, one right after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    last: u64,
    /// The notice for which they are remembered.
    notice: u64,
}

#[derive(Debug, Default)]
struct Table {
    /// By sequence.
    runs: VecDeque<Run>,
    /// By the number of their notice, which is used once: what was written before ISLES.NOTIFY OFF is nobody's after it.
    clients: HashMap<u64, Arc<Client>>,
    last_notice: u64,
}

/// Everyone who wants to hear, and what they wrote.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    clients: AtomicUsize,
    table: Mutex<Table>,
}

impl Notices {
    /// Whether anybody wants to hear.
    pub(crate) fn are_on(&self) -> bool {
        self.clients.load(Ordering::Relaxed) > 0
    }

    /// Who wrote the own entry with this sequence, if it is remembered and its writer still wants to hear.
    pub(crate) fn author_of(&self, sequence: u64) -> Option<Arc<Client>> {
        if !self.are_on() {
            return None;
        }
        let table = self.lock();
        let at = table.runs.partition_point(|run| run.last < sequence);
        let run = table.runs.get(at).filter(|run| run.first <= sequence)?;
        table.clients.get(&run.notice).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, run: Run) {
        match self.runs.back_mut() {
            Some(newest) if newest.notice == run.notice && newest.last + 1 == run.first => {
                newest.last = run.last;
            }
            _ => self.runs.push_back(run),
        }
        if self.runs.len() > RUNS_MAX {
            self.runs.pop_front();
        }
    }
}

/// A connection that wants to hear, as long as it does.
#[derive(Debug)]
pub(crate) struct Notice {
    hub: Arc<Hub>,
    number: u64,
}

impl Notice {
    pub(crate) fn begin(hub: &Arc<Hub>, client: &Arc<Client>) -> Arc<Notice> {
        let mut table = hub.notices.lock();
        table.last_notice += 1;
        let number = table.last_notice;
        table.clients.insert(number, Arc::clone(client));
        hub.notices
            .clients
            .store(table.clients.len(), Ordering::Relaxed);
        let hub = Arc::clone(hub);
        Arc::new(Notice { hub, number })
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let notices = &self.hub.notices;
        let mut table = notices.lock();
        table.clients.remove(&self.number);
        if table.clients.is_empty() {
            table.runs = VecDeque::new();
        }
        notices
            .clients
            .store(table.clients.len(), Ordering::Relaxed);
    }
}

/// How many own entries there are before a command of a connection that wants to hear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before(Option<u64>);

impl Before {
    #[inline]
    pub(crate) fn of(session: &Session, replica: &Replica) -> Before {
        Before(session.notice.as_ref().map(|_| own_entries(replica)))
    }

    /// Remembers what the command has written.
    #[inline]
    pub(crate) fn note(self, session: &Session, replica: &Replica) {
        if let (Before(Some(before)), Some(notice)) = (self, &session.notice) {
            let last = own_entries(replica);
            if last > before {
                notice.hub.notices.lock().add(Run {
                    first: before + 1,
                    last,
                    notice: notice.number,
                });
            }
        }
    }
}

fn own_entries(replica: &Replica) -> u64 {
    replica.applied().get(replica.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Clients;

    fn client(hub: &Hub) -> Arc<Client> {
        hub.clients.add(String::new(), String::new(), None, 0)
    }

    fn note(notice: &Notice, first: u64, last: u64) {
        notice.hub.notices.lock().add(Run {
            first,
            last,
            notice: notice.number,
        });
    }

    #[test]
    fn the_newest_writes_are_remembered_with_who_made_them() {
        let hub = Hub::new(Arc::new(Clients::new(1000)));
        let (one, two) = (client(&hub), client(&hub));
        let notices = [&one, &two].map(|client| Notice::begin(&hub, client));
        note(&notices[0], 1, 1);
        note(&notices[0], 2, 4);
        note(&notices[1], 7, 7);
        let author = |sequence| hub.notices.author_of(sequence).map(|client| client.id);
        let authors: Vec<_> = (0..9).map(author).collect();
        let (one, two) = (Some(one.id), Some(two.id));
        assert_eq!(authors, [None, one, one, one, one, None, None, two, None]);
        assert_eq!(hub.notices.lock().runs.len(), 2);
        for sequence in 8..8 + RUNS_MAX as u64 {
            note(&notices[(sequence % 2) as usize], sequence, sequence);
        }
        assert_eq!((author(7), author(8)), (None, one));
        assert_eq!(hub.notices.lock().runs.len(), RUNS_MAX);
        let [first, second] = notices;
        drop(first);
        assert_eq!((author(8), author(9)), (None, two));
        drop(second);
        assert!(hub.notices.lock().runs.is_empty() && !hub.notices.are_on());
    }
}
