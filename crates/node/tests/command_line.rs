//! Mistakes on the command line and in the configuration end with 2, failures with 1, and both name the thing and what to do.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

fn isles(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isles"));
    command.args(line.split_whitespace()).current_dir(folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ISLES_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fails with `code`, says each of `words`, and neither panics nor prints a backtrace.
fn check_error(folder: &Path, line: &str, code: i32, words: &[&str]) {
    let output = isles(folder, line);
    let complaint = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "isles {line}: {complaint}"
    );
    for word in words {
        assert!(
            complaint.contains(word),
            "isles {line} does not say '{word}': {complaint}"
        );
    }
    assert!(
        !complaint.contains("panicked") && !complaint.contains("backtrace"),
        "isles {line}: {complaint}"
    );
}

#[test]
fn usage_errors_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    check_error(folder.path(), "frobnicate", 2, &["frobnicate"]);
    check_error(
        folder.path(),
        "demo --regions many",
        2,
        &["--regions", "many"],
    );
    check_error(
        folder.path(),
        "start",
        2,
        &["cluster is missing", "--cluster", "ISLES_CLUSTER"],
    );
    check_error(
        folder.path(),
        "start --config nowhere.toml",
        2,
        &["nowhere.toml", "isles config example"],
    );
    check_error(
        folder.path(),
        "status --admin https://x",
        2,
        &["--admin", "http://127.0.0.1:9180"],
    );
    check_error(
        folder.path(),
        "certs init --cluster A/B",
        2,
        &["--cluster", "A/B"],
    );
}

#[test]
fn a_bad_configuration_names_file_line_key_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "cluster = \"c\"\nnode = \"n\"\nregion = \"r\"\ndata_dir = \"d\"\n[redis]\nlisten = \"everywhere\"\nport = 5\n";
    std::fs::write(folder.path().join("isles.toml"), bad).unwrap();
    let words = [
        "isles.toml:6",
        "redis.listen",
        "everywhere",
        "127.0.0.1:6379",
        "isles.toml:7",
        "unknown key redis.port",
    ];
    check_error(folder.path(), "config check isles.toml", 2, &words);
    check_error(folder.path(), "start --config isles.toml", 2, &words);
}

#[test]
fn failures_end_with_1() {
    let folder = tempfile::tempdir().unwrap();
    check_error(
        folder.path(),
        "status --admin http://127.0.0.1:1 --timeout-ms 2000",
        1,
        &["127.0.0.1:1", "admin.listen"],
    );
    check_error(
        folder.path(),
        "certs node --dir nowhere --node n --region r",
        1,
        &["ca.pem", "isles certs init"],
    );
}

#[test]
fn the_example_checks_good_and_completions_exist() {
    let folder = tempfile::tempdir().unwrap();
    let example = isles(folder.path(), "config example");
    assert!(example.status.success());
    std::fs::write(folder.path().join("isles.toml"), example.stdout).unwrap();
    let check = isles(folder.path(), "config check isles.toml");
    assert!(check.status.success(), "{}", text(&check.stderr));
    for shell in ["bash", "zsh", "fish"] {
        let script = isles(folder.path(), &format!("completions {shell}"));
        assert!(
            script.status.success() && text(&script.stdout).contains("redis-listen"),
            "{shell}"
        );
    }
}

#[test]
fn certificates_are_made_by_two_commands() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        isles(folder.path(), "certs init --cluster c")
            .status
            .success()
    );
    let issued = isles(
        folder.path(),
        "certs node --node eu-1 --region eu --name eu-1.example.org",
    );
    assert!(issued.status.success(), "{}", text(&issued.stderr));
    assert!(
        text(&issued.stdout).contains("cert = \"certs/eu-1/node.pem\""),
        "{}",
        text(&issued.stdout)
    );
    check_error(
        folder.path(),
        "certs init --cluster c",
        1,
        &["certs/ca.key exists already"],
    );
}
