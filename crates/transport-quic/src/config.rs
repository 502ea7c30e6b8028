//! Everything that can be set, with its defaults.

use std::net::SocketAddr;
use std::time::Duration;

use crate::certificates::NodeCertificate;

/// How a node talks QUIC. The defaults suit a link of 1 Gbit/s and 200 ms.
#[derive(Debug)]
pub struct QuicConfig {
    /// UDP address to listen on and to dial from.
    pub listen: SocketAddr,
    /// Who this node is, and the authority that its peers' certificates must come from.
    pub certificate: NodeCertificate,
    /// The peers to expect. Empty: any node with a certificate for this cluster.
    pub peers: Vec<PeerRule>,
    /// Bytes that a peer may send in one lane before this node has read them. Default 32 MiB: 200 ms at 1 Gbit/s are
    /// 25 MB, while quinn's own default would cap a lane at 50 Mbit/s there. A stalled node holds up to three times
    /// this for each peer, see [`QuicConfig::connection_window_bytes`].
    pub lane_window_bytes: u32,
    /// How often an idle connection shows that it lives. Default 5 s; must be well below the idle timeout.
    pub keep_alive: Duration,
    /// How long a peer may be silent before its connection counts as lost. Default 15 s. The smaller one of both
    /// sides holds.
    pub idle_timeout: Duration,
    /// How long dialling may take, or a peer's handshake with us. Default 10 s.
    pub connect_timeout: Duration,
    /// UDP payload to begin with. Default 1200 bytes, which passes everywhere.
    pub mtu_initial_bytes: u16,
    /// UDP payload up to which larger sizes are tried. Default 1452, Ethernet's; raise it on jumbo networks only.
    pub mtu_max_bytes: u16,
    /// Bytes that may be on their way before the first answer. Default 256 KiB: over a link of 200 ms, starting with
    /// 14 kB costs a second.
    pub initial_window_bytes: u64,
    /// What to do about lost packets. Default CUBIC.
    pub congestion: CongestionControl,
    /// Receive and send buffer of the socket. Default 8 MiB; Linux silently gives less if `net.core.rmem_max` and
    /// `net.core.wmem_max` are lower, which this crate logs.
    pub socket_buffer_bytes: usize,
}

/// A peer that a node expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRule {
    /// The node's name, as its certificate must give it.
    pub node: String,
    /// Its region, as its certificate must give it.
    pub region: String,
    /// Where this node dials it (`host:port`, the same text as for `connect`). Whoever answers there must be exactly
    /// this peer. `None`: it dials us.
    pub address: Option<String>,
}

/// How fast to send when packets get lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionControl {
    /// Shares links fairly; slow on long links that lose packets at random (about 5 Mbit/s at 200 ms and 0.1 %).
    #[default]
    Cubic,
    /// Keeps its speed on links that lose packets at random, and overfills the queue of a slow link: up to three times
    /// the bytes. For links of one's own.
    Bbr,
}

/// What the control lane may hold unread beside the bulk lanes.
const CONTROL_ROOM_BYTES: u32 = 4 << 20;

/// Lanes that may fill their window: all but control.
const BULK_LANES: u32 = 4;

impl QuicConfig {
    /// The defaults for a node that listens on `listen`.
    pub fn new(listen: SocketAddr, certificate: NodeCertificate) -> Self {
        Self {
            listen,
            certificate,
            peers: Vec::new(),
            lane_window_bytes: 32 << 20,
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            mtu_initial_bytes: 1200,
            mtu_max_bytes: 1452,
            initial_window_bytes: 256 << 10,
            congestion: CongestionControl::Cubic,
            socket_buffer_bytes: 8 << 20,
        }
    }

    /// Bytes that a peer may send over all lanes before this node has read them, and that this node holds for a peer
    /// until they are acknowledged. Derived, not set: if the bulk lanes together could use it up, a node that does not
    /// read them would block control too.
    pub fn connection_window_bytes(&self) -> u32 {
        self.lane_window_bytes
            .saturating_mul(BULK_LANES)
            .saturating_add(CONTROL_ROOM_BYTES)
    }
}
