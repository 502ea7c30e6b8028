//! Commands on places, which are scores of a sorted set.

use isles_replica::{AddIf, Score, ScoreIf, SortedSet};

use super::geo_search::{
    georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore,
};
use crate::call::{Call, is};
use crate::decimal::Number;
use crate::double;
use crate::error::{Failure, Outcome};
use crate::geo_hash::Place;
use crate::reply::Reply;
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    geo("geoadd", -5, geoadd, "Adds one or more members to a geospatial index. The key is created if it doesn't exist.").write().key(),
    geo("geodist", -4, geodist, "Returns the distance between two members of a geospatial index.").read().key(),
    geo("geohash", -2, geohash, "Returns members from a geospatial index as geohash strings.").read().key(),
    geo("geopos", -2, geopos, "Returns the longitude and latitude of members from a geospatial index.").read().key(),
    geo("georadius", -6, georadius, "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result.").write().long().keys_after_store(),
    geo("georadius_ro", -6, georadius_ro, "Returns members from a geospatial index that are within a distance from a coordinate.").read().long().key(),
    geo("georadiusbymember", -5, georadiusbymember, "Queries a geospatial index for members within a distance from a member, optionally stores the result.").write().long().keys_after_store(),
    geo("georadiusbymember_ro", -5, georadiusbymember_ro, "Returns members from a geospatial index that are within a distance from a member.").read().long().key(),
    geo("geosearch", -7, geosearch, "Queries a geospatial index for members inside an area of a box or a circle.").read().long().key(),
    geo("geosearchstore", -8, geosearchstore, "Queries a geospatial index for members inside an area of a box or a circle, optionally stores the result.").write().long().keys(1, 2, 1),
];

const fn geo(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Geo, name, arity, Run::Data(run), summary)
}

/// Reads longitude and latitude.
pub(super) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Failure> {
    let number = |text| double::parse(text).ok_or(Failure::NotAFloat);
    let place = Place {
        longitude: number(longitude)?,
        latitude: number(latitude)?,
    };
    if place.is_valid() {
        return Ok(place);
    }
    Err(Failure::other(format!(
        "ERR invalid longitude,latitude pair {:.6},{:.6}",
        place.longitude, place.latitude
    )))
}

/// Metres in a unit.
pub(super) fn unit_m(word: &[u8]) -> Result<f64, Failure> {
    const UNITS: [(&str, f64); 4] = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    let unit = UNITS.into_iter().find(|(name, _)| is(word, name));
    unit.map(|(_, metres)| metres)
        .ok_or_else(|| Failure::other("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Answers with a distance, which has four digits after the point.
pub(super) fn answer_distance(reply: &mut Reply, distance: f64) {
    reply.text(format!("{distance:.4}"));
}

/// Answers with longitude and latitude.
pub(super) fn answer_place(reply: &mut Reply, place: Place) {
    reply.array(2);
    for coordinate in [place.longitude, place.latitude] {
        reply.double_text(&Number::Rounded(coordinate).to_text());
    }
}

fn geoadd(call: &mut Call<'_, '_>) -> Outcome {
    let mut words = &call.args[2..];
    let (mut absent, mut present, mut changes) = (false, false, false);
    while let Some((word, rest)) = words.split_first() {
        let flag = match () {
            () if is(word, "NX") => &mut absent,
            () if is(word, "XX") => &mut present,
            () if is(word, "CH") => &mut changes,
            () => break,
        };
        *flag = true;
        words = rest;
    }
    if !words.len().is_multiple_of(3) || (absent && present) {
        return Err(Failure::Syntax);
    }
    let scored = words.chunks_exact(3).map(|words| {
        let bits = place(words[0], words[1])?.to_bits();
        let score = Score::try_from(bits as f64).expect("an integer is a number");
        Ok((words[2], score))
    });
    let pairs: Result<Vec<(&[u8], Score)>, Failure> = scored.collect();
    let add_if = match (absent, present) {
        (true, _) => AddIf::Absent,
        (_, true) => AddIf::Present,
        _ => AddIf::Always,
    };
    let added = call
        .txn
        .sorted_set_add(call.args[1], &pairs?, add_if, ScoreIf::Any)?;
    call.reply
        .count(added.new + if changes { added.changed } else { 0 });
    Ok(())
}

/// Where a member is.
pub(super) fn place_of(set: &SortedSet, member: &[u8]) -> Option<Place> {
    set.score(member)
        .map(|score| Place::from_score(score.get()))
}

fn geodist(call: &mut Call<'_, '_>) -> Outcome {
    let unit_m = match call.args[4..] {
        [] => 1.0,
        [word] => unit_m(word)?,
        _ => return Err(Failure::Syntax),
    };
    let set = call.txn.sorted_set(call.args[1])?;
    let distance = set.and_then(|set| {
        let (from, to) = (place_of(set, call.args[2])?, place_of(set, call.args[3])?);
        Some(from.distance_m(to) / unit_m)
    });
    match distance {
        Some(distance) => answer_distance(call.reply, distance),
        None => call.reply.null(),
    }
    Ok(())
}

fn geohash(call: &mut Call<'_, '_>) -> Outcome {
    let members = &call.args[2..];
    let set = call.txn.sorted_set(call.args[1])?;
    call.reply.array(members.len());
    for member in members {
        match set.and_then(|set| place_of(set, member)) {
            Some(place) => call.reply.text(place.to_geohash()),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn geopos(call: &mut Call<'_, '_>) -> Outcome {
    let members = &call.args[2..];
    let set = call.txn.sorted_set(call.args[1])?;
    call.reply.array(members.len());
    for member in members {
        match set.and_then(|set| place_of(set, member)) {
            Some(place) => answer_place(call.reply, place),
            None => call.reply.null_array(),
        }
    }
    Ok(())
}
