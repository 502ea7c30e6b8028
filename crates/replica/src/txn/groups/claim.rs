//! Entries that change hands.

use super::super::Txn;
use super::{Found, GROUP_FORCED_MAX, GROUP_PENDING_MAX, GroupError, check_consumer, entry_ref};
use crate::op::{Blob, GroupChange, GroupMark, MarkHow};
use crate::stream::{Pending, StreamId};

/// How entries are claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamClaim {
    /// Only what was not delivered for so long, in milliseconds.
    pub idle_ms_min: u64,
    /// When they are to have been delivered, in milliseconds since 1970; none for now.
    pub at_ms: Option<u64>,
    /// How often they are to have been delivered; none for once more, or, with `is_quiet`, for as often as before.
    pub count: Option<u64>,
    /// The consumer is told ids only, which is no delivery.
    pub is_quiet: bool,
    /// Entries that are not pending become so.
    pub is_forced: bool,
    /// What is delivered up to at least.
    pub last: StreamId,
}

/// What XAUTOCLAIM did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoClaimed {
    /// Where to go on; none at the end.
    pub next: Option<StreamId>,
    /// What the consumer has now.
    pub claimed: Vec<StreamId>,
    /// What was pending and is gone from the stream; it is no longer pending.
    pub deleted: Vec<StreamId>,
}

/// How many pending entries XAUTOCLAIM looks at for each one that it may claim.
const ATTEMPTS_PER_CLAIM: usize = 10;

impl StreamClaim {
    fn is_idle(&self, pending: &Pending, now_ms: u64) -> bool {
        now_ms.saturating_sub(pending.mark().at_ms) >= self.idle_ms_min
    }

    fn count(&self, before: u64) -> u64 {
        let once_more = before.saturating_add(u64::from(!self.is_quiet));
        self.count.unwrap_or(once_more)
    }

    fn take(&self, pending: &Pending, change: &mut GroupChange<'_>) {
        change.marks.push(GroupMark {
            entry: entry_ref(&pending.name, &mut change.writers),
            count: self.count(pending.mark().count),
            how: MarkHow::Claimed(pending.life),
        });
    }
}

fn acknowledge(pending: &Pending, change: &mut GroupChange<'_>) {
    let entry = entry_ref(&pending.name, &mut change.writers);
    change.acks.push((entry, pending.life));
}

impl Txn<'_> {
    /// Gives entries that are pending to a consumer; returns the ids of those that it has now. Those that are gone from the
    /// stream are acknowledged instead.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn group_claim(
        &mut self,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        ids: &[StreamId],
        claim: StreamClaim,
    ) -> Result<Vec<StreamId>, GroupError> {
        let spot = self.spot(key);
        let now_ms = self.now_ms();
        let found = self.advanced_group(&spot, name)?;
        check_consumer(&found, consumer)?;
        let mut change = found.change(name);
        let (last, read) = found.group.last();
        let passes = claim.last > last;
        if passes {
            pass_over(&found, claim.last, &mut change)?;
        }
        let (mut claimed, mut forced) = (Vec::new(), 0);
        for id in ids {
            let of_id = found.group.pending_from(*id);
            let of_id: Vec<&Pending> = of_id.take_while(|each| each.name.id == *id).collect();
            let before = change.marks.len();
            if found.stream.with_id(*id).next().is_none() {
                of_id
                    .into_iter()
                    .for_each(|pending| acknowledge(pending, &mut change));
            } else if of_id.is_empty() && claim.is_forced {
                for entry in found.stream.with_id(*id) {
                    forced += 1;
                    change.marks.push(GroupMark {
                        entry: entry_ref(&entry.name, &mut change.writers),
                        count: claim.count(1),
                        how: MarkHow::Forced(found.group.life(&entry.name) + 1),
                    });
                }
            } else {
                let idle = of_id
                    .into_iter()
                    .filter(|pending| claim.is_idle(pending, now_ms));
                idle.for_each(|pending| claim.take(pending, &mut change));
            }
            if change.marks.len() > before {
                claimed.push(*id);
            }
        }
        if found.group.pending.weight() + forced > GROUP_PENDING_MAX {
            return Err(GroupError::TooManyPending);
        }
        if found.group.lives.len() + forced > GROUP_FORCED_MAX {
            return Err(GroupError::TooManyForced);
        }
        if passes {
            change.reach = Some(self.reach(claim.last, read));
        }
        change.at_ms = claim.at_ms.unwrap_or(now_ms);
        if !change.marks.is_empty() {
            change.consumer = Some((Blob(consumer), now_ms));
        }
        if passes || !change.marks.is_empty() || !change.acks.is_empty() {
            self.write_change(&spot, change);
        }
        Ok(claimed)
    }

    /// The same for whatever is pending from an id on, up to so many entries.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn group_auto_claim(
        &mut self,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        from: StreamId,
        count: usize,
        claim: StreamClaim,
    ) -> Result<AutoClaimed, GroupError> {
        let spot = self.spot(key);
        let now_ms = self.now_ms();
        let found = self.group(&spot, name)?;
        check_consumer(&found, consumer)?;
        let mut change = found.change(name);
        let mut done = AutoClaimed::default();
        let mut pending = found.group.pending_from(from);
        let mut attempts = count.saturating_mul(ATTEMPTS_PER_CLAIM);
        while attempts > 0 && done.claimed.len() + done.deleted.len() < count {
            attempts -= 1;
            let Some(pending) = pending.next() else { break };
            let id = pending.name.id;
            if found.stream.with_id(id).next().is_none() {
                acknowledge(pending, &mut change);
                done.deleted.push(id);
            } else if claim.is_idle(pending, now_ms) {
                claim.take(pending, &mut change);
                done.claimed.push(id);
            }
        }
        done.next = pending.next().map(|pending| pending.name.id);
        drop(pending);
        change.at_ms = now_ms;
        if !change.marks.is_empty() {
            change.consumer = Some((Blob(consumer), now_ms));
        }
        if !change.marks.is_empty() || !change.acks.is_empty() {
            self.write_change(&spot, change);
        }
        Ok(done)
    }
}

/// Acknowledges what is passed over unread.
fn pass_over(
    found: &Found<'_>,
    through: StreamId,
    change: &mut GroupChange<'_>,
) -> Result<(), GroupError> {
    let passed = found.group.undelivered(found.stream);
    for entry in passed.take_while(|entry| entry.name.id <= through) {
        let entry = entry_ref(&entry.name, &mut change.writers);
        change.acks.push((entry, 0));
    }
    match change.acks.len() <= GROUP_PENDING_MAX {
        true => Ok(()),
        false => Err(GroupError::TooManyPending),
    }
}
