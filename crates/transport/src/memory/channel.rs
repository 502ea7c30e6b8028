//! The two ends of one in-process link.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::{
    Channel, ChannelError, ChannelStats, Message, PeerIdentity, TrafficClass, port::Refuser,
};

/// Bytes that one lane holds before its sender waits. A larger message travels alone.
const LANE_WINDOW_BYTES: usize = 256 << 10;

/// What each message counts for beside its bytes, so that empty ones are bounded too.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

const LANES: usize = TrafficClass::ALL.len();

/// What both ends share.
pub(super) struct Link {
    nodes: [String; 2],
    /// `lanes[side]` is what that side sends.
    lanes: [[Lane; LANES]; 2],
    closed: watch::Sender<Option<Closed>>,
}

#[derive(Clone)]
struct Closed {
    /// `None`: neither end closed it, the network did.
    by: Option<usize>,
    reason: String,
}

struct Lane {
    window: Arc<Semaphore>,
    sender: mpsc::UnboundedSender<Parcel>,
    receiver: Mutex<mpsc::UnboundedReceiver<Parcel>>,
    sent: std::sync::atomic::AtomicU64,
}

struct Parcel {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Lane {
    fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            window: Arc::new(Semaphore::new(LANE_WINDOW_BYTES)),
            sender,
            receiver: Mutex::new(receiver),
            sent: 0.into(),
        }
    }
}

impl Link {
    pub(super) fn new(dialer: &str, acceptor: &str) -> Arc<Self> {
        Arc::new(Self {
            nodes: [dialer.to_owned(), acceptor.to_owned()],
            lanes: std::array::from_fn(|_| std::array::from_fn(|_| Lane::new())),
            closed: watch::Sender::new(None),
        })
    }

    pub(super) fn joins(&self, node: &str) -> bool {
        self.nodes.iter().any(|name| name == node)
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed.borrow().is_none()
    }

    /// Ends the link without either side having asked for it.
    pub(super) fn lose(&self, reason: &str) {
        self.end(None, reason);
    }

    pub(super) fn close_by(&self, node: &str, reason: &str) {
        self.end(self.nodes.iter().position(|name| name == node), reason);
    }

    /// The first reason stays.
    fn end(&self, by: Option<usize>, reason: &str) {
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            if first {
                *closed = Some(Closed {
                    by,
                    reason: reason.to_owned(),
                });
            }
            first
        });
    }

    fn bytes_sent(&self, side: usize) -> u64 {
        let load = |lane: &Lane| lane.sent.load(std::sync::atomic::Ordering::Relaxed);
        self.lanes[side].iter().map(load).sum()
    }
}

/// One end of a link.
pub(super) struct MemoryChannel {
    link: Arc<Link>,
    side: usize,
    peer: PeerIdentity,
}

impl MemoryChannel {
    /// The dialer's end is side 0.
    pub(super) fn new(link: Arc<Link>, side: usize, peer: PeerIdentity) -> Self {
        Self { link, side, peer }
    }

    async fn reserve(
        &self,
        lane: &Lane,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, ChannelError> {
        let weight = (bytes + MESSAGE_OVERHEAD_BYTES).min(LANE_WINDOW_BYTES);
        let weight = u32::try_from(weight).expect("invariant: a lane's window fits in 32 bits");
        tokio::select! {
            biased;
            reason = self.closed() => Err(ChannelError::Closed(reason)),
            room = Arc::clone(&lane.window).acquire_many_owned(weight) => {
                Ok(room.expect("invariant: a lane's window is never closed"))
            }
        }
    }
}

#[async_trait]
impl Channel for MemoryChannel {
    async fn send(&self, class: TrafficClass, message: Message) -> Result<(), ChannelError> {
        let (head, body) = message.encode_for(class)?;
        let bytes = Bytes::from([head, body].concat());
        let lane = &self.link.lanes[self.side][class.index()];
        let room = self.reserve(lane, bytes.len()).await?;
        lane.sent
            .fetch_add(bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
        lane.sender
            .send(Parcel { bytes, _room: room })
            .expect("invariant: the link holds both ends of its lanes");
        Ok(())
    }

    async fn receive(&self, class: TrafficClass) -> Result<Message, ChannelError> {
        let mut receiver = self.link.lanes[1 - self.side][class.index()]
            .receiver
            .lock()
            .await;
        let parcel = tokio::select! {
            biased;
            parcel = receiver.recv() => parcel.expect("invariant: the link holds both ends of its lanes"),
            reason = self.closed() => return Err(ChannelError::Closed(reason)),
        };
        Message::decode(parcel.bytes).map_err(|error| ChannelError::Decode { class, error })
    }

    fn peer(&self) -> &PeerIdentity {
        &self.peer
    }

    async fn close(&self, reason: &str) {
        self.link.end(Some(self.side), reason);
    }

    async fn closed(&self) -> String {
        let mut watch = self.link.closed.subscribe();
        let closed = watch.wait_for(Option::is_some).await;
        let closed = closed
            .expect("invariant: the link keeps the sender")
            .clone();
        let Closed { by, reason } = closed.expect("invariant: waited for it to be there");
        match by {
            Some(side) if side == self.side => format!("closed by {}: {reason}", Refuser::ThisNode),
            Some(_) => format!("closed by {}: {reason}", Refuser::Peer),
            None => reason,
        }
    }

    fn stats(&self) -> ChannelStats {
        ChannelStats {
            bytes_sent: self.link.bytes_sent(self.side),
            bytes_received: self.link.bytes_sent(1 - self.side),
            ..ChannelStats::default()
        }
    }
}

impl Drop for MemoryChannel {
    /// A channel that nobody holds any more is closed, as a connection would be.
    fn drop(&mut self) {
        self.link.end(Some(self.side), "the channel was dropped");
    }
}
