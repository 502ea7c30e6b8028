//! Mistakes made on purpose, so that a simulator can prove that it would notice such a bug. Nothing else calls this.

use isles_clock::{Context, Dot};
use isles_crdt::Crdt;
use isles_crdt::op::{Contribution, Tally, Version};

use crate::cold::Loaded;
use crate::paged::PagedMap;
use crate::replica::Replica;
use crate::row::{Component, Field, Row};
use crate::rows::RowId;
use crate::sum;

/// What an implementer could get wrong about what a row keeps; applied after every change, it is that bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A map field keeps the value with the greatest stamp instead of every value that nothing has observed.
    OneValuePerField,
    /// A list element keeps the value with the greatest stamp, as above.
    OneValuePerElement,
    /// A stream keeps the last of several entries that were given one id.
    OneEntryPerId,
    /// A consumer group takes everything up to the last id that it has delivered for delivered.
    LateIsSkipped,
    /// A consumer group forgets what it has delivered once all of it is acknowledged.
    AcknowledgedIsForgotten,
    /// A contribution counts as covered when its difference is zero.
    ZeroIsCovered,
    /// Covered contributions are dropped at once instead of when they are stable.
    CoveredIsDropped,
    /// A disable-wins flag forgets a removal as soon as an addition has observed it.
    ObservedRemovalIsDropped,
    /// Of sketches and bounded counters nobody remembers who has changed them lately, and who has deleted one.
    TrailIsForgotten,
    /// A document knows only what its own writer has added to its numbers, and not what those had added whom it replaced.
    InheritedIsForgotten,
}

struct AllBut(Dot);

impl Context for AllBut {
    fn covers(&self, dot: Dot) -> bool {
        dot != self.0
    }
}

struct Only(Dot);

impl Context for Only {
    fn covers(&self, dot: Dot) -> bool {
        dot == self.0
    }
}

impl Replica {
    /// Damages every row.
    pub fn damage(&mut self, damage: Damage) {
        let rows: Vec<RowId> = self.rows.iter().map(|(id, _)| id).collect();
        for id in rows {
            let id = self.rows.opened(id);
            self.rows.change(id, 0, |row| {
                row.components
                    .iter_mut()
                    .for_each(|component| damage_component(component, row.hash, damage));
                row.sum = sum::of_row(row);
                Row::sweep(row);
            });
        }
    }
}

/// Mistakes about what is not in memory.
impl Replica {
    /// From here on, a key that is not in memory counts as absent.
    pub fn deny_cold(&mut self) {
        self.rows.deny_cold();
    }

    /// What was loaded is taken for current, whatever has happened since.
    pub fn renew(&self, loaded: &mut Loaded) {
        loaded.renew(&self.rows);
    }
}

fn damage_component(component: &mut Component, hash: u64, damage: Damage) {
    if damage == Damage::TrailIsForgotten
        && let Some(trail) = component.trail_mut()
    {
        *trail = None;
    }
    match component {
        Component::MvSummed(summed) if damage == Damage::InheritedIsForgotten => {
            summed.forget_inherited();
            component.forget_sums();
        }
        Component::FlagDw(flag)
            if damage == Damage::ObservedRemovalIsDropped && flag.is_present() =>
        {
            let removals = flag.removals().iter();
            let all = removals.map(|dot| (dot.replica, dot.sequence));
            flag.forget(&all.collect());
        }
        Component::Counter(tally) => damage_tally(tally, damage),
        Component::List(list) if damage == Damage::OneValuePerElement => {
            let elements = list.elements().elements().map(|(position, versions)| {
                let latest = versions
                    .max_by_key(Version::stamp)
                    .map(|version| version.dot);
                (position, latest)
            });
            let elements: Vec<_> = elements.collect();
            for (position, latest) in elements {
                if let Some(latest) = latest {
                    list.elements_mut().remove(&position, &AllBut(latest));
                }
            }
        }
        Component::Map(map) => {
            map.fields = damaged(&map.fields, damage);
            map.live = map
                .fields
                .iter()
                .filter(|(_, field)| field.is_live())
                .count();
        }
        Component::Stream(stream) if damage == Damage::OneEntryPerId => {
            let names: Vec<_> = stream.iter().map(|entry| entry.name).collect();
            let twins = names.windows(2).filter(|pair| pair[0].id == pair[1].id);
            for twin in twins.map(|pair| pair[0]) {
                stream.remove(twin.id, &Only(twin.dot), &mut |_| {});
            }
        }
        Component::Stream(stream) if damage == Damage::LateIsSkipped => stream.groups.skip_late(),
        Component::Stream(stream) if damage == Damage::AcknowledgedIsForgotten => {
            stream.groups.forget_acknowledged(hash);
        }
        Component::SortedSet(set) => drop(set.replace(damaged(set.members(), damage))),
        _ => {}
    }
}

fn damaged<V: Clone>(fields: &PagedMap<Field<V>>, damage: Damage) -> PagedMap<Field<V>> {
    fields.rebuilt(
        |_| false,
        |_, field| {
            let mut field = field.clone();
            damage_field(&mut field, damage).then_some(field)
        },
    )
}

/// Whether anything is left of it.
fn damage_field<V>(field: &mut Field<V>, damage: Damage) -> bool {
    if let (Damage::OneValuePerField, Some(latest)) = (damage, field.cell.latest()) {
        let keep = AllBut(latest.dot);
        field.cell.remove(&keep);
    }
    if let Some(tally) = &mut field.tally {
        damage_tally(tally, damage);
    }
    !field.is_residue_free()
}

fn damage_tally(tally: &mut Tally, damage: Damage) {
    match damage {
        Damage::OneValuePerField
        | Damage::OneValuePerElement
        | Damage::OneEntryPerId
        | Damage::LateIsSkipped
        | Damage::AcknowledgedIsForgotten
        | Damage::ObservedRemovalIsDropped
        | Damage::TrailIsForgotten
        | Damage::InheritedIsForgotten => {}
        Damage::CoveredIsDropped => tally.drop_covered(),
        Damage::ZeroIsCovered => {
            let cover = |each: &Contribution| match each.value() {
                0 => Contribution {
                    reset_sequence: each.sequence,
                    ..*each
                },
                _ => *each,
            };
            *tally = tally.contributions().iter().map(cover).collect();
        }
    }
}
