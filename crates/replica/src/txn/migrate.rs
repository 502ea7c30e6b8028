//! Existing keys follow their keyspace to another class of register.

use isles_resolve::Class;

use super::{Txn, set_part};
use crate::op::{Base, Blob, KeyOp, Part};

/// What became of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// It is of the class of its keyspace, or no register.
    NotNeeded,
    /// It was rewritten; so many bytes its value has.
    Done(usize),
    /// It has siblings, of which the other class could keep only one: somebody has to choose first.
    HasSiblings,
}

impl Txn<'_> {
    /// Rewrites the register of a key as the class that its keyspace has now; its counter and its deadline stay.
    ///
    /// Nobody's write is lost to it: what it removes of an `lww` register it removes with the stamp right after that of the value, so
    /// that a concurrent write, which is newer, wins. Then the key keeps its class, and wants to be migrated again.
    pub fn migrate(&mut self, key: &[u8]) -> Migration {
        let spot = self.spot(key);
        let class = self.replica.keyspaces.of(key).1.class();
        let Some(row) = self.visible(&spot) else {
            return Migration::NotNeeded;
        };
        let current = row
            .lww()
            .and_then(|cell| Some((cell.hlc, cell.value.as_ref()?)));
        let versions = row.mv().map_or(&[][..], |cell| cell.versions());
        let (value, op) = match (class, current, versions) {
            (Class::MultiValue, Some((hlc, value)), _) => {
                let value = value.to_vec();
                let mut op = KeyOp::new(key);
                op.parts.push(Part::RegisterLww {
                    stamp: Some(hlc.next()),
                    value: None,
                });
                (value, op)
            }
            (Class::Lww, None, [only]) => {
                let value = only.value.to_vec();
                let mut op = KeyOp::new(key);
                op.base = Base::Clear;
                if row.deadline.is_set() {
                    let at_ms = Some(row.deadline.at_ms);
                    let stamp = self.raised_deadline(Some(row));
                    op.parts.push(Part::Deadline { stamp, at_ms });
                }
                (value, op)
            }
            (Class::Lww, None, [_, _, ..]) => return Migration::HasSiblings,
            _ => return Migration::NotNeeded,
        };
        let mut op = op;
        let part = match class {
            Class::MultiValue => Part::RegisterMv {
                value: Blob(&value),
            },
            Class::Lww => Part::RegisterLww {
                stamp: self.raised_lww(self.before(&spot)),
                value: Some(Blob(&value)),
            },
        };
        set_part(&mut op, part);
        self.write(&spot, &op);
        Migration::Done(value.len())
    }
}
