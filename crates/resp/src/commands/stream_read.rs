//! Reading entries of streams.

use std::ops::ControlFlow;
use std::time::Duration;

use isles_replica::{StreamId, Txn, ValueType, WrongType};

use super::streams::{id, invalid_id};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::number::parse_i64;
use crate::reply::{Protocol, Reply};

/// From where to where entries are read, in which direction, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: StreamId,
    pub(super) to: StreamId,
    pub(super) backwards: bool,
    /// None for all.
    pub(super) count: Option<usize>,
}

impl Span {
    /// Writes the entries as an array; says how many there are. Entries that share an id are never parted, so that who
    /// goes on after the last id has missed none.
    pub(super) fn answer(
        self,
        txn: &mut Txn<'_>,
        reply: &mut Reply,
        key: &[u8],
    ) -> Result<usize, WrongType> {
        let mark = reply.mark();
        let (mut written, mut last) = (0, None);
        let mut each = |id: StreamId, texts: &mut dyn Iterator<Item = &[u8]>| {
            if self.count.is_some_and(|count| written >= count) && last != Some(id) {
                return ControlFlow::Break(());
            }
            entry(reply, id, texts);
            (written, last) = (written + 1, Some(id));
            ControlFlow::Continue(())
        };
        match self.backwards {
            true => txn.stream_range_back(key, self.from, self.to, &mut each)?,
            false => txn.stream_range(key, self.from, self.to, &mut each)?,
        }
        reply.array_at(mark, written);
        Ok(written)
    }
}

pub(super) fn entry(reply: &mut Reply, id: StreamId, texts: &mut dyn Iterator<Item = &[u8]>) {
    reply.array(2);
    reply.text(id.to_string());
    let (mark, mut len) = (reply.mark(), 0);
    for text in texts {
        reply.bulk(text);
        len += 1;
    }
    reply.array_at(mark, len);
}

pub(super) fn xrange(call: &mut Call<'_, '_>) -> Outcome {
    range(call, false)
}

pub(super) fn xrevrange(call: &mut Call<'_, '_>) -> Outcome {
    range(call, true)
}

fn range(call: &mut Call<'_, '_>, backwards: bool) -> Outcome {
    let key = call.args[1];
    let (from, to) = match backwards {
        true => (call.args[3], call.args[2]),
        false => (call.args[2], call.args[3]),
    };
    let (from, to) = (start(from)?, end(to)?);
    let mut count = None;
    for option in call.args[4..].chunks(2) {
        match *option {
            [word, number] if is(word, "COUNT") => {
                count = Some(usize::try_from(integer(number)?).unwrap_or(0));
            }
            _ => return Err(Failure::Syntax),
        }
    }
    let there = call.txn.value_type(key).is_some();
    let span = Span {
        from,
        to,
        backwards,
        count,
    };
    if there && count == Some(0) {
        call.txn.stream_len(key)?;
        call.reply.null_array();
        return Ok(());
    }
    span.answer(call.txn, call.reply, key)?;
    Ok(())
}

pub(super) fn start(text: &[u8]) -> Result<StreamId, Failure> {
    match text {
        b"-" => Ok(StreamId::ZERO),
        b"+" => Ok(StreamId::MAX),
        [b'(', rest @ ..] if !rest.is_empty() => id(rest, 0)?
            .next()
            .ok_or_else(|| Failure::other("ERR invalid start ID for the interval")),
        _ => id(text, 0),
    }
}

pub(super) fn end(text: &[u8]) -> Result<StreamId, Failure> {
    match text {
        b"-" => Ok(StreamId::ZERO),
        b"+" => Ok(StreamId::MAX),
        [b'(', rest @ ..] if !rest.is_empty() => id(rest, u64::MAX)?
            .previous()
            .ok_or_else(|| Failure::other("ERR invalid end ID for the interval")),
        _ => id(text, u64::MAX),
    }
}

/// What the options of XREAD and XREADGROUP say.
pub(super) struct Options<'a> {
    pub(super) count: Option<usize>,
    /// Whether it waits, and for how long; none for ever.
    pub(super) block: Option<Option<Duration>>,
    /// The group and the consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    pub(super) noack: bool,
    /// Where the keys begin among the arguments.
    pub(super) keys_at: usize,
}

/// Whether a command has the option BLOCK, which is not for scripts.
pub(crate) fn blocks(args: &[&[u8]]) -> bool {
    let options = args.iter().take_while(|word| !is(word, "STREAMS"));
    options.clone().any(|word| is(word, "BLOCK"))
        && (is(args[0], "XREAD") || is(args[0], "XREADGROUP"))
}

impl<'a> Options<'a> {
    pub(super) fn parse(args: &[&'a [u8]]) -> Result<Options<'a>, Failure> {
        let is_group = is(args[0], "XREADGROUP");
        let (mut count, mut block, mut group, mut noack) = (None, None, None, false);
        let mut at = 1;
        while let Some(word) = args.get(at) {
            match args.get(at + 1) {
                Some(name) if is_group && is(word, "GROUP") && at + 2 < args.len() => {
                    group = Some((*name, args[at + 2]));
                    at += 1;
                }
                Some(_) if is_group && is(word, "NOACK") => {
                    noack = true;
                    at -= 1;
                }
                Some(ms) if is(word, "BLOCK") => block = Some(timeout(ms)?),
                Some(number) if is(word, "COUNT") => {
                    // As in Redis, nothing or less means all.
                    let number = usize::try_from(integer(number)?).unwrap_or(0);
                    count = (number > 0).then_some(number);
                }
                Some(_) if is(word, "STREAMS") => {
                    if (args.len() - at - 1) % 2 == 1 {
                        return Err(Failure::other(
                            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                        ));
                    }
                    if is_group && group.is_none() {
                        return Err(Failure::other("ERR Missing GROUP option for XREADGROUP"));
                    }
                    return Ok(Options {
                        count,
                        block,
                        group,
                        noack,
                        keys_at: at + 1,
                    });
                }
                _ if is_group => return Err(Failure::Syntax),
                _ => return Err(foreign(word)),
            }
            at += 2;
        }
        Err(Failure::Syntax)
    }
}

/// The error for a word that is no option of XREAD.
fn foreign(word: &[u8]) -> Failure {
    for option in ["GROUP", "NOACK"] {
        if is(word, option) {
            return Failure::other(format!(
                "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
            ));
        }
    }
    Failure::Syntax
}

fn timeout(text: &[u8]) -> Result<Option<Duration>, Failure> {
    let ms = parse_i64(text)
        .ok_or_else(|| Failure::other("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Failure::other("ERR timeout is negative"))?;
    Ok((ms > 0).then_some(Duration::from_millis(ms)))
}

/// Answers with what `read` writes of each of these streams, behind its name; those of which it writes nothing are left out.
/// Says of how many it wrote something.
pub(super) fn answer_streams<W>(
    call: &mut Call<'_, '_>,
    wanted: Vec<(&[u8], W)>,
    mut read: impl FnMut(&mut Call<'_, '_>, &[u8], W) -> Result<usize, Failure>,
) -> Result<usize, Failure> {
    let (mark, mut found) = (call.reply.mark(), 0);
    let is_map = call.reply.protocol == Protocol::Resp3;
    for (key, wanted) in wanted {
        let before = call.reply.len();
        if !is_map {
            call.reply.array(2);
        }
        call.reply.bulk(key);
        match read(call, key, wanted)? {
            0 => call.reply.truncate(before),
            _ => found += 1,
        }
    }
    match found {
        0 => call.reply.null_array(),
        found if is_map => call.reply.map_at(mark, found),
        found => call.reply.array_at(mark, found),
    }
    Ok(found)
}

pub(super) fn xread(call: &mut Call<'_, '_>) -> Outcome {
    let options = Options::parse(call.args)?;
    let streams = (call.args.len() - options.keys_at) / 2;
    let (keys, ids) = call.args[options.keys_at..].split_at(streams);
    let mut after = Vec::with_capacity(streams);
    for (key, text) in keys.iter().zip(ids) {
        let last = call.txn.stream_last_id(key)?;
        after.push(match *text {
            b"$" => last,
            b">" => {
                return Err(Failure::other(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                ));
            }
            text => id(text, 0).map_err(|_| invalid_id())?,
        });
    }
    let mut wanted = Vec::with_capacity(streams);
    for (key, after) in keys.iter().zip(&after) {
        if let Some(from) = after.next().filter(|_| call.looks_at(key)) {
            wanted.push((*key, from));
        }
    }
    let found = answer_streams(call, wanted, |call, key, from| {
        let span = Span {
            from,
            to: StreamId::MAX,
            backwards: false,
            count: options.count,
        };
        Ok(span.answer(call.txn, call.reply, key)?)
    })?;
    if let Some(timeout) = options.block.filter(|_| found == 0) {
        // What was the last id now is what counts when something comes.
        let after = after.iter().map(|id| id.to_string().into_bytes());
        let head = call.args[..options.keys_at + streams].iter();
        let args = head.map(|text| text.to_vec()).chain(after);
        let args = args.map(Vec::into_boxed_slice).collect();
        call.wait_as(args, keys, ValueType::Stream, timeout);
    }
    Ok(())
}
