//! How some planted bugs are planted: by rewriting what is logged or what arrives.

use isles_replica::Replica;
use isles_replica::frame::{Frame, OpenFrame};
use isles_replica::op::{Blob, Entry as LoggedEntry, KeyOp, Part, SetPart};
use isles_transport::Message;

use crate::command::{Bytes, Command, Script};
use crate::model::Entry;

/// Set members that a transaction added and took away again: (sequence, key, member).
pub type Undone = Vec<(u64, Bytes, Bytes)>;

/// What an entry did and undid; its net effect does not show it.
pub fn undone(script: &Script, entries: &[Entry]) -> Undone {
    let [entry] = entries else { return Vec::new() };
    let mut undone = Vec::new();
    for (index, command) in script.commands.iter().enumerate() {
        let Command::SetAdd(key, members) = command else {
            continue;
        };
        let Some(effect) = entry.effects.get(key) else {
            continue;
        };
        let later = &script.commands[index + 1..];
        let gone = later.iter().any(|later| match later {
            Command::Del(other) | Command::SetRemove(other, _) => other == key,
            _ => false,
        });
        let gone = members
            .iter()
            .filter(|member| gone && effect.set.get(*member).is_none_or(|each| !each.adds));
        undone.extend(gone.map(|member| (entry.dot.sequence, key.clone(), member.clone())));
    }
    undone
}

/// Logs what entries did before they undid it, as if each command were an entry of its own.
pub fn log_by_command(open: &mut OpenFrame, undone: &Undone) {
    let frame = open.seal(0);
    let mut body = Vec::new();
    for (sequence, entry) in (frame.first()..).zip(frame.entries()) {
        let mut entry = entry.expect("invariant: it was just encoded");
        let of_entry = undone.iter().filter(|(of, _, _)| *of == sequence);
        let mut ops: Vec<KeyOp<'_>> = of_entry
            .map(|(_, key, member)| add_op(key, member))
            .collect();
        ops.append(&mut entry.ops);
        entry.ops = ops;
        body.extend(encode(&entry));
    }
    open.body = body;
}

/// Logs removals from sets as if a member could only be in the add-wins set of a key.
pub fn log_removals_of_one_rule(open: &mut OpenFrame) {
    let frame = open.seal(0);
    let mut body = Vec::new();
    for entry in frame.entries() {
        let mut entry = entry.expect("invariant: it was just encoded");
        for op in &mut entry.ops {
            let takes_only = |part: &SetPart<'_>| part.add.is_empty();
            let mut parts = op.parts.iter();
            if parts.any(|part| matches!(part, Part::SetAw(part) if takes_only(part))) {
                op.parts
                    .retain(|part| !matches!(part, Part::SetRw(part) if takes_only(part)));
            }
        }
        body.extend(encode(&entry));
    }
    open.body = body;
}

fn add_op<'a>(key: &'a [u8], member: &'a [u8]) -> KeyOp<'a> {
    let mut op = KeyOp::new(key);
    let part = SetPart {
        add: [Blob(member)].into_iter().collect(),
        ..SetPart::default()
    };
    op.parts.push(Part::SetAw(part));
    op
}

fn encode(entry: &LoggedEntry<'_>) -> Vec<u8> {
    postcard::to_allocvec(entry).expect("invariant: what was decoded can be encoded")
}

/// A message as a node takes it that checks no chains; none if it would pass over it.
pub fn without_chain(message: Message, replica: &Replica) -> Option<Message> {
    match message {
        Message::Hello(mut hello) => {
            hello.chains.clear();
            Some(Message::Hello(hello))
        }
        Message::Frame(bytes) => {
            let frame = Frame::decode(bytes.clone()).expect("invariant: nobody sends bad frames");
            let have = replica.applied().get(frame.replica());
            if frame.first() <= have {
                return None;
            }
            let previous = replica.delivery().previous_chain(frame.replica());
            if frame.first() > have + 1 || frame.continues(previous) {
                return Some(Message::Frame(bytes));
            }
            let body = frame
                .entries()
                .flat_map(|entry| encode(&entry.expect("invariant: nobody sends bad frames")));
            let open = OpenFrame {
                header: frame.header().clone(),
                body: body.collect(),
            };
            Some(Message::Frame(open.seal(previous).bytes().clone()))
        }
        other => Some(other),
    }
}
