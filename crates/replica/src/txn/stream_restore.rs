//! Streams that come from elsewhere as a whole.

use super::streams::entry_of;
use super::{Expiry, Txn};
use crate::op::{Part, StreamPart};
use crate::stream::{StreamId, StreamMark};

/// All that readers see of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeStream<'s> {
    /// The entries in the order of their ids, several of which may share one: the id, and field names and values in turn.
    pub entries: Vec<(StreamId, Vec<&'s [u8]>)>,
    /// New entries get greater ids.
    pub last: StreamId,
    /// How many entries were ever added.
    pub added: u64,
    /// The greatest id that was removed by name, zero if none was.
    pub max_deleted: StreamId,
}

impl WholeStream<'_> {
    /// Whether a stream can hold this: ids in order, none of them zero or greater than the last one, and a value for each
    /// field. The other numbers may be those of regions that did not know of each other's writes.
    pub fn is_sound(&self) -> bool {
        let ids = || self.entries.iter().map(|(id, _)| *id);
        let texts = || self.entries.iter().map(|(_, texts)| texts.len());
        ids().is_sorted()
            && ids().all(|id| id > StreamId::ZERO && id <= self.last)
            && texts().all(|texts| texts > 0 && texts.is_multiple_of(2))
    }
}

impl Txn<'_> {
    /// Writes a stream over whatever is at a key.
    pub fn set_stream(&mut self, key: &[u8], stream: &WholeStream<'_>, expiry: Expiry) {
        let spot = self.spot(key);
        let entries = stream
            .entries
            .iter()
            .map(|(id, texts)| entry_of(*id, texts.iter().copied()));
        let part = StreamPart {
            add: entries.collect(),
            deleted: (stream.max_deleted > StreamId::ZERO).then_some(stream.max_deleted),
            mark: Some(StreamMark {
                last: stream.last,
                added: stream.added,
            }),
            ..StreamPart::default()
        };
        let counters = self.counters(&spot);
        self.replace_with(&spot, &counters, Part::Stream(Box::new(part)), expiry);
    }
}
