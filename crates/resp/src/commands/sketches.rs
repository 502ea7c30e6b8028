//! HyperLogLogs: about how many different elements were added.

use isles_crdt::Merge;
use isles_crdt::hyper_log_log::Sketch;
use isles_replica::{SketchError, hyll};

use super::config::help;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    sketch(
        "pfadd",
        -2,
        pfadd,
        "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    sketch(
        "pfcount",
        -2,
        pfcount,
        "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
    )
    .read()
    .may_replicate()
    .keys(1, -1, 1),
    sketch(
        "pfdebug",
        -2,
        pfdebug,
        "Internal commands for debugging HyperLogLog values.",
    )
    .read()
    .admin()
    .keys(2, 2, 1),
    sketch(
        "pfmerge",
        -2,
        pfmerge,
        "Merges one or more HyperLogLog values into a single key.",
    )
    .write()
    .keys(1, -1, 1),
    sketch(
        "pfselftest",
        1,
        pfselftest,
        "An internal command for testing HyperLogLog values.",
    )
    .admin(),
];

const fn sketch(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::HyperLogLog, name, arity, Run::Data(run), summary)
}

/// The number of registers of a sketch.
const REGISTERS: usize = 1 << 14;

fn pfadd(call: &mut Call<'_, '_>) -> Outcome {
    let added = call.txn.sketch_add(call.args[1], &call.args[2..]);
    call.reply.flag(added.map_err(refused)?);
    Ok(())
}

fn pfcount(call: &mut Call<'_, '_>) -> Outcome {
    let count = match call.args[1..] {
        [key] => call.txn.sketch_count(key).map_err(refused)?,
        ref keys => Some(union(call, keys)?.cardinality()),
    };
    let count = i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX);
    call.reply.integer(count);
    Ok(())
}

fn pfmerge(call: &mut Call<'_, '_>) -> Outcome {
    let (to, sources) = (call.args[1], &call.args[1..]);
    let union = union(call, sources)?;
    call.txn.sketch_join(to, &union).map_err(refused)?;
    call.reply.ok();
    Ok(())
}

fn union(call: &mut Call<'_, '_>, keys: &[&[u8]]) -> Result<Sketch, Failure> {
    let mut union = Sketch::new();
    for key in keys {
        if let Some(sketch) = call.txn.sketch(key).map_err(refused)? {
            union.merge(&sketch);
        }
    }
    Ok(union)
}

pub(super) fn refused(error: SketchError) -> Failure {
    match error {
        SketchError::WrongType => Failure::WrongType,
        SketchError::Corrupted => Failure::other("INVALIDOBJ Corrupted HLL object detected"),
        _ => Failure::other("WRONGTYPE Key is not a valid HyperLogLog string value."),
    }
}

fn pfdebug(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, key) = (call.args[1], call.args.get(2).copied());
    if is(subcommand, "HELP") {
        help(call, "PFDEBUG", &["ENCODING <key>", "GETREG <key>"]);
        return Ok(());
    }
    let (registers, encoding) = (is(subcommand, "GETREG"), is(subcommand, "ENCODING"));
    if !registers && !encoding {
        return Err(Failure::subcommand(subcommand, "PFDEBUG"));
    }
    let key = key.ok_or_else(|| Failure::arity("pfdebug"))?;
    let sketch = call.txn.sketch(key).map_err(refused)?;
    let sketch = sketch.ok_or_else(|| Failure::other("ERR The specified key does not exist"))?;
    if registers {
        let mut ranks = vec![0u8; REGISTERS];
        for (index, rank) in sketch.set_registers() {
            ranks[index] = rank;
        }
        call.reply.array(ranks.len());
        for rank in ranks {
            call.reply.integer(i64::from(rank));
        }
    } else {
        let string = call.txn.string(key)?.unwrap_or_default();
        let encoding = match hyll::is_dense(&string) {
            true => "dense",
            false => "sparse",
        };
        call.reply.simple(encoding);
    }
    Ok(())
}

/// So many different hashes are counted; the estimate may be wrong by as much as a twentieth.
const SELF_TEST_COUNT: u64 = 100_000;

fn pfselftest(call: &mut Call<'_, '_>) -> Outcome {
    let mut sketch = Sketch::new();
    for number in 1..=SELF_TEST_COUNT {
        // The finish of splitmix64 spreads consecutive numbers over all bits.
        let mut hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        sketch.insert(hash ^ hash >> 31);
    }
    let error = sketch.cardinality().abs_diff(SELF_TEST_COUNT);
    if error > SELF_TEST_COUNT / 20 {
        return Err(Failure::other(format!(
            "TESTFAILED a count of {SELF_TEST_COUNT} is estimated wrongly by {error}"
        )));
    }
    call.reply.ok();
    Ok(())
}
