//! Rules for Rust files: no giants, no skipped tests, nothing left undone, no test that waits for time to pass.

use std::path::Path;

use super::Complaint;
use super::rust::{self, Line};

/// At 400 lines one asks whether a file holds two nouns; here it certainly does.
const LINES_MAX: usize = 800;
/// Marks of something to be done; each needs an issue's number on its line.
const MARKS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const UNDONE: &[&str] = &["todo!", "unimplemented!"];
const SLEEPS: &[&str] = &["thread::sleep", "time::sleep"];

pub(super) fn check(file: &Path, source: &str) -> Vec<Complaint> {
    let lines = rust::lines(source);
    let count = source.lines().count();
    let mut complaints = Vec::new();
    if count > LINES_MAX {
        complaints.push(Complaint::new(
            file.display().to_string(),
            format!("has {count} lines; {LINES_MAX} are the limit: split it"),
        ));
    }
    let tests_from = first_test_line(file, &lines);
    for (index, line) in lines.iter().enumerate() {
        let place = format!("{}:{}", file.display(), index + 1);
        let problems = check_line(line, index >= tests_from);
        complaints.extend(
            problems
                .into_iter()
                .map(|problem| Complaint::new(&place, problem)),
        );
    }
    complaints
}

fn check_line(line: &Line, in_tests: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if line.code.contains("#[ignore") {
        problems.push("ignores a test: make it run or delete it".to_owned());
    }
    for undone in UNDONE.iter().filter(|undone| line.code.contains(**undone)) {
        problems.push(format!("leaves something undone: {undone}"));
    }
    if in_tests && SLEEPS.iter().any(|sleep| line.code.contains(sleep)) {
        problems.push("sleeps in a test: wait for the event instead".to_owned());
    }
    if has_mark(&line.comment) && !has_issue(&line.comment) {
        problems.push("has a to-do without an issue's number (#12)".to_owned());
    }
    problems
}

/// Where tests begin: at once in a file of tests, else at its test module.
fn first_test_line(file: &Path, lines: &[Line]) -> usize {
    let of_tests = file.components().any(|part| part.as_os_str() == "tests")
        || file.file_name().is_some_and(|name| name == "tests.rs");
    if of_tests {
        return 0;
    }
    let module = lines.windows(2).position(|pair| {
        let inline_module =
            pair[1].code.trim_start().starts_with("mod ") && pair[1].code.trim_end().ends_with('{');
        pair[0].code.trim() == "#[cfg(test)]" && inline_module
    });
    module.unwrap_or(usize::MAX)
}

fn has_mark(comment: &str) -> bool {
    let mut words = comment.split(|character: char| !character.is_alphanumeric());
    words.any(|word| MARKS.contains(&word))
}

fn has_issue(comment: &str) -> bool {
    comment
        .split('#')
        .skip(1)
        .any(|after| after.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_file(file: &str, source: &str, expected: &[&str]) {
        let complaints: Vec<String> = check(Path::new(file), source)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(complaints, expected);
    }

    #[test]
    fn a_giant_is_named() {
        check_file(
            "a.rs",
            &"x\n".repeat(801),
            &["a.rs: has 801 lines; 800 are the limit: split it"],
        );
        check_file("a.rs", &"x\n".repeat(800), &[]);
    }

    #[test]
    fn a_skipped_test_is_named() {
        check_file(
            "a.rs",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
            &["a.rs:2: ignores a test: make it run or delete it"],
        );
    }

    #[test]
    fn undone_code_is_named_but_not_in_strings() {
        check_file(
            "a.rs",
            "fn f() { todo!() }",
            &["a.rs:1: leaves something undone: todo!"],
        );
        check_file(
            "a.rs",
            "fn f() { unimplemented!() }",
            &["a.rs:1: leaves something undone: unimplemented!"],
        );
        check_file("a.rs", "const A: &str = \"todo!\";", &[]);
    }

    #[test]
    fn a_to_do_needs_an_issue() {
        check_file(
            "a.rs",
            "// TODO: later",
            &["a.rs:1: has a to-do without an issue's number (#12)"],
        );
        check_file("a.rs", "// TODO(#12): later", &[]);
        check_file("a.rs", "let todo = \"TODO\";", &[]);
    }

    #[test]
    fn tests_do_not_sleep() {
        let sleep = "std::thread::sleep(second);";
        let problem = "sleeps in a test: wait for the event instead";
        check_file(
            "crates/a/tests/b.rs",
            sleep,
            &[&format!("crates/a/tests/b.rs:1: {problem}")],
        );
        check_file(
            "src/tests.rs",
            "tokio::time::sleep(x).await",
            &[&format!("src/tests.rs:1: {problem}")],
        );
        check_file(
            "src/a.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{sleep}\n}}"),
            &[&format!("src/a.rs:3: {problem}")],
        );
        check_file("src/a.rs", sleep, &[]);
    }
}
