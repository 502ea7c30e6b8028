//! Of two types under one key the one that readers do not see, brought to light.

use std::ops::ControlFlow;

use isles_crdt::op::Tally;

use super::{ListEnd, RestoreError, Spot, Txn};
use crate::apply::type_class;
use crate::conflict::ConflictRecord;
use crate::members::Members;
use crate::op::{KeyOp, Kind, Part};
use crate::row::Row;
use crate::rows::RESERVED_PREFIX;

impl Txn<'_> {
    /// Takes away what hides the value that lost, type by type, so that readers see that one.
    pub(super) fn bring_to_light(&mut self, record: &ConflictRecord) -> Result<(), RestoreError> {
        let key = &record.key[..];
        if key.starts_with(RESERVED_PREFIX) {
            return Err(RestoreError::Reserved);
        }
        let spot = self.spot(key);
        let row = self.visible(&spot).ok_or(RestoreError::Gone("a key"))?;
        let wanted = record.component.map(|kind| type_class(row, kind));
        let mut live = row.components.iter().filter(|each| each.is_live());
        if !live.any(|each| Some(type_class(row, each.kind())) == wanted) {
            return Err(RestoreError::Gone("a value of that type"));
        }
        // Each turn removes one component for good, and there is at most one of a kind.
        for _ in Kind::ALL {
            let spot = self.spot(key);
            let row = self.visible(&spot).ok_or(RestoreError::Gone("a key"))?;
            let kind = row.visible().map(|component| component.kind());
            if kind.map(|kind| type_class(row, kind)) == wanted {
                return Ok(());
            }
            self.take_away(&spot, kind, record)?;
        }
        Err(RestoreError::Gone("a value of that type"))
    }

    /// Removes the component that readers see, and leaves those that it hides.
    fn take_away(
        &mut self,
        spot: &Spot<'_>,
        kind: Option<Kind>,
        record: &ConflictRecord,
    ) -> Result<(), RestoreError> {
        let (key, every) = (spot.key, "the type was just looked at");
        match kind {
            Some(Kind::RegisterLww | Kind::Counter) => {
                let mut op = KeyOp::new(key);
                let row = self.before(spot);
                op.resets = row
                    .and_then(Row::tally)
                    .map_or_else(Default::default, Tally::resets);
                let has_text = row.and_then(Row::lww).is_some_and(|it| it.value.is_some());
                if has_text {
                    op.parts.push(Part::RegisterLww {
                        stamp: self.raised_lww(row),
                        value: None,
                    });
                }
                self.write(spot, &op);
            }
            Some(Kind::Map) => {
                let mut names = Vec::new();
                let each = &mut |name: &[u8], _: &[u8]| {
                    names.push(name.to_vec());
                    ControlFlow::Continue(())
                };
                self.hash_each(key, each).expect(every);
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                self.hash_remove(key, &names).expect(every);
            }
            Some(Kind::SetAw | Kind::SetRw) => {
                let mut members = Vec::new();
                if let Some(set) = self.visible(spot).and_then(Members::of) {
                    set.each(&mut |member| {
                        members.push(member.to_vec());
                        ControlFlow::Continue(())
                    });
                }
                let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
                self.set_remove(key, &members).expect(every);
            }
            Some(Kind::SortedSet) => {
                let set = self.visible(spot).and_then(Row::sorted_set);
                let members: Vec<Vec<u8>> = set
                    .into_iter()
                    .flat_map(|set| set.iter().map(|(member, _)| member.to_vec()))
                    .collect();
                let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
                self.sorted_set_remove(key, &members).expect(every);
            }
            Some(Kind::List) => {
                self.list_pop(key, ListEnd::Front, usize::MAX).expect(every);
            }
            _ => {
                return Err(RestoreError::NoValue {
                    kind: record.kind,
                    component: record.component_name(),
                    hint: "what is visible goes only with the whole key: read both by their commands and write what you want",
                });
            }
        }
        Ok(())
    }
}
