//! Members of sets of both rules as the table keeps them.

use isles_clock::Dot;
use isles_crdt::op::{Presence, Veto};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::paged::Page;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredMember<'a> {
    member: &'a [u8],
    dots: SmallVec<[Dot; 1]>,
}

/// A name of a remove-wins set, be it there or removed.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredName<'a> {
    name: &'a [u8],
    veto: Veto,
}

pub(super) fn stored(page: &Page<Presence>) -> Vec<StoredMember<'_>> {
    let items = page.items().iter();
    items
        .map(|item| StoredMember {
            member: &item.key,
            dots: item.value.dots().into(),
        })
        .collect()
}

pub(super) fn loaded(members: Vec<StoredMember<'_>>) -> Vec<(Box<[u8]>, Presence)> {
    members
        .into_iter()
        .map(|stored| (stored.member.into(), stored.dots.into_iter().collect()))
        .collect()
}

pub(super) fn stored_names(page: &Page<Veto>) -> Vec<StoredName<'_>> {
    let items = page.items().iter();
    items
        .map(|item| StoredName {
            name: &item.key,
            veto: item.value.clone(),
        })
        .collect()
}

pub(super) fn loaded_names(names: Vec<StoredName<'_>>) -> Vec<(Box<[u8]>, Veto)> {
    let names = names.into_iter();
    names
        .map(|stored| (stored.name.into(), stored.veto))
        .collect()
}
