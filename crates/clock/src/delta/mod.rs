//! Small encodings of what both sides mostly know already.
//!
//! A clock that follows another one, and stamps that follow each other, differ in little. These encodings hold the
//! difference: to a clock or a reading that reader and writer share, the *base*. They hold no version and no length of
//! their own; the message around them has both.
//!
//! Nothing is trusted: every decoder takes a limit, allocates in proportion to the base and to the bytes that are
//! really there, and refuses whatever the encoder would not have written, so that each value has exactly one encoding
//! over a base. On an error the input has not moved.
//!
//! In the drawings a *varint* is an unsigned number in groups of seven bits, the least significant first, with the high
//! bit of a byte set when another follows, and without a needless last group: `0` is `00`, `127` is `7f`, `300` is
//! `ac 02`. A *replica* is its 16 bytes.
//!
//! # A clock
//!
//! [`encode_clock`] and [`decode_clock`]. Replicas that the base lists are not named again: a change says how many
//! replicas of the base it skips. An unchanged clock is one byte, a clock in which one replica moved is three.
//!
//! ```text
//! clock    = header:varint change* [count:varint entry*]
//! header   = changes * 2, and 1 more if a count and so many entries follow (at least one)
//! change   = place:varint step:varint
//! place    = replicas of the base skipped since the last change * 2, and 1 more if the sequence went back
//! step     = by how much the sequence changed; never 0; back to 0 the replica is gone
//! entry    = replica sequence:varint      what the base does not list, in the order of replicas; never 0
//!
//! base {eu:7 us:300}, clock {ap:1 eu:7 us:301}
//! 03          one change, and entries
//! 02 01       skip eu, then us goes forwards by 1
//! 01 (ap) 01  one entry: ap at 1
//! ```
//!
//! # A run of stamps
//!
//! [`encode_stamps`] and [`decode_stamps`]. The base is a reading, such as that of the batch's header, or
//! [`Hlc::ZERO`](crate::Hlc::ZERO). Where one replica stamps one write after the other, a stamp is one byte, or two
//! after a pause of more than 15 ms. Any order of any stamps can be written.
//!
//! ```text
//! stamps   = count:varint stamp*
//! stamp    = step:varint [counter:varint] [place:varint [replica]]
//! step     = zigzag(milliseconds since the reading before) * 4,
//!            and 2 more if the counter follows; else it is one more than before in the same millisecond (0 after
//!            65535), and 0 in another,
//!            and 1 more if the replica follows; else it is the one before
//! place    = which of the replicas in the run it is, in the order of their first stamps; one past the last, or 64,
//!            says that a replica follows which is none of those; the first 64 have a place
//! zigzag   = 0, -1, 1, -2, 2, … as 0, 1, 2, 3, 4, …
//!
//! base 1000.0, stamps 1000.1@eu 1000.2@eu 1003.0@eu
//! 03          three stamps
//! 01 00 (eu)  the next in this millisecond, by a replica that gets place 0
//! 00          the next, by the same
//! 18          3 ms later
//! ```

mod clock;
mod stamps;
mod varint;

pub use self::clock::{decode_clock, encode_clock};
pub use self::stamps::{decode_stamps, encode_stamps};

use core::fmt;

use crate::ReplicaId;

/// Why bytes are not the difference they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeltaError {
    /// The bytes end before the value does: something on the way cut them.
    Truncated,
    /// There are more entries than the reader allows.
    TooLong,
    /// The difference leads out of the values there are: reader and writer do not share the base.
    WrongBase,
    /// No encoder writes this: the bytes are damaged or made up.
    NotCanonical,
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bytes end before the difference does",
            Self::TooLong => "the difference has more entries than are allowed",
            Self::WrongBase => "the difference is not one to this base",
            Self::NotCanonical => "the bytes are not what an encoder writes",
        })
    }
}

impl core::error::Error for DeltaError {}

fn read_replica(input: &mut &[u8]) -> Result<ReplicaId, DeltaError> {
    let (bytes, rest) = input.split_first_chunk().ok_or(DeltaError::Truncated)?;
    *input = rest;
    Ok(ReplicaId::from_bytes(*bytes))
}
