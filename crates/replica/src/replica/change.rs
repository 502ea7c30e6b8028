//! What changes with a row: its bucket's sum, the journal, and everybody who waits for its key or watches it.

use isles_clock::{Context, ReplicaId};

use super::Replica;
use crate::apply::{Author, Outcome, apply};
use crate::changes::{RemoteChange, Sight};
use crate::conflict::Clash;
use crate::journal::Detection;
use crate::observer::timed;
use crate::op::{KeyOp, ListPart, Part};
use crate::position::Position;
use crate::rows::{RESERVED_PREFIX, RowId, hash_of};

impl Replica {
    pub(super) fn apply_op<C: Context>(
        &mut self,
        op: &KeyOp<'_>,
        author: &Author<'_, C>,
        position: Position,
        now_ms: u64,
    ) {
        let hash = hash_of(op.key.0);
        let id = self.rows.find_or_insert(op.key.0, hash);
        if self.rows.get(id).position >= position {
            self.rows
                .note_change(hash, author.dot.replica, author.dot.sequence);
            return;
        }
        let contested = self.is_contested(id);
        let unnamed = contested.then(|| self.unnamed(id, op)).flatten();
        self.change_row(id, op, author, position, now_ms);
        if contested {
            for op in [Some(op), unnamed.as_ref()].into_iter().flatten() {
                self.settle_conflicts(id, op, author, position);
            }
        }
    }

    /// What an op removes without naming it, as far as there may be records about it: its writer need not have had them.
    fn unnamed<'k>(&self, id: RowId, op: &KeyOp<'k>) -> Option<KeyOp<'k>> {
        let list = self.rows.get(id).list()?;
        let parts = op.parts.iter().filter_map(|part| match part {
            Part::List(part) => Some(part),
            _ => None,
        });
        let cuts = parts.flat_map(|part| &part.cut);
        let written = cuts.map(|stretch| ListPart {
            remove: list.elements().written(stretch),
            ..ListPart::default()
        });
        let parts = written.map(|part| Part::List(Box::new(part))).collect();
        Some(KeyOp {
            parts,
            ..KeyOp::new(op.key.0)
        })
    }

    /// Whether the journal may have records about a key with this hash.
    pub(crate) fn has_conflicts(&self, hash: u64) -> bool {
        self.journal.has_places(hash)
    }

    /// Whether the journal may have records that a write of this row settles; to be asked before it is written.
    #[inline]
    pub(crate) fn is_contested(&self, id: RowId) -> bool {
        let row = self.rows.get(id);
        // A row that was dropped with its key may be made anew.
        row.contested || row.position == Position::ZERO && self.journal.has_places(row.hash)
    }

    /// An op has changed a contested row, and will be logged: what it has taken the place of is settled, and what is read
    /// again since it has taken away what had won.
    pub(crate) fn settle_conflicts<C: Context>(
        &mut self,
        id: RowId,
        op: &KeyOp<'_>,
        author: &Author<'_, C>,
        position: Position,
    ) {
        let row = self.rows.get(id);
        let hash = row.hash;
        self.journal.overwrite(hash, op, author, position);
        self.journal.reinstate(row, op, author, position);
        self.rows.image_mut(id).contested = self.journal.has_places(hash);
    }

    /// Applies an op to its row and everything that follows from it.
    pub(crate) fn change_row<C: Context>(
        &mut self,
        id: RowId,
        op: &KeyOp<'_>,
        author: &Author<'_, C>,
        position: Position,
        now_ms: u64,
    ) {
        let mut outcome = Outcome {
            kept_bytes: self.journal.kept_bytes(),
            ..Outcome::default()
        };
        let observed = self.changes.is_some();
        let mut sight = Sight {
            before: false,
            after: false,
            deadline: false,
            expired: false,
            lapsed: self.expire_before_change(id, author.dot.replica, now_ms),
            trimmed: false,
        };
        let hash = self.rows.change(id, now_ms, |row| {
            let was_counted = row.counted;
            if observed {
                sight.before = row.is_visible(now_ms);
            }
            apply(row, op, author, &mut outcome);
            sight.expired = was_counted && row.is_hidden(now_ms) && row.is_live();
            if observed {
                sight.after = row.is_visible(now_ms);
                sight.deadline = row.deadline.is_set();
            }
            row.position = position;
            if !outcome.repeats {
                row.note_members_changed();
            }
            row.hash
        });
        if sight.expired {
            self.rows.note_expired();
        }
        self.rows
            .note_change(hash, author.dot.replica, author.dot.sequence);
        self.waiting.note(hash, op.key.0);
        if observed && !outcome.repeats {
            self.note_sight(op, author.dot.replica, sight, position);
        }
        if outcome.merged {
            self.journal.note_merged();
        }
        outcome.garbage.move_to(&mut self.garbage);
        let [rivals_before, rivals] = outcome.rivals;
        if !outcome.clashes.is_empty() {
            self.watch.note_conflict(hash, rivals, now_ms);
            self.rows.image_mut(id).contested = true;
            for clash in outcome.clashes {
                self.record(op.key.0, hash, clash, position, now_ms);
            }
        }
        if rivals_before > 1 && rivals < 2 {
            self.watch.note_collapse(hash, now_ms);
            self.resolvers.forget(op.key.0);
        }
        if op.key.0.starts_with(RESERVED_PREFIX) {
            self.note_reserved(id);
        }
    }

    /// A key that has expired, but was not found yet, is counted and told of before it becomes another: among own changes
    /// at once, and else beside the one that comes; whether that is so.
    #[inline]
    fn expire_before_change(&mut self, id: RowId, author: ReplicaId, now_ms: u64) -> bool {
        let row = self.rows.get(id);
        let at_ms = row.deadline.at_ms;
        if !row.counted || !row.is_hidden(now_ms) || self.holds_expiries() {
            return false;
        }
        let row = self.rows.hide(at_ms, id);
        match &mut self.changes {
            Some(changes) if author == self.id => {
                changes.note_expired(&row.key);
                false
            }
            _ => true,
        }
    }

    /// Takes note of what one of Isles' own keys says, if this row is of one.
    pub(crate) fn note_reserved(&mut self, id: RowId) {
        let row = self.rows.get(id);
        if row.key.starts_with(RESERVED_PREFIX) {
            let value = row.lww().and_then(|cell| cell.value.as_deref());
            self.keyspaces.note(&row.key, value);
            self.libraries.note(&row.key, value);
            self.resolvers.note(&row.key, value);
        }
    }

    /// The same for all of them.
    pub(crate) fn note_reserved_rows(&mut self) {
        let rows = self.rows.iter().filter(|(_, row)| row.is_reserved());
        let own: Vec<RowId> = rows.map(|(id, _)| id).collect();
        own.into_iter().for_each(|id| self.note_reserved(id));
    }

    #[cold]
    fn note_sight(
        &mut self,
        op: &KeyOp<'_>,
        author: ReplicaId,
        mut sight: Sight,
        position: Position,
    ) {
        let trims = |part: &Part<'_>| matches!(part, Part::Stream(part) if part.trim.is_some());
        sight.trimmed = op.parts.iter().any(trims);
        let Some(changes) = &mut self.changes else {
            return;
        };
        match author == self.id {
            true => changes.note_own(op.key.0, sight),
            false => changes.note_remote(&RemoteChange {
                op,
                sight,
                position,
            }),
        }
    }

    fn record(&mut self, key: &[u8], hash: u64, clash: Clash, position: Position, now_ms: u64) {
        let (keyspace, lens) = self.keyspaces.of(key);
        timed(self.watch.observer(), lens, || {
            let detection = Detection {
                key,
                hash,
                keyspace,
                strategy: lens,
                now_ms,
                position,
            };
            self.journal.push(&detection, clash);
        });
    }
}
