//! Putting conflicts right.

use isles_clock::Dot;
use isles_replica::{Answer, RestoreError, RestoreIf, RestoreOutcome, Txn};

use super::Reading;
use super::answer::{write_number, write_settled};
use super::list::parse_id;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome, preview};

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Failure {
        match error {
            RestoreError::OtherType(_) => Failure::other(format!("WRONGTYPE {error}")),
            RestoreError::Truncated { .. } => Failure::other(format!("TRUNCATED {error}")),
            RestoreError::Expired { .. }
            | RestoreError::ExpiredSince { .. }
            | RestoreError::Passed { .. } => Failure::other(format!("EXPIRED {error}")),
            other => Failure::other(format!("ERR {other}")),
        }
    }
}

/// `RESTORE id [IFOPEN | FORCE]`.
pub(super) fn restore(call: &mut Call<'_, '_>) -> Outcome {
    let (id, how) = match call.args[2..] {
        [id] => (id, RestoreIf::Same),
        [id, word] if is(word, "IFOPEN") => (id, RestoreIf::Open),
        [id, word] if is(word, "FORCE") => (id, RestoreIf::Force),
        _ => {
            return Err(Failure::other(
                "ERR expected ISLES.CONFLICTS RESTORE <id> [IFOPEN | FORCE]",
            ));
        }
    };
    let id = parse_id(id)?;
    let outcome = call.txn.restore_loser(id, how)?;
    let now_ms = call.txn.now_ms();
    let reading = Reading {
        journal: call.txn.journal(),
        host: Some(call.surroundings.host),
        now_ms,
    };
    let reply = &mut *call.reply;
    reply.map(4);
    reply.text("id");
    reply.text(format!("{id:032x}"));
    reply.text("outcome");
    let (text, dot, settled) = match outcome {
        RestoreOutcome::Restored(dot) => ("restored", Some(dot), None),
        RestoreOutcome::Settled(settled) => ("settled before", None, Some(settled)),
    };
    reply.text(text);
    reply.text("dot");
    reply.bulk_or_null(
        dot.map(|dot| dot.to_string())
            .as_ref()
            .map(String::as_bytes),
    );
    reply.text("resolved");
    match settled {
        Some(settled) => write_settled(reply, settled, &reading),
        None => reply.null(),
    }
    Ok(())
}

/// `RESOLVE KEY key | ID id DOT dot | VALUE value [FORCE]`.
pub(super) fn resolve(call: &mut Call<'_, '_>) -> Outcome {
    let (target, answer, how) = match call.args[2..] {
        [what, target, word, answer] => ((what, target), (word, answer), RestoreIf::Same),
        [what, target, word, answer, force] if is(force, "FORCE") => {
            ((what, target), (word, answer), RestoreIf::Force)
        }
        _ => return Err(usage()),
    };
    let id = match target {
        (what, id) if is(what, "ID") => Some(parse_id(id)?),
        (what, _) if is(what, "KEY") => None,
        _ => return Err(usage()),
    };
    let answer = match answer {
        (word, value) if is(word, "VALUE") => Answer::Value(value),
        (word, text) if is(word, "DOT") => {
            let dots = match id {
                Some(id) => dots_of_record(call.txn, id)?,
                None => dots_of_key(call.txn, target.1),
            };
            Answer::Dot(chosen(&dots, text)?)
        }
        _ => return Err(usage()),
    };
    let settled = match id {
        Some(id) => call.txn.resolve_record(id, answer, how)?,
        None => resolve_key(call.txn, target.1, answer, how)?,
    };
    call.reply.map(1);
    write_number(call.reply, "resolved", settled as u64);
    Ok(())
}

fn resolve_key(
    txn: &mut Txn<'_>,
    key: &[u8],
    answer: Answer<'_>,
    how: RestoreIf,
) -> Result<usize, Failure> {
    txn.resolve_key(key, answer, how)
        .map_err(|error| match error {
            RestoreError::NoConflict => Failure::other(format!(
                "ERR '{}' has neither siblings nor open records about strings in this node's journal, so there is nothing to resolve",
                preview(key)
            )),
            other => other.into(),
        })
}

fn usage() -> Failure {
    Failure::other(
        "ERR expected ISLES.CONFLICTS RESOLVE KEY <key> or ID <id>, then DOT <dot> or VALUE <value>, then nothing or FORCE",
    )
}

fn dots_of_record(txn: &mut Txn<'_>, id: u128) -> Result<Vec<Dot>, Failure> {
    let record = txn.journal().get(id);
    let record = record.ok_or(RestoreError::NoRecord { id })?;
    Ok(vec![record.winner.dot, record.loser.dot])
}

fn dots_of_key(txn: &mut Txn<'_>, key: &[u8]) -> Vec<Dot> {
    let siblings = txn.siblings(key).map_or(Vec::new(), |found| found.versions);
    let mut dots: Vec<Dot> = siblings.iter().map(|sibling| sibling.dot).collect();
    for record in txn.journal().open_of(key) {
        dots.extend([record.winner.dot, record.loser.dot]);
    }
    dots.sort_unstable();
    dots.dedup();
    dots
}

/// The dot that a text means, as answers show it or with the whole id of its replica.
fn chosen(dots: &[Dot], text: &[u8]) -> Result<Dot, Failure> {
    let whole = |dot: &Dot| format!("{}:{}", dot.replica, dot.sequence);
    let is_meant = |dot: &&Dot| dot.to_string().as_bytes() == text || whole(dot).as_bytes() == text;
    let found: Vec<&Dot> = dots.iter().filter(is_meant).collect();
    match found[..] {
        [only] => Ok(*only),
        [] => {
            let known: Vec<String> = dots.iter().map(Dot::to_string).collect();
            Err(Failure::other(format!(
                "ERR no contender has the dot '{}'; there are: {}",
                preview(text),
                known.join(", ")
            )))
        }
        _ => Err(Failure::other(format!(
            "ERR '{}' means several entries; give the whole replica id before the colon",
            preview(text)
        ))),
    }
}
