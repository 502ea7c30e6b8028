//! `isles backup` and `isles restore`: all data of a node, kept in a folder and brought back.
//!
//! `restore` makes a data directory of a backup, `into` brings keys back into a cluster that lives on, `table` makes
//! one a node's table.

mod into;
mod restore;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use isles_resp::resp3::Value;
use isles_store::archive::{Archive, ArchiveError, Manifest, visit_items};
use serde::Deserialize;

pub(crate) use self::restore::restore;
pub(crate) use self::table::rebuild;
use crate::cli::{BackupCommand, BackupCreateOptions};
use crate::conflicts::table::utc;
use crate::database::wall_ms;
use crate::redis_client::Client;
use crate::status::table::columns;

/// What a backup holds and says of itself: the one that this version makes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// What a backup says of itself; more may stand there.
#[derive(Debug, Deserialize)]
struct About {
    format: u32,
    cluster: String,
    node: String,
    region: String,
    created_ms: u64,
    record: u64,
    through: u64,
    /// Per replica, its last entry that is in it.
    applied: BTreeMap<String, u64>,
}

impl About {
    fn of(manifest: &Manifest) -> anyhow::Result<About> {
        let about: About = serde_json::from_slice(&manifest.about)
            .context("what the backup says of itself is damaged")?;
        ensure!(
            about.format <= FORMAT,
            "the backup has format {}, this version of Isles knows formats up to {FORMAT}; run the newer version that made it",
            about.format
        );
        Ok(about)
    }
}

/// Does what the command line asks for.
///
/// # Errors
/// The folder cannot be used, a backup is damaged, or the node does not answer.
pub(crate) fn run(command: &BackupCommand) -> anyhow::Result<()> {
    match command {
        BackupCommand::Create(options) => create(options),
        BackupCommand::List { dir, json } => list(dir, *json),
        BackupCommand::Verify { dir, name } => verify(dir, name.as_deref()),
        BackupCommand::Remove { dir, name } => {
            let freed = Archive::open(dir)?.remove(name)?;
            println!("{name} is removed; {freed} bytes are free");
            Ok(())
        }
    }
}

fn create(options: &BackupCreateOptions) -> anyhow::Result<()> {
    let archive = Archive::create(&options.dir)?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => utc(wall_ms()).replace(':', "-"),
    };
    if archive.names()?.contains(&name) {
        return Err(ArchiveError::Exists { name }.into());
    }
    let timeout = Duration::from_millis(options.timeout_ms);
    let mut client = Client::connect(&options.redis, timeout)?;
    let begun = client.demand(&[b"ISLES.BACKUP", b"BEGIN"])?;
    let (id, about) = (begun.get("id").text(), begun.get("about").text());
    let mut writer = archive.begin()?;
    loop {
        let items = match client.demand(&[b"ISLES.BACKUP", b"NEXT", id.as_bytes()])? {
            Value::Text(items) => items,
            Value::Null => break,
            other => bail!(
                "{} answers {} to ISLES.BACKUP",
                options.redis,
                other.to_json()
            ),
        };
        let mut failed = None;
        let visited = visit_items(&items, &mut |key, value| match writer.put(key, value) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                std::ops::ControlFlow::Break(())
            }
        });
        let _ = visited
            .map_err(|reason| anyhow::anyhow!("{} sent damaged data: {reason}", options.redis))?;
        if let Some(error) = failed {
            // The node need not keep for us what we do not take.
            let _ = client.ask(&[b"ISLES.BACKUP", b"END", id.as_bytes()]);
            return Err(error.into());
        }
    }
    let written = writer.finish(&name, about.as_bytes())?;
    println!(
        "{name}: {} rows of {} bytes, of which {} bytes in {} of {} chunks are new",
        written.manifest.items,
        written.manifest.bytes,
        written.new_bytes,
        written.new_chunks,
        written.manifest.chunks(),
    );
    Ok(())
}

fn list(dir: &Path, json: bool) -> anyhow::Result<()> {
    let archive = Archive::open(dir)?;
    let head = ["NAME", "MADE", "CLUSTER", "NODE", "REGION", "ROWS", "BYTES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut out = io::stdout();
    for name in archive.names()? {
        let known = archive.manifest(&name).map_err(anyhow::Error::from);
        let known = known.and_then(|manifest| Ok((About::of(&manifest)?, manifest)));
        let row = match known {
            Ok((_, manifest)) if json => {
                let mut about: serde_json::Value = serde_json::from_slice(&manifest.about)?;
                about["name"] = name.into();
                about["rows"] = manifest.items.into();
                about["bytes"] = manifest.bytes.into();
                writeln!(out, "{about}")?;
                continue;
            }
            Err(error) if json => {
                let error = format!("{error:#}");
                writeln!(
                    out,
                    "{}",
                    serde_json::json!({ "name": name, "error": error })
                )?;
                continue;
            }
            Ok((about, manifest)) => vec![
                name,
                utc(about.created_ms),
                about.cluster,
                about.node,
                about.region,
                manifest.items.to_string(),
                manifest.bytes.to_string(),
            ],
            Err(error) => vec![name, format!("DAMAGED: {error:#}")],
        };
        rows.push(row);
    }
    if !json {
        write!(out, "{}", columns(&rows))?;
    }
    Ok(())
}

fn verify(dir: &Path, name: Option<&str>) -> anyhow::Result<()> {
    let archive = Archive::open(dir)?;
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => archive.names()?,
    };
    let mut damaged = 0;
    for name in &names {
        let checked = archive.verify(name).map_err(anyhow::Error::from);
        match checked.and_then(|manifest| Ok((About::of(&manifest)?, manifest))) {
            Ok((_, manifest)) => println!(
                "{name} is good: {} rows of {} bytes in {} chunks",
                manifest.items,
                manifest.bytes,
                manifest.chunks()
            ),
            Err(error) => {
                damaged += 1;
                println!("{name} is DAMAGED: {error:#}");
            }
        }
    }
    ensure!(
        damaged == 0,
        "{damaged} of {} backups are damaged",
        names.len()
    );
    Ok(())
}
