//! GEOSEARCH and the older GEORADIUS: what lies near a place.

use std::ops::ControlFlow;

use isles_replica::{Score, SortedSet};

use super::geo::{answer_distance, answer_place, place, place_of, unit_m};
use super::sorted_bounds::{Pairs, borrowed};
use crate::call::{Call, integer, is};
use crate::double;
use crate::error::{Failure, Outcome};
use crate::geo_hash::{Place, Shape};
use crate::reply::Reply;

/// Which words a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Search,
    SearchStore,
    Radius,
    /// GEORADIUS_RO.
    RadiusOnly,
}

/// From where distances are measured.
#[derive(Clone, Copy, Debug)]
enum Centre<'c> {
    Place(Place),
    Member(&'c [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// What an answer tells of each member.
#[derive(Clone, Copy, Debug, Default)]
struct Show {
    distance: bool,
    hash: bool,
    place: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Query<'c> {
    from: Option<Centre<'c>>,
    shape: Option<(Shape, f64)>,
    count: Option<usize>,
    any: bool,
    order: Option<Order>,
    show: Show,
    /// Where the result goes, and whether with distances instead of places.
    store: Option<(&'c [u8], bool)>,
}

/// A member within the shape.
struct Found<'s> {
    name: &'s [u8],
    score: Score,
    place: Place,
    distance_m: f64,
}

pub(super) fn geosearch(call: &mut Call<'_, '_>) -> Outcome {
    check_type(call, call.args[1])?;
    let query = parse(Query::default(), &call.args[2..], Form::Search, "GEOSEARCH")?;
    run(call, call.args[1], query)
}

pub(super) fn geosearchstore(call: &mut Call<'_, '_>) -> Outcome {
    check_type(call, call.args[2])?;
    let start = Query {
        store: Some((call.args[1], false)),
        ..Query::default()
    };
    let query = parse(start, &call.args[3..], Form::SearchStore, "GEOSEARCHSTORE")?;
    run(call, call.args[2], query)
}

pub(super) fn georadius(call: &mut Call<'_, '_>) -> Outcome {
    radius(call, Form::Radius)
}

pub(super) fn georadius_ro(call: &mut Call<'_, '_>) -> Outcome {
    radius(call, Form::RadiusOnly)
}

fn radius(call: &mut Call<'_, '_>, form: Form) -> Outcome {
    check_type(call, call.args[1])?;
    let args = call.args;
    let start = Query {
        from: Some(Centre::Place(place(args[2], args[3])?)),
        shape: Some(circle(args[4], args[5])?),
        ..Query::default()
    };
    let query = parse(start, &args[6..], form, "GEORADIUS")?;
    run(call, args[1], query)
}

pub(super) fn georadiusbymember(call: &mut Call<'_, '_>) -> Outcome {
    radius_by_member(call, Form::Radius)
}

pub(super) fn georadiusbymember_ro(call: &mut Call<'_, '_>) -> Outcome {
    radius_by_member(call, Form::RadiusOnly)
}

fn radius_by_member(call: &mut Call<'_, '_>, form: Form) -> Outcome {
    check_type(call, call.args[1])?;
    let args = call.args;
    let start = Query {
        from: Some(Centre::Member(args[2])),
        shape: Some(circle(args[3], args[4])?),
        ..Query::default()
    };
    let query = parse(start, &args[5..], form, "GEORADIUSBYMEMBER")?;
    run(call, args[1], query)
}

fn check_type(call: &mut Call<'_, '_>, key: &[u8]) -> Outcome {
    call.txn.sorted_set(key)?;
    Ok(())
}

/// A length in metres.
fn length_m(text: &[u8], unit_m: f64, what: &str, negative: &str) -> Result<f64, Failure> {
    let length = double::parse(text);
    let length = length.ok_or_else(|| Failure::other(format!("ERR need numeric {what}")))?;
    if length < 0.0 {
        return Err(Failure::other(format!("ERR {negative} cannot be negative")));
    }
    Ok(length * unit_m)
}

fn circle(radius: &[u8], unit: &[u8]) -> Result<(Shape, f64), Failure> {
    // Redis complains of the number first.
    length_m(radius, 1.0, "radius", "radius")?;
    let unit_m = unit_m(unit)?;
    let radius_m = length_m(radius, unit_m, "radius", "radius")?;
    Ok((Shape::Circle { radius_m }, unit_m))
}

fn rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<(Shape, f64), Failure> {
    const NEGATIVE: &str = "height or width";
    let lengths_m = |unit_m| {
        let width_m = length_m(width, unit_m, "width", NEGATIVE)?;
        let height_m = length_m(height, unit_m, "height", NEGATIVE)?;
        Ok::<_, Failure>((width_m, height_m))
    };
    lengths_m(1.0)?;
    let unit_m = unit_m(unit)?;
    let (width_m, height_m) = lengths_m(unit_m)?;
    Ok((Shape::Box { width_m, height_m }, unit_m))
}

fn parse<'c>(
    mut query: Query<'c>,
    words: &[&'c [u8]],
    form: Form,
    command: &str,
) -> Result<Query<'c>, Failure> {
    let search = matches!(form, Form::Search | Form::SearchStore);
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let taken;
        (taken, rest) = match *after {
            _ if is(word, "WITHDIST") => (flag(&mut query.show.distance), after),
            _ if is(word, "WITHHASH") => (flag(&mut query.show.hash), after),
            _ if is(word, "WITHCOORD") => (flag(&mut query.show.place), after),
            _ if is(word, "ANY") => (flag(&mut query.any), after),
            _ if is(word, "ASC") => (set(&mut query.order, Order::Ascending), after),
            _ if is(word, "DESC") => (set(&mut query.order, Order::Descending), after),
            [number, ref after @ ..] if is(word, "COUNT") => {
                (set(&mut query.count, count(number)?), after)
            }
            [key, ref after @ ..] if form == Form::Radius && is(word, "STORE") => {
                (set(&mut query.store, (key, false)), after)
            }
            [key, ref after @ ..] if form == Form::Radius && is(word, "STOREDIST") => {
                (set(&mut query.store, (key, true)), after)
            }
            [member, ref after @ ..]
                if search && query.from.is_none() && is(word, "FROMMEMBER") =>
            {
                (set(&mut query.from, Centre::Member(member)), after)
            }
            [longitude, latitude, ref after @ ..]
                if search && query.from.is_none() && is(word, "FROMLONLAT") =>
            {
                let centre = Centre::Place(place(longitude, latitude)?);
                (set(&mut query.from, centre), after)
            }
            [radius, unit, ref after @ ..]
                if search && query.shape.is_none() && is(word, "BYRADIUS") =>
            {
                (set(&mut query.shape, circle(radius, unit)?), after)
            }
            [width, height, unit, ref after @ ..]
                if search && query.shape.is_none() && is(word, "BYBOX") =>
            {
                (
                    set(&mut query.shape, rectangle(width, height, unit)?),
                    after,
                )
            }
            _ if form == Form::SearchStore && is(word, "STOREDIST") => {
                query.store = query.store.map(|(key, _)| (key, true));
                (true, after)
            }
            _ => (false, after),
        };
        if !taken {
            return Err(Failure::Syntax);
        }
    }
    check(&query, form, command)?;
    Ok(query)
}

fn flag(flag: &mut bool) -> bool {
    *flag = true;
    true
}

fn set<T>(place: &mut Option<T>, value: T) -> bool {
    *place = Some(value);
    true
}

fn count(number: &[u8]) -> Result<usize, Failure> {
    let count = usize::try_from(integer(number)?).ok();
    let count = count.filter(|count| *count > 0);
    count.ok_or_else(|| Failure::other("ERR COUNT must be > 0"))
}

fn check(query: &Query<'_>, form: Form, command: &str) -> Outcome {
    let shows = query.show.distance || query.show.hash || query.show.place;
    if query.store.is_some() && shows {
        let what = match form {
            Form::SearchStore => "GEOSEARCHSTORE",
            _ => "STORE option in GEORADIUS",
        };
        return Err(Failure::other(format!(
            "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        )));
    }
    let refuse = |text: String| Err(Failure::other(text));
    match () {
        () if query.from.is_none() => refuse(format!(
            "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}"
        )),
        () if query.shape.is_none() => refuse(format!(
            "ERR exactly one of BYRADIUS and BYBOX can be specified for {command}"
        )),
        () if query.any && query.count.is_none() => {
            refuse("ERR the ANY argument requires COUNT argument".to_owned())
        }
        () => Ok(()),
    }
}

fn run(call: &mut Call<'_, '_>, key: &[u8], query: Query<'_>) -> Outcome {
    let set = call.txn.sorted_set(key)?;
    let (shape, unit_m) = query.shape.ok_or(Failure::Syntax)?;
    let found = match set {
        Some(set) => search(set, &query, shape)?,
        None => Vec::new(),
    };
    let Some((destination, distances)) = query.store else {
        answer(call.reply, &found, query.show, unit_m);
        return Ok(());
    };
    let score = |found: &Found<'_>| match distances {
        true => Score::try_from(found.distance_m / unit_m).unwrap_or(Score::ZERO),
        false => found.score,
    };
    let pairs: Pairs = found
        .iter()
        .map(|found| (found.name.into(), score(found)))
        .collect();
    call.txn.sorted_set_replace(destination, &borrowed(&pairs));
    call.reply.count(pairs.len());
    Ok(())
}

fn search<'s>(
    set: &'s SortedSet,
    query: &Query<'_>,
    shape: Shape,
) -> Result<Vec<Found<'s>>, Failure> {
    let undecodable = || Failure::other("ERR could not decode requested zset member");
    let centre = match query.from.ok_or(Failure::Syntax)? {
        Centre::Place(place) => place,
        Centre::Member(member) => place_of(set, member).ok_or_else(undecodable)?,
    };
    let count = query.count.unwrap_or(usize::MAX);
    let enough = if query.any { count } else { usize::MAX };
    let mut found = Vec::new();
    _ = each_within(set, centre, shape, &mut |member| {
        found.push(member);
        if found.len() < enough {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    // The nearest of a number can only be told by sorting.
    let sorts = query.count.is_some() && !query.any;
    let order = query.order.or(sorts.then_some(Order::Ascending));
    match order {
        Some(Order::Ascending) => found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
        Some(Order::Descending) => found.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
        None => {}
    }
    found.truncate(count);
    Ok(found)
}

fn each_within<'s>(
    set: &'s SortedSet,
    centre: Place,
    shape: Shape,
    each: &mut dyn FnMut(Found<'s>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for cell in shape.cover(centre) {
        let (first, last) = (*cell.start() as f64, *cell.end() as f64);
        let start = set.partition_point(|score, _| score.get() < first);
        let end = set.partition_point(|score, _| score.get() <= last);
        for (name, score) in set.range(start..end.max(start)) {
            let place = Place::from_score(score.get());
            if let Some(distance_m) = shape.distance_within_m(centre, place) {
                each(Found {
                    name,
                    score,
                    place,
                    distance_m,
                })?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn answer(reply: &mut Reply, found: &[Found<'_>], show: Show, unit_m: f64) {
    let shown = [show.distance, show.hash, show.place];
    let extras = shown.into_iter().filter(|shown| *shown).count();
    reply.array(found.len());
    for member in found {
        if extras > 0 {
            reply.array(extras + 1);
        }
        reply.bulk(member.name);
        if show.distance {
            answer_distance(reply, member.distance_m / unit_m);
        }
        if show.hash {
            reply.integer(member.score.get() as i64);
        }
        if show.place {
            answer_place(reply, member.place);
        }
    }
}
