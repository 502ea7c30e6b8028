//! A peer over QUIC.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use isles_transport::{Channel, ChannelError, ChannelStats, Message, PeerIdentity, TrafficClass};
use quinn::{Connection, VarInt};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use crate::lane::{Inbound, LaneError, Outbound, Switch, read_class};
use crate::reason;

const LANES: usize = TrafficClass::ALL.len();

/// One connection with its lanes.
pub(crate) struct QuicChannel {
    connection: Connection,
    peer: PeerIdentity,
    outbound: [Mutex<Outbound>; LANES],
    inbound: [Mutex<Inbound>; LANES],
    /// Why this node closed the connection, if it did.
    own_reason: Arc<OnceLock<String>>,
    switching: AbortHandle,
}

impl QuicChannel {
    /// Takes over a connection whose handshake is done. `switch` may hold streams that have been accepted already.
    pub(crate) fn new(
        connection: Connection,
        peer: PeerIdentity,
        switch: Switch,
        inbound: [Inbound; LANES],
    ) -> Self {
        let own_reason = Arc::new(OnceLock::new());
        let switching = switch_streams(connection.clone(), switch, Arc::clone(&own_reason));
        Self {
            connection,
            peer,
            outbound: TrafficClass::ALL.map(|class| Mutex::new(Outbound::new(class))),
            inbound: inbound.map(Mutex::new),
            own_reason,
            switching: tokio::spawn(switching).abort_handle(),
        }
    }

    /// Opens the control lane, which tells the dialer that it has been let in.
    pub(crate) async fn welcome(&self) -> Result<(), LaneError> {
        let lane = &self.outbound[TrafficClass::Control.index()];
        lane.lock().await.open(&self.connection).await
    }

    /// Closes the connection with a code of ours; the first reason stays.
    pub(crate) fn close_with(&self, code: VarInt, text: &str) {
        close(&self.connection, &self.own_reason, code, text);
    }

    fn failed(&self, error: LaneError) -> ChannelError {
        let error = match error {
            LaneError::Lost(error) => error,
            LaneError::Violation(text) => {
                self.close_with(reason::VIOLATION, &text);
                quinn::ConnectionError::LocallyClosed
            }
        };
        ChannelError::Closed(self.closed_text(&error))
    }

    fn closed_text(&self, error: &quinn::ConnectionError) -> String {
        reason::closed_text(error, self.own_reason.get().map(String::as_str))
    }
}

fn close(connection: &Connection, own_reason: &OnceLock<String>, code: VarInt, text: &str) {
    if connection.close_reason().is_none() {
        own_reason.get_or_init(|| text.to_owned());
        connection.close(code, reason::fitting(text));
    }
}

/// Hands the streams that the peer opens to their lanes. Several may wait for their first byte at once, so that one
/// whose first packet was lost does not hold up the others.
async fn switch_streams(
    connection: Connection,
    mut switch: Switch,
    own_reason: Arc<OnceLock<String>>,
) {
    let mut unnamed = JoinSet::new();
    let violation = loop {
        tokio::select! {
            accepted = connection.accept_uni() => match accepted {
                Ok(stream) => {
                    unnamed.spawn(read_class(stream));
                }
                Err(_closed) => return,
            },
            Some(named) = unnamed.join_next() => match named {
                Ok(Ok(Some((class, stream)))) => {
                    if let Err(text) = switch.connect(class, stream) {
                        break text;
                    }
                }
                Ok(Ok(None)) => debug!("the peer opened a stream of a class that is not known here"),
                Ok(Err(LaneError::Violation(text))) => break text,
                Ok(Err(LaneError::Lost(_))) | Err(_) => return,
            },
        }
    };
    close(&connection, &own_reason, reason::VIOLATION, &violation);
}

#[async_trait]
impl Channel for QuicChannel {
    async fn send(&self, class: TrafficClass, message: Message) -> Result<(), ChannelError> {
        let (head, body) = message.encode_for(class)?;
        let mut lane = self.outbound[class.index()].lock().await;
        let sent = lane.send(&self.connection, head, body).await;
        sent.map_err(|error| self.failed(error))
    }

    async fn receive(&self, class: TrafficClass) -> Result<Message, ChannelError> {
        let mut lane = self.inbound[class.index()].lock().await;
        let received = lane.receive(&self.connection).await;
        let bytes = received.map_err(|error| self.failed(error))?;
        Message::decode(bytes).map_err(|error| ChannelError::Decode { class, error })
    }

    fn peer(&self) -> &PeerIdentity {
        &self.peer
    }

    async fn close(&self, reason: &str) {
        self.close_with(reason::CLOSED, reason);
    }

    async fn closed(&self) -> String {
        self.closed_text(&self.connection.closed().await)
    }

    fn stats(&self) -> ChannelStats {
        let stats = self.connection.stats();
        ChannelStats {
            rtt: self.connection.rtt(),
            bytes_sent: stats.udp_tx.bytes,
            bytes_received: stats.udp_rx.bytes,
        }
    }
}

impl Drop for QuicChannel {
    fn drop(&mut self) {
        self.switching.abort();
        self.close_with(reason::CLOSED, "the channel was dropped");
    }
}
