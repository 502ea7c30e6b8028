//! Looking at conflicts.

use std::time::Duration;

use isles_resp::resp3::Value;

use super::options::{FollowOptions, ListOptions};
use super::{Journal, Output, table};

/// Records that are asked for at once.
const PAGE: u64 = 500;

pub(super) fn list(
    client: &mut Journal,
    options: &ListOptions,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut cursor = options.cursor.unwrap_or(0);
    let mut found: Vec<Value> = Vec::new();
    let dropped = loop {
        let left = options.count - found.len() as u64;
        let mut words = vec!["LIST".to_owned()];
        words.extend(options.filter.words());
        words.extend(["COUNT".to_owned(), left.min(PAGE).to_string()]);
        words.extend(["CURSOR".to_owned(), cursor.to_string()]);
        let page = client.conflicts(&words)?;
        cursor = page.get("cursor").number();
        found.extend(page.get("records").items().iter().cloned());
        if cursor == 0 || found.len() as u64 >= options.count {
            break page.get("dropped").clone();
        }
    };
    if output.json {
        for record in &found {
            output.line(record, String::new)?;
        }
        return Ok(());
    }
    if found.is_empty() {
        output.say("no conflicts")?;
    } else {
        output.say(table::records(&found))?;
    }
    if cursor != 0 {
        output.say(format!("\nthere may be more: --cursor {cursor}"))?;
    }
    if dropped.get("records").number() > 0 {
        let text = table::dropped_text(&dropped);
        output.say(format!("\nno longer in the journal: {text}"))?;
    }
    Ok(())
}

pub(super) fn show(client: &mut Journal, id: &str, output: &mut Output) -> anyhow::Result<()> {
    let record = client.conflicts(&["SHOW", id])?;
    output.line(&record, || table::whole(&record))?;
    Ok(())
}

pub(super) fn stats(client: &mut Journal, output: &mut Output) -> anyhow::Result<()> {
    let stats = client.conflicts(&["STATS"])?;
    output.line(&stats, || table::stats(&stats))?;
    Ok(())
}

/// Polls: a node remembers nothing of those who follow its journal.
pub(super) fn follow(
    client: &mut Journal,
    options: &FollowOptions,
    output: &mut Output,
) -> anyhow::Result<()> {
    let (mut after, mut shown) = (options.after, 0);
    loop {
        let mut words = vec!["FOLLOW".to_owned()];
        words.extend(options.filter.words());
        words.extend(["COUNT".to_owned(), PAGE.to_string()]);
        if let Some(after) = after {
            words.extend(["AFTER".to_owned(), after.to_string()]);
        }
        let page = client.conflicts(&words)?;
        let missed = page.get("missed").number();
        if missed > 0 && after.is_some_and(|after| after > 0) {
            eprintln!("{missed} records were dropped before they could be shown");
        }
        for record in page.get("records").items() {
            output.line(record, || table::record(record).join("  "))?;
            shown += 1;
            if options.count.is_some_and(|count| shown >= count) {
                return Ok(());
            }
        }
        let cursor = page.get("cursor").number();
        if after == Some(cursor) || after.is_none() {
            std::thread::sleep(Duration::from_millis(options.interval_ms));
        }
        after = Some(cursor);
    }
}
