//! What another strategy would have answered for the conflicts of the journal.

use isles_replica::JournalRecord;
use isles_replica::journal::{WhatIf, WhatIfAnswer};
use isles_resolve::{Class, Resolver, Strategy};

use super::answer::write_number;
use super::query::Words;
use super::{Query, Reading};
use crate::error::{Failure, Outcome, preview};
use crate::reply::Reply;

/// Records that one question resolves anew.
const JUDGED_MAX: usize = 512;
/// Of an answer a sample shows this many bytes.
const SAMPLE_VALUE_BYTES: usize = 256;

/// What a walk over records has found.
#[derive(Default)]
struct Verdict<'r> {
    same: u64,
    truncated: u64,
    no_choice: u64,
    different: u64,
    sample: Vec<(&'r JournalRecord, WhatIfAnswer, WhatIfAnswer)>,
}

pub(super) fn replay(reading: &Reading<'_>, options: &[&[u8]], reply: &mut Reply) -> Outcome {
    let words = Words {
        subcommand: "REPLAY",
        cursor: "CURSOR",
        strategy: true,
    };
    let query = Query::parse(options, &words, reading.now_ms)?;
    let name = query.strategy.ok_or_else(|| {
        Failure::other("ERR say which strategy to try: ISLES.CONFLICTS REPLAY STRATEGY <strategy>")
    })?;
    let strategy = strategy(name)?;
    let (verdict, cursor) = judge(reading, &query, &strategy, strategy.class());
    reply.map(7);
    reply.text("strategy");
    reply.text(strategy.to_string());
    for (name, number) in [
        ("same", verdict.same),
        ("different", verdict.different),
        ("truncated", verdict.truncated),
        ("no_choice", verdict.no_choice),
        ("cursor", cursor),
    ] {
        write_number(reply, name, number);
    }
    reply.text("sample");
    reply.array(verdict.sample.len());
    for (record, now, then) in &verdict.sample {
        reply.map(4);
        reply.text("id");
        reply.text(format!("{:032x}", record.id));
        reply.text("key");
        reply.bulk(&record.key);
        for (name, answer) in [("now", now), ("then", then)] {
            reply.text(name);
            write_answer(reply, answer);
        }
    }
    Ok(())
}

/// Asks a resolver about the records that match, newest first; also answers the cursor of the next ones, zero at the end.
fn judge<'r>(
    reading: &Reading<'r>,
    query: &Query<'_>,
    resolver: &dyn Resolver,
    class: Class,
) -> (Verdict<'r>, u64) {
    let before = query
        .cursor
        .filter(|cursor| *cursor > 0)
        .unwrap_or(u64::MAX);
    let (mut verdict, mut scanned, mut judged, mut last) = (Verdict::default(), 0, 0, 0);
    for record in reading.journal.before(before) {
        if query.is_past(record) {
            break;
        }
        if judged == JUDGED_MAX || scanned == super::query::SCANNED_MAX {
            return (verdict, last);
        }
        (scanned, last) = (scanned + 1, record.sequence);
        if !query.matches(record, reading) {
            continue;
        }
        judged += 1;
        match record.what_if(resolver, class) {
            WhatIf::Answer { now, then } if now == then => verdict.same += 1,
            WhatIf::Answer { now, then } => {
                verdict.different += 1;
                if verdict.sample.len() < query.count {
                    verdict.sample.push((record, now, then));
                }
            }
            WhatIf::Truncated => verdict.truncated += 1,
            _ => verdict.no_choice += 1,
        }
    }
    (verdict, 0)
}

fn write_answer(reply: &mut Reply, answer: &WhatIfAnswer) {
    let (what, value) = match answer {
        WhatIfAnswer::Value(value) => ("value", Some(&value[..])),
        WhatIfAnswer::Nothing => ("nothing", None),
        WhatIfAnswer::Siblings => ("siblings", None),
    };
    reply.map(2);
    reply.text("answer");
    reply.text(what);
    reply.text("value");
    reply.bulk_or_null(value.map(|value| &value[..value.len().min(SAMPLE_VALUE_BYTES)]));
}

fn strategy(name: &[u8]) -> Result<Strategy, Failure> {
    let text = std::str::from_utf8(name).ok();
    let parsed = text.and_then(|text| text.to_ascii_lowercase().parse().ok());
    parsed.ok_or_else(|| {
        let known: Vec<&str> = Strategy::ALL.iter().map(|each| each.name()).collect();
        Failure::other(format!(
            "ERR unknown strategy '{}', expected one of: {}",
            preview(name),
            known.join(", ")
        ))
    })
}
