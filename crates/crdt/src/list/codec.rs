//! How positions are written: every run once, in the order in which it is first needed, and elements as spans.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use isles_clock::{Dot, ReplicaId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::ids::{Span, Stride};
use super::position::{DEPTH_MAX, Hook, Position, Root, Run, Side, Slot};
use crate::decode::is_valid;

/// The most elements that one span of a few bytes may stand for: it bounds the work that a byte can make.
const SPAN_LEN_MAX: u32 = 1 << 10;

/// Why something that was read is not what was written.
pub(super) type Refusal = &'static str;

/// The runs that the elements beside it lie in, each after the one that it hangs at.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunTable {
    replicas: Vec<ReplicaId>,
    runs: Vec<RunRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct RunRow {
    above: Option<HookRow>,
    step: i64,
    replica: u32,
    sequence: u64,
    ordinal: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct HookRow {
    element: ElementRow,
    side: Side,
}

/// An element, by its run's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ElementRow {
    run: u32,
    slot: Slot,
}

/// Elements that follow each other in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SpanRow {
    first: ElementRow,
    stride: Stride,
    len: u32,
}

/// Fills a table with the runs of the elements that are written.
#[derive(Default)]
pub(super) struct Writer {
    table: RunTable,
    replicas: Places<ReplicaId>,
    // A run may be in memory twice. The address is only a short cut to the row.
    by_address: Places<usize>,
    by_row: Places<RunRow>,
}

/// So many things are found by looking at all of them.
const FEW: usize = 4;

/// Where things are in a table. Nearly always there are one or two, which need no tree.
struct Places<K> {
    few: SmallVec<[(K, u32); 1]>,
    many: BTreeMap<K, u32>,
}

impl<K: Ord> Places<K> {
    fn get(&self, key: &K) -> Option<u32> {
        let mut few = self.few.iter();
        let found = few.find(|(known, _)| known == key);
        found
            .map(|(_, place)| *place)
            .or_else(|| self.many.get(key).copied())
    }

    fn insert(&mut self, key: K, place: u32) {
        match self.few.len() < FEW {
            true => self.few.push((key, place)),
            false => drop(self.many.insert(key, place)),
        }
    }
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self {
            few: SmallVec::new(),
            many: BTreeMap::new(),
        }
    }
}

impl Writer {
    pub(super) fn into_table(self) -> RunTable {
        self.table
    }

    pub(super) fn element(&mut self, position: &Position) -> ElementRow {
        let (run, slot) = (self.run(&position.run), position.slot);
        ElementRow { run, slot }
    }

    pub(super) fn hook(&mut self, hook: &Hook) -> HookRow {
        let element = self.element(&hook.element);
        let side = hook.side;
        HookRow { element, side }
    }

    /// The row of a run; those that it hangs at come first. It goes up by a loop: nesting may be deeper than a stack.
    pub(super) fn run(&mut self, run: &Arc<Run>) -> u32 {
        let mut missing = Vec::new();
        let mut here = run;
        let mut above = loop {
            if let Some(row) = self.by_address.get(&address(here)) {
                break Some(row);
            }
            missing.push(here);
            match &here.above {
                Some(hook) => here = &hook.element.run,
                None => break None,
            }
        };
        for run in missing.into_iter().rev() {
            above = Some(self.add(run, above));
        }
        above.expect("a run has a row, or was added")
    }

    fn add(&mut self, run: &Arc<Run>, above: Option<u32>) -> u32 {
        let above = run.above.as_ref().zip(above).map(|(hook, row)| HookRow {
            element: ElementRow {
                run: row,
                slot: hook.element.slot,
            },
            side: hook.side,
        });
        let row = RunRow {
            above,
            step: run.step,
            replica: self.replica(run.root.replica),
            sequence: run.root.sequence,
            ordinal: run.root.ordinal,
        };
        let index = self.by_row.get(&row).unwrap_or_else(|| {
            let next = self.table.runs.len() as u32;
            self.table.runs.push(row.clone());
            self.by_row.insert(row, next);
            next
        });
        self.by_address.insert(address(run), index);
        index
    }

    fn replica(&mut self, replica: ReplicaId) -> u32 {
        self.replicas.get(&replica).unwrap_or_else(|| {
            let next = self.table.replicas.len() as u32;
            self.table.replicas.push(replica);
            self.replicas.insert(replica, next);
            next
        })
    }

    /// The spans of these elements, as long as they may be.
    pub(super) fn spans<'a>(
        &mut self,
        parts: impl Iterator<Item = (&'a Position, &'a [Span])>,
    ) -> Vec<SpanRow> {
        let mut spans: Vec<(ElementRow, Span)> = Vec::new();
        for (first, part) in parts {
            let mut row = self.element(first);
            let names = part.iter().flat_map(|span| span.names());
            for name in names {
                row.slot = name;
                let joined = spans.last_mut().is_some_and(|(last, span)| {
                    last.run == row.run && span.len < SPAN_LEN_MAX && span.join(Span::one(name))
                });
                if !joined {
                    spans.push((row, Span::one(name)));
                }
            }
        }
        let row = |(first, span): (ElementRow, Span)| SpanRow {
            first,
            stride: span.stride,
            len: span.len,
        };
        spans.into_iter().map(row).collect()
    }
}

fn address(run: &Arc<Run>) -> usize {
    Arc::as_ptr(run).addr()
}

/// The runs of a table, as they were.
pub(super) struct Reader {
    runs: Vec<Arc<Run>>,
}

impl Reader {
    pub(super) fn new(table: &RunTable) -> Result<Self, Refusal> {
        let mut reader = Self { runs: Vec::new() };
        let mut known = BTreeSet::new();
        for row in &table.runs {
            // Else two towers of the same rows could be compared down to the ground again and again.
            if !known.insert(row) {
                return Err("a run comes twice");
            }
            let replica = table.replicas.get(row.replica as usize);
            let root = Root {
                replica: *replica.ok_or("a run is of no replica")?,
                sequence: row.sequence,
                ordinal: row.ordinal,
            };
            if !is_valid(Dot::new(root.replica, root.sequence)) {
                return Err("a run starts with a write that nobody made");
            }
            let above = row.above.as_ref().map(|hook| reader.hook(hook));
            let run = Run::new(above.transpose()?, row.step, root);
            if run.depth > DEPTH_MAX {
                return Err("a list is nested too deep");
            }
            reader.runs.push(Arc::new(run));
        }
        Ok(reader)
    }

    pub(super) fn run(&self, row: u32) -> Result<&Arc<Run>, Refusal> {
        self.runs.get(row as usize).ok_or("an element is in no run")
    }

    pub(super) fn hook(&self, row: &HookRow) -> Result<Hook, Refusal> {
        let element = self.element(row.element)?;
        let side = row.side;
        Ok(Hook { element, side })
    }

    pub(super) fn element(&self, row: ElementRow) -> Result<Position, Refusal> {
        let run = Arc::clone(self.run(row.run)?);
        if is_valid(Dot::new(run.root.replica, row.slot.sequence)) && run.allows(row.slot) {
            Ok(Position::new(run, row.slot))
        } else {
            Err("an element is where none can be")
        }
    }

    /// The spans with their first elements, which must come in the order of the list. Within a span they do.
    pub(super) fn spans(&self, rows: &[SpanRow]) -> Result<Vec<(Position, Span)>, Refusal> {
        let mut spans = Vec::new();
        let mut before: Option<Position> = None;
        for row in rows {
            if row.len > SPAN_LEN_MAX {
                return Err("a span is too long");
            }
            let (run, slot) = (row.first.run, row.first.slot);
            let span = Span::new(slot, row.stride, row.len);
            let last = row.len.checked_sub(1).and_then(|last| span.get(last));
            let slot = last.ok_or("names of elements run out")?;
            let (first, last) = (
                self.element(row.first)?,
                self.element(ElementRow { run, slot })?,
            );
            if before.is_some_and(|before| before >= first) {
                return Err("elements are out of order, or one comes twice");
            }
            before = Some(last);
            spans.push((first, span));
        }
        Ok(spans)
    }
}
