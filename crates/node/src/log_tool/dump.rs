//! What the records of a log hold, for people and as JSON.

use std::io::{self, BufWriter, Write};

use isles_clock::Hlc;
use isles_replica::op::{Attribute, Base, Entry, KeyOp, Part};
use isles_replica::{Frame, Note};
use isles_store::RecordKind;
use isles_store::log::{Located, SegmentState, inspect};
use serde_json::{Value, json};

use crate::cli::LogDumpOptions;
use crate::conflicts::table::utc;

/// Of a key or value so many bytes are shown.
const SHOWN_BYTES: usize = 64;

/// Prints the records that were asked for.
///
/// # Errors
/// The log cannot be read at all, or is damaged: then after what can be read of it has been printed.
pub(super) fn run(options: &LogDumpOptions) -> anyhow::Result<()> {
    let (_lock, storage) = super::open(&options.data_dir)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut left, mut written) = (options.limit.unwrap_or(u64::MAX), Ok(()));
    let reports = inspect(&storage, &mut |located| {
        if left == 0 || located.number.0 < options.from || written.is_err() {
            return;
        }
        let record = described(&located);
        if !changes(&record, options.key.as_deref()) {
            return;
        }
        left -= 1;
        written = match options.json {
            true => writeln!(out, "{record}"),
            false => print(&mut out, &record),
        };
    })?;
    // Who reads only the beginning of a long log closes the pipe.
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    for report in reports {
        if let SegmentState::Damaged(error) = report.state {
            return Err(error.into());
        }
    }
    Ok(())
}

fn changes(record: &Value, key: Option<&str>) -> bool {
    let Some(key) = key else { return true };
    let entries = record["entries"].as_array().into_iter().flatten();
    let mut ops = entries.flat_map(|entry| entry["ops"].as_array().into_iter().flatten());
    ops.any(|op| op["key"] == key)
}

fn described(located: &Located<'_>) -> Value {
    let mut record = json!({
        "record": located.number.0,
        "segment": located.segment,
        "offset": located.offset,
        "bytes": located.bytes.len(),
    });
    match located.kind {
        RecordKind::Frame => describe_frame(&mut record, located.bytes),
        _ => describe_note(&mut record, located.bytes),
    }
    record
}

fn describe_note(record: &mut Value, bytes: &[u8]) {
    let note = match Note::decode(bytes) {
        Ok(note) => note,
        Err(error) => {
            record["kind"] = json!("unknown");
            record["error"] = json!(error);
            return;
        }
    };
    record["kind"] = json!(match &note {
        Note::Start { .. } => "start",
        Note::Checkpoint { .. } => "checkpoint",
        Note::Stop => "stop",
        Note::Detected(_) => "conflicts",
        _ => "note",
    });
    match note {
        Note::Start { boot, replica, .. } => {
            record["replica"] = json!(replica.to_string());
            record["boot"] = json!(boot);
        }
        Note::Checkpoint {
            checkpoint,
            record: through,
        } => {
            record["checkpoint"] = json!(checkpoint);
            record["through"] = json!(through);
        }
        Note::Detected(detected) => record["detected_ms"] = json!(detected.at_ms),
        _ => {}
    }
}

fn describe_frame(record: &mut Value, bytes: &[u8]) {
    record["kind"] = json!("frame");
    let frame = match Frame::decode(bytes.to_vec().into()) {
        Ok(frame) => frame,
        Err(error) => {
            record["error"] = json!(error.to_string());
            return;
        }
    };
    let base = frame.header().base;
    record["replica"] = json!(frame.replica().to_string());
    record["first"] = json!(frame.first());
    record["last"] = json!(frame.last());
    record["stamp_ms"] = json!(base.wall_ms());
    let mut entries = Vec::new();
    for (entry, sequence) in frame.entries().zip(frame.first()..) {
        match entry {
            Ok(entry) => entries.push(described_entry(&entry, sequence, base)),
            Err(error) => {
                record["error"] = json!(error.to_string());
                break;
            }
        }
    }
    record["entries"] = json!(entries);
}

fn described_entry(entry: &Entry<'_>, sequence: u64, base: Hlc) -> Value {
    let hlc = Hlc::from_u64(base.as_u64().saturating_add(entry.stamp_delta));
    let ops: Vec<Value> = entry.ops.iter().map(described_op).collect();
    let mut described = json!({ "sequence": sequence, "stamp_ms": hlc.wall_ms(), "ops": ops });
    for attribute in &entry.attributes {
        match attribute {
            Attribute::Resolves(id) => described["resolves"] = json!(format!("{id:032x}")),
            Attribute::Context(_) => described["context"] = json!("the client's own"),
            _ => {}
        }
    }
    described
}

fn described_op(op: &KeyOp<'_>) -> Value {
    let parts: Vec<String> = op.parts.iter().map(part).collect();
    let base = match op.base {
        Base::Keep => "keep",
        Base::Clear => "clear",
        Base::Create => "create",
    };
    json!({ "key": op.key.0.escape_ascii().to_string(), "base": base, "parts": parts })
}

/// What one part does, in a few words.
fn part(part: &Part<'_>) -> String {
    let name = part.kind().map_or("deadline", |kind| kind.name());
    let counts = |put: usize, add: usize, remove: usize| {
        let counts = [(put, "put"), (add, "add"), (remove, "remove")];
        let told = counts.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told
            .map(|(count, what)| format!(" {what} {count}"))
            .collect();
        format!("{name}{}", told.concat())
    };
    match part {
        Part::RegisterLww { value: None, .. } => format!("{name} deleted"),
        Part::RegisterLww {
            value: Some(value), ..
        }
        | Part::RegisterMv { value } => format!("{name} = {}", shown(value.0)),
        Part::RegisterMvSummed(part) => format!("{name} = {}", shown(part.value.0)),
        Part::SetAw(part) | Part::SetRw(part) => counts(0, part.add.len(), part.remove.len()),
        Part::Map(part) => counts(part.put.len(), part.add.len(), part.remove.len()),
        Part::SortedSet(part) => counts(part.put.len(), part.add.len(), part.remove.len()),
        Part::SortedSetKept(kept) => format!("{name} keep {}", kept.len()),
        Part::Deadline { at_ms: None, .. } => format!("{name} none"),
        Part::Deadline {
            at_ms: Some(at_ms), ..
        } => format!("{name} {}", utc(*at_ms)),
        _ => name.to_owned(),
    }
}

fn shown(bytes: &[u8]) -> String {
    let start = bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii();
    match bytes.len() > SHOWN_BYTES {
        true => format!("\"{start}\"... ({} bytes)", bytes.len()),
        false => format!("\"{start}\""),
    }
}

fn print(out: &mut impl Write, record: &Value) -> io::Result<()> {
    let text = |name: &str| match &record[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    write!(
        out,
        "{} {} at {}+{}, {} bytes",
        text("record"),
        text("kind"),
        text("segment"),
        text("offset"),
        text("bytes")
    )?;
    match record["kind"].as_str() {
        Some("frame") => {
            write!(
                out,
                ": {} {}..={}",
                text("replica"),
                text("first"),
                text("last")
            )?;
        }
        Some("start") => write!(out, ": replica {}", text("replica"))?,
        Some("checkpoint") => {
            write!(
                out,
                " {}: through record {}",
                text("checkpoint"),
                text("through")
            )?;
        }
        _ => {}
    }
    if let Some(error) = record["error"].as_str() {
        write!(out, ": cannot be read: {error}")?;
    }
    writeln!(out)?;
    for entry in record["entries"].as_array().into_iter().flatten() {
        let stamp_ms = entry["stamp_ms"].as_u64().unwrap_or_default();
        writeln!(out, "  {} {}", entry["sequence"], utc(stamp_ms))?;
        for op in entry["ops"].as_array().into_iter().flatten() {
            let parts = op["parts"].as_array().into_iter().flatten();
            let parts: Vec<&str> = parts.filter_map(Value::as_str).collect();
            let (key, base) = (op["key"].as_str(), op["base"].as_str());
            let base = base.filter(|base| *base != "keep").into_iter();
            let what: Vec<&str> = base.chain(parts).collect();
            writeln!(
                out,
                "    \"{}\": {}",
                key.unwrap_or_default(),
                what.join(", ")
            )?;
        }
    }
    Ok(())
}
