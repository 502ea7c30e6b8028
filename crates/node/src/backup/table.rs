//! `isles table rebuild`: a table made anew of a backup, for the log behind it to go on from.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use isles_replica::Frame;
use isles_replica::image::Meta;
use isles_store::archive::Archive;
use isles_store::{DirLock, Log, RecordKind, RecordNumber};

use super::About;
use super::restore::{each, fill_table};
use crate::cli::TableRebuildOptions;
use crate::database::backup::RECORD;
use crate::database::rebuild::{kept, newest_checkpoint, open_log, put_meta, replace, writer_of};

/// Makes the table of a data directory anew of the newest backup that fits its log. What was there is kept beside it.
///
/// # Errors
/// The node runs, no backup is of this log and reaches into it, or something cannot be read or written.
pub(crate) fn rebuild(options: &TableRebuildOptions) -> anyhow::Result<()> {
    let directory = &options.data_dir;
    let _lock = DirLock::acquire(directory)?;
    let log = open_log(directory)?;
    let archive = Archive::open(&options.backup)?;
    let (name, about) = match &options.name {
        Some(name) => {
            let about = About::of(&archive.manifest(name)?)?;
            fits(&log, &archive, name, &about)?;
            (name.clone(), about)
        }
        None => newest(&log, &archive, &options.backup)?,
    };
    let checkpoint = newest_checkpoint(&log)?;
    let aside = replace(directory, |table| {
        let meta = fill_table(&archive, &name, table)?;
        put_meta(
            table,
            &Meta {
                checkpoint: meta.checkpoint.max(checkpoint),
                ..meta
            },
        )
    })?;
    println!(
        "The table in {} is made anew of backup {name}, which ends at record {}; the next start adds what the log has behind it, \
         through record {}. {}",
        directory.display(),
        about.record,
        log.last(),
        kept(aside.as_deref())
    );
    Ok(())
}

fn newest(log: &Log, archive: &Archive, folder: &Path) -> anyhow::Result<(String, About)> {
    let mut found: Option<(u64, String, About)> = None;
    let mut refused = Vec::new();
    for name in archive.names()? {
        let about = archive.manifest(&name).map_err(anyhow::Error::from);
        let about = about.and_then(|manifest| About::of(&manifest));
        let fitting = about.and_then(|about| fits(log, archive, &name, &about).map(|()| about));
        match fitting {
            Ok(about)
                if found
                    .as_ref()
                    .is_none_or(|(made, ..)| about.created_ms > *made) =>
            {
                found = Some((about.created_ms, name, about));
            }
            Ok(_) => {}
            Err(error) => refused.push(format!("{name}: {error:#}")),
        }
    }
    match found {
        Some((_, name, about)) => Ok((name, about)),
        None => bail!(
            "no backup in {} can be the beginning of this log: {}",
            folder.display(),
            match refused.is_empty() {
                true => "there is none".to_owned(),
                false => refused.join("; "),
            }
        ),
    }
}

/// Whether the log goes on where a backup's table ends, and is the one that the backup was made of.
fn fits(log: &Log, archive: &Archive, name: &str, about: &About) -> anyhow::Result<()> {
    ensure!(
        log.first().0 <= about.record + 1,
        "it ends at record {}, the log begins at {}",
        about.record,
        log.first()
    );
    ensure!(
        about.through <= log.last().0,
        "it has records through {}, the log ends at {}",
        about.through,
        log.last()
    );
    let reader = log.reader();
    each(archive, name, RECORD, &mut |key, value| {
        let number = u64::from_be_bytes(key.try_into().context("a record has no number")?);
        let record = reader.read(RecordNumber(number))?;
        let is_same = record.is_some_and(|record| value.get(4..) == Some(&record.bytes[..]));
        ensure!(is_same, "it is of another log: record {number} differs");
        Ok(())
    })?;
    goes_on(log, about)
}

/// The first frame of each replica behind a backup goes on where the backup ends.
fn goes_on(log: &Log, about: &About) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for record in log.scan(RecordNumber(about.through + 1)) {
        let record = record?;
        if record.kind != RecordKind::Frame {
            continue;
        }
        let frame = Frame::decode(record.bytes.into())
            .with_context(|| format!("record {} of the log is no frame", record.number))?;
        if seen.insert(frame.replica()) {
            let replica = frame.replica().to_string();
            let last = about.applied.get(&replica).copied().unwrap_or_default();
            ensure!(
                frame.first() == last + 1,
                "it is of another log: it ends with entry {last} of {replica}, the log goes on with {}",
                frame.first()
            );
        }
    }
    let writer = writer_of(log)?;
    ensure!(
        !seen.is_empty() || writer.is_none_or(|it| about.applied.contains_key(&it.to_string())),
        "it is of another log: it has nothing of the node that writes this one"
    );
    Ok(())
}
