//! DUMP and RESTORE: a value as bytes, for carrying it to another key or another cluster of Isles.
//!
//! The payload is Isles' own: a name and a version, the type, the content, and a check of all that. It is what readers
//! see of a value, not how it came about: restoring it is a write like any other. Redis's payloads are pieces of its RDB
//! files and cannot be restored here, nor the other way round.
//!
//! Equal values have equal payloads in every region: what has no order is written in the order of its bytes, not in that
//! of its arrival. `isles restore --into` compares by that.

use std::collections::HashSet;
use std::ops::ControlFlow;

use isles_crdt::hyper_log_log::Sketch;
use isles_replica::{Expiry, FlagKind, Score, SortedSet, StreamId, Txn, ValueType, WholeStream};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::sketches::refused;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    key(
        "dump",
        2,
        dump,
        "Returns a serialized representation of the value stored at a key.",
    )
    .read()
    .long()
    .key(),
    key(
        "restore",
        -4,
        restore,
        "Creates a key from the serialized representation of a value.",
    )
    .write()
    .many()
    .long()
    .key(),
];

const fn key(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Keys, name, arity, Run::Data(run), summary)
}

/// The first bytes of a payload.
const NAME: &[u8] = b"ISLES";
const VERSION: u8 = 1;
const CHECK_BYTES: usize = size_of::<u64>();

/// What a payload holds; the numbers are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    String = 1,
    Hash = 2,
    Set = 3,
    SortedSet = 4,
    List = 5,
    Stream = 6,
    FlagEw = 7,
    FlagDw = 8,
    HyperLogLog = 9,
    BoundedCounter = 10,
}

impl Tag {
    const ALL: [Tag; 10] = [
        Tag::String,
        Tag::Hash,
        Tag::Set,
        Tag::SortedSet,
        Tag::List,
        Tag::Stream,
        Tag::FlagEw,
        Tag::FlagDw,
        Tag::HyperLogLog,
        Tag::BoundedCounter,
    ];
}

fn dump(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let Some(value_type) = call.txn.value_type(key) else {
        call.reply.null();
        return Ok(());
    };
    let (tag, content) = content(call.txn, key, value_type)?;
    let mut payload = [NAME, &[VERSION, tag as u8], &content].concat();
    payload.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    call.reply.bulk(&payload);
    Ok(())
}

fn content(
    txn: &mut Txn<'_>,
    key: &[u8],
    value_type: ValueType,
) -> Result<(Tag, Vec<u8>), Failure> {
    Ok(match value_type {
        ValueType::String => {
            let value = txn.string(key)?;
            (Tag::String, bytes_of(&value.as_deref().unwrap_or_default()))
        }
        ValueType::Hash => {
            let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            txn.hash_each(key, &mut |field, value| {
                pairs.push((field.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })?;
            pairs.sort_unstable();
            (Tag::Hash, bytes_of(&pairs))
        }
        ValueType::Set => {
            let mut members: Vec<Vec<u8>> = Vec::new();
            txn.set_members(key, &mut |member| {
                members.push(member.to_vec());
                ControlFlow::Continue(())
            })?;
            members.sort_unstable();
            (Tag::Set, bytes_of(&members))
        }
        ValueType::SortedSet => {
            let set = txn.sorted_set(key)?;
            let pairs: Vec<(&[u8], Score)> = set.into_iter().flat_map(SortedSet::iter).collect();
            (Tag::SortedSet, bytes_of(&pairs))
        }
        ValueType::List => {
            let mut elements: Vec<Vec<u8>> = Vec::new();
            txn.list_each(key, 0..usize::MAX, &mut |_, element| {
                elements.push(element.to_vec());
                ControlFlow::Continue(())
            })?;
            (Tag::List, bytes_of(&elements))
        }
        ValueType::Stream => (Tag::Stream, stream_content(txn, key)?),
        ValueType::Flag => match txn.flag_kind(key)? {
            Some(FlagKind::DisableWins) => (Tag::FlagDw, Vec::new()),
            _ => (Tag::FlagEw, Vec::new()),
        },
        ValueType::HyperLogLog => {
            let sketch = txn.sketch(key).map_err(refused)?.unwrap_or_default();
            (Tag::HyperLogLog, bytes_of(&sketch))
        }
        ValueType::BoundedCounter => {
            let value = txn.bounded(key)?.unwrap_or(0);
            (Tag::BoundedCounter, bytes_of(&value.unsigned_abs()))
        }
        _ => {
            return Err(Failure::other(
                "ERR DUMP is not supported by Isles for a value of this type",
            ));
        }
    })
}

/// What the content of a stream begins with: this one ends with the entries. One with consumer groups, say, has another.
const STREAM_LAYOUT: u8 = 1;

/// The layout, the last id, the greatest one that was removed by name, how many entries were ever added, and the entries.
type StreamContent<T> = (u8, StreamId, StreamId, u64, Vec<(StreamId, Vec<T>)>);

fn stream_content(txn: &mut Txn<'_>, key: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(info) = txn.stream_info(key)? else {
        return Err(bad());
    };
    let mut entries = Vec::with_capacity(info.len);
    txn.stream_range(key, StreamId::ZERO, StreamId::MAX, &mut |id, texts| {
        entries.push((id, texts.map(<[u8]>::to_vec).collect()));
        ControlFlow::Continue(())
    })?;
    let content: StreamContent<Vec<u8>> = (
        STREAM_LAYOUT,
        info.last,
        info.max_deleted,
        info.added,
        entries,
    );
    Ok(bytes_of(&content))
}

fn write_stream(txn: &mut Txn<'_>, key: &[u8], content: &[u8], expiry: Expiry) -> Outcome {
    if content.first() != Some(&STREAM_LAYOUT) {
        return Err(Failure::other(
            "ERR Bad data format: the stream was dumped by a newer version of Isles",
        ));
    }
    let (_, last, max_deleted, added, entries): StreamContent<&[u8]> = read(content)?;
    let stream = WholeStream {
        entries,
        last,
        added,
        max_deleted,
    };
    if !stream.is_sound() {
        return Err(bad());
    }
    txn.set_stream(key, &stream, expiry);
    Ok(())
}

fn bytes_of(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a value holds nothing that cannot be encoded")
}

/// What the options say.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(words: &[&[u8]]) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if is(word, "REPLACE") {
                options.replace = true;
            } else if is(word, "ABSTTL") {
                options.absolute = true;
            } else if is(word, "IDLETIME") && options.frequency.is_none() {
                let idle = integer(rest.next().ok_or(Failure::Syntax)?)?;
                if idle < 0 {
                    return Err(Failure::other("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle = Some(idle);
            } else if is(word, "FREQ") && options.idle.is_none() {
                let frequency = integer(rest.next().ok_or(Failure::Syntax)?)?;
                if !(0..=255).contains(&frequency) {
                    return Err(Failure::other(
                        "ERR Invalid FREQ value, must be >= 0 and <= 255",
                    ));
                }
                options.frequency = Some(frequency);
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(options)
    }
}

fn restore(call: &mut Call<'_, '_>) -> Outcome {
    let (key, payload) = (call.args[1], call.args[3]);
    let options = Options::parse(&call.args[4..])?;
    if !options.replace && call.txn.value_type(key).is_some() {
        return Err(Failure::other("BUSYKEY Target key name already exists."));
    }
    let time = u64::try_from(integer(call.args[2])?)
        .map_err(|_| Failure::other("ERR Invalid TTL value, must be >= 0"))?;
    let (tag, content) = checked(payload)?;
    let now_ms = call.txn.now_ms();
    let expiry = match (time, options.absolute) {
        (0, _) => Expiry::Clear,
        (at_ms, true) => Expiry::At(at_ms),
        (after_ms, false) => Expiry::At(now_ms.saturating_add(after_ms)),
    };
    match expiry {
        // It is gone as soon as it is there.
        Expiry::At(at_ms) if at_ms <= now_ms => _ = call.txn.delete(key),
        expiry => write(call.txn, key, tag, content, expiry)?,
    }
    if let Some(idle_s) = options.idle {
        call.txn
            .set_idle_ms(key, idle_s.unsigned_abs().saturating_mul(1000));
    }
    call.reply.ok();
    Ok(())
}

/// The type and the content of a payload that is whole.
fn checked(payload: &[u8]) -> Result<(Tag, &[u8]), Failure> {
    let Some(rest) = payload.strip_prefix(NAME) else {
        return Err(Failure::other(
            "ERR DUMP payload version or checksum are wrong: it is no payload of Isles, and those of Redis cannot be restored here",
        ));
    };
    let wrong = || Failure::other("ERR DUMP payload version or checksum are wrong");
    let (body, check) = payload
        .split_last_chunk::<CHECK_BYTES>()
        .ok_or_else(wrong)?;
    if xxh3_64(body) != u64::from_le_bytes(*check) {
        return Err(wrong());
    }
    let [VERSION, tag, ..] = *rest else {
        return Err(Failure::other(
            "ERR DUMP payload version or checksum are wrong: it was made by a newer version of Isles",
        ));
    };
    let tag = Tag::ALL.into_iter().find(|known| *known as u8 == tag);
    let content = body.get(NAME.len() + 2..).ok_or_else(wrong)?;
    Ok((tag.ok_or_else(bad)?, content))
}

fn bad() -> Failure {
    Failure::other("ERR Bad data format")
}

/// Reads all of the content before anything is written.
fn read<'c, T: Deserialize<'c>>(content: &'c [u8]) -> Result<T, Failure> {
    match postcard::take_from_bytes(content) {
        Ok((value, [])) => Ok(value),
        _ => Err(bad()),
    }
}

/// Collections without elements are not there.
fn some<T>(elements: Vec<T>) -> Result<Vec<T>, Failure> {
    match elements.is_empty() {
        true => Err(bad()),
        false => Ok(elements),
    }
}

fn write(txn: &mut Txn<'_>, key: &[u8], tag: Tag, content: &[u8], expiry: Expiry) -> Outcome {
    match tag {
        Tag::String => {
            let value: Vec<u8> = read(content)?;
            txn.set_string(key, &value, expiry);
            return Ok(());
        }
        Tag::HyperLogLog => {
            let sketch: Sketch = read(content)?;
            txn.set_sketch(key, sketch, expiry);
            return Ok(());
        }
        Tag::Stream => return write_stream(txn, key, content, expiry),
        Tag::BoundedCounter => {
            let value: u64 = read(content)?;
            txn.set_bounded(key, value, expiry);
            return Ok(());
        }
        Tag::Hash => {
            let pairs: Vec<(Vec<u8>, Vec<u8>)> = some(read(content)?)?;
            let pairs: Vec<(&[u8], &[u8])> = pairs
                .iter()
                .map(|(field, value)| (&field[..], &value[..]))
                .collect();
            txn.delete(key);
            txn.hash_put(key, &pairs)?;
        }
        Tag::Set => {
            let members: Vec<Vec<u8>> = some(read(content)?)?;
            let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
            txn.set_replace(key, &members);
        }
        Tag::SortedSet => {
            let pairs: Vec<(&[u8], Score)> = some(read(content)?)?;
            let names: HashSet<&[u8]> = pairs.iter().map(|(name, _)| *name).collect();
            if names.len() < pairs.len() {
                return Err(bad());
            }
            txn.sorted_set_replace(key, &pairs);
        }
        Tag::List => {
            let elements: Vec<&[u8]> = some(read(content)?)?;
            txn.list_replace(key, &elements);
        }
        Tag::FlagEw | Tag::FlagDw => {
            let kind = match tag {
                Tag::FlagDw => FlagKind::DisableWins,
                _ => FlagKind::EnableWins,
            };
            txn.delete(key);
            txn.set_flag(key, kind, true)?;
        }
    }
    if let Expiry::At(at_ms) = expiry {
        txn.set_deadline(key, Some(at_ms));
    }
    Ok(())
}
