//! What clients ask of consumer groups.

use crate::command::Bytes;
use crate::random::Random;

/// One command on a stream's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// XGROUP CREATE … MKSTREAM, after the entry at this place.
    Create(Bytes, usize),
    /// XGROUP SETID, after the entry at this place.
    SetId(Bytes, usize),
    /// XGROUP DESTROY.
    Destroy(Bytes),
    /// XREADGROUP with `>`; perhaps with NOACK.
    Read(Bytes, Bytes, usize, bool),
    /// XREADGROUP with `0`.
    History(Bytes, Bytes),
    /// XACK of the pending entries at these places.
    Ack(Bytes, Vec<usize>),
    /// XCLAIM of the pending entries at these places.
    Claim(Bytes, Bytes, Vec<usize>),
    /// XAUTOCLAIM from the pending entry at this place on, of so many.
    AutoClaim(Bytes, Bytes, usize, usize),
    /// XGROUP DELCONSUMER.
    Forget(Bytes, Bytes),
    /// XPENDING and XINFO.
    Show(Bytes),
}

/// A command.
pub fn draw(random: &mut Random) -> Command {
    let group = name(random, &["g", "g", "g", "h"]);
    let consumer = name(random, &["alice", "bob"]);
    let places = |random: &mut Random| (0..=random.index(2)).map(|_| random.index(4)).collect();
    match random.weighted(&[
        (6, 0),
        (1, 1),
        (1, 2),
        (14, 3),
        (2, 4),
        (7, 5),
        (5, 6),
        (1, 7),
        (2, 8),
        (3, 9),
    ]) {
        0 => Command::Create(group, random.index(5)),
        1 => Command::SetId(group, random.index(5)),
        2 => Command::Destroy(group),
        3 => Command::Read(group, consumer, 1 + random.index(3), random.percent(15)),
        4 => Command::History(group, consumer),
        5 => Command::Ack(group, places(random)),
        6 => Command::Claim(group, consumer, places(random)),
        9 => Command::AutoClaim(group, consumer, random.index(3), 1 + random.index(3)),
        7 => Command::Forget(group, consumer),
        _ => Command::Show(group),
    }
}

fn name(random: &mut Random, names: &[&str]) -> Bytes {
    random.pick(names).as_bytes().to_vec()
}
