//! New records of the journal, told to those who asked: on channels to everybody, and as a push to the connection whose
//! write lost.
//!
//! Each node tells its own clients of its own journal, which has every conflict, so nothing of it goes to peers. It is best
//! effort, as all messages are; who must have every record follows the journal by its sequence. Nothing is put into words
//! for which nobody waits.

use std::sync::Arc;

use bytes::Bytes;
use isles_clock::ReplicaId;
use isles_replica::{ConflictKind, Journal, JournalObserver, JournalRecord, Position};

use crate::clients::Client;
use crate::commands::encode_record;
use crate::hub::Hub;
use crate::outbox::Letter;
use crate::pubsub::Topic;
use crate::reply::{Protocol, Reply};
use crate::resp3::Value;

/// The channel of all records. With a colon and the prefix of a keyspace after it, the channel of that keyspace's.
pub(crate) const CHANNEL: &[u8] = b"isles:conflicts";

/// What a push begins with.
const PUSH: &str = "isles-conflict";

/// Whether only Isles publishes on this channel: else anybody could make records up.
pub(crate) fn is_reserved(channel: &[u8]) -> bool {
    channel.starts_with(CHANNEL)
}

/// Whether somebody who subscribes to this may hear of records.
pub(crate) fn may_reach(topic: Topic, name: &[u8]) -> bool {
    match topic {
        Topic::Channel => is_reserved(name),
        Topic::Pattern => {
            let is_special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
            let literal = name.split(is_special).next().unwrap_or_default();
            literal.starts_with(CHANNEL) || CHANNEL.starts_with(literal)
        }
        Topic::Shard => false,
    }
}

/// Tells the clients of a hub of what comes into the journal.
#[derive(Debug)]
pub(crate) struct ConflictNews {
    hub: Arc<Hub>,
}

impl ConflictNews {
    pub(crate) fn of(hub: &Arc<Hub>) -> Box<dyn JournalObserver> {
        let hub = Arc::clone(hub);
        Box::new(ConflictNews { hub })
    }

    fn tell(&self, record: &JournalRecord, journal: &Journal, own: ReplicaId, barrier: Position) {
        let (authors, channels) = (self.authors(record, own), self.channels(record));
        if authors.is_empty() && channels.is_empty() {
            return;
        }
        let encoded = encode_record(journal, record);
        for client in authors {
            push(&self.hub, &client, &encoded, barrier);
        }
        if channels.is_empty() {
            return;
        }
        let value = Value::decode(&encoded).expect("what was just encoded");
        let line = value.to_json().to_string();
        for channel in channels {
            let (hub, topic) = (&self.hub, Topic::Channel);
            hub.channels
                .deliver(hub, topic, &channel, line.as_bytes(), barrier);
        }
    }

    /// Who wrote the loser, and wants to hear. Of siblings the strategy says which one is read, and it may not be the later one,
    /// so that the writers of both are told.
    fn authors(&self, record: &JournalRecord, own: ReplicaId) -> Vec<Arc<Client>> {
        let are_siblings = record.kept && record.kind == ConflictKind::WriteWrite;
        let winner = are_siblings.then_some(record.winner.dot);
        let dots = [Some(record.loser.dot), winner].into_iter().flatten();
        dots.filter(|dot| dot.replica == own)
            .filter_map(|dot| self.hub.notices.author_of(dot.sequence))
            .collect()
    }

    /// The channels of the record to which somebody listens.
    fn channels(&self, record: &JournalRecord) -> Vec<Vec<u8>> {
        let channels = &self.hub.channels;
        if !channels.may_hear_conflicts() {
            return Vec::new();
        }
        let of_keyspace = [CHANNEL, b":", &record.keyspace].concat();
        let all = [CHANNEL.to_vec(), of_keyspace];
        all.into_iter()
            .filter(|channel| channels.hears(channel))
            .collect()
    }
}

impl JournalObserver for ConflictNews {
    fn recorded(&mut self, own: ReplicaId, journal: &Journal, first: u64, position: Position) {
        if self.hub.wants_conflicts() {
            for record in journal.after(first.saturating_sub(1)) {
                self.tell(record, journal, own, position);
            }
        }
    }
}

/// Tells a connection that a write of its own lost: `record` is in RESP3.
fn push(hub: &Hub, client: &Client, record: &[u8], barrier: Position) {
    let mut reply = Reply::default();
    reply.protocol = Protocol::Resp3;
    reply.push(2);
    reply.text(PUSH);
    reply.append(record);
    let bytes = Bytes::from(reply.into_bytes());
    let letter = Letter {
        first: bytes[0],
        rest: bytes.slice(1..),
    };
    hub.post_letter(client, letter, barrier);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_match_counts() {
        let may_reach = |topic, name: &str| may_reach(topic, name.as_bytes());
        for pattern in ["*", "isles:c*", "isles:conflicts:cart:*", "[i]sles:*", "?"] {
            assert!(may_reach(Topic::Pattern, pattern), "{pattern}");
        }
        for pattern in ["news*", "__key*", "isles:other:*"] {
            assert!(!may_reach(Topic::Pattern, pattern), "{pattern}");
        }
        assert!(may_reach(Topic::Channel, "isles:conflicts:cart:"));
        assert!(!may_reach(Topic::Channel, "isles:"));
        assert!(!may_reach(Topic::Shard, "isles:conflicts"));
    }
}
