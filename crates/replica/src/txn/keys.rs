//! Keys: what is there, until when, and what goes.

use isles_clock::Everything;

use super::{Expiry, Spot, Txn, ValueType, WriteRefused, put, put_entry_head, type_of};
use crate::apply::Author;
use crate::listing::Listing;
use crate::members::Members;
use crate::op::{KeyOp, Part};
use crate::row::{Component, Row, Tick};
use crate::rows::{BUCKETS, RESERVED_PREFIX, RowId, hash_of};

/// Keys that one entry of a FLUSHALL deletes.
const CLEAR_KEYS: usize = 1024;

/// Keys that are looked at for a share of them.
const STALE_MAX: usize = 1000;

/// What a member of a sorted set takes besides its name, which is there twice.
const MEMBER_BYTES: usize = 160;

/// What a name of a remove-wins set takes besides itself, removed or not.
const NAME_BYTES: usize = 176;

/// Passing over a row that nobody sees costs so much less than showing one.
const UNSEEN_PER_KEY: usize = 64;

/// The cursor of a scan that has not got beyond the first bucket.
const FIRST_AGAIN: u64 = BUCKETS as u64 + 1;

impl Txn<'_> {
    /// The type of a key, if readers see it.
    pub fn value_type(&mut self, key: &[u8]) -> Option<ValueType> {
        let spot = self.unnoticed_spot(key);
        self.visible(&spot).and_then(type_of)
    }

    /// Deletes a key; whether it was there for readers.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let spot = self.spot(key);
        if self.visible(&spot).is_none() {
            return false;
        }
        let counters = self.counters(&spot);
        let op = self.overwrite(&spot, &counters);
        self.write(&spot, &op);
        true
    }

    /// The deadline of a key in milliseconds since 1970: none for an absent key, `Some(None)` for one that stays.
    pub fn deadline_ms(&mut self, key: &[u8]) -> Option<Option<u64>> {
        let spot = self.unnoticed_spot(key);
        let deadline = self.visible(&spot)?.deadline;
        Some(deadline.is_set().then_some(deadline.at_ms))
    }

    /// Sets a deadline or takes it away; false for an absent key.
    pub fn set_deadline(&mut self, key: &[u8], at_ms: Option<u64>) -> bool {
        let spot = self.spot(key);
        if self.visible(&spot).is_none() {
            return false;
        }
        self.write_deadline_at(&spot, at_ms);
        true
    }

    /// The same of a key that has content, be it hidden or not.
    pub(super) fn write_deadline_at(&mut self, spot: &Spot<'_>, at_ms: Option<u64>) {
        let mut op = KeyOp::new(spot.key);
        op.parts.push(Part::Deadline {
            stamp: self.raised_deadline(self.before(spot)),
            at_ms,
        });
        self.write(spot, &op);
    }

    /// Visits keys that readers see, bucket by bucket, until at least `count` were visited or `UNSEEN_PER_KEY` (64) times as
    /// many rows were passed over that nobody sees; returns the cursor to go on from, zero at the end. Buckets never move: a key that is there from the first call to the last is visited.
    ///
    /// Of buckets that have rows which are not in memory the listing says what the table has: before one that it does not
    /// have, or no longer rightly, the scan ends, and the cursor says so; if that is the first one, the transaction is
    /// refused ([`WriteRefused::Unlisted`](super::WriteRefused)).
    pub fn scan(
        &mut self,
        cursor: u64,
        count: usize,
        listing: &Listing,
        each: &mut dyn FnMut(&[u8], ValueType),
    ) -> u64 {
        self.barrier = self.barrier.max(self.replica.position());
        let now_ms = self.now_ms();
        let rows = &self.replica.rows;
        if rows.visible() == 0 {
            return 0;
        }
        let (mut visited, mut unseen) = (0, 0);
        let mut next = rows.next_bucket(bucket_at(cursor));
        while let Some(bucket) = next
            && let Some(stored) = listing.of(bucket, rows)
        {
            for (_, row) in rows.bucket(bucket) {
                match listed(&row, now_ms) {
                    Some(value_type) => {
                        visited += 1;
                        each(&row.key, value_type);
                    }
                    None => unseen += 1,
                }
            }
            for (key, value_type) in Listing::visible(stored, rows, now_ms) {
                visited += 1;
                each(key, value_type);
            }
            next = rows.next_bucket(bucket + 1);
            if visited >= count || unseen >= count.saturating_mul(UNSEEN_PER_KEY) {
                break;
            }
        }
        let begun_at = rows.next_bucket(bucket_at(cursor));
        if next.is_some() && next == begun_at {
            self.refused.get_or_insert(WriteRefused::Unlisted);
        }
        next.map_or(0, cursor_at)
    }

    /// A key that readers see, chosen by `random`, of those buckets whose keys are known; see [`scan`](Self::scan).
    pub fn random_key(&mut self, random: u64, listing: &Listing) -> Option<Vec<u8>> {
        self.barrier = self.barrier.max(self.replica.position());
        let now_ms = self.now_ms();
        let rows = &self.replica.rows;
        let start = random as usize % BUCKETS;
        let from = |start| {
            std::iter::successors(rows.next_bucket(start), |bucket| {
                rows.next_bucket(bucket + 1)
            })
        };
        let found = from(start).chain(from(0)).find_map(|bucket| {
            let stored = listing.of(bucket, rows)?;
            let resident = rows.bucket(bucket).map(|(_, row)| row);
            let resident: Vec<_> = resident
                .filter(|row| listed(row, now_ms).is_some())
                .collect();
            let resident = resident.iter().map(|row| &*row.key);
            let stored = Listing::visible(stored, rows, now_ms).map(|(key, _)| key);
            let keys: Vec<&[u8]> = resident.chain(stored).collect();
            let key = keys.get((random >> 32) as usize % keys.len().max(1))?;
            Some(key.to_vec())
        });
        if found.is_none() && self.replica.cold_keys() > 0 {
            self.refused.get_or_insert(WriteRefused::Unlisted);
        }
        found
    }

    /// Counts a key as used; whether readers see it.
    pub fn touch(&mut self, key: &[u8]) -> bool {
        let spot = self.spot(key);
        self.visible(&spot).is_some()
    }

    /// How long ago a key was last used here, in milliseconds, to about a second; none for an absent key. It is this
    /// replica's own: neither sent nor stored.
    pub fn idle_ms(&mut self, key: &[u8]) -> Option<u64> {
        let spot = self.unnoticed_spot(key);
        let row = self.visible(&spot)?;
        Some(Tick::at(self.now_ms()).since_ms(row.used))
    }

    /// Has a key look as if it had not been used for so long.
    pub fn set_idle_ms(&mut self, key: &[u8], idle_ms: u64) {
        let spot = self.unnoticed_spot(key);
        if let Some(id) = spot.id {
            let used = Tick::at(self.now_ms()).before(idle_ms);
            self.replica.rows.used(id, used);
        }
    }

    /// Number of keys that readers see, in memory or not.
    pub fn len(&self) -> usize {
        self.replica.rows.visible()
    }

    /// Number of keys whose deadline has passed here since start.
    pub fn expired_total(&self) -> u64 {
        self.replica.expired_total()
    }

    /// Which part of the keys with a deadline has expired and was not counted as such yet; no more than 1000 keys are looked
    /// at, so it may be more where many have expired at once.
    pub fn stale_share(&self) -> f64 {
        let rows = &self.replica.rows;
        match rows.expiring() {
            0 => 0.0,
            all => rows.stale(self.now_ms(), STALE_MAX) as f64 / all as f64,
        }
    }

    /// Number of keys that readers see and that will expire.
    pub fn expiring(&self) -> usize {
        self.replica.expiring_keys()
    }

    /// Whether readers see no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what `from` holds, its deadline included, over `to`; false if `from` is absent.
    pub fn copy(&mut self, from: &[u8], to: &[u8]) -> bool {
        let spot = self.spot(from);
        let Some(at_ms) = self.deadline_ms(from) else {
            return false;
        };
        let expiry = at_ms.map_or(Expiry::Clear, Expiry::At);
        match self.value_type(from) {
            Some(ValueType::String) => {
                let value = self
                    .string(from)
                    .ok()
                    .flatten()
                    .map(|value| value.into_owned())
                    .unwrap_or_default();
                self.set_string(to, &value, expiry);
            }
            Some(ValueType::Set) => {
                let mut members = Vec::new();
                let set = self.visible(&spot).and_then(Members::of);
                if let Some(set) = set {
                    set.each(&mut |member| {
                        members.push(member.to_vec());
                        std::ops::ControlFlow::Continue(())
                    });
                }
                let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
                self.replace_set(to, &members, expiry);
            }
            Some(ValueType::Hash) => {
                let mut pairs = Vec::new();
                let each = &mut |field: &[u8], value: &[u8]| {
                    pairs.push((field.to_vec(), value.to_vec()));
                    std::ops::ControlFlow::Continue(())
                };
                self.hash_each(from, each)
                    .expect("the type was just looked at");
                let pairs: Vec<(&[u8], &[u8])> = pairs
                    .iter()
                    .map(|(field, value)| (&field[..], &value[..]))
                    .collect();
                self.replace_hash(to, &pairs, expiry);
            }
            Some(ValueType::SortedSet) => {
                let set = self.visible(&spot).and_then(Row::sorted_set);
                let set = set.cloned().unwrap_or_default();
                let pairs: Vec<_> = set.iter().collect();
                self.replace_sorted_set(to, &pairs, expiry);
            }
            Some(ValueType::List) => {
                let elements = self.list_elements(&spot);
                let values: Vec<&[u8]> = elements.iter().map(|element| &**element).collect();
                self.replace_list(to, &values, expiry);
            }
            Some(ValueType::Stream) => self.copy_stream(from, to, expiry),
            Some(ValueType::Flag) => self.copy_flag(from, to, expiry),
            Some(ValueType::HyperLogLog) => self.copy_sketch(from, to, expiry),
            Some(ValueType::BoundedCounter) => self.copy_escrow(from, to, expiry),
            None => return false,
        }
        true
    }

    /// Puts a new value over whatever is at a key, with a deadline or without; `counters` are those of what is there.
    pub(super) fn replace_with<'k>(
        &mut self,
        spot: &super::Spot<'k>,
        counters: &'k super::Counters,
        part: Part<'k>,
        expiry: Expiry,
    ) {
        let mut op = self.overwrite(spot, counters);
        super::set_part(&mut op, part);
        if let Expiry::At(at_ms) = expiry {
            let stamp = self.raised_deadline(self.before(spot));
            let at_ms = Some(at_ms);
            super::set_part(&mut op, Part::Deadline { stamp, at_ms });
        }
        self.write(spot, &op);
    }

    /// Deletes every key that is here, expired ones and Isles' own excepted. What other replicas write meanwhile stays.
    ///
    /// It takes as many entries as are needed; under [`Scope::Many`](super::Scope::Many) what was written before is
    /// logged first.
    ///
    /// # Errors
    /// What was written before cannot be logged, or rows are not in memory: use [`clear_resident`](Self::clear_resident).
    pub fn clear(&mut self) -> Result<(), WriteRefused> {
        // What is logged cannot be taken back when something is missed later.
        if self.replica.cold_rows() > 0 {
            let rows = self.replica.cold_rows();
            self.refused.get_or_insert(WriteRefused::Cold { rows });
        }
        self.clear_resident()
    }

    /// The same for keys that are in memory. Whoever has loaded the others some at a time and cleared them has cleared
    /// everything once [`Replica::cold_keys`](crate::Replica::cold_keys) is zero. To be the only thing that a transaction does.
    ///
    /// # Errors
    /// What was written before cannot be logged.
    pub fn clear_resident(&mut self) -> Result<(), WriteRefused> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        if !self.touched.is_empty() {
            self.log_touched()?;
        }
        if let Some(changes) = &mut self.replica.changes {
            changes.begin_clearing();
        }
        let now_ms = self.now_ms();
        let rows = self.replica.rows.iter();
        let listed: Vec<RowId> = rows
            .filter(|(_, row)| listed(row, now_ms).is_some())
            .map(|(id, _)| id)
            .collect();
        self.clear_rows(&listed);
        if let Some(changes) = &mut self.replica.changes {
            changes.end_clearing();
        }
        Ok(())
    }

    /// The same for some keys: whoever has loaded them to clear everything does not look at all the others each time.
    pub fn clear_keys<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        let now_ms = self.now_ms();
        let rows = &self.replica.rows;
        let ids = keys.filter_map(|key| rows.find(key, hash_of(key)));
        let ids: Vec<RowId> = ids
            .filter(|id| listed(&rows.see(*id), now_ms).is_some())
            .collect();
        self.clear_rows(&ids);
    }

    fn clear_rows(&mut self, rows: &[RowId]) {
        let now_ms = self.now_ms();
        for ids in rows.chunks(CLEAR_KEYS) {
            if self.written {
                self.hlc = self.replica.stamp(now_ms);
            }
            self.delete_rows(ids);
            self.written = true;
        }
    }

    /// Deletes some rows, each once, as one entry.
    fn delete_rows(&mut self, ids: &[RowId]) {
        let mut ops = Vec::new();
        for id in ids {
            let id = self.replica.rows.opened(*id);
            let key = self.replica.rows.get(id).key.clone();
            let spot = self.spot(&key);
            let counters = self.counters(&spot);
            let mut op = self.overwrite(&spot, &counters);
            // Nobody has asked for the removal of each member: what others add meanwhile stays.
            op.parts.retain(|part| !matches!(part, Part::SetRw(_)));
            put(&mut ops, &op);
            let (dot, position) = (self.replica.next_dot(), self.replica.next_position());
            let author = Author {
                dot,
                hlc: self.hlc,
                context: &Everything,
            };
            let contested = self.replica.is_contested(id);
            self.replica
                .change_row(id, &op, &author, position, self.hlc.wall_ms());
            if contested {
                self.replica.settle_conflicts(id, &op, &author, position);
            }
            self.barrier = self.barrier.max(position);
        }
        self.replica.log_entry(self.hlc, |out, stamp_delta| {
            put_entry_head(out, stamp_delta, None, &[], ids.len());
            out.extend_from_slice(&ops);
        });
    }

    /// About how many bytes of memory a key takes.
    pub fn memory_usage(&mut self, key: &[u8]) -> Option<usize> {
        let spot = self.unnoticed_spot(key);
        let row = self.visible(&spot)?;
        let components = row.components.iter().map(|component| match component {
            Component::Lww(cell) => cell.value.as_ref().map_or(0, |value| value.len()),
            Component::Mv(cell) => cell
                .versions()
                .iter()
                .map(|version| version.value.len() + 48)
                .sum(),
            Component::MvSummed(summed) => {
                let versions = summed.cell.versions().iter();
                let values = versions.map(|version| version.value.len() + 48);
                let known = summed
                    .sums()
                    .iter()
                    .map(|(_, sums)| sums.memory_bytes() + 48);
                values.chain(known).sum()
            }
            Component::Counter(tally) => tally.contributions().len() * 96,
            Component::FlagEw(_) | Component::FlagDw(_) => 64,
            Component::HyperLogLog(sketches) => sketches.sketches().len() * (12 << 10),
            Component::BoundedCounter(escrow) => escrow.all_rights().len() * 128,
            Component::Set(set) => set
                .members
                .iter()
                .map(|(member, _)| member.len() + 64)
                .sum(),
            Component::SetRw(set) => {
                let names = set.names().iter();
                names.map(|(name, _)| name.len() + NAME_BYTES).sum()
            }
            Component::SortedSet(set) => {
                let names = set.members().iter().map(|(name, _)| name.len());
                names.map(|bytes| 2 * bytes + MEMBER_BYTES).sum()
            }
            Component::List(list) => {
                let elements = list.elements().iter();
                elements.map(|element| element.0.len() + 48).sum()
            }
            Component::Stream(stream) => stream
                .iter()
                .map(|entry| entry.fields.as_bytes().len() + 80)
                .sum(),
            Component::Map(map) => map
                .fields
                .iter()
                .map(|(name, field)| {
                    name.len()
                        + 96
                        + field
                            .cell
                            .versions()
                            .iter()
                            .map(|version| version.value.len())
                            .sum::<usize>()
                })
                .sum(),
        });
        Some(size_of::<Row>() + row.key.len() + components.sum::<usize>())
    }
}

/// The type of a row that commands list: visible, and not one of Isles' own.
/// Where a scan goes on. Zero is its end, so that the first bucket has another number.
fn cursor_at(bucket: usize) -> u64 {
    match bucket {
        0 => FIRST_AGAIN,
        bucket => bucket as u64,
    }
}

pub(crate) fn bucket_at(cursor: u64) -> usize {
    match cursor {
        FIRST_AGAIN => 0,
        cursor => cursor.min(BUCKETS as u64) as usize,
    }
}

fn listed(row: &Row, now_ms: u64) -> Option<ValueType> {
    match row.is_visible(now_ms) && !row.key.starts_with(RESERVED_PREFIX) {
        true => type_of(row),
        false => None,
    }
}
