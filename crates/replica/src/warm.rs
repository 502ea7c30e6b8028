//! Bringing rows near before a batch of commands needs them.
//!
//! A command that looks up a key follows four or five pointers, and each is a wait for memory. The commands of one read
//! buffer are known beforehand, so all of them take the first step, then all the second, and so on: the waits of one step
//! overlap, because none of its loads depends on another. Nothing is changed and nothing is remembered.

use smallvec::SmallVec;

use crate::op::{Entry, Part};
use crate::paged::Depth;
use crate::replica::Replica;
use crate::row::Component;
use crate::rows::{Guess, hash_of};

/// How many keys are brought near at once; more would push each other out of the nearest cache.
pub const WARM_MAX: usize = 32;

/// With so many look-ups to come it pays.
pub const WARM_MIN: usize = 4;

/// A key that a command is about to use, and the member or field of it, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'k> {
    /// The key.
    pub key: &'k [u8],
    /// The member or field.
    pub element: Option<&'k [u8]>,
    /// Whether the command may write it, for which more is to be brought near.
    pub is_written: bool,
}

impl<'k> Wanted<'k> {
    /// What applying an entry is going to use first.
    pub(crate) fn of(entry: &Entry<'k>) -> Option<Wanted<'k>> {
        let op = entry.ops.first()?;
        let element = op.parts.first().and_then(|part| match part {
            Part::SetAw(set) | Part::SetRw(set) => set.add.first().copied(),
            Part::Map(map) => map.put.first().map(|put| put.field),
            Part::SortedSet(set) => set.put.first().map(|put| put.field),
            _ => None,
        });
        Some(Wanted {
            key: op.key.0,
            element: element.map(|element| element.0),
            is_written: true,
        })
    }
}

/// The hash of a key, and the element of it that is wanted.
type Hashed<'k> = (u64, Option<&'k [u8]>);

/// A row, and the element of it that is wanted.
type Near<'r> = (Guess<'r>, Option<&'r [u8]>);

impl Replica {
    /// Reads what looking up up to [`WARM_MAX`] keys is going to read. Worth its 20 ns per key from [`WARM_MIN`] on.
    pub fn warm<'k>(&self, wanted: impl Iterator<Item = Wanted<'k>>) {
        let mut read = 0;
        let keys = wanted.take(WARM_MAX).map(|wanted| {
            let hash = hash_of(wanted.key);
            read ^= self.rows.warm_index(hash);
            if wanted.is_written {
                read ^= self.rows.warm_bucket(hash);
            }
            (hash, wanted.element)
        });
        let keys: SmallVec<[Hashed<'_>; WARM_MAX]> = keys.collect();
        for (hash, _) in &keys {
            read ^= self.rows.warm_place(*hash);
        }
        let rows = keys.into_iter();
        let rows = rows.filter_map(|(hash, element)| Some((self.rows.guess(hash)?, element)));
        let rows: SmallVec<[Near<'_>; WARM_MAX]> = rows.collect();
        let steps = [Depth::Page, Depth::Hashes, Depth::Item];
        let deep = rows.iter().any(|(_, element)| element.is_some());
        read ^= read_rows(&rows);
        for depth in steps.into_iter().filter(|_| deep) {
            for (row, element) in &rows {
                let (Some(element), Guess::Open(row)) = (element, row) else {
                    continue;
                };
                read ^= match row.components.first() {
                    Some(Component::Set(set)) => set.members.warm(element, depth),
                    Some(Component::SetRw(set)) => set.names().warm(element, depth),
                    Some(Component::Map(map)) => map.fields.warm(element, depth),
                    Some(Component::SortedSet(set)) => set.members().warm(element, depth),
                    _ => 0,
                };
            }
        }
        // Without a use of what was read, nothing would be.
        std::hint::black_box(read);
    }
}

fn read_rows(rows: &[Near<'_>]) -> usize {
    let mut read = 0;
    for (row, _) in rows {
        read ^= match row {
            Guess::Open(row) => {
                row.key.len()
                    ^ row.sum as usize
                    ^ usize::from(row.counted)
                    ^ usize::from(row.is_live())
            }
            Guess::AtRest(packed) => packed.warm(),
        };
    }
    for (row, _) in rows {
        let Guess::Open(row) = row else { continue };
        read ^= usize::from(row.key.first().copied().unwrap_or_default());
        if let Some(Component::Lww(cell)) = row.components.first() {
            let value = cell.value.as_deref().unwrap_or_default();
            read ^= usize::from(value.first().copied().unwrap_or_default());
        }
    }
    read
}
