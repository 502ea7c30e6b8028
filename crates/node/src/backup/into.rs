//! Keys of a backup, brought back into a cluster that lives on.
//!
//! The cluster's clock says of each write in the backup whether the cluster has ever seen it. What it has not seen was
//! lost, and comes back; what it has seen and does not hold any more was taken away by somebody who knew it, and stays so.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use isles_clock::{ReplicaId, VectorClock};
use isles_replica::image::{Meta, ScanTable};
use isles_replica::{Frame, JournalLimits, Note, Replica, ReplicaConfig};
use isles_resp::resp3::Value;
use isles_resp::{Answer, Console, decode_token};
use isles_store::archive::Archive;
use isles_store::{Batch, MemoryTable, RecordKind, Table};
use serde_json::json;

use super::About;
use super::restore::each;
use crate::cli::RestoreOptions;
use crate::database::backup::{RECORD, ROW};
use crate::database::{scan_prefix, wall_ms};
use crate::redis_client::Client;

/// What a key of the backup is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It holds the same.
    Same,
    /// It holds something else.
    Changed,
    /// It has seen all of it, and it is gone.
    Deleted,
    /// It is not there, and the cluster has never seen some of it.
    Lost,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Same => "same",
            State::Changed => "changed",
            State::Deleted => "deleted",
            State::Lost => "lost",
        }
    }
}

/// What has become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Left,
    Restored,
    /// Somebody has written it since it was looked at.
    Overtaken,
}

/// A key of the backup, as it would be restored.
struct Kept {
    key: Vec<u8>,
    payload: Vec<u8>,
    /// Milliseconds since 1970, zero for none.
    deadline_ms: u64,
}

/// Looks at every key, says what it is to the cluster, and restores those that were asked for.
///
/// # Errors
/// The backup is damaged, or the node does not answer.
pub(super) fn restore(
    archive: &Archive,
    name: &str,
    about: &About,
    address: &str,
    options: &RestoreOptions,
) -> anyhow::Result<()> {
    let mut replica = load(archive, name, about)?;
    let timeout = Duration::from_millis(options.timeout_ms);
    let mut client = Client::connect(address, timeout)?;
    let mut console = Console::new();
    let (mut counts, mut restored, mut overtaken) = ([0u64; 4], 0u64, 0u64);
    let mut out = io::stdout();
    for key in keys(&mut console, &mut replica, about, options.key.as_deref())? {
        let Some(kept) = dump(&mut console, &mut replica, about, key)? else {
            continue;
        };
        let now = client.demand(&[b"DUMP", &kept.key])?;
        let state = match &now {
            Value::Text(now) if *now == kept.payload => State::Same,
            // Asked for after the key: what arrives in between is there, and not lost.
            Value::Null if replica.has_unseen(&kept.key, &clock_of(&mut client)?) => State::Lost,
            Value::Null => State::Deleted,
            _ => State::Changed,
        };
        counts[state as usize] += 1;
        if state == State::Same {
            continue;
        }
        let is_wanted = match state {
            State::Lost => true,
            State::Deleted => options.deleted,
            State::Changed => options.changed,
            State::Same => false,
        };
        let outcome = match is_wanted && !options.dry_run {
            true => put(&mut client, &kept, &now)?,
            false => Outcome::Left,
        };
        restored += u64::from(outcome == Outcome::Restored);
        overtaken += u64::from(outcome == Outcome::Overtaken);
        tell(&mut out, &kept.key, state, outcome, is_wanted, options)?;
    }
    let [same, changed, deleted, lost] = counts;
    if options.json {
        return Ok(());
    }
    writeln!(
        out,
        "\n{lost} keys are lost, {deleted} were deleted since, {changed} hold something else now, {same} are the same"
    )?;
    match options.dry_run {
        true => writeln!(out, "Nothing was restored (--dry-run).")?,
        false => writeln!(out, "{restored} keys were restored")?,
    }
    ensure!(
        overtaken == 0,
        "{overtaken} keys were written while they were looked at, and left alone; run it again"
    );
    Ok(())
}

/// All of a backup, as a replica.
fn load(archive: &Archive, name: &str, about: &About) -> anyhow::Result<Replica> {
    let (table, mut batch) = (MemoryTable::new(), Batch::new());
    each(archive, name, ROW, &mut |key, value| {
        batch.put(key.to_vec(), value.to_vec());
        Ok(())
    })?;
    table.write(batch)?;
    let meta = table.get(Meta::key())?;
    let meta = Meta::decode(&meta.context("the backup's table has no checkpoint")?)?;
    let config = ReplicaConfig {
        // What lost then is not what is brought back.
        journal: JournalLimits {
            bytes: 0,
            age_ms: 0,
        },
        ..ReplicaConfig::default()
    };
    let mut replica = Replica::new(ReplicaId::from_u128(0), config);
    replica.restore(&meta.restored());
    let mut failed = None;
    let scan: &mut ScanTable<'_> = &mut |prefix, each| {
        let scanned = scan_prefix(&table, prefix, each);
        failed = failed.take().or(scanned.err());
    };
    match meta.has_index {
        true => replica.load_table(scan, about.created_ms)?,
        false => replica.load_table_without_index(scan, about.created_ms)?,
    }
    if let Some(error) = failed {
        bail!(error);
    }
    each(archive, name, RECORD, &mut |key, value| {
        let number = u64::from_be_bytes(key.try_into().context("a record has no number")?);
        let (kind, bytes) = value.split_first_chunk().context("a record has no kind")?;
        if u32::from_le_bytes(*kind) != RecordKind::Frame as u32 {
            let note = Note::decode(bytes).map_err(anyhow::Error::msg)?;
            replica.replay_note(number, &note);
            return Ok(());
        }
        let frame = Frame::decode(bytes.to_vec().into())
            .with_context(|| format!("record {number} of the backup is no frame"))?;
        replica.replay(number, &frame, about.created_ms)?;
        Ok(())
    })?;
    Ok(replica)
}

/// Everything that the node has seen, and with it all that it knows to be deleted.
fn clock_of(client: &mut Client) -> anyhow::Result<VectorClock> {
    let digest = client.demand(&[b"ISLES.DIGEST"])?;
    let token = digest.get("context").text();
    decode_token(token.as_bytes())
        .with_context(|| format!("the node's clock cannot be read: '{token}'"))
}

fn keys(
    console: &mut Console,
    replica: &mut Replica,
    about: &About,
    glob: Option<&str>,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let glob = glob.unwrap_or("*");
    let answer = console.command(replica, about.created_ms, &[b"KEYS", glob.as_bytes()])?;
    let Answer::Array(keys) = answer else {
        bail!("the keys of the backup cannot be listed: {answer}");
    };
    let mut keys: Vec<Vec<u8>> = keys
        .into_iter()
        .filter_map(|key| match key {
            Answer::Text(key) => Some(key),
            _ => None,
        })
        .collect();
    keys.sort();
    Ok(keys)
}

/// A key as RESTORE takes it; none if it would have expired by now.
fn dump(
    console: &mut Console,
    replica: &mut Replica,
    about: &About,
    key: Vec<u8>,
) -> anyhow::Result<Option<Kept>> {
    let now_ms = about.created_ms;
    let deadline = console.command(replica, now_ms, &[b"PEXPIRETIME", &key])?;
    let deadline_ms = match deadline {
        Answer::Integer(at_ms) => u64::try_from(at_ms).unwrap_or_default(),
        _ => 0,
    };
    if deadline_ms > 0 && deadline_ms <= wall_ms() {
        return Ok(None);
    }
    match console.command(replica, now_ms, &[b"DUMP", &key])? {
        Answer::Text(payload) => Ok(Some(Kept {
            key,
            payload,
            deadline_ms,
        })),
        Answer::Null => Ok(None),
        other => bail!(
            "key \"{}\" of the backup cannot be read: {other}",
            key.escape_ascii()
        ),
    }
}

/// Writes a key, unless it holds something else by now than when it was looked at.
fn put(client: &mut Client, kept: &Kept, seen: &Value) -> anyhow::Result<Outcome> {
    client.demand(&[b"WATCH", &kept.key])?;
    if client.demand(&[b"DUMP", &kept.key])? != *seen {
        client.demand(&[b"UNWATCH"])?;
        return Ok(Outcome::Overtaken);
    }
    let deadline = kept.deadline_ms.to_string();
    client.demand(&[b"MULTI"])?;
    client.demand(&[
        b"RESTORE",
        &kept.key,
        deadline.as_bytes(),
        &kept.payload,
        b"REPLACE",
        b"ABSTTL",
    ])?;
    match client.demand(&[b"EXEC"])? {
        Value::Null => Ok(Outcome::Overtaken),
        Value::List(answers) => match answers.first() {
            Some(Value::Error(message)) => {
                bail!(
                    "key \"{}\" cannot be restored: {message}",
                    kept.key.escape_ascii()
                )
            }
            _ => Ok(Outcome::Restored),
        },
        other => bail!("EXEC answers {}", other.to_json()),
    }
}

fn tell(
    out: &mut impl Write,
    key: &[u8],
    state: State,
    outcome: Outcome,
    is_wanted: bool,
    options: &RestoreOptions,
) -> io::Result<()> {
    let what = match outcome {
        Outcome::Restored => "restored",
        Outcome::Overtaken => "written meanwhile, left",
        Outcome::Left if is_wanted => "would be restored",
        Outcome::Left => "left",
    };
    let key = key.escape_ascii();
    match options.json {
        true => {
            let key = key.to_string();
            writeln!(
                out,
                "{}",
                json!({ "key": key, "state": state.name(), "outcome": what })
            )
        }
        false => writeln!(out, "{:8} {what}: \"{key}\"", state.name()),
    }
}
