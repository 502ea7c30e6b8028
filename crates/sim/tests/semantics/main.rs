//! What `docs/semantics.md` says of concurrent operations, row by row, with the commands that clients send, in a simulated
//! world: A and B write while the links between them are cut, and then everything is delivered, logged, killed and
//! started again as a seed has it.
//!
//! Row and seed are in the message of a failure. To run some rows alone set `ISLES_ROWS` to a part of their names; to run
//! one seed or more of them `ISLES_SEEDS` to a number or to `0..100`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod classes;
mod page;
mod row;

use std::ops::Range;

use isles_sim::Mutant;
use row::Order;

/// Of an even and an odd seed one gives A the greater id, the other one B.
const SEEDS: Range<u64> = 0..2;
/// So many seeds find any planted bug.
const MUTANT_SEEDS: u64 = 100;
/// The page has at least so many rows; if fewer are found, the parser has lost some.
const ROWS_MIN: usize = 1345;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/semantics.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_page_has_rows() {
    let rows = page::parse(&page()).unwrap();
    assert!(
        rows.len() >= ROWS_MIN,
        "only {} rows were found",
        rows.len()
    );
}

#[test]
fn every_row_holds_where_regions_are_heard_of_one_after_the_other() {
    every_row_holds(Order::Whole);
}

#[test]
fn every_row_holds_where_regions_are_heard_of_by_turns() {
    every_row_holds(Order::ByTurns);
}

fn every_row_holds(order: Order) {
    let wanted = std::env::var("ISLES_ROWS").unwrap_or_default();
    let mut failures = Vec::new();
    for row in page::parse(&page()).unwrap() {
        if !row.name.contains(&wanted) {
            continue;
        }
        for seed in seeds() {
            if let Err(what) = row::check(&row, order, seed) {
                failures.push(format!("{row} under seed {seed}: {what}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("ISLES_SEEDS") else {
        return SEEDS;
    };
    match wanted.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => {
            let seed = wanted.parse().unwrap();
            seed..seed + 1
        }
    }
}

#[test]
fn every_pair_of_operations_has_a_row() {
    let rows = page::parse(&page()).unwrap();
    let types = classes::TYPES.iter();
    let missing: Vec<String> = types
        .flat_map(|kind| classes::without_row(kind, &rows))
        .collect();
    assert!(missing.is_empty(), "no row for\n{}", missing.join("\n"));
}

#[test]
fn every_command_that_writes_has_a_row() {
    let rows = page::parse(&page()).unwrap();
    let beside = |row: &&page::Row| !row.a.is_empty() && !row.b.is_empty();
    let lines = rows
        .iter()
        .filter(beside)
        .flat_map(|row| row.a.iter().chain(&row.b));
    let lines: Vec<String> = lines.map(|command| format!("{} ", command.line)).collect();
    let mut missing = classes::commands_that_write();
    missing.retain(|name| {
        !lines
            .iter()
            .any(|line| line.starts_with(&format!("{name} ")))
    });
    assert_eq!(missing, classes::WITHOUT_ROW);
}

#[test]
fn a_pair_without_a_row_is_named() {
    let text = page().replace("| set-remove-pop |", "| other |");
    let rows = page::parse(&text).unwrap();
    let types = classes::TYPES.iter();
    let missing: Vec<String> = types
        .flat_map(|kind| classes::without_row(kind, &rows))
        .collect();
    assert_eq!(missing, ["sets: remove beside pop"]);
}

#[test]
fn a_row_that_does_not_hold_is_named() {
    let text = "| name | before | A | B | both, afterwards | journal | why |\n|---|---|---|---|---|---|---|\n\
                | set-lost | | `SADD s x` | `SREM s x` | `SCARD s` → `0` | | |\n";
    let rows = page::parse(text).unwrap();
    let what = row::check(&rows[0], Order::Whole, 0).unwrap_err();
    let wrong = "\"SCARD s\" answers \"1\", not [\"0\"]";
    assert_eq!(what, format!("{wrong}; after a restart {wrong}"));
    assert_eq!(rows[0].to_string(), "row set-lost (docs/semantics.md:3)");
}

#[test]
fn bugs_are_found_that_the_model_need_not_know() {
    let rows = page::parse(&page()).unwrap();
    for (mutant, name, order) in [
        (Mutant::DepsAtSeal, "set-add-delete", Order::Whole),
        (Mutant::DropCovered, "counter-incr-delete", Order::Whole),
        (Mutant::DropRemovals, "flag-dw-enable-again", Order::Whole),
        (Mutant::ForgetAcknowledged, "group-read-ack", Order::Whole),
        (Mutant::AckFromMemory, "set-add-delete", Order::ByTurns),
    ] {
        let row = rows.iter().find(|row| row.name == name).unwrap();
        let mut broken = (0..MUTANT_SEEDS)
            .filter_map(|seed| row::check_with(row, order, seed, Some(mutant)).err());
        let found = broken.any(|what| what.contains("is broken"));
        assert!(found, "no seed finds {} in {row}", mutant.name());
    }
}

#[test]
fn cells_are_read_as_they_are_written() {
    let text = "| name | before | A | B | both, afterwards | journal | why |\n|---|---|---|---|---|---|---|\n\
                | some-row | `SET k 1`; `SET l 2` | `@5 SET k \\|` | | `GET k` → `(nil)` or `b`; `TTL k` → `-1` | `type` | so |\n";
    let rows = page::parse(text).unwrap();
    let lines: Vec<&str> = rows[0]
        .before
        .iter()
        .map(|command| command.line.as_str())
        .collect();
    assert_eq!(lines, ["SET k 1", "SET l 2"]);
    assert_eq!(
        (rows[0].a[0].at_ms, rows[0].a[0].line.as_str()),
        (Some(5), "SET k |")
    );
    assert_eq!(rows[0].after[0].answers, ["(nil)", "b"]);
    assert_eq!(rows[0].journal, ["type"]);
    assert!(rows[0].after[1].accepts("-1") && !rows[0].after[1].accepts("-10"));
}

#[test]
fn what_is_no_row_is_refused() {
    let header = "| name | before | A | B | both, afterwards | journal | why |\n|---|---|---|---|---|---|---|\n";
    for (row, complaint) in [
        ("| x | | | | `GET k` | | |", "has no answer"),
        ("| x | | | | | | |", "says nothing"),
        ("| x | `@5 SET k 1` | | | `GET k` → `1` | | |", "has a time"),
        ("| x | | | | `@5 GET k` → `1` | | |", "has a time"),
        ("| X y | | | | `GET k` → `1` | | |", "is not a name"),
        (
            "| x | | `SET k 1` `SET k 2` | | `GET k` → `1` | | |",
            "between two commands",
        ),
        ("| x | | | | `GET k` → `1` | |", "6 cells"),
        ("| x | | | | `GET k` → `1` | `loss` | |", "kind of conflict"),
        ("| x | | `SET k 1 | | `GET k` → `1` | | |", "does not end"),
    ] {
        let error = page::parse(&format!("{header}{row}\n")).unwrap_err();
        assert!(error.contains(complaint), "{row}: {error}");
    }
    let twice = "| x | | | | `GET k` → `1` | | |\n| x | | | | `GET k` → `1` | | |\n";
    assert!(
        page::parse(&format!("{header}{twice}"))
            .unwrap_err()
            .contains("this name already")
    );
    let other = "| A | B | both, afterwards |\n|---|---|---|\n";
    assert!(page::parse(other).unwrap_err().contains("columns"));
}
