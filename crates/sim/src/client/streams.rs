//! Streams, beside their definition.

use std::ops::ControlFlow;

use isles_replica::{
    NewStreamId, SetStreamIdError, StreamAddError, StreamId, StreamMark, StreamTrim,
    StreamTrimBound, Txn,
};

use super::{Draft, slices};
use crate::command::{Bytes, StreamBound, StreamChoice};
use crate::model::{StreamState, Type};

/// Entries with their fields, as readers see them.
type View = Vec<(StreamId, Vec<Bytes>)>;

/// The last bits of a generated id name its writer.
const WRITER_MASK: u64 = u32::MAX as u64;

impl Draft<'_> {
    fn stream(&mut self, key: &[u8]) -> Option<StreamState> {
        self.typed(key, Type::Stream).map(|state| state.stream)
    }

    pub(super) fn stream_add(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        choice: StreamChoice,
        texts: &[Bytes],
        bound: Option<StreamBound>,
    ) -> Result<(), String> {
        let state = self.stream(key);
        let before = state.as_ref().map(StreamState::mark).unwrap_or_default();
        let last = before.last;
        let id = match choice {
            StreamChoice::Generated => NewStreamId::Generated,
            StreamChoice::InMs(ms) => NewStreamId::InMs(last.ms.saturating_add(ms)),
            StreamChoice::Given(ms, seq) => {
                NewStreamId::Given(StreamId::new(last.ms.saturating_add(ms), seq))
            }
        };
        let ids = state.as_ref().map(StreamState::ids).unwrap_or_default();
        let trim = bound.map(|bound| trim_of(bound, &ids));
        let found = txn.stream_add(key, id, &slices(texts), trim);
        let is_allowed = |id: &StreamId| *id > last;
        let expected = match (state, id) {
            (None, _) => Err(StreamAddError::WrongType),
            (Some(_), NewStreamId::Generated) => {
                // Which one is the node's choice, within bounds.
                let generated = found.map_err(|error| error.to_string());
                let is_right = |id: &StreamId| {
                    let writer = self.entry.dot.replica.as_u128() as u64 & WRITER_MASK;
                    *id > last && id.ms >= self.now_ms && id.seq & WRITER_MASK == writer
                };
                let bounded = generated.as_ref().is_ok_and(is_right);
                if !self.is_blind && !bounded {
                    return Err(format!("generated {generated:?} after {last}"));
                }
                found
            }
            (Some(_), NewStreamId::InMs(ms)) => {
                let seq = if ms == last.ms { last.seq + 1 } else { 0 };
                Some(StreamId::new(ms, seq))
                    .filter(is_allowed)
                    .ok_or(StreamAddError::NotGreater)
            }
            (Some(_), NewStreamId::Given(id)) => Some(id)
                .filter(is_allowed)
                .ok_or(StreamAddError::NotGreater),
        };
        self.same(&expected, &found)?;
        let Ok(id) = expected else { return Ok(()) };
        self.create(key);
        let mark = StreamMark {
            last: id,
            added: before.added + 1,
        };
        let effect = &mut self.effect(key).stream;
        effect.adds.insert((id, 0), texts.to_vec());
        effect.mark = Some(mark);
        if let Some(trim) = trim {
            self.trim(key, trim);
        }
        self.stream_all(txn, key)
    }

    /// Removes from the front; says how many.
    fn trim(&mut self, key: &[u8], trim: StreamTrim) -> usize {
        let ids = self.now(key).stream.ids();
        let excess = match trim.bound {
            StreamTrimBound::Len(stays) => ids.len().saturating_sub(stays),
            StreamTrimBound::Id(least) => ids.iter().filter(|id| **id < least).count(),
        };
        let Some(through) = excess.checked_sub(1).map(|last| ids[last]) else {
            return 0;
        };
        let effect = &mut self.effect(key).stream;
        effect.adds.retain(|(id, _), _| *id > through);
        effect.trims = effect.trims.max(Some(through));
        ids.iter().filter(|id| **id <= through).count()
    }

    pub(super) fn stream_trim(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        bound: StreamBound,
    ) -> Result<(), String> {
        let state = self.stream(key);
        let ids = state.as_ref().map(StreamState::ids).unwrap_or_default();
        let trim = trim_of(bound, &ids);
        let found = txn.stream_trim(key, trim).ok();
        let expected = state.map(|state| match state.is_live() {
            true => self.trim(key, trim),
            false => 0,
        });
        self.same(&expected, &found)?;
        self.stream_all(txn, key)
    }

    /// Removes the entries at these places, as far as they are there.
    pub(super) fn stream_remove(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        places: &[usize],
    ) -> Result<(), String> {
        let state = self.stream(key);
        let ids = state.as_ref().map(StreamState::ids).unwrap_or_default();
        let chosen = places.iter().map(|place| match ids.get(*place) {
            Some(id) => *id,
            None => StreamId::new(1, 1),
        });
        let chosen: Vec<StreamId> = chosen.collect();
        let found = txn.stream_remove(key, &chosen).ok();
        let expected = state.map(|state| {
            let gone: Vec<StreamId> = ids.into_iter().filter(|id| chosen.contains(id)).collect();
            if let Some(greatest) = gone.last() {
                let effect = &mut self.effect(key).stream;
                effect.adds.retain(|(id, _), _| !gone.contains(id));
                effect.removes.extend(&gone);
                if *greatest > state.max_deleted() {
                    effect.deleted = Some(*greatest);
                }
            }
            gone.len()
        });
        self.same(&expected, &found)?;
        self.stream_all(txn, key)
    }

    /// Sets the last id so many milliseconds after the last entry's, which may be before the last id.
    pub(super) fn stream_set_id(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        ms: u64,
    ) -> Result<(), String> {
        let state = self.stream(key);
        let ids = state.as_ref().map(StreamState::ids).unwrap_or_default();
        let top = ids.last().copied().unwrap_or_default();
        let last = StreamId::new(top.ms.saturating_add(ms), top.seq);
        let found = txn.stream_set_id(key, last, None, None);
        let expected = match state {
            None => Err(SetStreamIdError::WrongType),
            Some(state) if !state.is_live() => Err(SetStreamIdError::Absent),
            Some(state) => {
                let added = state.mark().added;
                self.effect(key).stream.mark = Some(StreamMark { last, added });
                Ok(())
            }
        };
        self.same(&expected, &found)
    }

    /// XRANGE and XREVRANGE of everything, XLEN and XINFO.
    pub(super) fn stream_all(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<(), String> {
        let state = self.stream(key);
        let expected: Option<View> = state.as_ref().map(|state| {
            let entries = state.entries.iter();
            let entries = entries.map(|((id, ..), (_, texts))| (*id, texts.clone()));
            entries.collect()
        });
        let (from, to) = (StreamId::ZERO, StreamId::MAX);
        let mut view = View::new();
        let found = txn.stream_range(key, from, to, &mut |id, texts| {
            view.push((id, texts.map(<[u8]>::to_vec).collect()));
            ControlFlow::Continue(())
        });
        self.same(&expected, &found.ok().map(|()| view))?;
        let mut back = View::new();
        let found = txn.stream_range_back(key, from, to, &mut |id, texts| {
            back.insert(0, (id, texts.map(<[u8]>::to_vec).collect()));
            ControlFlow::Continue(())
        });
        self.same(&expected, &found.ok().map(|()| back))?;
        self.same(&expected.as_ref().map(Vec::len), &txn.stream_len(key).ok())?;
        let info = txn.stream_info(key).ok();
        let info = info.map(|info| {
            info.map(|info| {
                (
                    info.len,
                    info.last,
                    info.added,
                    info.max_deleted,
                    info.first,
                )
            })
        });
        let expected = state.map(|state| {
            let StreamMark { last, added } = state.mark();
            let (ids, max_deleted) = (state.ids(), state.max_deleted());
            let first = ids.first().copied();
            state
                .is_live()
                .then_some((ids.len(), last, added, max_deleted, first))
        });
        self.same(&expected, &info)
    }
}

fn trim_of(bound: StreamBound, ids: &[StreamId]) -> StreamTrim {
    let bound = match bound {
        StreamBound::Len(len) => StreamTrimBound::Len(len),
        StreamBound::Place(place) => {
            StreamTrimBound::Id(ids.get(place).copied().unwrap_or(StreamId::new(5, 0)))
        }
    };
    StreamTrim { bound, units: None }
}
