//! All items that any sibling has: of JSON arrays, or of lines.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::strategy::Magnitude;
use crate::{Resolution, Sibling};

/// Every item that stands in any of the siblings, once, in the order of [`Strategy::Max`](crate::Strategy::Max): the
/// order in which people wrote them cannot be kept, because it would say who was asked first.
///
/// Where all siblings are JSON arrays so is the answer; otherwise it has a line for each item, and those of arrays stand
/// there as JSON. Repeated items become one. A single sibling is answered as it is, and lines that together would read
/// as an array stay apart.
pub(crate) fn union<'a>(siblings: &[Sibling<'a>]) -> Resolution<'a> {
    let lists: Vec<Items<'_>> = siblings
        .iter()
        .map(|sibling| Items::of(sibling.value))
        .collect();
    let is_array = lists.iter().all(|list| matches!(list, Items::Array(_)));
    let ends_in_newline = siblings
        .iter()
        .zip(&lists)
        .any(|(sibling, list)| matches!(list, Items::Lines(_)) && sibling.value.ends_with(b"\n"));
    let items = lists.iter().flat_map(Items::iter);
    let mut items: Vec<(Magnitude<'_>, &[u8])> =
        items.map(|item| (Magnitude::of(item), item)).collect();
    items.sort_unstable();
    let mut items: Vec<&[u8]> = items.into_iter().map(|(_, item)| item).collect();
    items.dedup();
    let [open, between, close]: [&[u8]; 3] = match is_array {
        true => [b"[", b",", b"]"],
        false if ends_in_newline => [b"", b"\n", b"\n"],
        false => [b"", b"\n", b""],
    };
    let answer = [open, &items.join(between), close].concat();
    // Lines such as "[" and "]" must not become an array, which a third sibling would find other items in.
    if !is_array && matches!(Items::of(&answer), Items::Array(_)) {
        return Resolution::Many;
    }
    Resolution::made(Cow::Owned(answer))
}

enum Items<'a> {
    /// The elements, without the space that means nothing.
    Array(Vec<Cow<'a, [u8]>>),
    /// Lines, without those that are empty.
    Lines(&'a [u8]),
}

impl<'a> Items<'a> {
    fn of(value: &'a [u8]) -> Self {
        match serde_json::from_slice::<Vec<&RawValue>>(value) {
            Ok(elements) => Self::Array(
                elements
                    .into_iter()
                    .map(|element| without_space(element.get().as_bytes()))
                    .collect(),
            ),
            Err(_) => Self::Lines(value),
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        match self {
            Self::Array(elements) => Box::new(elements.iter().map(|element| &**element)),
            Self::Lines(text) => {
                let lines = text.split(|byte| *byte == b'\n');
                Box::new(lines.filter(|line| !line.is_empty()))
            }
        }
    }
}

/// JSON without the space between its tokens, so that an element is one line, and two that differ in space are one.
fn without_space(json: &[u8]) -> Cow<'_, [u8]> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    if !json.iter().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut text = Vec::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        if in_string || !is_space(byte) {
            text.push(*byte);
        }
        in_string ^= *byte == b'"' && !escaped;
        escaped = in_string && *byte == b'\\' && !escaped;
    }
    Cow::Owned(text)
}
