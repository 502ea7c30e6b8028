//! Packets that wait for their moment.
//!
//! A thread of its own, asleep on a condition variable: tokio's timers tick in whole milliseconds, which would double
//! a short delay.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::link::Link;

/// Packets under way hold at most this much memory; more are dropped as by a full queue.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;

/// A packet under way.
pub(crate) struct Parcel {
    pub(crate) arrival: Instant,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) socket: Arc<UdpSocket>,
    /// `None`: where the socket is connected to.
    pub(crate) target: Option<SocketAddr>,
    /// The direction it travels in: a cut takes what is under way with it.
    pub(crate) link: Arc<Mutex<Link>>,
}

struct Waiting {
    /// Tells packets of the same moment apart: they stay in order.
    number: u64,
    parcel: Parcel,
}

/// The greatest is the one to be delivered first.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.parcel.arrival, other.number).cmp(&(self.parcel.arrival, self.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[derive(Default)]
struct State {
    waiting: BinaryHeap<Waiting>,
    waiting_bytes: usize,
    numbered: u64,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where packets are handed in. Clones share one thread.
#[derive(Clone)]
pub(crate) struct DelayLine {
    shared: Arc<Shared>,
}

/// Stops the thread when dropped.
pub(crate) struct DelayThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl DelayLine {
    pub(crate) fn start() -> std::io::Result<(Self, DelayThread)> {
        let shared = Arc::new(Shared::default());
        let deliver = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("wan-delay".to_owned())
            .spawn(move || deliver_all(&deliver))?;
        Ok((
            Self {
                shared: Arc::clone(&shared),
            },
            DelayThread {
                shared,
                thread: Some(thread),
            },
        ))
    }

    pub(crate) fn push(&self, parcel: Parcel) {
        let mut state = self.shared.lock();
        if state.waiting_bytes + parcel.bytes.len() > IN_FLIGHT_BYTES_MAX {
            drop(state);
            lock(&parcel.link).overflow_in_flight(parcel.bytes.len());
            return;
        }
        let is_next = state
            .waiting
            .peek()
            .is_none_or(|next| parcel.arrival < next.parcel.arrival);
        state.waiting_bytes += parcel.bytes.len();
        state.numbered += 1;
        let number = state.numbered;
        state.waiting.push(Waiting { number, parcel });
        drop(state);
        if is_next {
            self.shared.changed.notify_one();
        }
    }
}

fn deliver_all(shared: &Shared) {
    let mut state = shared.lock();
    while !state.stopped {
        let now = Instant::now();
        let wait = state
            .waiting
            .peek()
            .map(|next| next.parcel.arrival.saturating_duration_since(now));
        state = match wait {
            None => shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(wait) if wait.is_zero() => {
                let Waiting { parcel, .. } = state.waiting.pop().expect("invariant: just peeked");
                state.waiting_bytes -= parcel.bytes.len();
                drop(state);
                deliver(&parcel);
                shared.lock()
            }
            Some(wait) => {
                let woken = shared.changed.wait_timeout(state, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

fn deliver(parcel: &Parcel) {
    let mut link = lock(&parcel.link);
    if !link.is_open() {
        link.lose_in_flight(parcel.bytes.len());
        return;
    }
    drop(link);
    // UDP promises nothing: a full socket buffer or an absent receiver loses the packet.
    let _ = match parcel.target {
        Some(target) => parcel.socket.send_to(&parcel.bytes, target),
        None => parcel.socket.send(&parcel.bytes),
    };
}

/// A link behind a lock that no panic can spoil: every change of it is one step.
pub(crate) fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for DelayThread {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed already.
            let _ = thread.join();
        }
    }
}
