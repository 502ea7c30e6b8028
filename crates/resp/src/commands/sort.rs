//! SORT: the elements of a collection in an order, or what keys named after them hold.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use isles_replica::{SortedSet, ValueType};

use crate::call::{Call, integer, is};
use crate::double;
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    key(
        "sort",
        sort,
        "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
    )
    .write()
    .many()
    .long()
    .keys_and(1, "STORE"),
    key(
        "sort_ro",
        sort_ro,
        "Returns the sorted elements of a list, a set, or a sorted set.",
    )
    .read()
    .long()
    .keys(1, 1, 1)
    .movable(),
];

const fn key(
    name: &'static str,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Keys, name, -2, Run::Data(run), summary)
}

/// What the options say.
#[derive(Debug, Default)]
struct Options<'c> {
    by: Option<&'c [u8]>,
    get: Vec<&'c [u8]>,
    limit: Option<(i64, i64)>,
    descending: bool,
    alpha: bool,
    store: Option<&'c [u8]>,
}

impl<'c> Options<'c> {
    fn parse(words: &[&'c [u8]], may_store: bool) -> Result<Self, Failure> {
        let (mut options, mut rest) = (Options::default(), words);
        loop {
            rest = match *rest {
                [] => return Ok(options),
                [word, ref rest @ ..] if is(word, "ASC") => {
                    options.descending = false;
                    rest
                }
                [word, ref rest @ ..] if is(word, "DESC") => {
                    options.descending = true;
                    rest
                }
                [word, ref rest @ ..] if is(word, "ALPHA") => {
                    options.alpha = true;
                    rest
                }
                [word, start, count, ref rest @ ..] if is(word, "LIMIT") => {
                    options.limit = Some((integer(start)?, integer(count)?));
                    rest
                }
                [word, to, ref rest @ ..] if is(word, "STORE") && may_store => {
                    options.store = Some(to);
                    rest
                }
                [word, pattern, ref rest @ ..] if is(word, "BY") => {
                    options.by = Some(pattern);
                    rest
                }
                [word, pattern, ref rest @ ..] if is(word, "GET") => {
                    options.get.push(pattern);
                    rest
                }
                _ => return Err(Failure::Syntax),
            };
        }
    }

    /// A pattern that names one key for all elements gives them no order.
    fn is_unsorted(&self) -> bool {
        self.by.is_some_and(|by| !by.contains(&b'*'))
    }
}

fn sort(call: &mut Call<'_, '_>) -> Outcome {
    let options = Options::parse(&call.args[2..], true)?;
    run(call, options)
}

fn sort_ro(call: &mut Call<'_, '_>) -> Outcome {
    let options = Options::parse(&call.args[2..], false)?;
    run(call, options)
}

fn run(call: &mut Call<'_, '_>, mut options: Options<'_>) -> Outcome {
    let (elements, is_ordered) = elements(call, call.args[1], &options)?;
    let mut sorted = options.is_unsorted();
    if sorted && !is_ordered {
        // An answer must not depend on how a set happens to lie in memory here: scripts and STORE write it down.
        (sorted, options.alpha, options.by) = (false, true, None);
    }
    let elements = match sorted {
        true => elements,
        false => in_order(call, elements, &options)?,
    };
    let shown = limited(&elements, options.limit);
    let mut values = Vec::with_capacity(shown.len() * options.get.len().max(1));
    for element in shown {
        match options.get.is_empty() {
            true => values.push(Some(element.clone())),
            false => values.extend(
                options
                    .get
                    .iter()
                    .map(|pattern| look_up(call, pattern, element)),
            ),
        }
    }
    match options.store {
        Some(to) => store(call, to, &values),
        None => {
            call.reply.array(values.len());
            let values = values.iter();
            values.for_each(|value| call.reply.bulk_or_null(value.as_deref()));
        }
    }
    Ok(())
}

/// The elements of a collection, and whether they have an order of their own. Every type that can be sorted is here.
fn elements(
    call: &mut Call<'_, '_>,
    key: &[u8],
    options: &Options<'_>,
) -> Result<(Vec<Vec<u8>>, bool), Failure> {
    let mut elements = Vec::new();
    let mut push = |element: &[u8]| {
        elements.push(element.to_vec());
        ControlFlow::Continue(())
    };
    match call.txn.value_type(key) {
        None => Ok((elements, true)),
        Some(ValueType::Set) => {
            call.txn.set_members(key, &mut push)?;
            Ok((elements, false))
        }
        Some(ValueType::List) => {
            call.txn
                .list_each(key, 0..usize::MAX, &mut |_, element| push(element))?;
            Ok((in_own_order(elements, options), true))
        }
        Some(ValueType::SortedSet) => {
            let set = call.txn.sorted_set(key)?;
            elements.extend(
                set.into_iter()
                    .flat_map(SortedSet::iter)
                    .map(|(name, _)| name.to_vec()),
            );
            Ok((in_own_order(elements, options), true))
        }
        Some(_) => Err(Failure::WrongType),
    }
}

/// What has an order and is left in it can still be asked for from its end.
fn in_own_order(mut elements: Vec<Vec<u8>>, options: &Options<'_>) -> Vec<Vec<u8>> {
    if options.is_unsorted() && options.descending {
        elements.reverse();
    }
    elements
}

/// Writes the result as a list, where what was not found is an empty element; without elements, deletes the key.
fn store(call: &mut Call<'_, '_>, to: &[u8], values: &[Option<Vec<u8>>]) {
    let values: Vec<&[u8]> = values
        .iter()
        .map(|value| value.as_deref().unwrap_or_default())
        .collect();
    call.txn.list_replace(to, &values);
    call.reply.count(values.len());
}

/// What an element is sorted by.
#[derive(Debug)]
enum Weight {
    Number(f64),
    /// The element itself, or what its key holds.
    Text(Option<Vec<u8>>),
}

fn in_order(
    call: &mut Call<'_, '_>,
    elements: Vec<Vec<u8>>,
    options: &Options<'_>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let text = match options.by {
            Some(by) => look_up(call, by, &element),
            None => Some(element.clone()),
        };
        let weight = match options.alpha {
            true => Weight::Text(text),
            false => Weight::Number(number(text.as_deref())?),
        };
        weighed.push((weight, element));
    }
    weighed.sort_by(|(one, element), (other, another)| {
        let order = match (one, other) {
            (Weight::Number(one), Weight::Number(other)) => one.total_cmp(other),
            (Weight::Text(one), Weight::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        };
        let order = order.then_with(|| element.cmp(another));
        if options.descending {
            order.reverse()
        } else {
            order
        }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// An element without a weight weighs nothing.
fn number(text: Option<&[u8]>) -> Result<f64, Failure> {
    let Some(text) = text else { return Ok(0.0) };
    // Negative zero is zero.
    double::parse(double::as_c_reads(text))
        .map(|number| number + 0.0)
        .ok_or_else(|| Failure::other("ERR One or more scores can't be converted into double"))
}

fn limited(elements: &[Vec<u8>], limit: Option<(i64, i64)>) -> &[Vec<u8>] {
    let Some((start, count)) = limit else {
        return elements;
    };
    let start = usize::try_from(start.max(0))
        .unwrap_or(usize::MAX)
        .min(elements.len());
    let left = elements.len() - start;
    let count = usize::try_from(count).map_or(left, |count| count.min(left));
    &elements[start..start + count]
}

/// What the key or the field holds that a pattern names for an element.
fn look_up(call: &mut Call<'_, '_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|pair| pair == b"->");
    // An arrow at the very end belongs to the key's name.
    let field = arrow.filter(|at| at + 2 < after.len());
    let (after, field) = match field {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let key = [before, element, after].concat();
    let value = match field {
        Some(field) => call.txn.hash_get(&key, field).ok().flatten(),
        None => call.txn.string(&key).ok().flatten(),
    };
    value.map(|value| value.into_owned())
}
