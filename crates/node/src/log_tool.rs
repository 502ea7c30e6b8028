//! `isles log`: the log of a node that does not run, looked at and cut.
//!
//! `dump` says what its records hold.

mod dump;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use isles_replica::image::Meta;
use isles_store::log::{SegmentReport, SegmentState, inspect, truncate};
use isles_store::{DirLock, FileStorage, FjallConfig, FjallTable, RecordNumber, Table};

use crate::cli::{LogCommand, UsageError};
use crate::status::table::columns;

/// Runs one of the commands.
///
/// # Errors
/// The directory is not a node's, its node runs, or the log is damaged or cannot be cut there.
pub(crate) fn run(command: &LogCommand) -> anyhow::Result<()> {
    match command {
        LogCommand::Verify { data_dir } => verify(data_dir),
        LogCommand::Dump(options) => dump::run(options),
        LogCommand::Repair {
            data_dir,
            truncate_at,
        } => repair(data_dir, RecordNumber(*truncate_at)),
    }
}

/// The log of a data directory, which nobody else has open.
fn open(data_dir: &Path) -> anyhow::Result<(DirLock, FileStorage)> {
    let log = data_dir.join("log");
    if !log.is_dir() {
        let place = data_dir.display();
        return Err(UsageError(format!(
            "{place} holds no node's data; is --data-dir right?"
        ))
        .into());
    }
    let lock = DirLock::acquire(data_dir)?;
    let storage = FileStorage::open(&log)
        .with_context(|| format!("cannot open the log in {}", log.display()))?;
    Ok((lock, storage))
}

fn verify(data_dir: &Path) -> anyhow::Result<()> {
    let (_lock, storage) = open(data_dir)?;
    let reports = inspect(&storage, &mut |_| {})?;
    print!("{}", table_of(&reports));
    let damaged = reports.iter().find_map(|report| match &report.state {
        SegmentState::Damaged(error) => Some(error),
        _ => None,
    });
    let Some(error) = damaged else {
        println!("\n{}", summary(&reports));
        return Ok(());
    };
    let place = data_dir.display();
    match first_damaged(&reports) {
        Some(number) => bail!(
            "{error}; or cut it there: isles log repair --data-dir {place} --truncate-at {number}"
        ),
        None => bail!("{error}"),
    }
}

fn table_of(reports: &[SegmentReport]) -> String {
    let head = ["FILE", "CLUSTER", "RECORDS", "FROM", "TO", "BYTES", "STATE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(reports.iter().map(row));
    columns(&rows)
}

fn row(report: &SegmentReport) -> Vec<String> {
    let name = report.file.rsplit('/').next().unwrap_or_default();
    let (count, from, to) = match report.records {
        Some((_, 0)) => ("0".to_owned(), String::new(), String::new()),
        Some((first, count)) => {
            let last = first.0 + count - 1;
            (count.to_string(), first.to_string(), last.to_string())
        }
        None => Default::default(),
    };
    let state = match &report.state {
        SegmentState::Whole => "good".to_owned(),
        SegmentState::Torn { bytes } => format!("{bytes} bytes torn at the end"),
        _ => "DAMAGED".to_owned(),
    };
    vec![
        name.to_owned(),
        String::from_utf8_lossy(&report.identity).into_owned(),
        count,
        from,
        to,
        report.end.to_string(),
        state,
    ]
}

/// What there is to say of a log that opens.
fn summary(reports: &[SegmentReport]) -> String {
    let torn = reports.last().map(|report| &report.state);
    match torn {
        None => "the log is empty: its node has not written anything".to_owned(),
        Some(SegmentState::Torn { .. }) => {
            "the log is good but for its end, which a crash left before anybody was told \
            that it was safe: the node's next start cuts it, and goes on under a new replica id"
                .to_owned()
        }
        Some(_) => "the log is good".to_owned(),
    }
}

/// The first record that is missing or damaged, if all before it are there.
fn first_damaged(reports: &[SegmentReport]) -> Option<RecordNumber> {
    let mut next: Option<RecordNumber> = None;
    for report in reports {
        let Some((first, count)) = report.records else {
            return next;
        };
        if next.is_some_and(|next| next != first) {
            return next;
        }
        let after = RecordNumber(first.0 + count);
        if matches!(report.state, SegmentState::Damaged(_)) {
            return Some(after);
        }
        next = Some(after);
    }
    None
}

fn repair(data_dir: &Path, at: RecordNumber) -> anyhow::Result<()> {
    let (_lock, storage) = open(data_dir)?;
    let place = data_dir.display();
    let covered = covered(data_dir)?;
    ensure!(
        covered < at.0,
        "the table in {place} includes everything through record {covered}, so the log cannot end before it: truncate at \
         {} or behind it; if what is damaged lies before that, move {place} away and let the node start empty beside its \
         peers",
        covered + 1
    );
    let cut = truncate(&storage, at)?;
    println!(
        "The log in {place} ends with record {} now, at byte {} of {}.\nWhat was cut away is kept in\n  {}\nThe node goes \
         on under a new replica id from its next start, and gets from its peers what they have of the old one's entries. \
         What only this node had is in those files alone.",
        cut.last,
        cut.offset,
        cut.file,
        cut.kept.join("\n  ")
    );
    Ok(())
}

/// The record through which the table holds everything.
fn covered(data_dir: &Path) -> anyhow::Result<u64> {
    let folder = data_dir.join("table");
    if !folder.is_dir() {
        return Ok(0);
    }
    let table = FjallTable::open(&folder, &FjallConfig::default()).context(
        "the table cannot be opened, so that nobody knows which records it includes; nothing was cut",
    )?;
    let meta = table.get(Meta::key())?;
    let meta = meta.map(|bytes| Meta::decode(&bytes)).transpose()?;
    Ok(meta.map_or(0, |meta| meta.record))
}
