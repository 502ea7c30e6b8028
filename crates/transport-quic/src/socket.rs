//! The UDP socket.

use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tracing::info;

use crate::transport::QuicError;

/// A socket at `address` with buffers of `buffer_bytes`, or as large as the system allows.
pub(crate) fn bind(address: SocketAddr, buffer_bytes: usize) -> Result<UdpSocket, QuicError> {
    let listen = |error| QuicError::Listen { address, error };
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )
    .map_err(listen)?;
    if address.is_ipv6() {
        // Best effort: a system without IPv4 can still serve IPv6.
        let _ = socket.set_only_v6(false);
    }
    grow_buffers(&socket, buffer_bytes);
    socket.bind(&address.into()).map_err(listen)?;
    socket.set_nonblocking(true).map_err(listen)?;
    Ok(socket.into())
}

/// Small buffers cost speed, never correctness, so that a refusal is only logged.
fn grow_buffers(socket: &Socket, wanted_bytes: usize) {
    let _ = socket.set_recv_buffer_size(wanted_bytes);
    let _ = socket.set_send_buffer_size(wanted_bytes);
    let receive_bytes = socket.recv_buffer_size().unwrap_or(0);
    let send_bytes = socket.send_buffer_size().unwrap_or(0);
    if receive_bytes.min(send_bytes) < wanted_bytes {
        info!(
            wanted_bytes,
            receive_bytes,
            send_bytes,
            "the system limits UDP buffers; for fast long links raise net.core.rmem_max and net.core.wmem_max"
        );
    }
}
