//! Frames out: one task per lane reads the log at the session's cursor and sends.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::anyhow;
use isles_clock::VectorClock;
use isles_replica::Frame;
use isles_replica::history::Lookup;
use isles_replica::session::{Batch, BatchLimits, FeedRequest, Place};
use isles_store::{LogReader, ReadError, RecordKind, RecordNumber};
use isles_transport::TrafficClass;

use super::Ended;
use super::driver::Drive;
use crate::database::{Database, clock_of};

/// Sends the frames of one lane until the session ends.
pub(super) async fn feed(drive: &Drive<'_>, class: TrafficClass) -> Ended {
    match feed_until_error(drive, class).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn feed_until_error(drive: &Drive<'_>, class: TrafficClass) -> Result<Infallible, Ended> {
    let database = &drive.peers.database;
    let mut progress = database.progress();
    loop {
        // Both are armed before the look, so that nothing that happens after it is missed.
        let changed = drive.feed.notified();
        progress.mark_unchanged();
        let request = drive.session.lock().feed_request(class);
        let batch = match &request {
            Some(request) => read(drive, database, request).await?,
            None => None,
        };
        match (request, batch) {
            (Some(request), Some(batch)) => {
                let messages = drive.session.lock().feed(&request, batch);
                for message in messages {
                    drive.send(class, message).await?;
                }
            }
            _ => tokio::select! {
                () = changed => {}
                _ = progress.changed() => {}
            },
        }
    }
}

/// The frames that a request asks for, from memory or from the disk; none if there is nothing newer.
async fn read(
    drive: &Drive<'_>,
    database: &Arc<Database>,
    request: &FeedRequest,
) -> Result<Option<Batch>, Ended> {
    match database
        .history()
        .lock()
        .read(request, BatchLimits::default())
    {
        Lookup::Found(batch) => return Ok(Some(batch)),
        Lookup::AtEnd => return Ok(None),
        Lookup::Behind => {}
    }
    let (reader, wanted) = (database.reader().clone(), request.clone());
    let through = database.history().lock().end();
    let read = tokio::task::spawn_blocking(move || read_log(&reader, &wanted, through)).await;
    match read.map_err(|_| Ended::Log("reading the log has panicked".to_owned()))? {
        Ok(batch) => Ok(Some(batch).filter(|batch| batch.through > 0)),
        Err(error)
            if error
                .downcast_ref::<ReadError>()
                .is_some_and(|e| matches!(e, ReadError::Trimmed { .. })) =>
        {
            let mut session = drive.session.lock();
            let result = database
                .hold_state(|state, _| session.feed_unavailable(request, &mut state.host()));
            result?;
            Ok(None)
        }
        Err(error) => Err(Ended::Log(error.to_string())),
    }
}

/// Reads from the log on disk, through the record `through`: what comes after it may not be durable.
fn read_log(reader: &LogReader, request: &FeedRequest, through: u64) -> anyhow::Result<Batch> {
    let from = match &request.from {
        Place::After(number) => RecordNumber(number + 1),
        Place::Uncovered(clock) => first_segment_for(reader, clock),
    };
    let records = reader.scan(from).take_while(|record| {
        record
            .as_ref()
            .map_or(true, |record| record.number.0 <= through)
    });
    let frames = records.filter_map(|record| match record {
        Ok(record) if record.kind != RecordKind::Frame => None,
        Ok(record) => {
            let frame = Frame::decode(record.bytes.into()).map_err(|error| anyhow!(error));
            Some(frame.map(|frame| (record.number.0, frame)))
        }
        Err(error) => Some(Err(anyhow!(error))),
    });
    request.collect(frames, BatchLimits::default())
}

/// Where the newest segment begins before which the clock covers everything.
fn first_segment_for(reader: &LogReader, clock: &VectorClock) -> RecordNumber {
    let segments = reader.segments();
    let covered = segments
        .iter()
        .rev()
        .find(|segment| clock.dominates(&clock_of(&segment.note)));
    covered
        .or(segments.first())
        .map_or(RecordNumber(1), |segment| segment.first)
}
