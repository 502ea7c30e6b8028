//! The lanes between two peers.

use std::fmt;

/// Largest frame that a peer may send: the largest entry plus what a frame wraps around it.
pub const MAX_FRAME_BYTES: usize = (64 << 20) + MESSAGE_SLACK_BYTES;

/// Largest message that is not a frame.
pub const MAX_CONTROL_BYTES: usize = 1 << 20;

/// What may surround the 64 MiB of an entry in its frame: header, keys, dictionary.
pub const MESSAGE_SLACK_BYTES: usize = 1 << 20;

/// Version and tag in front of every body.
pub(crate) const MESSAGE_HEADER_BYTES: usize = 2;

const _: () = assert!(MAX_CONTROL_BYTES < MAX_FRAME_BYTES);
const _: () = assert!(MAX_FRAME_BYTES < u32::MAX as usize);

/// A lane of its own between two peers: a class whose reader is slow never delays another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrafficClass {
    /// Hello, acks, pulls, probes, sums: small, and ahead of everything else.
    Control,
    /// The sender's frames, in its log order.
    Frames,
    /// Answers to a pull.
    Pull,
    /// Snapshots: behind everything else.
    Snapshot,
    /// What clients publish to channels: beside the frames, neither before nor behind them.
    Publish,
}

impl TrafficClass {
    /// Every class, in the order of their codes.
    pub const ALL: [Self; 5] = [
        Self::Control,
        Self::Frames,
        Self::Pull,
        Self::Snapshot,
        Self::Publish,
    ];

    /// The byte that names this class on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Frames => 2,
            Self::Pull => 3,
            Self::Snapshot => 4,
            Self::Publish => 5,
        }
    }

    /// The class of a wire byte, or `None` for one that this version does not know.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Control),
            2 => Some(Self::Frames),
            3 => Some(Self::Pull),
            4 => Some(Self::Snapshot),
            5 => Some(Self::Publish),
            _ => None,
        }
    }

    /// This class's place in [`TrafficClass::ALL`], for tables with one row per class.
    pub const fn index(self) -> usize {
        self.code() as usize - 1
    }

    /// Largest encoded message that this class carries.
    pub const fn message_bytes_max(self) -> usize {
        match self {
            Self::Control => MAX_CONTROL_BYTES,
            Self::Frames | Self::Pull | Self::Snapshot | Self::Publish => {
                MAX_FRAME_BYTES + MESSAGE_HEADER_BYTES
            }
        }
    }
}

impl fmt::Display for TrafficClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Frames => "frames",
            Self::Pull => "pull",
            Self::Snapshot => "snapshot",
            Self::Publish => "publish",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_indices_round_trip() {
        for (index, class) in TrafficClass::ALL.into_iter().enumerate() {
            assert_eq!(TrafficClass::from_code(class.code()), Some(class));
            assert_eq!(class.index(), index);
        }
        assert_eq!(TrafficClass::from_code(0), None);
        assert_eq!(TrafficClass::from_code(6), None);
    }
}
