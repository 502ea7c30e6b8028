//! Comparing content with a peer while both go on writing.
//!
//! Each side sends content sums of some buckets in turn, and each compares what it gets with its own. Two sums of a
//! bucket are comparable when neither side has changed it in a way that the other had not applied; then they must be
//! equal. The digest of everything takes part as one more bucket that changes with every entry.

use isles_clock::{ReplicaId, VectorClock};
use isles_transport::{BucketSum, Message, Sums};

use super::{Effect, Effects, Host, Now, Timing};

pub(super) const BUCKETS: u32 = crate::BUCKETS as u32;

/// The number under which the digest of all content travels.
const WHOLE: u32 = BUCKETS;
const _: () = assert!(WHOLE == u16::MAX as u32 + 1);

/// What a bucket holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketContent {
    /// The sum over everything live in it.
    pub sum: u128,
    /// The clock at which it last changed.
    pub changed: VectorClock,
}

/// What the audit of one session has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Buckets whose sums were comparable, the digest of everything included.
    pub compared: u64,
    /// Buckets that one side had changed meanwhile.
    pub incomparable: u64,
    /// Comparable buckets whose sums differed.
    pub diverged: u64,
    /// The newest clock at which both sides had the same content, as a whole.
    pub agreed: VectorClock,
}

/// The audit of one session.
#[derive(Debug)]
pub(super) struct Audit {
    next_bucket: u32,
    due_ms: u64,
    /// Sums that were taken and wait until the log is durable through the place at which they were.
    taken: Option<Sums>,
    digest_sent: VectorClock,
    counts: AuditCounts,
}

impl Audit {
    pub(super) fn new(now: Now, timing: &Timing, nonce: u64) -> Self {
        Audit {
            // Sessions begin at different places, so that short ones audit everything, too.
            next_bucket: (nonce % u64::from(BUCKETS / timing.audit_buckets)) as u32
                * timing.audit_buckets,
            due_ms: now.ms + timing.audit_every_ms,
            taken: None,
            digest_sent: VectorClock::new(),
            counts: AuditCounts::default(),
        }
    }

    pub(super) fn counts(&self) -> &AuditCounts {
        &self.counts
    }

    /// When the next sums are taken; while some wait, it is the log that is waited for.
    pub(super) fn due_ms(&self) -> u64 {
        if self.taken.is_some() {
            u64::MAX
        } else {
            self.due_ms
        }
    }

    /// The next sums to send.
    pub(super) fn poll<H: Host>(
        &mut self,
        now: Now,
        timing: &Timing,
        peer: ReplicaId,
        host: &H,
    ) -> Option<Message> {
        if let Some(sums) = self
            .taken
            .take_if(|sums| host.durable().dominates(&sums.clock))
        {
            return Some(Message::Sums(sums));
        }
        if let Some(digest) = self.digest(peer, host) {
            return Some(digest);
        }
        if now.ms < self.due_ms || self.taken.is_some() {
            return None;
        }
        self.due_ms = now.ms + timing.audit_every_ms;
        let sums = take(
            self.next_bucket,
            timing.audit_buckets.min(BUCKETS - self.next_bucket),
            host,
        );
        self.next_bucket = (self.next_bucket + timing.audit_buckets) % BUCKETS;
        if !host.durable().dominates(&sums.clock) {
            self.taken = Some(sums);
            return None;
        }
        Some(Message::Sums(sums))
    }

    /// Compares a peer's sums with what is here.
    pub(super) fn compare<H: Host>(&mut self, theirs: &Sums, host: &H, effects: &mut Effects) {
        let buckets = theirs.first_bucket..=WHOLE;
        for (bucket, their) in buckets.zip(&theirs.sums) {
            let ours = content(bucket, host);
            if !theirs.clock.dominates(&ours.changed) || !host.applied().dominates(&their.changed) {
                self.counts.incomparable += 1;
                continue;
            }
            self.counts.compared += 1;
            let sum = u128::from_le_bytes(their.sum);
            if ours.sum != sum {
                self.counts.diverged += 1;
                let bucket = (bucket != WHOLE).then_some(bucket);
                effects.push(Effect::Diverged {
                    bucket,
                    ours: ours.sum,
                    theirs: sum,
                });
            } else if bucket == WHOLE {
                self.counts.agreed = ours.changed;
            }
        }
    }

    /// The digest of everything, once for each clock that both sides have come to.
    fn digest<H: Host>(&mut self, peer: ReplicaId, host: &H) -> Option<Message> {
        let applied = host.applied();
        let peer_applied = host.exchange().acks().newest(peer).map(|ack| &ack.applied);
        let quiet = peer_applied == Some(applied)
            && host.durable() == applied
            && self.digest_sent != *applied;
        quiet.then(|| {
            self.digest_sent = applied.clone();
            Message::Sums(take(WHOLE, 1, host))
        })
    }
}

fn take<H: Host>(first_bucket: u32, count: u32, host: &H) -> Sums {
    let sums = (first_bucket..first_bucket + count).map(|bucket| {
        let content = content(bucket, host);
        BucketSum {
            sum: content.sum.to_le_bytes(),
            changed: content.changed,
        }
    });
    Sums {
        sums: sums.collect(),
        first_bucket,
        clock: host.applied().clone(),
    }
}

fn content<H: Host>(bucket: u32, host: &H) -> BucketContent {
    match u16::try_from(bucket) {
        Ok(bucket) => host.bucket(bucket),
        Err(_) => BucketContent {
            sum: host.digest(),
            changed: host.applied().clone(),
        },
    }
}
