//! A table made anew, because the one that was there cannot be used: of the log alone where that is whole, else of a
//! backup and the log behind it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_replica::image::Meta;
use isles_store::log::inspect;
use isles_store::{
    Batch, DirLock, FileStorage, FjallConfig, FjallTable, Log, LogConfig, RecordNumber, Table,
};

use super::open::{TABLE, TableLost, past_of_all};
use super::wall_ms;
use crate::config::Config;

/// What is made is called so until it is whole.
const UNFINISHED: &str = "table.unfinished";

/// Puts an empty table in the place of one that is lost, so that the next start replays the whole log. What was there is
/// kept beside it.
///
/// # Errors
/// The log does not reach back to its beginning: then the error says what is wrong with the table, and what to do.
pub(super) fn begin_anew(config: &Config, lost: &TableLost) -> anyhow::Result<()> {
    let directory = &config.data_dir;
    let place = directory.display();
    let _lock = DirLock::acquire(directory)?;
    let log = open_log(directory)?;
    if log.first() > RecordNumber(1) {
        bail!(
            "{lost}; the log begins at record {}, so it cannot be made anew from the log alone: \
             isles table rebuild --data-dir {place} --backup DIR makes it from a backup of this node and the log, or move \
             {place} away and let the node start empty beside its peers",
            log.first()
        );
    }
    let past = past_of_all(&log)?;
    let meta = Meta {
        // Nobody's yet: the log says who writes.
        replica: past.replica.context("the log does not say who writes it")?,
        record: 0,
        applied: VectorClock::new(),
        hlc: Hlc::ZERO,
        chains: Vec::new(),
        checkpoint: past.checkpoint,
        boot: String::new(),
        has_index: true,
    };
    let aside = replace(directory, |table| put_meta(table, &meta))?;
    tracing::warn!(
        "{lost}; it is made anew from the log, which has all of it; {}",
        kept(aside.as_deref())
    );
    Ok(())
}

/// What was moved aside, in words.
pub(crate) fn kept(aside: Option<&Path>) -> String {
    match aside {
        Some(aside) => format!("what was there is kept in {}", aside.display()),
        None => "nothing was there".to_owned(),
    }
}

/// The log of a data directory whose node does not run, whatever cluster it is of.
///
/// # Errors
/// There is none, or it does not open.
pub(crate) fn open_log(directory: &Path) -> anyhow::Result<Log> {
    let folder = directory.join("log");
    ensure!(
        folder.is_dir(),
        "{} holds no node's data; is --data-dir right?",
        directory.display()
    );
    let storage = Arc::new(FileStorage::open(&folder)?);
    let reports = inspect(&*storage, &mut |_| {})?;
    let identity = reports.into_iter().next().map(|report| report.identity);
    let identity = identity.with_context(|| format!("the log in {} is empty", folder.display()))?;
    let (log, _) = Log::open(storage, LogConfig::new(identity))?;
    Ok(log)
}

/// The number of the newest checkpoint that the log knows of: a table that has an older one has lost something.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn newest_checkpoint(log: &Log) -> anyhow::Result<u64> {
    Ok(past_of_all(log)?.checkpoint)
}

/// Under which id the node of a log writes, if that stands in what the log still has.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn writer_of(log: &Log) -> anyhow::Result<Option<ReplicaId>> {
    Ok(past_of_all(log)?.replica)
}

/// Makes a table and puts it in the place of the one that is there, which is kept; answers where.
///
/// # Errors
/// It cannot be filled or written; the one that is there stays then.
pub(crate) fn replace(
    directory: &Path,
    fill: impl FnOnce(&FjallTable) -> anyhow::Result<()>,
) -> anyhow::Result<Option<PathBuf>> {
    let unfinished = directory.join(UNFINISHED);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    let table = FjallTable::open(&unfinished, &FjallConfig::default())?;
    fill(&table)?;
    table.flush()?;
    drop(table);
    let place = directory.join(TABLE);
    let aside = match place.exists() {
        true => Some(directory.join(format!("table.damaged-{}", wall_ms()))),
        false => None,
    };
    if let Some(aside) = &aside {
        fs::rename(&place, aside).with_context(|| format!("cannot move {}", place.display()))?;
    }
    fs::rename(&unfinished, &place)
        .with_context(|| format!("cannot rename {}", unfinished.display()))?;
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .with_context(|| format!("cannot sync {}", directory.display()))?;
    Ok(aside)
}

/// Writes what a table says of its checkpoint.
///
/// # Errors
/// It cannot be written.
pub(crate) fn put_meta(table: &FjallTable, meta: &Meta) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.put(Meta::key(), meta.encode());
    Ok(table.write(batch)?)
}
