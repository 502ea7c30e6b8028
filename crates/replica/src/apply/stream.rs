//! What an op does to a stream.

use isles_clock::Context;
use isles_crdt::op::Version;

use super::{Author, Outcome};
use crate::conflict::{Clash, ConflictKind, Contender};
use crate::op::{Kind, StreamEntry, StreamPart};
use crate::row::{Component, Row};
use crate::stream::{Entry, Fields, Name, Stream, StreamId, Writer};
use crate::sum;

pub(super) fn change<C: Context>(
    row: &mut Row,
    part: &StreamPart<'_>,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(Component::Stream(stream)) = row.component_mut(Kind::Stream) else {
        return;
    };
    let mut delta = 0u128;
    let mut told = |entry: &Entry| delta = delta.wrapping_sub(sum::of_entry(hash, entry));
    for id in &part.remove {
        stream.remove(*id, author.context, &mut told);
    }
    row.sum = row.sum.wrapping_add(delta);
    if let Some(through) = part.trim {
        trim(row, through, author, outcome);
    }
    let Some(Component::Stream(stream)) = row.component_mut(Kind::Stream) else {
        return;
    };
    let mut delta = 0u128;
    if let Some(deleted) = part.deleted {
        stream
            .deleted
            .write(version(author, deleted), author.context);
    }
    let mut ordinal = 0;
    for (index, added) in part.add.iter().enumerate() {
        let is_twin = index > 0 && part.add[index - 1].id == added.id;
        ordinal = if is_twin { ordinal + 1 } else { 0 };
        let entry = entry_of(added, ordinal, author);
        report_twins(stream, &entry, author, outcome);
        let sum = sum::of_entry(hash, &entry);
        if stream.insert(entry) {
            delta = delta.wrapping_add(sum);
        }
    }
    if let Some(mark) = part.mark {
        delta = delta.wrapping_sub(sum::of_marks(hash, stream));
        stream.marks.write(version(author, mark), author.context);
        delta = delta.wrapping_add(sum::of_marks(hash, stream));
        outcome.merged |= stream.marks.versions().len() > 1;
    }
    if !part.groups.is_empty() {
        delta = delta.wrapping_sub(stream.groups.sum());
        let writer = Writer {
            dot: author.dot,
            hlc: author.hlc,
            context: author.context,
            key_hash: hash,
        };
        // Who has which entry is no content that readers of the stream see.
        outcome.repeats = part.is_only_groups();
        for step in &part.groups {
            let stepped = stream.groups.step(step, &writer);
            outcome.merged |= stepped.merged;
            outcome.repeats &= !stepped.is_seen;
        }
        delta = delta.wrapping_add(stream.groups.sum());
    }
    row.sum = row.sum.wrapping_add(delta);
}

/// Of what stays, the row is summed anew where that is less than what goes.
fn trim<C: Context>(
    row: &mut Row,
    through: StreamId,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let hash = row.hash;
    let Some(Component::Stream(stream)) = row.component_mut(Kind::Stream) else {
        return;
    };
    if stream.is_swept(through) {
        let before = stream.sweep(through, author.context);
        let before = Component::Stream(Box::new(before));
        outcome.garbage.add(before);
        row.sum = sum::kept_of_row(row);
        return;
    }
    let mut delta = 0u128;
    stream.trim(through, author.context, &mut |entry| {
        delta = delta.wrapping_sub(sum::of_entry(hash, entry));
    });
    row.sum = row.sum.wrapping_add(delta);
}

fn version<V, C>(author: &Author<'_, C>, value: V) -> Version<V> {
    Version {
        dot: author.dot,
        hlc: author.hlc,
        value,
    }
}

fn entry_of<C>(added: &StreamEntry<'_>, ordinal: u32, author: &Author<'_, C>) -> Entry {
    let name = Name {
        id: added.id,
        dot: author.dot,
        ordinal,
    };
    Entry {
        name,
        hlc: author.hlc,
        fields: Fields::pack(added.fields.iter().map(|field| field.0)),
    }
}

/// Entries for which others chose the same id without knowing of it: all of them stay.
fn report_twins<C: Context>(
    stream: &Stream,
    new: &Entry,
    author: &Author<'_, C>,
    outcome: &mut Outcome,
) {
    let kept_bytes = outcome.kept_bytes;
    let contender = |entry: &Entry| {
        let shown = entry.fields.shown();
        Contender::new(entry.name.dot, entry.hlc, Some(&shown), kept_bytes)
    };
    let twins = stream.with_id(new.name.id);
    for twin in twins.filter(|twin| !author.context.covers(twin.name.dot)) {
        if twin.name.dot == new.name.dot {
            continue;
        }
        let mut contenders = [contender(new), contender(twin)];
        contenders.sort_by_key(|contender| std::cmp::Reverse(contender.stamp));
        outcome.clashes.push(Clash {
            component: Some(Kind::Stream),
            field: Some(new.name.id.to_string().into_bytes().into()),
            kind: ConflictKind::WriteWrite,
            kept: true,
            contenders,
        });
    }
}
