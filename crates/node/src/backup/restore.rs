//! A data directory from a backup.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use isles_replica::image::Meta;
use isles_store::archive::{Archive, Manifest};
use isles_store::{
    Batch, FileStorage, FjallConfig, FjallTable, Log, LogConfig, RecordKind, RecordNumber, Table,
};

use super::{About, into};
use crate::cli::{RestoreOptions, UsageError};
use crate::conflicts::table::utc;
use crate::database::backup::{RECORD, ROW};
use crate::database::{logged_after, note_of, renew_in};

/// A batch is written when it holds this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// The log is written when it has this many bytes pending.
const PENDING_BYTES: usize = 4 << 20;

/// Restores a backup to where the command line says.
///
/// # Errors
/// The backup is damaged, or what it is to be restored to refuses.
pub(crate) fn restore(options: &RestoreOptions) -> anyhow::Result<()> {
    let archive = Archive::open(&options.dir)?;
    let name = match &options.backup {
        Some(name) => name.clone(),
        None => newest(&archive, &options.dir)?,
    };
    let manifest = archive.manifest(&name)?;
    let about = About::of(&manifest)?;
    if !options.json {
        println!(
            "{name}: {} rows of {} bytes, of node {} of region {} in cluster {}, as they were at {}",
            manifest.items,
            manifest.bytes,
            about.node,
            about.region,
            about.cluster,
            utc(about.created_ms)
        );
    }
    match (&options.data_dir, &options.into) {
        (Some(data_dir), _) => to_directory(&archive, &name, &about, data_dir, options),
        (None, Some(into)) => into::restore(&archive, &name, &about, into, options),
        (None, None) => Err(UsageError("say where to: --data-dir or --into".to_owned()).into()),
    }
}

/// Makes a data directory that a node can start with: it holds what the backup holds, and goes on under a new replica id.
/// Where that fails there is no directory.
fn to_directory(
    archive: &Archive,
    name: &str,
    about: &About,
    data_dir: &Path,
    options: &RestoreOptions,
) -> anyhow::Result<()> {
    let place = data_dir.display();
    ensure!(
        is_free(data_dir)?,
        "{place} is not empty; name a directory that does not exist, or move it away"
    );
    let cluster = options.cluster.as_ref().unwrap_or(&about.cluster);
    if options.dry_run {
        archive.verify(name)?;
        println!("It is good. Nothing was restored (--dry-run).");
        return Ok(());
    }
    let unfinished = unfinished(data_dir);
    let new = make(archive, name, about, cluster, &unfinished)?;
    let _ = fs::remove_dir(data_dir);
    fs::rename(&unfinished, data_dir)
        .with_context(|| format!("cannot rename {} to {place}", unfinished.display()))?;
    println!(
        "{place} is ready for a node of cluster {cluster}, which goes on as replica {new}. Start it with data_dir = \"{place}\": in the \
         cluster that the backup is of it gets from its peers what was written since; in a new one start every node with a \
         directory restored from this backup."
    );
    Ok(())
}

fn newest(archive: &Archive, dir: &Path) -> anyhow::Result<String> {
    let mut newest: Option<(u64, String)> = None;
    for name in archive.names()? {
        // One that is damaged is not the one that is meant.
        let made = archive.manifest(&name).map_err(anyhow::Error::from);
        if let Ok(about) = made.and_then(|manifest: Manifest| About::of(&manifest)) {
            newest = newest.max(Some((about.created_ms, name)));
        }
    }
    match newest {
        Some((_, name)) => Ok(name),
        None => bail!("there is no backup in {} that can be read", dir.display()),
    }
}

fn is_free(data_dir: &Path) -> anyhow::Result<bool> {
    if !data_dir.exists() {
        return Ok(true);
    }
    let mut names = fs::read_dir(data_dir)
        .with_context(|| format!("cannot look into {}", data_dir.display()))?;
    Ok(names.next().is_none())
}

fn unfinished(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

fn make(
    archive: &Archive,
    name: &str,
    about: &About,
    cluster: &str,
    folder: &Path,
) -> anyhow::Result<isles_clock::ReplicaId> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}, which is unfinished", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let meta = make_table(archive, name, &folder.join("table"))?;
    ensure!(
        meta.record == about.record,
        "the backup says that its table ends at record {}, it ends at {}",
        about.record,
        meta.record
    );
    let storage = FileStorage::open(folder.join("log"))?;
    let config = LogConfig::new(cluster.as_bytes());
    let first = RecordNumber(meta.record + 1);
    let mut log = Log::begin(Arc::new(storage), config, first, &note_of(&meta.applied))?;
    fill_log(archive, name, &mut log)?;
    ensure!(
        log.last().0 == about.through,
        "the backup says that it ends at record {}, it ends at {}",
        about.through,
        log.last()
    );
    let logged = logged_after(&log, Some(&meta))?;
    renew_in(&mut log, &logged)
}

/// Takes a key and its value.
type Act<'a> = dyn FnMut(&[u8], &[u8]) -> anyhow::Result<()> + 'a;

/// Calls back for every key of the backup that begins with `tag`, until the callback fails.
pub(super) fn each(
    archive: &Archive,
    name: &str,
    tag: u8,
    act: &mut Act<'_>,
) -> anyhow::Result<Manifest> {
    let mut done = Ok(());
    let manifest = archive.read(name, &mut |key, value| match key.split_first() {
        Some((found, key)) if *found == tag => match act(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                done = Err(error);
                ControlFlow::Break(())
            }
        },
        // Keys are in order.
        Some((found, _)) if *found > tag => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    done.map(|()| manifest)
}

fn make_table(archive: &Archive, name: &str, folder: &Path) -> anyhow::Result<Meta> {
    let table = FjallTable::open(folder, &FjallConfig::default())?;
    let meta = fill_table(archive, name, &table)?;
    table.flush()?;
    Ok(meta)
}

/// Writes the rows of a backup to a table.
pub(super) fn fill_table(
    archive: &Archive,
    name: &str,
    table: &FjallTable,
) -> anyhow::Result<Meta> {
    let mut batch = Batch::new();
    each(archive, name, ROW, &mut |key, value| {
        batch.put(key.to_vec(), value.to_vec());
        if batch.bytes() >= BATCH_BYTES {
            table.write(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    table.write(batch)?;
    let meta = table.get(Meta::key())?;
    Ok(Meta::decode(
        &meta.context("the backup's table has no checkpoint")?,
    )?)
}

fn fill_log(archive: &Archive, name: &str, log: &mut Log) -> anyhow::Result<()> {
    let mut pending = 0;
    each(archive, name, RECORD, &mut |key, value| {
        let number = u64::from_be_bytes(key.try_into().context("a record has no number")?);
        let (kind, bytes) = value.split_first_chunk().context("a record has no kind")?;
        let kind = u32::from_le_bytes(*kind);
        let kind = RecordKind::from_u32(kind).with_context(|| {
            format!("record {number} has kind {kind}; run the newer version that made the backup")
        })?;
        let given = log.append(kind, bytes);
        ensure!(given.0 == number, "the backup lacks record {given}");
        pending += bytes.len();
        if pending >= PENDING_BYTES {
            pending = 0;
            log.write()?;
        }
        Ok(())
    })?;
    log.write()?;
    log.sync()?;
    Ok(())
}
