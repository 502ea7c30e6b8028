//! The journal of conflicts.

use isles_replica::{ConflictRecord, Contender, FailedKey};

use super::isles::{inspect, write_stamp};
use crate::call::{Inspection, integer, is};
use crate::engine::Host;
use crate::error::{Failure, Outcome};
use crate::glob::{Case, Glob};
use crate::reply::Reply;
use crate::spec::Spec;

pub(super) const COMMANDS: &[Spec] = &[inspect(
    "isles.conflicts",
    -1,
    conflicts,
    "Lists the newest conflicts.",
)
.read()
.long()];

/// Records that one answer lists unless told otherwise.
const CONFLICTS_DEFAULT: usize = 10;
/// Records that one answer lists at most.
const CONFLICTS_MAX: usize = 10_000;

fn conflicts(inspection: &mut Inspection<'_>) -> Outcome {
    match inspection.args {
        [_, word] if is(word, "HOT") => return hot_keys(inspection, CONFLICTS_DEFAULT),
        [_, word, count, number] if is(word, "HOT") && is(count, "COUNT") => {
            let limit = usize::try_from(integer(number)?).map_err(|_| Failure::NotPositive)?;
            return hot_keys(inspection, limit);
        }
        _ => {}
    }
    let mut count = CONFLICTS_DEFAULT;
    let mut pattern: &[u8] = b"*";
    for option in inspection.args[1..].chunks(2) {
        match *option {
            [word, number] if is(word, "COUNT") => {
                count = usize::try_from(integer(number)?)
                    .map_err(|_| Failure::NotPositive)?
                    .min(CONFLICTS_MAX);
            }
            [word, glob] if is(word, "KEY") => pattern = glob,
            _ => return Err(Failure::Syntax),
        }
    }
    let glob = Glob::new(pattern, Case::Sensitive)?;
    let mark = inspection.reply.mark();
    let records = inspection.replica.conflicts().iter().rev();
    let shown = records
        .filter(|record| glob.matches(&record.key))
        .take(count);
    let (mut written, host) = (0, inspection.surroundings.host);
    for record in shown {
        let failed = inspection.replica.failure_of(&record.key);
        write_conflict(inspection.reply, record, failed, host);
        written += 1;
    }
    inspection.reply.array_at(mark, written);
    Ok(())
}

/// The keys that were in conflict most often since start.
fn hot_keys(inspection: &mut Inspection<'_>, limit: usize) -> Outcome {
    let top = inspection.replica.conflicts().hot_keys().top(limit);
    inspection.reply.array(top.len());
    for hot in top {
        inspection.reply.map(3);
        inspection.reply.text("key");
        inspection.reply.bulk(&hot.key);
        for (name, count) in [
            ("conflicts", hot.conflicts),
            ("at_least", hot.conflicts - hot.error),
        ] {
            inspection.reply.text(name);
            inspection
                .reply
                .integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

fn write_conflict(
    reply: &mut Reply,
    record: &ConflictRecord,
    failed: Option<FailedKey>,
    host: &dyn Host,
) {
    reply.map(12);
    reply.text("id");
    reply.text(format!("{:032x}", record.id));
    reply.text("key");
    reply.bulk(&record.key);
    reply.text("field");
    reply.bulk_or_null(record.field.as_deref());
    reply.text("keyspace");
    reply.bulk(&record.keyspace);
    reply.text("component");
    reply.text(record.component.name());
    reply.text("kind");
    reply.text(record.kind.name());
    reply.text("strategy");
    reply.text(record.strategy.name());
    reply.text("kept");
    reply.boolean(record.kept);
    reply.text("detected_ms");
    reply.integer(i64::try_from(record.detected_ms).unwrap_or(i64::MAX));
    reply.text("winner");
    write_contender(reply, &record.winner, host);
    reply.text("loser");
    write_contender(reply, &record.loser, host);
    reply.text("failure");
    let failed = failed.map(|failed| failed.to_string());
    reply.bulk_or_null(failed.as_ref().map(|text| text.as_bytes()));
}

fn write_contender(reply: &mut Reply, contender: &Contender, host: &dyn Host) {
    reply.map(7);
    reply.text("value");
    reply.bulk_or_null(contender.value.as_deref());
    reply.text("value_bytes");
    reply.integer(i64::try_from(contender.value_bytes).unwrap_or(i64::MAX));
    reply.text("dot");
    reply.text(contender.dot.to_string());
    write_stamp(reply, contender.stamp, host);
}
