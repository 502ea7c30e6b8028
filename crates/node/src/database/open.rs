//! Opening a data directory: table, log after it, identity.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use isles_clock::ReplicaId;
use isles_replica::history::{HISTORY_BYTES, History};
use isles_replica::image::{INDEX_PREFIXES, ImageError, Meta, ROWS};
use isles_replica::session::Exchange;
use isles_replica::{JournalLimits, Note, Origin, Replica, ReplicaConfig};
use isles_store::{
    Batch, DirLock, FileStorage, FjallConfig, FjallTable, Log, LogConfig, OpenError, RecordKind,
    RecordNumber, Recovered, Table, TableError,
};

use super::replay::replay;
use super::writer::floor_of;
use super::{Progress, Start, State, owner, rebuild, wall_ms};
use crate::config::{Config, Durability};

/// A database that is recovered and not yet running.
pub(crate) struct Opened {
    pub(crate) state: State,
    pub(crate) history: History,
    pub(crate) log: Log,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) chain: u64,
    pub(crate) lock: DirLock,
    pub(crate) start: Start,
    pub(crate) checkpoint: u64,
    pub(crate) directory: PathBuf,
}

/// What the notes in the log say of earlier starts.
pub(super) struct Past {
    pub(super) replica: Option<ReplicaId>,
    boot: Option<String>,
    stopped_cleanly: bool,
    pub(super) checkpoint: u64,
}

/// Opens or creates the data directory of a node, loads its table and replays its log. A table that cannot be used is moved
/// aside and made anew where the log reaches back to its beginning.
///
/// # Errors
/// Names the file or directory, what is wrong with it, and what to do. Nothing is changed then.
pub(crate) fn open(config: &Config, progress: &Progress) -> anyhow::Result<Opened> {
    let opened = try_open(config, progress);
    let Some(lost) = opened.as_ref().err().and_then(|error| error.downcast_ref()) else {
        return opened;
    };
    rebuild::begin_anew(config, lost)?;
    try_open(config, progress)
}

fn try_open(config: &Config, progress: &Progress) -> anyhow::Result<Opened> {
    let directory = config.data_dir.clone();
    std::fs::create_dir_all(&directory).with_context(|| {
        format!(
            "cannot create the data directory {}; choose another data_dir",
            directory.display()
        )
    })?;
    let Files {
        lock,
        log,
        recovered,
        table,
        meta,
    } = Files::open(config)?;
    let past = past_of(&log, meta.as_ref())?;
    let start = Start {
        boot: boot_id(),
        nonce: u64::from_le_bytes(random()?),
    };
    let id = identity(config, &past, &recovered, &start)?;
    let mut replica = recover(config, id, &log, &*table, meta.as_ref(), progress)?;
    check_checkpoint(&directory, meta.as_ref(), &past)?;
    owner::claim(config)?;
    replica.log_note(Note::Start {
        boot: start.boot.clone(),
        nonce: start.nonce,
        replica: id,
    });
    let chain = replica
        .chains()
        .find(|link| link.replica == id)
        .map_or(0, |link| link.chain);
    let mut exchange = Exchange::default();
    exchange.set_log_floor(floor_of(&log.reader()));
    Ok(Opened {
        history: History::new(
            id,
            recovered.last.0,
            replica.durable().clone(),
            history_bytes(config),
        ),
        state: State { replica, exchange },
        log,
        table,
        chain,
        lock,
        start,
        checkpoint: meta.as_ref().map_or(0, |meta| meta.checkpoint),
        directory,
    })
}

/// What lies in a data directory, opened and nothing of it read yet but the table's word on the checkpoint.
pub(super) struct Files {
    pub(super) lock: DirLock,
    pub(super) log: Log,
    pub(super) recovered: Recovered,
    pub(super) table: Arc<dyn Table>,
    pub(super) meta: Option<Meta>,
}

impl Files {
    pub(super) fn open(config: &Config) -> anyhow::Result<Files> {
        let directory = &config.data_dir;
        let lock = DirLock::acquire(directory)?;
        owner::check(config)?;
        let storage = FileStorage::open(directory.join("log")).with_context(|| {
            format!("cannot open the log in {}", directory.join("log").display())
        })?;
        let log_config =
            LogConfig::new(config.cluster.as_bytes()).with_segment_bytes(config.log.segment_bytes);
        let (log, recovered) = Log::open(Arc::new(storage), log_config)
            .map_err(|error| with_advice(error, directory))?;
        let table = FjallTable::open(directory.join(TABLE), &table_config(config));
        let table: Arc<dyn Table> = Arc::new(table.map_err(TableLost::if_damaged)?);
        let meta = table.get(Meta::key()).map_err(TableLost::if_damaged)?;
        let meta = meta.map(|bytes| Meta::decode(&bytes)).transpose();
        let meta = meta.map_err(TableLost::unless_newer)?;
        check_pair(directory, meta.as_ref(), &recovered)?;
        Ok(Files {
            lock,
            log,
            recovered,
            table,
            meta,
        })
    }
}

/// Recent frames that are kept in memory for peers that are a little behind.
fn history_bytes(config: &Config) -> usize {
    let max = config.memory.as_ref().map_or(u64::MAX, |memory| memory.max);
    HISTORY_BYTES.min(usize::try_from(max / 8).unwrap_or(usize::MAX))
}

/// What the table itself needs of the memory that there is: an eighth at most for blocks that were read.
fn table_config(config: &Config) -> FjallConfig {
    let usual = FjallConfig::default();
    let max = config.memory.as_ref().map_or(u64::MAX, |memory| memory.max);
    let (cache, memtable) = (usual.cache_bytes, usual.memtable_bytes);
    usual
        .with_cache_bytes(cache.min(max / 8))
        .with_memtable_bytes(memtable.min(max / 16))
}

/// How much is removed from a table at a time.
const CLEARED_BYTES: usize = 1 << 20;

/// The table's folder in a data directory.
pub(crate) const TABLE: &str = "table";

/// The table cannot be used, or lacks what it had, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TableLost(pub(super) String);

impl TableLost {
    /// A disk that cannot be read just now has lost nothing yet.
    pub(super) fn if_damaged(error: TableError) -> anyhow::Error {
        match error {
            TableError::Damaged { place, reason } => {
                TableLost(format!("the table in {place} is damaged ({reason})")).into()
            }
            other => other.into(),
        }
    }

    /// What a newer program has written is there, and so is what the disk does not give just now.
    pub(super) fn unless_newer(error: ImageError) -> anyhow::Error {
        match error {
            ImageError::Version { .. } | ImageError::Table(_) => error.into(),
            other => TableLost(other.to_string()).into(),
        }
    }
}

/// What is damaged can be looked at, and cut away.
fn with_advice(error: OpenError, directory: &std::path::Path) -> anyhow::Error {
    match error {
        OpenError::Damaged { .. } | OpenError::Missing { .. } => anyhow::anyhow!(
            "{error}; isles log verify --data-dir {} shows what is left of it",
            directory.display()
        ),
        error => error.into(),
    }
}

/// Table and log must fit together: the log goes on where the table ends.
fn check_pair(
    directory: &std::path::Path,
    meta: Option<&Meta>,
    recovered: &Recovered,
) -> anyhow::Result<()> {
    let place = directory.display();
    let covered = meta.map_or(0, |meta| meta.record);
    if covered + 1 < recovered.first.0 {
        let lost = format!(
            "the table in {place} ends at record {covered}, the log begins at {}: the table was removed or is an older copy",
            recovered.first
        );
        return Err(TableLost(lost).into());
    }
    ensure!(
        covered <= recovered.last.0,
        "the table in {place} includes record {covered}, the log ends at {}: the log was removed or is an older copy; \
         restore it, or move {place} away and let the node start empty beside its peers",
        recovered.last
    );
    Ok(())
}

/// A table that silently lost its newest batches is older than the newest checkpoint that the log knows of.
fn check_checkpoint(
    directory: &std::path::Path,
    meta: Option<&Meta>,
    past: &Past,
) -> Result<(), TableLost> {
    let have = meta.map_or(0, |meta| meta.checkpoint);
    match have >= past.checkpoint {
        true => Ok(()),
        false => Err(TableLost(format!(
            "the table in {} is at checkpoint {have}, its log says that checkpoint {} was complete: the table has lost writes",
            directory.display(),
            past.checkpoint
        ))),
    }
}

pub(super) fn past_of(log: &Log, meta: Option<&Meta>) -> anyhow::Result<Past> {
    past_from(log, after(meta), meta)
}

/// The same of all that the log still has.
pub(super) fn past_of_all(log: &Log) -> anyhow::Result<Past> {
    past_from(log, log.first(), None)
}

fn past_from(log: &Log, from: RecordNumber, meta: Option<&Meta>) -> anyhow::Result<Past> {
    let mut past = Past {
        replica: meta.map(|meta| meta.replica),
        boot: meta.map(|meta| meta.boot.clone()),
        stopped_cleanly: false,
        checkpoint: 0,
    };
    for record in log.scan(from) {
        let record = record?;
        past.stopped_cleanly = false;
        if record.kind == RecordKind::Frame {
            continue;
        }
        let note = Note::decode(&record.bytes).map_err(anyhow::Error::msg);
        match note.with_context(|| format!("record {} of the log cannot be read", record.number))? {
            Note::Start { boot, replica, .. } => {
                (past.replica, past.boot) = (Some(replica), Some(boot));
            }
            Note::Checkpoint { checkpoint, .. } => {
                past.checkpoint = past.checkpoint.max(checkpoint)
            }
            Note::Stop => past.stopped_cleanly = true,
            _ => {}
        }
    }
    Ok(past)
}

pub(super) fn after(meta: Option<&Meta>) -> RecordNumber {
    RecordNumber(meta.map_or(1, |meta| meta.record + 1))
}

/// The id of before, or a new one if the log may have lost entries that others have seen: a dot is never used twice.
fn identity(
    config: &Config,
    past: &Past,
    recovered: &Recovered,
    start: &Start,
) -> anyhow::Result<ReplicaId> {
    let Some(old) = past.replica else {
        return Ok(ReplicaId::from_bytes(random()?));
    };
    let lost_power = !past.stopped_cleanly && past.boot.as_deref() != Some(&start.boot);
    let unsynced = lost_power && config.durability != Durability::Always;
    if recovered.cut.is_none() && !unsynced {
        return Ok(old);
    }
    let new = ReplicaId::from_bytes(random()?);
    match &recovered.cut {
        Some(cut) => tracing::warn!(
            "{} bytes at the end of {} were torn and have been cut; this node goes on as replica {new}, was {old}",
            cut.bytes,
            cut.file
        ),
        None => tracing::warn!(
            "the machine stopped before everything was synced; this node goes on as replica {new}, was {old}"
        ),
    }
    Ok(new)
}

fn recover(
    config: &Config,
    id: ReplicaId,
    log: &Log,
    table: &dyn Table,
    meta: Option<&Meta>,
    progress: &Progress,
) -> anyhow::Result<Replica> {
    let settings = ReplicaConfig {
        max_skew_ms: config.clock.max_skew_ms,
        siblings_max: config.siblings.max,
        journal: JournalLimits {
            bytes: config.journal.bytes,
            age_ms: config.journal.age_ms,
        },
    };
    let mut replica = Replica::new(id, settings);
    let own = Origin {
        node: config.node.clone(),
        region: config.region.clone(),
        ahead_ms: Some(0),
    };
    replica.note_origin(id, own);
    if let Some(meta) = meta {
        replica.restore(&meta.restored());
    }
    load(&mut replica, table, meta, progress)?;
    replay(&mut replica, log, after(meta), table, progress)?;
    Ok(replica)
}

/// Takes up a table, without its rows if it knows what they are together. One of an earlier build does not, so all are loaded.
fn load(
    replica: &mut Replica,
    table: &dyn Table,
    meta: Option<&Meta>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let has_index = match meta {
        Some(meta) => meta.has_index,
        // Nobody has got as far as a checkpoint.
        None => !has_any(table, ROWS)? || has_any(table, INDEX_PREFIXES[0])?,
    };
    if !has_index {
        clear(table)?;
    }
    let mut failed = None;
    let mut scan = |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
        let scanned = scan_prefix(table, prefix, &mut |key, value| {
            each(key, value);
            progress.note_row();
        });
        failed = failed.take().or(scanned.err());
    };
    let loaded = match has_index {
        true => replica.open_table(&mut scan, wall_ms()),
        false => replica.load_table_without_index(&mut scan, wall_ms()),
    };
    if let Some(error) = failed {
        return Err(TableLost::if_damaged(error));
    }
    loaded.map_err(TableLost::unless_newer)
}

fn has_any(table: &dyn Table, prefix: &[u8]) -> anyhow::Result<bool> {
    let mut is_any = false;
    let scanned = table.scan(prefix, end_of_prefix(prefix).as_deref(), &mut |_, _| {
        is_any = true;
        std::ops::ControlFlow::Break(())
    });
    scanned.map_err(TableLost::if_damaged)?;
    Ok(is_any)
}

/// Removes what an upgrade that did not get to its end has written of an index.
fn clear(table: &dyn Table) -> anyhow::Result<()> {
    for prefix in INDEX_PREFIXES {
        loop {
            let mut batch = Batch::new();
            let end = end_of_prefix(prefix);
            table.scan(prefix, end.as_deref(), &mut |key, _| {
                batch.delete(key.to_vec());
                match batch.bytes() < CLEARED_BYTES {
                    true => std::ops::ControlFlow::Continue(()),
                    false => std::ops::ControlFlow::Break(()),
                }
            })?;
            if batch.is_empty() {
                break;
            }
            table.write(batch)?;
        }
    }
    Ok(())
}

/// Calls back for all rows of a table whose keys start with a prefix.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn scan_prefix(
    table: &dyn Table,
    prefix: &[u8],
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), TableError> {
    let end = end_of_prefix(prefix);
    table.scan(prefix, end.as_deref(), &mut |key, value| {
        each(key, value);
        std::ops::ControlFlow::Continue(())
    })
}

/// The first key after all that start with a prefix; none if there is no such key.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

pub(super) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

pub(super) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
    Ok(bytes)
}
