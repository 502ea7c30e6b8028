//! One traffic class in one direction: messages on a stream, each behind its length.
//!
//! A stream begins with the byte of its class. Then follow messages: four bytes of length, little-endian, and that
//! many bytes.

use bytes::{BufMut, Bytes, BytesMut};
use isles_transport::{LimitError, TrafficClass};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::mpsc;

const LENGTH_BYTES: usize = 4;

/// Chunks taken from a stream at once; each is at most one packet.
const CHUNKS: usize = 32;

/// Memory set aside for a message before its bytes arrive: a length alone must not cost a peer's memory.
const RESERVE_BYTES_MAX: usize = 256 << 10;

/// QUIC's code for a stream that we will not read.
pub(crate) const UNWANTED: VarInt = VarInt::from_u32(3);

/// Why a lane stopped.
pub(crate) enum LaneError {
    /// The connection is gone.
    Lost(ConnectionError),
    /// The other side broke the protocol.
    Violation(String),
}

impl From<ConnectionError> for LaneError {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error)
    }
}

impl From<WriteError> for LaneError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Self::Lost(error),
            other => Self::Violation(other.to_string()),
        }
    }
}

impl From<ReadError> for LaneError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Self::Lost(error),
            other => Self::Violation(other.to_string()),
        }
    }
}

/// The sending half.
pub(crate) struct Outbound {
    class: TrafficClass,
    stream: Option<SendStream>,
    /// What a send that was dropped halfway has left: it goes first, or the stream would be torn.
    unsent: Vec<Bytes>,
}

impl Outbound {
    pub(crate) fn new(class: TrafficClass) -> Self {
        Self {
            class,
            stream: None,
            unsent: Vec::new(),
        }
    }

    /// Makes the stream and announces its class, if that has not been done.
    pub(crate) async fn open(&mut self, connection: &Connection) -> Result<(), LaneError> {
        if self.stream.is_none() {
            let stream = connection.open_uni().await?;
            stream
                .set_priority(priority(self.class))
                .expect("invariant: a stream that was just opened is open");
            self.unsent
                .push(Bytes::copy_from_slice(&[self.class.code()]));
            self.stream = Some(stream);
        }
        self.flush().await
    }

    /// Sends one message that was encoded in two parts.
    pub(crate) async fn send(
        &mut self,
        connection: &Connection,
        head: Bytes,
        body: Bytes,
    ) -> Result<(), LaneError> {
        self.open(connection).await?;
        let length = u32::try_from(head.len() + body.len())
            .expect("invariant: the limits of messages fit in 32 bits");
        let mut start = BytesMut::with_capacity(LENGTH_BYTES + head.len());
        start.put_u32_le(length);
        start.put_slice(&head);
        self.unsent.push(start.freeze());
        if !body.is_empty() {
            self.unsent.push(body);
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), LaneError> {
        let stream = self
            .stream
            .as_mut()
            .expect("invariant: opened before anything is flushed");
        while !self.unsent.is_empty() {
            let written = stream.write_chunks(&mut self.unsent).await?;
            self.unsent.drain(..written.chunks);
        }
        Ok(())
    }
}

/// Control ahead of everything, snapshots behind everything. Publications take turns with frames, packet by packet.
fn priority(class: TrafficClass) -> i32 {
    match class {
        TrafficClass::Control => 3,
        TrafficClass::Pull => 2,
        TrafficClass::Frames | TrafficClass::Publish => 1,
        TrafficClass::Snapshot => 0,
    }
}

/// The receiving half. Its stream comes through `opened` once the peer has opened it.
pub(crate) struct Inbound {
    class: TrafficClass,
    opened: mpsc::Receiver<RecvStream>,
    stream: Option<RecvStream>,
    buffer: BytesMut,
}

impl Inbound {
    pub(crate) fn new(class: TrafficClass, opened: mpsc::Receiver<RecvStream>) -> Self {
        Self {
            class,
            opened,
            stream: None,
            buffer: BytesMut::new(),
        }
    }

    /// The next message's bytes. Dropping the call loses nothing: what has been read stays in the buffer.
    pub(crate) async fn receive(&mut self, connection: &Connection) -> Result<Bytes, LaneError> {
        if self.stream.is_none() {
            tokio::select! {
                biased;
                Some(stream) = self.opened.recv() => self.stream = Some(stream),
                error = connection.closed() => return Err(error.into()),
            }
        }
        let stream = self.stream.as_mut().expect("invariant: just waited for it");
        loop {
            if let Some(message) = take_message(&mut self.buffer, self.class)? {
                return Ok(message);
            }
            let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
            let Some(count) = stream.read_chunks(&mut chunks).await? else {
                return Err(LaneError::Violation(format!(
                    "the {} stream ended",
                    self.class
                )));
            };
            chunks[..count]
                .iter()
                .for_each(|chunk| self.buffer.extend_from_slice(chunk));
        }
    }
}

/// Splits a whole message off `buffer`, if one is there.
fn take_message(buffer: &mut BytesMut, class: TrafficClass) -> Result<Option<Bytes>, LaneError> {
    let Some(length) = buffer.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    let limit = class.message_bytes_max();
    if length > limit {
        let error = LimitError {
            what: "a message",
            unit: "bytes",
            actual: length,
            limit,
        };
        return Err(LaneError::Violation(format!(
            "on the {class} stream, {error}"
        )));
    }
    let whole = LENGTH_BYTES + length;
    if buffer.len() < whole {
        buffer.reserve((whole - buffer.len()).min(RESERVE_BYTES_MAX));
        return Ok(None);
    }
    let mut message = buffer.split_to(whole);
    Ok(Some(message.split_off(LENGTH_BYTES).freeze()))
}

/// Where the streams that a peer opens are handed to their lanes.
pub(crate) struct Switch {
    lanes: [Option<mpsc::Sender<RecvStream>>; TrafficClass::ALL.len()],
}

impl Switch {
    /// A switch and the lanes behind it, in the order of [`TrafficClass::ALL`].
    pub(crate) fn new() -> (Self, [Inbound; TrafficClass::ALL.len()]) {
        let mut lanes = [const { None }; TrafficClass::ALL.len()];
        let inbound = TrafficClass::ALL.map(|class| {
            let (sender, receiver) = mpsc::channel(1);
            lanes[class.index()] = Some(sender);
            Inbound::new(class, receiver)
        });
        (Self { lanes }, inbound)
    }

    /// Gives `stream` to the lane of `class`, which must not have one yet.
    pub(crate) fn connect(
        &mut self,
        class: TrafficClass,
        stream: RecvStream,
    ) -> Result<(), String> {
        let lane = self.lanes[class.index()].take();
        let lane = lane.ok_or_else(|| format!("two {class} streams in one connection"))?;
        // The lane is gone only when the channel is, and then nobody wants the stream.
        let _ = lane.try_send(stream);
        Ok(())
    }
}

/// Reads the class of a stream that the peer has opened. `None`: a class of a newer version, which it need not know
/// that we do not read.
pub(crate) async fn read_class(
    mut stream: RecvStream,
) -> Result<Option<(TrafficClass, RecvStream)>, LaneError> {
    let mut code = [0];
    loop {
        match stream.read(&mut code).await? {
            None => {
                return Err(LaneError::Violation(
                    "a stream ended before its class".to_owned(),
                ));
            }
            Some(0) => {}
            Some(_) => break,
        }
    }
    let class = TrafficClass::from_code(code[0]);
    if class.is_none() {
        // Only fails if the stream has ended already.
        let _ = stream.stop(UNWANTED);
    }
    Ok(class.map(|class| (class, stream)))
}
