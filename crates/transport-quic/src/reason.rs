//! Why a connection ended, in words that both ends can log.

use isles_transport::Refuser;
use quinn::{ConnectionError, VarInt};

/// Closed on purpose; the reason says why.
pub(crate) const CLOSED: VarInt = VarInt::from_u32(0);
/// The other side broke the protocol of streams and lengths.
pub(crate) const VIOLATION: VarInt = VarInt::from_u32(1);
/// Too many connections wait to be accepted.
pub(crate) const BUSY: VarInt = VarInt::from_u32(2);

/// Longest reason that is sent: it must fit into one small packet.
const MAX_REASON_BYTES: usize = 800;

/// What rustls puts before the text of a verifier's own error.
const RUSTLS_PREFIX: &str = "other error: ";

/// QUIC's code for "no connections taken now" (RFC 9000, section 20.1).
const CONNECTION_REFUSED: u64 = 0x2;

/// QUIC's code for "closed before the handshake was done, for a reason that is not QUIC's".
const APPLICATION_ERROR: u64 = 0xC;

/// How an attempt to connect ended.
pub(crate) enum Failure {
    /// One side turned the other away.
    Refused { by: Refuser, reason: String },
    /// Nobody could be reached, or nobody had time.
    Unreachable { problem: String },
    /// This node stops.
    Closed,
}

/// The part of `reason` that fits into a closing packet.
pub(crate) fn fitting(reason: &str) -> &[u8] {
    &reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON_BYTES)]
}

/// Why a handshake did not succeed.
pub(crate) fn handshake_failure(error: &ConnectionError) -> Failure {
    let unreachable = |problem: &str| Failure::Unreachable {
        problem: problem.to_owned(),
    };
    match error {
        ConnectionError::TransportError(error) => Failure::Refused {
            by: Refuser::ThisNode,
            reason: own_words(&error.reason),
        },
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            CONNECTION_REFUSED => unreachable("the peer takes no connections now"),
            APPLICATION_ERROR => unreachable("the peer gave up"),
            _ => Failure::Refused {
                by: Refuser::Peer,
                reason: own_words(&String::from_utf8_lossy(&close.reason)),
            },
        },
        ConnectionError::ApplicationClosed(close) if close.error_code == BUSY => {
            unreachable(&String::from_utf8_lossy(&close.reason))
        }
        ConnectionError::ApplicationClosed(close) => Failure::Refused {
            by: Refuser::Peer,
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionError::VersionMismatch => Failure::Refused {
            by: Refuser::Peer,
            reason: "no QUIC version in common".to_owned(),
        },
        ConnectionError::TimedOut => unreachable("no answer"),
        ConnectionError::Reset => unreachable("the peer restarted"),
        ConnectionError::LocallyClosed => Failure::Closed,
        ConnectionError::CidsExhausted => unreachable("out of connection ids"),
    }
}

/// Why an established connection ended. `ours` is the reason that this node gave, if it closed the connection.
pub(crate) fn closed_text(error: &ConnectionError, ours: Option<&str>) -> String {
    let by_us = Refuser::ThisNode;
    let by_peer = Refuser::Peer;
    match error {
        ConnectionError::LocallyClosed => {
            format!("closed by {by_us}: {}", ours.unwrap_or("the node stops"))
        }
        ConnectionError::TransportError(error) => {
            format!("closed by {by_us}: {}", own_words(&error.reason))
        }
        ConnectionError::ApplicationClosed(close) => {
            format!(
                "closed by {by_peer}: {}",
                String::from_utf8_lossy(&close.reason)
            )
        }
        ConnectionError::ConnectionClosed(close) => {
            format!(
                "closed by {by_peer}: {}",
                own_words(&String::from_utf8_lossy(&close.reason))
            )
        }
        ConnectionError::TimedOut => {
            "connection lost: nothing heard from the peer within the idle timeout".to_owned()
        }
        ConnectionError::Reset => "connection lost: the peer restarted".to_owned(),
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => {
            format!("connection lost: {error}")
        }
    }
}

fn own_words(reason: &str) -> String {
    let text = reason.strip_prefix(RUSTLS_PREFIX).unwrap_or(reason);
    if text.is_empty() {
        "no reason given".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = "ö".repeat(MAX_REASON_BYTES);
        let sent = fitting(&long);
        assert!(sent.len() <= MAX_REASON_BYTES && std::str::from_utf8(sent).is_ok());
        assert_eq!(fitting("short"), b"short");
    }
}
