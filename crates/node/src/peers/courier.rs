//! What clients publish, from node to node: best effort, on a stream of its own, never logged.
//!
//! A publication goes to every connected peer, and says to whom it went. A peer that is connected to somebody who is not
//! named passes it on. So in a full mesh nothing is passed on, and along any other connected graph everybody is reached;
//! the few that arrive twice are known by origin and number. A peer that is slow loses the oldest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use isles_clock::ReplicaId;
use isles_resp::{ChannelKind, Inbox};
use isles_transport::message::{EXTENSION_PUBLISH, MAX_CHANNEL_BYTES, MAX_REPLICAS};
use isles_transport::{
    ChannelError, Hello, MAX_FRAME_BYTES, MESSAGE_SLACK_BYTES, Message, Publication,
    PublicationKind, TrafficClass,
};
use metrics::Counter;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::Ended;
use super::driver::Drive;

/// Bytes of publications that wait for one peer.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// What a publication costs besides its bytes.
const OVERHEAD_BYTES: usize = 128;
/// Publications of one origin that may overtake each other on different ways.
const WINDOW: u64 = 1024;
const WORD_BITS: u64 = u64::BITS as u64;

/// The numbers of a process begin at its start's time, so that those of a restart are greater.
const NUMBERS_PER_MS_BITS: u32 = 20;

/// All that a node needs to publish and to pass on.
pub(crate) struct Couriers {
    own: ReplicaId,
    next: AtomicU64,
    /// By session.
    routes: RwLock<HashMap<u64, Arc<Route>>>,
    seen: Mutex<HashMap<ReplicaId, Window>>,
    inbox: std::sync::OnceLock<Inbox>,
}

/// The way to one peer.
pub(super) struct Route {
    peer: ReplicaId,
    queue: Mutex<Queue>,
    bell: Notify,
    sent: Counter,
    dropped: Counter,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Publication>,
    bytes: usize,
}

impl Couriers {
    pub(super) fn new(own: ReplicaId, wall_ms: u64) -> Couriers {
        Couriers {
            own,
            next: AtomicU64::new(wall_ms << NUMBERS_PER_MS_BITS),
            routes: RwLock::new(HashMap::new()),
            seen: Mutex::new(HashMap::new()),
            inbox: std::sync::OnceLock::new(),
        }
    }

    /// Where publications of peers go; the first one counts.
    pub(crate) fn deliver_to(&self, inbox: Inbox) {
        let _ = self.inbox.set(inbox);
    }

    /// Sends what a client of this node has published. Never waits: it is called under the replica's lock.
    pub(crate) fn publish(&self, kind: ChannelKind, channel: &[u8], payload: &[u8]) {
        let routes = self.routes.read();
        if routes.is_empty()
            || channel.len() > MAX_CHANNEL_BYTES
            || payload.len() > MAX_FRAME_BYTES - MESSAGE_SLACK_BYTES
        {
            return;
        }
        let publication = Publication {
            kind: match kind {
                ChannelKind::Plain => PublicationKind::Plain,
                ChannelKind::Shard => PublicationKind::Shard,
            },
            origin: self.own,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            reached: vec![self.own],
            channel: channel.to_vec().into(),
            payload: payload.to_vec().into(),
        };
        pass_on(&routes, publication);
    }

    /// Delivers a peer's publication here, and passes it on to those whom it has not reached.
    fn receive(&self, publication: Publication) {
        if publication.origin == self.own || !self.is_new(&publication) {
            return;
        }
        let kind = match publication.kind {
            PublicationKind::Plain => ChannelKind::Plain,
            PublicationKind::Shard => ChannelKind::Shard,
        };
        if let Some(inbox) = self.inbox.get() {
            inbox.deliver(kind, &publication.channel, &publication.payload);
        }
        pass_on(&self.routes.read(), publication);
    }

    fn is_new(&self, publication: &Publication) -> bool {
        let mut seen = self.seen.lock();
        if seen.len() >= MAX_REPLICAS && !seen.contains_key(&publication.origin) {
            seen.clear();
        }
        seen.entry(publication.origin)
            .or_default()
            .note(publication.number)
    }
}

/// Puts a publication into the queues of all whom it has not reached.
fn pass_on(routes: &HashMap<u64, Arc<Route>>, mut publication: Publication) {
    let lacking: Vec<&Arc<Route>> = routes
        .values()
        .filter(|route| !publication.reached.contains(&route.peer))
        .collect();
    publication
        .reached
        .extend(lacking.iter().map(|route| route.peer));
    publication.reached.dedup();
    if publication.reached.len() <= MAX_REPLICAS {
        lacking
            .iter()
            .for_each(|route| route.push(publication.clone()));
    }
}

impl Route {
    fn push(&self, publication: Publication) {
        let mut queue = self.queue.lock();
        queue.bytes += bytes_of(&publication);
        queue.waiting.push_back(publication);
        let mut dropped = 0;
        while queue.bytes > QUEUE_BYTES_MAX && queue.waiting.len() > 1 {
            if let Some(oldest) = queue.waiting.pop_front() {
                queue.bytes -= bytes_of(&oldest);
                dropped += 1;
            }
        }
        drop(queue);
        if dropped > 0 {
            self.dropped.increment(dropped);
        }
        self.bell.notify_one();
    }

    fn pop(&self) -> Option<Publication> {
        let mut queue = self.queue.lock();
        let publication = queue.waiting.pop_front()?;
        queue.bytes -= bytes_of(&publication);
        Some(publication)
    }
}

fn bytes_of(publication: &Publication) -> usize {
    publication.channel.len() + publication.payload.len() + OVERHEAD_BYTES
}

/// A session's way to its peer, for as long as it lasts.
pub(super) struct OpenRoute<'c> {
    couriers: &'c Couriers,
    session: u64,
}

impl<'c> OpenRoute<'c> {
    /// None if the peer is of a version that would take the stream for a fault.
    pub(super) fn open(
        couriers: &'c Couriers,
        session: u64,
        node: &str,
        hello: &Hello,
    ) -> Option<(OpenRoute<'c>, Arc<Route>)> {
        let takes = |(number, _): &(u32, Vec<u8>)| *number == EXTENSION_PUBLISH;
        hello.extensions.iter().find(|each| takes(each))?;
        let route = Arc::new(Route {
            peer: hello.replica,
            queue: Mutex::default(),
            bell: Notify::new(),
            sent: metrics::counter!("isles_publications_sent_total", "peer" => node.to_owned()),
            dropped: metrics::counter!("isles_publications_dropped_total", "peer" => node.to_owned()),
        });
        couriers.routes.write().insert(session, Arc::clone(&route));
        Some((OpenRoute { couriers, session }, route))
    }
}

impl Drop for OpenRoute<'_> {
    fn drop(&mut self) {
        self.couriers.routes.write().remove(&self.session);
    }
}

/// Sends publications to a peer from the moment on that the session is established.
pub(super) async fn send(drive: &Drive<'_>) -> Ended {
    let hello = drive.established().await;
    let (couriers, node) = (&drive.peers.couriers, &drive.channel.peer().node);
    let Some((_open, route)) = OpenRoute::open(couriers, drive.number, node, &hello) else {
        return std::future::pending().await;
    };
    loop {
        let Some(publication) = route.pop() else {
            route.bell.notified().await;
            continue;
        };
        let message = Message::Publish(publication);
        if let Err(ended) = drive.send(TrafficClass::Publish, message).await {
            return ended;
        }
        route.sent.increment(1);
    }
}

/// Takes a peer's publications in.
pub(super) async fn receive(drive: &Drive<'_>) -> Ended {
    drive.established().await;
    let node = drive.channel.peer().node.clone();
    let received = metrics::counter!("isles_publications_received_total", "peer" => node);
    loop {
        match drive.channel.receive(TrafficClass::Publish).await {
            Ok(Message::Publish(publication)) => {
                received.increment(1);
                drive.peers.couriers.receive(publication);
            }
            // A newer peer may say more there than this program knows.
            Ok(_) => {}
            Err(ChannelError::Decode { error, .. }) if error.is_skippable() => {}
            Err(error) => return Ended::Channel(error.to_string()),
        }
    }
}

/// Which of an origin's newest numbers have been seen; older ones count as seen.
#[derive(Clone, Debug, Default)]
struct Window {
    newest: u64,
    /// One bit per number, at the number modulo [`WINDOW`].
    bits: [u64; (WINDOW / WORD_BITS) as usize],
}

impl Window {
    /// Whether the number is new; it no longer is then.
    fn note(&mut self, number: u64) -> bool {
        if number > self.newest {
            // The places of the numbers in between belonged to numbers that are too old now.
            let first = self.newest.max(number.saturating_sub(WINDOW));
            (first + 1..=number).for_each(|skipped| self.put(skipped, false));
            self.newest = number;
        } else if self.newest - number >= WINDOW || self.has(number) {
            return false;
        }
        self.put(number, true);
        true
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = Window::place(number);
        self.bits[word] & bit != 0
    }

    fn put(&mut self, number: u64, seen: bool) {
        let (word, bit) = Window::place(number);
        match seen {
            true => self.bits[word] |= bit,
            false => self.bits[word] &= !bit,
        }
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % WINDOW;
        ((at / WORD_BITS) as usize, 1 << (at % WORD_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_in_whatever_order_it_comes() {
        let mut window = Window::default();
        let start = 7 << NUMBERS_PER_MS_BITS;
        for (number, is_new) in [
            (start + 5, true),
            (start + 5, false),
            (start + 3, true),
            (start + 4, true),
            (start + 3, false),
            (start + 5 + WINDOW, true),
            (start + 5, false),
            (start + 6, true),
            (start + 6, false),
            (start + 10 * WINDOW, true),
            (start + 7, false),
        ] {
            assert_eq!(window.note(number), is_new, "{}", number - start);
        }
    }

    fn route(peer: u128) -> Arc<Route> {
        Arc::new(Route {
            peer: ReplicaId::from_u128(peer),
            queue: Mutex::default(),
            bell: Notify::new(),
            sent: Counter::noop(),
            dropped: Counter::noop(),
        })
    }

    fn publication(origin: u128, payload: usize) -> Publication {
        Publication {
            kind: PublicationKind::Plain,
            origin: ReplicaId::from_u128(origin),
            number: 1,
            reached: vec![ReplicaId::from_u128(origin)],
            channel: b"c".to_vec().into(),
            payload: vec![0; payload].into(),
        }
    }

    #[test]
    fn what_a_slow_peer_misses_is_the_oldest() {
        let route = route(2);
        for number in 0..20 {
            route.push(Publication {
                number,
                ..publication(1, QUEUE_BYTES_MAX / 10)
            });
        }
        let mut kept = std::iter::from_fn(|| route.pop().map(|kept| kept.number));
        let first = kept.next().unwrap();
        assert!(first > 10, "{first}");
        assert!(kept.eq(first + 1..20));
        assert_eq!(route.queue.lock().bytes, 0);
    }

    #[test]
    fn only_those_are_passed_it_whom_it_has_not_reached() {
        let [own, near, far] = [1, 2, 3];
        let couriers = Couriers::new(ReplicaId::from_u128(own), 0);
        for peer in [near, far] {
            let mut routes = couriers.routes.write();
            routes.insert(peer as u64, route(peer));
        }
        let queued = |peer: u128| couriers.routes.read()[&(peer as u64)].pop();
        // Of the near peer, who knows the far one too: nothing to do.
        let everywhere = [own, near, far].map(ReplicaId::from_u128).to_vec();
        couriers.receive(Publication {
            reached: everywhere.clone(),
            ..publication(near, 1)
        });
        assert_eq!((queued(near), queued(far)), (None, None));
        // Of one behind the near peer.
        let behind = 4;
        let reached = [behind, near, own].map(ReplicaId::from_u128).to_vec();
        couriers.receive(Publication {
            reached,
            ..publication(behind, 1)
        });
        assert_eq!(queued(near), None);
        let passed_on = queued(far).unwrap();
        assert!(passed_on.reached.contains(&ReplicaId::from_u128(far)));
        // The same once more, on another way.
        couriers.receive(publication(behind, 1));
        assert_eq!((queued(near), queued(far)), (None, None));
        couriers.publish(ChannelKind::Plain, b"c", b"x");
        assert_eq!(queued(near).unwrap().reached.len(), 3);
    }
}
