//! Existing keys follow their keyspace to another class of register, or to another rule of sets.

use std::ops::ControlFlow;

use isles_resolve::Class;

use super::{Spot, Txn, ValueType, set_part, type_of};
use crate::frame::ENTRY_BYTES_MAX;
use crate::keyspace::SetRule;
use crate::members::Members;
use crate::op::{Base, Blob, KeyOp, Part, SetPart};

/// Of a set so many bytes are rewritten at once.
pub const MIGRATED_BYTES_MAX: usize = 1 << 20;
/// What a member counts besides its name: rewriting ten thousand of them takes some 10 ms.
const MEMBER_BYTES: usize = 100;
/// Members with longer names stay where they are: an entry has the name of each that is rewritten twice.
const NAME_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(2 * (NAME_BYTES_MAX + MIGRATED_BYTES_MAX) < ENTRY_BYTES_MAX);

/// What became of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// It is as its keyspace says, or neither a register nor a set.
    NotNeeded,
    /// It was rewritten; so many bytes its value has, or what was rewritten of a set.
    Done(usize),
    /// A set has more than [`MIGRATED_BYTES_MAX`], and so many were rewritten: the next call goes on.
    Begun(usize),
    /// It has siblings, of which the other class could keep only one, or a value of each kind, of which one hides the other: somebody
    /// has to choose first.
    HasSiblings,
}

impl Txn<'_> {
    /// Rewrites a register as the class, or a set as the rule, that the keyspace of its key has now; its deadline stays.
    pub fn migrate(&mut self, key: &[u8]) -> Migration {
        let spot = self.spot(key);
        match self.visible(&spot).and_then(type_of) {
            Some(ValueType::String) => self.migrate_register(&spot),
            Some(ValueType::Set) => self.migrate_set(&spot),
            _ => Migration::NotNeeded,
        }
    }

    /// Rewrites a register; its counter stays.
    ///
    /// Nobody's write is lost to it: what it removes of an `lww` register it removes with the stamp right after that of the value, so
    /// that a concurrent write, which is newer, wins. Then the key keeps its class and has a value of each kind.
    fn migrate_register(&mut self, spot: &Spot<'_>) -> Migration {
        let key = spot.key;
        let class = self.replica.keyspaces.of(key).1.class();
        let Some(row) = self.visible(spot) else {
            return Migration::NotNeeded;
        };
        let current = row
            .lww()
            .and_then(|cell| Some((cell.hlc, cell.value.as_ref()?)));
        let versions = row.mv().map_or(&[][..], |cell| cell.versions());
        let (value, op) = match (class, current, versions) {
            // Where both kinds hold something, what readers do not see would go unseen.
            (Class::MultiValue, Some(_), [_, ..]) => return Migration::HasSiblings,
            (Class::MultiValue, Some((hlc, value)), []) => {
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
            (Class::Lww, None, [_, _, ..]) | (Class::Lww, Some(_), [_, ..]) => {
                return Migration::HasSiblings;
            }
            _ => return Migration::NotNeeded,
        };
        let mut op = op;
        let part = match class {
            Class::MultiValue => Part::RegisterMv {
                value: Blob(&value),
            },
            Class::Lww => Part::RegisterLww {
                stamp: self.raised_lww(self.before(spot)),
                value: Some(Blob(&value)),
            },
        };
        set_part(&mut op, part);
        self.write(spot, &op);
        Migration::Done(value.len())
    }
    /// Takes the members that are not under the rule of the keyspace out of the set of the other rule and adds them to that of
    /// this one. Also those that this one has already: elsewhere somebody may take them out of it, to the other one.
    ///
    /// Readers see no change. What is added under the other rule meanwhile stays there, and wants to be migrated again.
    fn migrate_set(&mut self, spot: &Spot<'_>) -> Migration {
        let rule = self.replica.keyspaces.sets_of(spot.key);
        let Some(set) = self.visible(spot).and_then(Members::of) else {
            return Migration::NotNeeded;
        };
        let (names, is_all) = under_other_rule(set, rule);
        if names.is_empty() {
            return Migration::NotNeeded;
        }
        let blobs = || names.iter().map(|name| Blob(name)).collect();
        let removed = SetPart {
            remove: blobs(),
            ..SetPart::default()
        };
        let added = SetPart {
            add: blobs(),
            ..SetPart::default()
        };
        let mut op = KeyOp::new(spot.key);
        op.parts.extend(match rule {
            SetRule::AddWins => [Part::SetAw(added), Part::SetRw(removed)],
            SetRule::RemoveWins => [Part::SetAw(removed), Part::SetRw(added)],
        });
        self.write(spot, &op);
        let bytes = names.iter().map(|name| name.len() + MEMBER_BYTES).sum();
        match is_all {
            true => Migration::Done(bytes),
            false => Migration::Begun(bytes),
        }
    }
}

/// The members that are under the other rule, as many as are rewritten at once, and whether these are all.
fn under_other_rule(set: Members<'_>, rule: SetRule) -> (Vec<Vec<u8>>, bool) {
    let other = match rule {
        SetRule::AddWins => set.remove_wins().map(Members::RemoveWins),
        SetRule::RemoveWins => set.add_wins().map(Members::AddWins),
    };
    let (mut names, mut bytes, mut is_all) = (Vec::new(), 0, true);
    if let Some(other) = other {
        other.each(&mut |name| {
            if bytes >= MIGRATED_BYTES_MAX {
                is_all = false;
                return ControlFlow::Break(());
            }
            if name.len() <= NAME_BYTES_MAX {
                bytes += name.len() + MEMBER_BYTES;
                names.push(name.to_vec());
            }
            ControlFlow::Continue(())
        });
    }
    (names, is_all)
}
