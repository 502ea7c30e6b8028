//! What a log needs to be told.

use super::error::OpenError;
use super::segment::IDENTITY_BYTES_MAX;

/// The least and the most that [`LogConfig::segment_bytes`] may be.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;

/// What a log needs to be told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogConfig {
    /// How long a segment file is; a record that does not fit gets a longer one. 64 MiB unless set.
    pub segment_bytes: u64,
    /// Whose log this is, at most [`IDENTITY_BYTES_MAX`] bytes, such as the cluster's name: a directory with another
    /// one is refused. Shown as text in that error.
    pub identity: Vec<u8>,
}

impl LogConfig {
    /// The defaults, for the log of `identity`.
    pub fn new(identity: impl Into<Vec<u8>>) -> Self {
        LogConfig {
            segment_bytes: 64 << 20,
            identity: identity.into(),
        }
    }

    /// The same with another segment size, between 1 KiB and 1 GiB.
    #[must_use]
    pub fn with_segment_bytes(mut self, segment_bytes: u64) -> Self {
        self.segment_bytes = segment_bytes;
        self
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        let (least, most) = (SEGMENT_BYTES.start(), SEGMENT_BYTES.end());
        let reason = if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            let size = self.segment_bytes;
            format!("segment_bytes is {size}, it must be between {least} and {most}")
        } else if self.identity.len() > IDENTITY_BYTES_MAX {
            let size = self.identity.len();
            format!("the identity has {size} bytes, it may have {IDENTITY_BYTES_MAX}")
        } else {
            return Ok(());
        };
        Err(OpenError::Config { reason })
    }
}
