//! What a command publishes that may have to run again: nobody hears of it before it is certain.

use crate::call::{Call, Surroundings};
use crate::engine::ChannelKind;
use crate::pubsub::Topic;
use crate::session::Session;

/// A message that waits for the end of the transaction that sends it.
#[derive(Debug)]
pub(crate) struct Publication {
    kind: ChannelKind,
    channel: Box<[u8]>,
    payload: Box<[u8]>,
}

/// Publishes, at once or when the transaction is certain; how many clients of this node hear it.
///
/// Nobody hears of it before everything is durable that the publisher has written, or could have read, until now.
pub(crate) fn publish(
    call: &mut Call<'_, '_>,
    kind: ChannelKind,
    channel: &[u8],
    payload: &[u8],
) -> usize {
    let hub = &call.surroundings.server.hub;
    if call.txn.has_all_rows() {
        let barrier = call.session.barrier.max(call.txn.barrier());
        let topic = Topic::of(kind);
        let receivers = hub.channels.deliver(hub, topic, channel, payload, barrier);
        call.surroundings.host.publish(kind, channel, payload);
        return receivers;
    }
    call.session.publications.push(Publication {
        kind,
        channel: channel.into(),
        payload: payload.into(),
    });
    hub.channels.receivers(Topic::of(kind), channel)
}

/// A transaction has ended: what it has published is heard, or forgotten.
pub(crate) fn end(session: &mut Session, is_certain: bool, surroundings: Surroundings<'_>) {
    if session.publications.is_empty() {
        return;
    }
    let hub = &surroundings.server.hub;
    for publication in session.publications.drain(..).filter(|_| is_certain) {
        let (kind, channel) = (publication.kind, &*publication.channel);
        let (topic, payload) = (Topic::of(kind), &*publication.payload);
        hub.channels
            .deliver(hub, topic, channel, payload, session.barrier);
        surroundings.host.publish(kind, channel, payload);
    }
}
