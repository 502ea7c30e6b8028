//! Records, by page: newest first to look at, oldest first to follow; and one by its id.

use isles_replica::JournalRecord;

use super::answer::{
    ANSWER_BYTES_MAX, LISTED_VALUE_BYTES, write_dropped, write_number, write_record,
};
use super::query::{SCANNED_MAX, Words};
use super::{Query, Reading};
use crate::error::{Failure, Outcome, preview};
use crate::reply::Reply;

/// What a walk over records has come to.
struct Page {
    /// The last record looked at.
    last: Option<u64>,
    /// All that there are were looked at.
    at_end: bool,
}

/// Writes the records that match, as the entry of a map.
fn write_page<'r>(
    reply: &mut Reply,
    records: impl Iterator<Item = &'r JournalRecord>,
    query: &Query<'_>,
    reading: &Reading<'_>,
    is_past: impl Fn(&JournalRecord) -> bool,
) -> Page {
    reply.text("records");
    let (mark, start) = (reply.mark(), reply.len());
    let (mut written, mut scanned, mut last) = (0, 0, None);
    let mut at_end = true;
    for record in records {
        let is_full = written == query.count || reply.len() - start > ANSWER_BYTES_MAX;
        if is_full || scanned == SCANNED_MAX {
            at_end = false;
            break;
        }
        if is_past(record) {
            break;
        }
        (scanned, last) = (scanned + 1, Some(record.sequence));
        if query.matches(record, reading) {
            write_record(reply, record, reading, LISTED_VALUE_BYTES);
            written += 1;
        }
    }
    reply.array_at(mark, written);
    Page { last, at_end }
}

pub(super) fn list(reading: &Reading<'_>, options: &[&[u8]], reply: &mut Reply) -> Outcome {
    let words = Words {
        subcommand: "LIST",
        cursor: "CURSOR",
        strategy: false,
    };
    let query = Query::parse(options, &words, reading.now_ms)?;
    let before = query
        .cursor
        .filter(|cursor| *cursor > 0)
        .unwrap_or(u64::MAX);
    reply.map(3);
    let records = reading.journal.before(before);
    let page = write_page(reply, records, &query, reading, |record| {
        query.is_past(record)
    });
    let cursor = if page.at_end { None } else { page.last };
    write_number(reply, "cursor", cursor.unwrap_or(0));
    write_dropped(reply, reading.journal);
    Ok(())
}

pub(super) fn follow(reading: &Reading<'_>, options: &[&[u8]], reply: &mut Reply) -> Outcome {
    let words = Words {
        subcommand: "FOLLOW",
        cursor: "AFTER",
        strategy: false,
    };
    let query = Query::parse(options, &words, reading.now_ms)?;
    let journal = reading.journal;
    let end = journal.next_sequence() - 1;
    let after = query.cursor.unwrap_or(end);
    if after > end {
        return Err(Failure::other(format!(
            "ERR cursor {after} is ahead of this node's journal, which ends at {end}: it is of another node; follow each node with \
             cursors of its own, or begin with AFTER 0"
        )));
    }
    let oldest = journal
        .iter()
        .next()
        .map_or(end + 1, |first| first.sequence);
    reply.map(4);
    let page = write_page(reply, journal.after(after), &query, reading, |_| false);
    write_number(reply, "cursor", page.last.unwrap_or(after));
    // What was dropped before the follower came to it.
    write_number(reply, "missed", oldest.saturating_sub(after + 1));
    write_dropped(reply, journal);
    Ok(())
}

pub(super) fn show(reading: &Reading<'_>, options: &[&[u8]], reply: &mut Reply) -> Outcome {
    let &[id] = options else {
        return Err(Failure::Syntax);
    };
    let id = parse_id(id)?;
    let record = reading.journal.get(id).ok_or_else(|| no_record(id))?;
    write_record(reply, record, reading, usize::MAX);
    Ok(())
}

fn no_record(id: u128) -> Failure {
    let error = isles_replica::RestoreError::NoRecord { id };
    Failure::other(format!("ERR {error}"))
}

/// The id of a record: 32 hexadecimal digits.
pub(super) fn parse_id(text: &[u8]) -> Result<u128, Failure> {
    let digits = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let id = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
    id.ok_or_else(|| {
        Failure::other(format!(
            "ERR '{}' is no id of a record: 32 hexadecimal digits, as ISLES.CONFLICTS LIST shows them",
            preview(text)
        ))
    })
}
