//! A new replica id for a data directory whose node does not run.

use anyhow::{Context, bail};
use isles_clock::{ReplicaId, VectorClock};
use isles_replica::image::Meta;
use isles_replica::{Frame, Note};
use isles_store::{Log, RecordKind};

use super::open::{Files, after, boot_id, past_of, random};
use super::writer::{clock_of, kind_of, note_of};
use crate::config::Config;

/// What became of a data directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewed {
    pub(crate) old: ReplicaId,
    pub(crate) new: ReplicaId,
    /// The last entry of the old id that it holds.
    pub(crate) through: u64,
}

/// Lets the node go on under a new id from its next start on, as a start after an unclean stop does. All that it holds
/// stays; what is written from then on gets numbers that nobody has seen.
///
/// # Errors
/// The node runs, the directory holds no node's data, or it is damaged; nothing is changed then.
pub(crate) fn renew(config: &Config) -> anyhow::Result<Renewed> {
    let place = config.data_dir.display();
    if !config.data_dir.join("log").is_dir() {
        bail!("{place} holds no node's data; is data_dir right?");
    }
    let Files {
        lock,
        mut log,
        meta,
        ..
    } = Files::open(config)?;
    let Some(old) = past_of(&log, meta.as_ref())?.replica else {
        bail!("{place} has no replica id yet; the node takes one when it starts");
    };
    let logged = logged_after(&log, meta.as_ref())?;
    let new = renew_in(&mut log, &logged)?;
    drop(lock);
    Ok(Renewed {
        old,
        new,
        through: logged.get(old),
    })
}

/// Everything that a log and the table before it hold: for the header of a segment that may begin here.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn logged_after(log: &Log, meta: Option<&Meta>) -> anyhow::Result<VectorClock> {
    let segments = log.reader().segments();
    let newest = segments.last().map(|segment| clock_of(&segment.note));
    let mut logged: VectorClock = meta.map(|meta| meta.applied.clone()).unwrap_or_default();
    logged.merge(&newest.unwrap_or_default());
    for record in log.scan(after(meta)) {
        let record = record?;
        if record.kind == RecordKind::Frame {
            let frame = Frame::decode(record.bytes.into())
                .with_context(|| format!("record {} of the log is no frame", record.number))?;
            logged.observe(frame.last_dot());
        }
    }
    Ok(logged)
}

/// Notes in the log that whoever starts next writes under a new id, which it answers.
///
/// # Errors
/// The log cannot be written, or there are no random numbers.
pub(crate) fn renew_in(log: &mut Log, logged: &VectorClock) -> anyhow::Result<ReplicaId> {
    let new = ReplicaId::from_bytes(random()?);
    let start = Note::Start {
        boot: boot_id(),
        nonce: u64::from_le_bytes(random()?),
        replica: new,
    };
    log.annotate(&note_of(logged));
    for note in [start, Note::Stop] {
        log.append(kind_of(&note), &note.encode());
    }
    log.write()?;
    log.sync()?;
    Ok(new)
}
