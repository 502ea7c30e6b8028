//! Putting a conflict right, and asking what another strategy would have made of many.

use anyhow::Context;
use isles_resp::resp3::Value;

use super::options::{ReplayOptions, ResolveOptions, RestoreOptions};
use super::{Journal, Output, table};
use crate::status::table::columns;

pub(super) fn restore(
    client: &mut Journal,
    id: &str,
    options: &RestoreOptions,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut words = vec!["RESTORE", id];
    words.extend(options.force.then_some("FORCE"));
    let answer = client.conflicts(&words)?;
    output.line(&answer, || restored(&answer))?;
    Ok(())
}

/// What has become of a restore.
fn restored(answer: &Value) -> String {
    let settled = answer.get("resolved");
    match settled {
        Value::Null => format!("restored by entry {}", answer.get("dot").text()),
        _ => format!(
            "nothing was written: this conflict was put right before, by entry {} at {}; --force restores all the same",
            settled.get("dot").text(),
            table::utc(settled.get("stamp_ms").number())
        ),
    }
}

pub(super) fn resolve(
    client: &mut Journal,
    options: &ResolveOptions,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut words: Vec<Vec<u8>> = vec![b"RESOLVE".to_vec()];
    let (what, target) = match (&options.key, &options.id) {
        (_, Some(id)) => ("ID", id),
        (Some(key), None) => ("KEY", key),
        (None, None) => anyhow::bail!("say which key, or --id which conflict"),
    };
    words.extend([what.into(), target.as_bytes().to_vec()]);
    match (&options.dot, &options.value, &options.value_file) {
        (Some(dot), ..) => words.extend([b"DOT".to_vec(), dot.as_bytes().to_vec()]),
        (None, Some(value), _) => words.extend([b"VALUE".to_vec(), value.as_bytes().to_vec()]),
        (None, None, Some(file)) => {
            let value =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            words.extend([b"VALUE".to_vec(), value]);
        }
        (None, None, None) => anyhow::bail!("say --dot which contender, or --value which value"),
    }
    words.extend(options.force.then(|| b"FORCE".to_vec()));
    let answer = client.conflicts(&words)?;
    output.line(&answer, || {
        format!("{} records are resolved", answer.get("resolved").text())
    })?;
    Ok(())
}

pub(super) fn replay(
    client: &mut Journal,
    options: &ReplayOptions,
    output: &mut Output,
) -> anyhow::Result<()> {
    let (mut cursor, mut sums, mut sample) = (0, [0; 6], Vec::new());
    loop {
        let mut words = vec!["REPLAY".to_owned()];
        words.extend(["STRATEGY".to_owned(), options.strategy.clone()]);
        words.extend(options.filter.words());
        words.extend(["COUNT".to_owned(), options.sample.to_string()]);
        words.extend(["CURSOR".to_owned(), cursor.to_string()]);
        let page = client.conflicts(&words)?;
        let names = [
            "different",
            "same",
            "undecided",
            "failed",
            "truncated",
            "no_choice",
        ];
        for (sum, name) in sums.iter_mut().zip(names) {
            *sum += page.get(name).number();
        }
        let room = (options.sample as usize).saturating_sub(sample.len());
        sample.extend(page.get("sample").items().iter().take(room).cloned());
        cursor = page.get("cursor").number();
        if cursor == 0 {
            break;
        }
    }
    let [different, same, undecided, failed, truncated, no_choice] = sums;
    if output.json {
        let answer = serde_json::json!({
            "strategy": options.strategy, "different": different, "same": same, "undecided": undecided, "failed": failed,
            "truncated": truncated, "no_choice": no_choice,
            "sample": sample.iter().map(Value::to_json).collect::<Vec<_>>(),
        });
        output.say_json(&answer)?;
        return Ok(());
    }
    output.say(format!(
        "{different} of {} conflicts would have had another answer under {}",
        different + same,
        options.strategy
    ))?;
    if undecided + failed > 0 {
        output.say(format!(
            "{undecided} more would have been left to readers, because it does not decide them; on {failed} it fails"
        ))?;
    }
    if truncated + no_choice > 0 {
        output.say(format!(
            "{truncated} more cannot be judged, because a value was shortened; {no_choice} are about no string's value"
        ))?;
    }
    if sample.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["KEY", "NOW", "THEN", "ID"].map(str::to_owned)];
    for case in &sample {
        rows.push([
            table::short(&case.get("key").text()),
            table::short(&answered(case.get("now"))),
            table::short(&answered(case.get("then"))),
            case.get("id").text(),
        ]);
    }
    output.say(format!("\n{}", columns(&rows)))?;
    Ok(())
}

fn answered(answer: &Value) -> String {
    match answer.get("value") {
        Value::Null => format!("({})", answer.get("answer").text()),
        value => value.text(),
    }
}
