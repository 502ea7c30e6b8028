//! Going back to an earlier point of a transaction: what a script did that met its limit is undone.

use std::collections::HashMap;

use isles_clock::VectorClock;

use super::Txn;
use crate::position::Position;
use crate::row::Row;
use crate::rows::RowId;

/// A point to go back to. It is of use to the transaction that gave it, until that takes another one.
#[derive(Debug)]
pub struct Savepoint(());

/// What is needed to go back.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// Rows that had been written before.
    pub(super) written: usize,
    /// Those of them that were written since, as they were at the point.
    pub(super) since: HashMap<usize, (Row, Vec<u8>)>,
    /// What the entry's ops had observed, if not everything.
    pub(super) context: Option<VectorClock>,
    /// What answers depended on.
    pub(super) barrier: Position,
}

impl Txn<'_> {
    /// Remembers this point. Costs nothing but a copy of each row that is written before and after it; of a scope of
    /// many writes only.
    pub fn savepoint(&mut self) -> Savepoint {
        self.undo = Some(Undo {
            written: self.touched.len(),
            since: HashMap::new(),
            context: self.context.clone(),
            barrier: self.barrier,
        });
        Savepoint(())
    }

    /// Forgets the point: what came after it stays.
    pub fn release(&mut self, _: Savepoint) {
        self.forget_undo();
    }

    pub(super) fn forget_undo(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        for (row, _) in undo.since.into_values() {
            self.replica.discard(row);
        }
    }

    /// Undoes everything since the point.
    pub fn roll_back(&mut self, _: Savepoint) {
        let Some(undo) = self.undo.take() else { return };
        self.context = undo.context;
        // What was read stays read, but the place of an entry that may never be logged must not be waited for.
        let logged = self.replica.position();
        self.barrier = undo.barrier.max(self.barrier.min(logged));
        for touched in self.touched.split_off(undo.written).into_iter().rev() {
            self.index.remove(&touched.id);
            self.restore(touched.id, touched.before);
        }
        for (index, (row, op)) in undo.since {
            self.restore(self.touched[index].id, row);
            self.touched[index].op = op;
            self.touched[index].list = None;
            self.touched[index].later.clear();
        }
    }

    /// Puts a row back as it was, and lets go of what was concluded from its value.
    pub(super) fn restore(&mut self, id: RowId, before: Row) {
        self.put_back(id, before);
        self.replica.note_reserved(id);
    }

    pub(super) fn put_back(&mut self, id: RowId, mut before: Row) {
        let now_ms = self.hlc.wall_ms();
        let after = self.replica.rows.change(id, now_ms, |row| {
            before.dirty = row.dirty;
            before.contested = row.contested;
            std::mem::replace(row, before)
        });
        self.replica.discard(after);
    }

    /// Before a row is written again: keeps how it was at the savepoint.
    pub(super) fn keep_for_undo(&mut self, index: usize) {
        let Some(undo) = &mut self.undo else { return };
        if index < undo.written && !undo.since.contains_key(&index) {
            let touched = &mut self.touched[index];
            touched.settle();
            let row = self.replica.rows.get(touched.id).clone();
            undo.since.insert(index, (row, touched.op.clone()));
        }
    }
}
