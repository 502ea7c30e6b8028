//! The product's write pattern: frames of entries for the log, images of rows for the table.

use isles_store::Batch;

/// Entries of a frame under load, and the bytes of one: a SET of 100 bytes.
pub(crate) const FRAME_ENTRIES: usize = 104;
pub(crate) const ENTRY_BYTES: usize = 161;
/// What one group sync covers.
pub(crate) const FRAME_BYTES: usize = FRAME_ENTRIES * ENTRY_BYTES;

/// Keys that are written, at random.
pub(crate) const KEYS: u32 = 100_000;
/// A checkpointer writes a batch when it holds this many bytes.
pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let state = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = state.wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }
}

/// The entries of a frame: which key each writes.
pub(crate) fn frame_keys(random: &mut Random) -> [u32; FRAME_ENTRIES] {
    std::array::from_fn(|_| random.below(KEYS))
}

pub(crate) fn row_key(number: u32) -> Vec<u8> {
    format!("row:{number:010}").into_bytes()
}

/// As long as an entry, half of it compressible, and different each time.
pub(crate) fn image(number: u32, salt: u64) -> Vec<u8> {
    let mut random = Random::new(u64::from(number) ^ salt.rotate_left(32));
    let mut bytes = vec![b'v'; ENTRY_BYTES];
    for byte in bytes.iter_mut().step_by(2) {
        *byte = random.below(256) as u8;
    }
    bytes
}

/// Hands batches over as the checkpointer does.
pub(crate) fn for_each_batch<E>(
    rows: impl IntoIterator<Item = u32>,
    salt: u64,
    mut hand_over: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let mut batch = Batch::new();
    for number in rows {
        batch.put(row_key(number), image(number, salt));
        if batch.bytes() >= BATCH_BYTES {
            hand_over(std::mem::take(&mut batch))?;
        }
    }
    hand_over(batch)
}
