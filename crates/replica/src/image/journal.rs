//! The journal of conflicts as the table keeps it.

use std::collections::HashMap;

use super::{CONFLICT, Images, JOURNAL, SETTLED, ScanTable, TableChange};
use crate::conflict::{ConflictRecord, Settled};
use crate::journal::{Head, JournalChange};
use crate::replica::Replica;
use crate::rows::hash_of;

impl Images {
    /// Encodes what has changed in the journal.
    pub(super) fn encode_journal(&self, each: &mut dyn FnMut(TableChange)) {
        for change in &self.conflicts {
            match change {
                JournalChange::Put(record) => {
                    let key = conflict_key(CONFLICT, record.id);
                    each(TableChange::Put(key, record.encode()));
                }
                JournalChange::Settle(id, by) => {
                    each(TableChange::Put(conflict_key(SETTLED, *id), by.encode()));
                }
                JournalChange::Reopen(id) => {
                    each(TableChange::Delete(conflict_key(SETTLED, *id)));
                }
                JournalChange::Drop(id) => {
                    each(TableChange::Delete(conflict_key(CONFLICT, *id)));
                    each(TableChange::Delete(conflict_key(SETTLED, *id)));
                }
            }
        }
        if let Some(head) = &self.journal {
            each(TableChange::Put(JOURNAL.to_vec(), head.encode()));
        }
    }
}

impl Replica {
    pub(super) fn load_journal(&mut self, scan: &mut ScanTable<'_>) -> Result<(), String> {
        let (mut failed, mut head) = (None, None);
        let mut settled = HashMap::new();
        scan(&[SETTLED], &mut |key, value| match Settled::decode(value) {
            Ok(by) => _ = settled.insert(key[1..].to_vec(), by),
            Err(error) => failed = failed.take().or(Some(error)),
        });
        scan(
            &[CONFLICT],
            &mut |key, value| match ConflictRecord::decode(value) {
                Ok(record) => {
                    if let Some(id) = self.rows.find_open(&record.key, hash_of(&record.key)) {
                        self.rows.image_mut(id).contested = true;
                    }
                    let by = settled.get(&key[1..]).copied();
                    self.journal.restore(record, by);
                }
                Err(error) => failed = failed.take().or(Some(error)),
            },
        );
        scan(JOURNAL, &mut |_, value| match Head::decode(value) {
            Ok(stored) => head = Some(stored),
            Err(error) => failed = failed.take().or(Some(error)),
        });
        self.journal.resume(head);
        failed.map_or(Ok(()), Err)
    }
}

fn conflict_key(prefix: u8, id: u128) -> Vec<u8> {
    [&[prefix][..], &id.to_be_bytes()].concat()
}
