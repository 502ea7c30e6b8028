//! Commands on lists, by definition.
//!
//! Which elements there are and what they hold is a function of the entries. In which order they lie is not: there it is
//! defined what a command does to the order that it finds, and that the order of two elements never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use isles_replica::{InsertError, ListEnd, ListSide, Txn};

use super::{Draft, slices};
use crate::command::Bytes;
use crate::model::{ElementId, KeyState, Type, element_value, id_of};

/// Elements in their order, with what readers see of them.
pub(super) type View = Vec<(ElementId, Bytes)>;

impl Draft<'_> {
    /// A list in the order in which the replica has it; what it holds is compared with what it holds by definition.
    pub(super) fn list_view(&self, txn: &mut Txn<'_>, key: &[u8]) -> Result<View, String> {
        let mut state = match self.visible(key) {
            Some(Type::List) => self.now(key),
            _ => KeyState::default(),
        };
        let names = txn.list_names(key);
        let view = names.iter().filter_map(|name| {
            let id = id_of(name);
            let versions = state.list.remove(&id)?;
            Some((id, element_value(&versions)))
        });
        let view: View = view.collect();
        self.same(&names.len(), &view.len())?;
        self.same(&BTreeMap::new(), &state.list)?;
        Ok(view)
    }

    /// The view of a key that is absent or a list; none of another type.
    fn view(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<Option<View>, String> {
        match self.typed(key, Type::List) {
            Some(_) => self.list_view(txn, key).map(Some),
            None => Ok(None),
        }
    }

    /// After a command the elements lie as it says.
    fn lies(&self, txn: &mut Txn<'_>, key: &[u8], expected: Option<View>) -> Result<(), String> {
        let Some(expected) = expected else {
            return Ok(());
        };
        let found = self.list_view(txn, key)?;
        self.same(&expected, &found)
    }

    /// New elements of this entry.
    pub(super) fn insert_elements(&mut self, key: &[u8], values: &[Bytes]) -> View {
        let dot = self.entry.dot;
        let list = &mut self.effect(key).list;
        let mut view = View::new();
        for value in values {
            list.inserts.insert(list.ordinals, value.clone());
            view.push(((dot, list.ordinals), value.clone()));
            list.ordinals += 1;
        }
        view
    }

    fn remove_elements(&mut self, key: &[u8], ids: impl Iterator<Item = ElementId>) {
        let dot = self.entry.dot;
        for id in ids {
            let list = &mut self.effect(key).list;
            if id.0 == dot {
                list.inserts.remove(&id.1);
            } else {
                list.writes.remove(&id);
                list.removes.insert(id);
            }
        }
    }

    pub(super) fn list_push(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        end: ListEnd,
        values: &[Bytes],
    ) -> Result<(), String> {
        let mut view = self.view(txn, key)?;
        if let Some(view) = &mut view {
            self.create(key);
            let mut in_order = values.to_vec();
            if end == ListEnd::Front {
                in_order.reverse();
            }
            let new = self.insert_elements(key, &in_order);
            let at = if end == ListEnd::Front { 0 } else { view.len() };
            view.splice(at..at, new);
        }
        let found = txn.list_push(key, end, &slices(values)).ok();
        self.same(&view.as_ref().map(Vec::len), &found)?;
        self.lies(txn, key, view)
    }

    pub(super) fn list_pop(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        end: ListEnd,
        count: usize,
    ) -> Result<Option<Vec<Bytes>>, String> {
        let mut view = self.view(txn, key)?;
        let mut expected = None;
        if let Some(view) = &mut view {
            let count = count.min(view.len());
            let popped: View = match end {
                ListEnd::Front => view.drain(..count).collect(),
                ListEnd::Back => view.drain(view.len() - count..).rev().collect(),
            };
            self.remove_elements(key, popped.iter().map(|(id, _)| *id));
            expected = Some(
                popped
                    .into_iter()
                    .map(|(_, value)| value)
                    .collect::<Vec<_>>(),
            );
        }
        let found = txn.list_pop(key, end, count).ok();
        let found = found.map(|popped| popped.iter().map(|value| value.to_vec()).collect());
        self.same(&expected, &found)?;
        self.lies(txn, key, view)?;
        Ok(expected)
    }

    pub(super) fn list_move(
        &mut self,
        txn: &mut Txn<'_>,
        [from, to]: [&Bytes; 2],
        [from_end, to_end]: [ListEnd; 2],
    ) -> Result<(), String> {
        let len = self.view(txn, to)?.map(|view| view.len());
        self.same(&len, &txn.list_len(to).ok())?;
        if len.is_none() {
            return Ok(());
        }
        let popped = self.list_pop(txn, from, from_end, 1)?;
        match popped.as_deref() {
            Some([value]) => self.list_push(txn, to, to_end, std::slice::from_ref(value)),
            _ => Ok(()),
        }
    }

    pub(super) fn list_set(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        index: usize,
        value: &[u8],
    ) -> Result<(), String> {
        let mut view = self.view(txn, key)?;
        let slot = view.as_mut().and_then(|view| view.get_mut(index));
        let expected = self.typed(key, Type::List).map(|_| slot.is_some());
        if let Some((id, old)) = slot {
            value.clone_into(old);
            let before = self.before(key);
            let replaced = before.list.get(id).into_iter().flatten();
            let stamp = self.raised(replaced.map(|version| version.1).max());
            let (id, dot) = (*id, self.entry.dot);
            let list = &mut self.effect(key).list;
            if id.0 == dot {
                list.inserts.insert(id.1, value.to_vec());
            } else {
                list.writes.insert(id, (stamp, value.to_vec()));
            }
        }
        self.same(&expected, &txn.list_set(key, index, value).ok())?;
        self.lies(txn, key, view)
    }

    pub(super) fn list_insert(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        side: ListSide,
        pivot: &[u8],
        value: &Bytes,
    ) -> Result<(), String> {
        let mut view = self.view(txn, key)?;
        let expected = match &mut view {
            None => Err(InsertError::WrongType),
            Some(view) => match view.iter().position(|(_, other)| other == pivot) {
                None => Err(InsertError::NoPivot),
                Some(index) => {
                    let at = index + usize::from(side == ListSide::After);
                    let new = self.insert_elements(key, std::slice::from_ref(value));
                    view.splice(at..at, new);
                    Ok(view.len())
                }
            },
        };
        self.same(&expected, &txn.list_insert(key, side, pivot, value))?;
        self.lies(txn, key, view)
    }

    pub(super) fn list_remove(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        count: i64,
        value: &[u8],
    ) -> Result<(), String> {
        let mut view = self.view(txn, key)?;
        let mut expected = None;
        if let Some(view) = &mut view {
            let matching = view
                .iter()
                .filter(|(_, other)| other == value)
                .map(|(id, _)| *id);
            let mut gone: Vec<ElementId> = matching.collect();
            if count < 0 {
                gone.reverse();
            }
            if count != 0 {
                gone.truncate(count.unsigned_abs() as usize);
            }
            let taken: BTreeSet<ElementId> = gone.iter().copied().collect();
            view.retain(|(id, _)| !taken.contains(id));
            expected = Some(gone.len());
            self.remove_elements(key, gone.into_iter());
        }
        self.same(&expected, &txn.list_remove(key, count, value).ok())?;
        self.lies(txn, key, view)
    }

    pub(super) fn list_trim(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        start: usize,
        len: usize,
    ) -> Result<(), String> {
        let view = self.view(txn, key)?;
        let kept = view.as_ref().map(|view| {
            let kept = view.iter().skip(start).take(len);
            kept.cloned().collect::<View>()
        });
        if let (Some(view), Some(kept)) = (view, &kept) {
            let gone = view.iter().enumerate();
            let gone = gone.filter(|(index, _)| !(start..start + len).contains(index));
            let gone = gone.map(|(_, (id, _))| *id);
            match kept.is_empty() {
                // Nothing is left of the key.
                true if !view.is_empty() => self.clear(key),
                _ => self.remove_elements(key, gone),
            }
        }
        let found = txn.list_trim(key, start..start + len).ok();
        self.same(&kept.as_ref().map(|_| ()), &found)?;
        self.lies(txn, key, kept)
    }

    pub(super) fn list_all(&mut self, txn: &mut Txn<'_>, key: &[u8]) -> Result<(), String> {
        let view = self.view(txn, key)?;
        let expected =
            view.map(|view| view.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
        let mut values = Vec::new();
        let found = txn.list_each(key, 0..usize::MAX, &mut |_, value| {
            values.push(value.to_vec());
            ControlFlow::Continue(())
        });
        self.same(&expected, &found.ok().map(|()| values))
    }
}
