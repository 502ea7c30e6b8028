//! `isles resolver check`: whether a module keeps the laws, before it is loaded anywhere.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, bail};
use isles_resolve::laws::{Violation, answer};
use isles_resolve_wasm::{Limits, Refusal, Report, SAMPLES_MAX, WasmResolver};

use crate::cli::{ResolverCheckOptions, UsageError};

/// Bytes of a sample; what is larger says no more about a merge.
const SAMPLE_BYTES_MAX: u64 = 1 << 20;

/// Checks a module and says what was found.
///
/// # Errors
/// A file cannot be read, or the module is refused: then the error is the counter-example.
pub(crate) fn check(options: &ResolverCheckOptions) -> anyhow::Result<()> {
    let file = options.file.display();
    let module = std::fs::read(&options.file).with_context(|| format!("cannot read {file}"))?;
    let samples = match &options.samples {
        Some(folder) => samples(folder)?,
        None => Vec::new(),
    };
    let limits = Limits {
        fuel: options.fuel,
        memory_bytes: options.memory,
        ..Limits::default()
    };
    let resolver = WasmResolver::load(&module, limits)
        .with_context(|| format!("{file} cannot be a resolver"))?;
    match isles_resolve_wasm::check(&resolver, &samples) {
        Ok(report) => {
            print!("{file} {}", good(&report, samples.len(), limits));
            Ok(())
        }
        Err(refusal) => bail!("{file} is refused: {}", explain(&refusal)),
    }
}

/// The content of every file of a folder, in the order of their names.
fn samples(folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let shown = folder.display();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {shown}"))?;
        let about = entry.metadata()?;
        if !about.is_file() {
            continue;
        }
        if about.len() > SAMPLE_BYTES_MAX {
            let problem = format!(
                "{} has {} bytes, and {SAMPLE_BYTES_MAX} are the limit for a sample",
                entry.path().display(),
                about.len()
            );
            return Err(UsageError(problem).into());
        }
        files.push(entry.path());
    }
    if files.is_empty() || files.len() > SAMPLES_MAX {
        let problem = format!(
            "{shown} has {} files, and 1 to {SAMPLES_MAX} samples are looked at",
            files.len()
        );
        return Err(UsageError(problem).into());
    }
    files.sort();
    let read =
        |file: &std::path::PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
    files.iter().map(read).collect()
}

fn good(report: &Report, samples: usize, limits: Limits) -> String {
    let mut text = format!(
        "keeps the laws, as far as {} sets of {samples} samples and {} sets of other values can tell ({} calls)\n",
        report.sets, report.generated_sets, report.calls
    );
    if samples == 0 {
        text.push_str("no samples were given: --samples DIR makes this say much more\n");
    }
    let _ = writeln!(
        text,
        "a call took at most {} of {} units of fuel",
        report.fuel_max, limits.fuel
    );
    if report.undecided > 0 {
        let _ = writeln!(
            text,
            "it did not decide in {} calls: readers get all siblings then",
            report.undecided
        );
    }
    if let Some(failure) = report.failure {
        let _ = writeln!(
            text,
            "it failed in {} calls with values that are no samples ({failure}): readers get all siblings then, and the key is flagged",
            report.failed
        );
    }
    text
}

/// A refusal over several lines, for somebody who is to find the mistake.
fn explain(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Law(violation) => explain_law(violation),
        Refusal::Fails { siblings, error } => {
            format!("{error}\n  siblings:\n{}", lines(siblings))
        }
        other => other.to_string(),
    }
}

fn explain_law(violation: &Violation) -> String {
    format!(
        "{}\n  siblings:\n{}  answer:   {}\n  but of:\n{}  answer:   {}",
        violation.law,
        lines(&violation.siblings),
        answer(violation.expected.as_deref()),
        lines(&violation.again),
        answer(violation.found.as_deref()),
    )
}

fn lines(values: &[Vec<u8>]) -> String {
    let values = values.iter();
    values
        .map(|value| format!("    {}\n", answer(Some(value))))
        .collect()
}

#[cfg(test)]
mod tests {
    use isles_resolve::laws::Law;

    use super::*;

    #[test]
    fn a_counter_example_can_be_read() {
        let refusal = Refusal::Law(Violation {
            law: Law::Permutation,
            siblings: vec![b"milk 1\n".to_vec(), b"milk 2\n".to_vec()],
            again: vec![b"milk 2\n".to_vec(), b"milk 1\n".to_vec()],
            expected: Some(b"milk 1\n".to_vec()),
            found: None,
        });
        let expected = r#"the order of the siblings changes the answer
  siblings:
    "milk 1\n"
    "milk 2\n"
  answer:   "milk 1\n"
  but of:
    "milk 2\n"
    "milk 1\n"
  answer:   all of them"#;
        assert_eq!(explain(&refusal), expected);
    }
}
