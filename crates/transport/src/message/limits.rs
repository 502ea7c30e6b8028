//! How large a message and its parts may be. Checked before sending and after decoding.

use super::{Hello, Message, Publication, StreamStart};
use crate::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES, MESSAGE_SLACK_BYTES};

/// Longest name of a cluster, node or region.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest text in a [`Reject`](super::Reject).
pub const MAX_REASON_BYTES: usize = 1024;
/// Most replicas in a list of a message.
pub const MAX_REPLICAS: usize = 4096;
/// Most extensions in a [`Hello`].
pub const MAX_EXTENSIONS: usize = 64;
/// Largest single extension.
pub const MAX_EXTENSION_BYTES: usize = 64 << 10;
/// Longest name of a channel in a [`Publication`].
pub const MAX_CHANNEL_BYTES: usize = 512 << 10;
/// Most buckets in one [`Sums`](super::Sums).
pub const MAX_SUMS: usize = 4096;

const _: () = assert!(MAX_EXTENSION_BYTES < MAX_CONTROL_BYTES);
const _: () = assert!(MAX_CHANNEL_BYTES + 16 * MAX_REPLICAS < MESSAGE_SLACK_BYTES);

/// A message, or a part of one, is larger than the protocol allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {actual} {unit}, the limit is {limit}")]
pub struct LimitError {
    /// The part.
    pub what: &'static str,
    /// What is counted: `bytes` or `items`.
    pub unit: &'static str,
    /// How many there are.
    pub actual: usize,
    /// How many there may be.
    pub limit: usize,
}

/// Checks every part of `message` that has a limit of its own.
pub(crate) fn check(message: &Message) -> Result<(), LimitError> {
    match message {
        Message::Hello(hello) => check_hello(hello),
        Message::Ack(ack) => {
            items("the durable clock", ack.durable.len(), MAX_REPLICAS)?;
            items("the applied clock", ack.applied.len(), MAX_REPLICAS)
        }
        Message::Pull(pull) => items("the clock of a pull", pull.have.len(), MAX_REPLICAS),
        Message::StreamStart(start) => check_start(start),
        Message::Frame(frame) => bytes("a frame", frame.len(), MAX_FRAME_BYTES),
        Message::Sums(sums) => items("the list of sums", sums.sums.len(), MAX_SUMS),
        Message::Publish(publication) => check_publication(publication),
        Message::Reject(reject) => bytes("the reason", reject.reason.len(), MAX_REASON_BYTES),
        Message::PullStop | Message::Probe { .. } | Message::ProbeReply { .. } => Ok(()),
    }
}

fn check_hello(hello: &Hello) -> Result<(), LimitError> {
    bytes("the cluster name", hello.cluster.len(), MAX_NAME_BYTES)?;
    bytes("the node name", hello.node.len(), MAX_NAME_BYTES)?;
    bytes("the region name", hello.region.len(), MAX_NAME_BYTES)?;
    items("the applied clock", hello.applied.len(), MAX_REPLICAS)?;
    items("the durable clock", hello.durable.len(), MAX_REPLICAS)?;
    items("the list of chains", hello.chains.len(), MAX_REPLICAS)?;
    items("the log floor", hello.floor.len(), MAX_REPLICAS)?;
    items(
        "the list of extensions",
        hello.extensions.len(),
        MAX_EXTENSIONS,
    )?;
    hello
        .extensions
        .iter()
        .try_for_each(|(_, value)| bytes("an extension", value.len(), MAX_EXTENSION_BYTES))
}

fn check_start(start: &StreamStart) -> Result<(), LimitError> {
    items("the list of stream bases", start.bases.len(), MAX_REPLICAS)?;
    start
        .bases
        .iter()
        .try_for_each(|base| items("the deps of a stream base", base.deps.len(), MAX_REPLICAS))
}

fn check_publication(publication: &Publication) -> Result<(), LimitError> {
    items(
        "the list of reached replicas",
        publication.reached.len(),
        MAX_REPLICAS,
    )?;
    bytes("the channel", publication.channel.len(), MAX_CHANNEL_BYTES)?;
    bytes(
        "the published message",
        publication.payload.len(),
        MAX_FRAME_BYTES - MESSAGE_SLACK_BYTES,
    )
}

pub(crate) fn bytes(what: &'static str, actual: usize, limit: usize) -> Result<(), LimitError> {
    at_most(what, "bytes", actual, limit)
}

fn items(what: &'static str, actual: usize, limit: usize) -> Result<(), LimitError> {
    at_most(what, "items", actual, limit)
}

fn at_most(
    what: &'static str,
    unit: &'static str,
    actual: usize,
    limit: usize,
) -> Result<(), LimitError> {
    if actual <= limit {
        return Ok(());
    }
    Err(LimitError {
        what,
        unit,
        actual,
        limit,
    })
}
