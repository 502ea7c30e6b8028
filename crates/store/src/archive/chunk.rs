//! A chunk: some keys with their values, in one file that is named after them.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::ArchiveError;
use crate::table::Visitor;

/// The format that this build writes, and the newest that it reads.
const FORMAT: u8 = 1;
/// Before each item: the lengths of key and value.
const ITEM_HEADER_BYTES: usize = 8;

/// A chunk as a backup refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Of its items.
    pub(super) hash: u128,
    /// How long these are, before they are compressed.
    pub(super) bytes: u64,
}

impl Chunk {
    pub(super) fn of(items: &[u8]) -> Chunk {
        Chunk {
            hash: xxh3_128(items),
            bytes: items.len() as u64,
        }
    }
}

/// Appends a key and its value to a list of items, as chunks hold it.
///
/// # Panics
/// One of them is longer than four gigabytes, which no table holds.
pub fn encode_item(key: &[u8], value: &[u8], items: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("tables hold no such lengths");
    items.reserve(ITEM_HEADER_BYTES + key.len() + value.len());
    items.extend_from_slice(&length(key).to_le_bytes());
    items.extend_from_slice(&length(value).to_le_bytes());
    items.extend_from_slice(key);
    items.extend_from_slice(value);
}

/// Visits a list of items in order; says whether the visitor broke.
///
/// # Errors
/// The list ends in the middle of an item.
pub fn visit_items(
    mut items: &[u8],
    visit: &mut Visitor<'_>,
) -> Result<ControlFlow<()>, &'static str> {
    while !items.is_empty() {
        let (header, rest) = items
            .split_first_chunk::<ITEM_HEADER_BYTES>()
            .ok_or("an item is cut off")?;
        let [k0, k1, k2, k3, v0, v1, v2, v3] = *header;
        let key_bytes = u32::from_le_bytes([k0, k1, k2, k3]) as usize;
        let value_bytes = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        let (key, rest) = rest
            .split_at_checked(key_bytes)
            .ok_or("an item is cut off")?;
        let (value, rest) = rest
            .split_at_checked(value_bytes)
            .ok_or("an item is cut off")?;
        if visit(key, value).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        items = rest;
    }
    Ok(ControlFlow::Continue(()))
}

/// The bytes of a chunk's file.
pub(super) fn encode(items: &[u8]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend(lz4_flex::block::compress(items));
    bytes
}

/// Reads the items of a chunk and checks that they are those that it is named after.
pub(super) fn load(path: &Path, chunk: &Chunk) -> Result<Vec<u8>, ArchiveError> {
    let place = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ArchiveError::damaged(&place, "it is missing"),
        _ => ArchiveError::io("read", path, source),
    })?;
    let (format, compressed) = bytes
        .split_first()
        .ok_or_else(|| ArchiveError::damaged(&place, "it is empty"))?;
    if *format != FORMAT {
        return Err(ArchiveError::NewerFormat {
            file: place,
            found: u16::from(*format),
            known: u16::from(FORMAT),
        });
    }
    let room = usize::try_from(chunk.bytes)
        .ok()
        .filter(|room| *room / EXPANSION_MAX <= compressed.len())
        .ok_or_else(|| ArchiveError::damaged(&place, "it is too short"))?;
    let items = lz4_flex::block::decompress(compressed, room)
        .map_err(|error| ArchiveError::damaged(&place, error.to_string()))?;
    match Chunk::of(&items) == *chunk {
        true => Ok(items),
        false => Err(ArchiveError::damaged(
            &place,
            "its content is not what it is named after",
        )),
    }
}

/// So many times its length is the most that a block can hold: a run takes a byte for each 255.
const EXPANSION_MAX: usize = 256;
