//! Conflicts as people read them.

use isles_resp::resp3::Value;

use crate::status::table::columns;

/// Of a value or a key a table shows so many characters.
const CELL_CHARS: usize = 32;

pub(super) fn records(records: &[Value]) -> String {
    let head = [
        "DETECTED", "KEY", "KIND", "LOST", "IN", "TO", "IN", "STATE", "ID",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(records.iter().map(record));
    columns(&rows)
}

/// One record as a row.
pub(super) fn record(record: &Value) -> Vec<String> {
    let (winner, loser) = (record.get("winner"), record.get("loser"));
    vec![
        utc(record.get("detected_ms").number()),
        short(&place(record)),
        record.get("kind").text(),
        short(&value_of(record, loser)),
        region_of(loser),
        short(&value_of(record, winner)),
        region_of(winner),
        short_state_of(record),
        record.get("id").text(),
    ]
}

/// Everything about one record.
pub(super) fn whole(record: &Value) -> String {
    let mut rows = vec![
        ["id".to_owned(), record.get("id").text()],
        ["key".to_owned(), record.get("key").text()],
    ];
    for name in ["field", "keyspace", "component", "kind", "strategy"] {
        let value = record.get(name);
        if !value.text().is_empty() && *value != Value::Null {
            rows.push([name.to_owned(), value.text()]);
        }
    }
    let kept = match (is_kept(record), state_of(record)) {
        (true, "open") => "both values are still there; the strategy says which is read",
        (true, _) => "both values were still there",
        (false, _) => "what lost is only here",
    };
    let detected = utc(record.get("detected_ms").number());
    rows.push(["kept".to_owned(), kept.to_owned()]);
    rows.push(["detected".to_owned(), detected]);
    rows.push(["state".to_owned(), long_state_of(record)]);
    for name in ["winner", "loser"] {
        let contender = record.get(name);
        rows.push([name.to_owned(), value_of(record, contender)]);
        rows.push(["  written".to_owned(), written(contender)]);
        let (bytes, kept) = (
            contender.get("value_bytes").number(),
            contender.get("kept_bytes").number(),
        );
        if kept < bytes {
            let text = format!("only {kept} of {bytes} bytes are kept");
            rows.push(["  shortened".to_owned(), text]);
        }
    }
    columns(&rows)
}

fn written(contender: &Value) -> String {
    let ahead = match contender.get("ahead_ms") {
        Value::Integer(0) | Value::Null => String::new(),
        other => format!(", its clock {} ms ahead of this node's", other.text()),
    };
    let when = match contender.get("stamp_ms").number() {
        // Members of sets do not say when they were added.
        0 => "at an unknown time".to_owned(),
        at_ms => utc(at_ms),
    };
    format!(
        "{when} by {} in {}, entry {}{ahead}",
        contender.get("node").text(),
        region_of(contender),
        contender.get("dot").text()
    )
}

/// The key, and the field in it if there is one.
pub(super) fn place(record: &Value) -> String {
    match record.get("field") {
        Value::Null => record.get("key").text(),
        field => format!("{} {}", record.get("key").text(), field.text()),
    }
}

fn value_of(record: &Value, contender: &Value) -> String {
    let value = contender.get("value");
    let is_deadline = record.get("component").text() == "deadline";
    match (value, is_deadline) {
        (Value::Null, true) => "(no deadline)".to_owned(),
        (Value::Null, false) => "(deleted)".to_owned(),
        (value, true) => {
            let at_ms = value.text().parse::<u64>();
            at_ms.map_or_else(|_| value.text(), |at_ms| format!("until {}", utc(at_ms)))
        }
        (value, false) => value.text(),
    }
}

fn region_of(contender: &Value) -> String {
    contender.get("region").text()
}

pub(super) fn state_of(record: &Value) -> &'static str {
    match record.get("resolved") {
        Value::Null => "open",
        _ => "resolved",
    }
}

/// Whether what lost is still beside what it lost to.
pub(super) fn is_kept(record: &Value) -> bool {
    matches!(record.get("kept"), Value::Boolean(true) | Value::Integer(1))
}

fn short_state_of(record: &Value) -> String {
    match (state_of(record), is_kept(record)) {
        ("open", true) => "open, kept".to_owned(),
        (state, _) => state.to_owned(),
    }
}

fn long_state_of(record: &Value) -> String {
    let resolved = record.get("resolved");
    match resolved {
        Value::Null => "open: nobody who had seen the lost write has written here since".to_owned(),
        _ => format!(
            "resolved: {} {}",
            resolved.get("how").text(),
            written(resolved)
        ),
    }
}

pub(super) fn stats(stats: &Value) -> String {
    let dropped = stats.get("dropped");
    let ages = stats.get("ages_ms");
    let age = |name: &str| match ages.get(name) {
        Value::Null => "-".to_owned(),
        age => duration(age.number()),
    };
    let mut rows = Vec::new();
    for (name, value) in [
        ("records", stats.get("records").text()),
        ("open", stats.get("open").text()),
        ("oldest", age("oldest")),
        ("oldest open", age("oldest_open")),
        ("last minute", stats.get("last_minute").text()),
        ("last hour", stats.get("last_hour").text()),
        ("since start", stats.get("detected_since_start").text()),
        (
            "bytes",
            format!(
                "{} of {}",
                stats.get("bytes").text(),
                stats.get("bytes_max").text()
            ),
        ),
        ("dropped", dropped_text(dropped)),
        (
            "shortened",
            format!("{} since start", stats.get("truncated_since_start").text()),
        ),
    ] {
        rows.push(vec![name.to_owned(), value]);
    }
    let mut text = columns(&rows);
    let head = [
        "KEYSPACE", "KIND", "STRATEGY", "LOSER", "WINNER", "RECORDS", "OPEN",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for group in stats.get("groups").items() {
        let names = [
            "keyspace", "kind", "strategy", "loser", "winner", "records", "open",
        ];
        rows.push(names.map(|name| group.get(name).text()).to_vec());
    }
    text.push('\n');
    text.push_str(&columns(&rows));
    let mut rows = vec![vec![
        "HOT KEY".to_owned(),
        "CONFLICTS SINCE START".to_owned(),
    ]];
    for hot in stats.get("hot_keys").items() {
        rows.push(vec![
            short(&hot.get("key").text()),
            hot.get("conflicts").text(),
        ]);
    }
    text.push('\n');
    text.push_str(&columns(&rows));
    text
}

/// What a journal has forgotten.
pub(super) fn dropped_text(dropped: &Value) -> String {
    match dropped.get("records").number() {
        0 => "none".to_owned(),
        records => format!(
            "{records}, detected from {} to {}",
            utc(dropped.get("first_ms").number()),
            utc(dropped.get("last_ms").number())
        ),
    }
}

pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A moment as ISO 8601 has it, to the millisecond. The days are counted as in H. Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `civil_from_days`.
pub(crate) fn utc(ms: u64) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        day - (153 * shifted + 2) / 5 + 1,
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

fn duration(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(utc(ms), expected);
        }
    }

    #[test]
    fn deadlines_are_no_deletions() {
        let text = |text: &str| Value::Text(text.into());
        let record = |component| Value::Map(vec![(text("component"), text(component))]);
        let contender = |value| Value::Map(vec![(text("value"), value)]);
        for (component, value, expected) in [
            ("register-lww", Value::Null, "(deleted)"),
            ("register-lww", text("1700000000123"), "1700000000123"),
            ("deadline", Value::Null, "(no deadline)"),
            (
                "deadline",
                text("1700000000123"),
                "until 2023-11-14T22:13:20.123Z",
            ),
        ] {
            assert_eq!(value_of(&record(component), &contender(value)), expected);
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(short("short"), "short");
        assert_eq!(short(&"ä".repeat(40)), format!("{}…", "ä".repeat(32)));
    }
}
