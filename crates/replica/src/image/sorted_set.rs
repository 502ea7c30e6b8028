//! Members of sorted sets as the table keeps them; the order is made anew from the scores.

use isles_clock::{Dot, Hlc};
use isles_crdt::op::{Contribution, Version};
use isles_crdt::sorted_set::Score;
use serde::{Deserialize, Serialize};

use crate::paged::Page;
use crate::row::Field;
use crate::sorted_set::Member;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredScore<'a> {
    member: &'a [u8],
    versions: Vec<(Dot, Hlc, Score)>,
    contributions: Vec<Contribution>,
}

pub(super) fn stored(page: &Page<Member>) -> Vec<StoredScore<'_>> {
    let of = |member: &Member| {
        let versions = member.cell.versions().iter();
        versions
            .map(|version| (version.dot, version.hlc, version.value))
            .collect()
    };
    let items = page.items().iter();
    items
        .map(|item| StoredScore {
            member: &item.key,
            versions: of(&item.value),
            contributions: super::contributions(&item.value),
        })
        .collect()
}

pub(super) fn loaded(members: Vec<StoredScore<'_>>) -> Vec<(Box<[u8]>, Member)> {
    let member = |stored: StoredScore<'_>| {
        let versions = stored.versions.into_iter();
        let cell = versions
            .map(|(dot, hlc, value)| Version { dot, hlc, value })
            .collect();
        let tally = super::loaded_tally(stored.contributions);
        (stored.member.into(), Field { cell, tally })
    };
    members.into_iter().map(member).collect()
}
