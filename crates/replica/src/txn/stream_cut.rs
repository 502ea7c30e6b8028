//! How much a trim takes of a stream.

use super::streams::{StreamTrim, StreamTrimBound, StreamTrimUnits};
use crate::stream::{Stream, StreamId};

/// What a trim does to the stream that it finds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    /// Entries up to here go.
    pub(super) through: Option<StreamId>,
    /// The entry that is being added goes too.
    pub(super) takes_new: bool,
    /// Number of entries that go.
    pub(super) removed: usize,
}

impl Cut {
    /// Of a stream to which an entry with the id `new` is being added, if there is one; `added` counts it.
    pub(super) fn of(stream: &Stream, new: Option<StreamId>, added: u64, trim: StreamTrim) -> Cut {
        let len = stream.len() + usize::from(new.is_some());
        let excess = match trim.bound {
            StreamTrimBound::Len(stays) => len.saturating_sub(stays),
            StreamTrimBound::Id(least) => {
                stream.rank(least) + usize::from(new.is_some_and(|new| new < least))
            }
        };
        let goes = match trim.units {
            None => excess,
            Some(units) => whole_units(excess, len, added, units),
        };
        let Some(last) = goes.min(stream.len()).checked_sub(1) else {
            let takes_new = goes > 0;
            return Cut {
                takes_new,
                removed: goes,
                ..Cut::default()
            };
        };
        let through = stream.at(last).map(|entry| entry.name.id);
        // Entries that share their id go together.
        let after = through.and_then(StreamId::next);
        let removed = after.map_or(stream.len(), |after| stream.rank(after));
        let takes_new = goes > stream.len();
        Cut {
            through,
            takes_new,
            removed: removed + usize::from(takes_new),
        }
    }
}

/// The most of the first `excess` entries that make up whole units; the last unit of a stream need not be full.
fn whole_units(excess: usize, len: usize, added: u64, units: StreamTrimUnits) -> usize {
    let most = units.limit.map_or(excess, |limit| limit.min(excess));
    if most == len {
        return most;
    }
    let unit = units.entries.max(1);
    // How much of the first unit is gone already.
    let gone = (added.saturating_sub(len as u64) % unit as u64) as usize;
    ((gone + most) / unit * unit).saturating_sub(gone)
}
