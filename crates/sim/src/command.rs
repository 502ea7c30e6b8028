//! What clients ask for: a small grammar over all kinds, with few keys, so that conflicts are frequent.

use isles_replica::{AddIf, Lens, ListEnd, ListSide, SetRule};
use isles_resolve::Strategy;

use crate::options::{Family, Options};
use crate::random::Random;
use crate::resolvers::Rule;
use crate::{groups, resolvers, small_kinds};

/// Bytes of keys, members, fields and values.
pub type Bytes = Vec<u8>;

/// The prefix of the keyspace whose strategy changes during a run.
pub const PREFIX: &[u8] = b"m:";

/// What a SET does to the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// KEEPTTL.
    Keep,
    /// Nothing said.
    Clear,
    /// PX, from now.
    After(i64),
}

/// The id of a new entry of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChoice {
    /// The node's.
    Generated,
    /// `ms-*`: so many milliseconds after the last id.
    InMs(u64),
    /// So many milliseconds after the last id, and this sequence: others choose the same.
    Given(u64, u64),
}

/// What a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamBound {
    /// MAXLEN.
    Len(usize),
    /// MINID, the id of the entry at this place.
    Place(usize),
}

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// GET.
    Get(Bytes),
    /// SET.
    Set(Bytes, Bytes, Ttl),
    /// APPEND: reads, then writes what it read and more.
    Append(Bytes, Bytes),
    /// DEL.
    Del(Bytes),
    /// INCRBY.
    Incr(Bytes, i64),
    /// PEXPIRE; the time may be past.
    Expire(Bytes, i64),
    /// PERSIST.
    Persist(Bytes),
    /// SADD.
    SetAdd(Bytes, Vec<Bytes>),
    /// SREM.
    SetRemove(Bytes, Vec<Bytes>),
    /// SMEMBERS.
    SetMembers(Bytes),
    /// SSCAN to its end, some members at a time, SISMEMBER of each, and SRANDMEMBER.
    SetScan(Bytes, usize),
    /// ISLES.KEYSPACE MIGRATE, of one key, if it is a set.
    SetMigrate(Bytes),
    /// HSET.
    HashPut(Bytes, Vec<(Bytes, Bytes)>),
    /// HDEL.
    HashRemove(Bytes, Vec<Bytes>),
    /// HINCRBY.
    HashIncr(Bytes, Bytes, i64),
    /// HGETALL.
    HashAll(Bytes),
    /// ZADD; some without effect on members that are there, or that are not.
    SortedAdd(Bytes, Vec<(Bytes, f64)>, AddIf),
    /// ZINCRBY.
    SortedIncr(Bytes, Bytes, f64),
    /// ZREM.
    SortedRemove(Bytes, Vec<Bytes>),
    /// ZREMRANGEBYRANK: from a rank, so many.
    SortedRemoveRanks(Bytes, usize, usize),
    /// ZRANGE of everything with scores, and ZRANK of each member.
    SortedAll(Bytes),
    /// LPUSH, or RPUSH where it is the back.
    ListPush(Bytes, ListEnd, Vec<Bytes>),
    /// LPOP or RPOP of so many.
    ListPop(Bytes, ListEnd, usize),
    /// LSET.
    ListSet(Bytes, usize, Bytes),
    /// LINSERT beside the first element with the value that is named first.
    ListInsert(Bytes, ListSide, Bytes, Bytes),
    /// LREM.
    ListRemove(Bytes, i64, Bytes),
    /// LTRIM: from an index, so many.
    ListTrim(Bytes, usize, usize),
    /// LRANGE of everything.
    ListAll(Bytes),
    /// LMOVE.
    ListMove(Bytes, Bytes, ListEnd, ListEnd),
    /// XADD, perhaps with a trim.
    StreamAdd(Bytes, StreamChoice, Vec<Bytes>, Option<StreamBound>),
    /// XDEL of the entries at these places.
    StreamRemove(Bytes, Vec<usize>),
    /// XTRIM.
    StreamTrim(Bytes, StreamBound),
    /// XSETID: so many milliseconds after the last entry.
    StreamSetId(Bytes, u64),
    /// XRANGE, XREVRANGE and XINFO.
    StreamAll(Bytes),
    /// One of consumer groups.
    Group(Bytes, groups::Command),
    /// COPY … REPLACE.
    Copy(Bytes, Bytes),
    /// RENAME.
    Rename(Bytes, Bytes),
    /// FLUSHALL.
    Flush,
    /// SCAN to its end, and DBSIZE.
    Keys,
    /// One of the small kinds.
    Small(Bytes, small_kinds::Command),
    /// ISLES.SIBLINGS; the context is kept under a number.
    Siblings(Bytes, usize),
    /// ISLES.SET with the context kept under a number.
    SetInContext(Bytes, Bytes, usize),
    /// ISLES.KEYSPACE SET for a prefix.
    Keyspace(Bytes, Lens, SetRule),
    /// ISLES.RESOLVER LOAD, or DEL.
    Resolver(Option<Rule>),
}

/// What a client sends at once: one command, or a MULTI/EXEC.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The commands.
    pub commands: Vec<Command>,
    /// MULTI/EXEC, or a command that may write several keys.
    pub many: bool,
}

/// Draws a script.
pub fn draw(options: &Options, random: &mut Random) -> Script {
    if !options.transactions || !random.percent(25) {
        let command = command(options, &mut |random| key(options, random), random);
        use Command::{Copy, ListMove, Rename};
        let many = matches!(command, Copy(..) | Rename(..) | ListMove(..)) || random.percent(10);
        let many = many && !matches!(command, Command::SetInContext(..));
        return Script {
            commands: vec![command],
            many,
        };
    }
    // Most commands of a transaction go to one key: what it does there is one net effect.
    let favourite = key(options, random);
    let count = 2 + random.index(5);
    let mut commands = Vec::with_capacity(count);
    while commands.len() < count {
        let mut pick = |random: &mut Random| match random.percent(75) {
            true => favourite.clone(),
            false => key(options, random),
        };
        let command = command(options, &mut pick, random);
        // Whether a SET before it has written the deadline shows only in its entry's bytes, and then it is too late.
        let flush_first = command != Command::Flush || commands.iter().all(may_precede_flush);
        if flush_first && !matches!(command, Command::SetInContext(..)) {
            commands.push(command);
        }
    }
    Script {
        commands,
        many: true,
    }
}

fn may_precede_flush(command: &Command) -> bool {
    use Command::{Append, Copy, Flush, Keyspace, Rename, Resolver, Set, Small};
    match command {
        Append(..) | Copy(..) | Flush | Keyspace(..) | Rename(..) | Resolver(..) | Set(..) => false,
        Small(_, small) => *small != small_kinds::Command::SketchAsString,
        _ => true,
    }
}

fn key(options: &Options, random: &mut Random) -> Bytes {
    let number = random.index(options.keys);
    if options.keyspaces && random.percent(30) {
        return [PREFIX, &[b'a' + number as u8]].concat();
    }
    vec![b'a' + number as u8]
}

fn command(
    options: &Options,
    key: &mut dyn FnMut(&mut Random) -> Bytes,
    random: &mut Random,
) -> Command {
    let expiry = if options.expiry { 1 } else { 0 };
    let spaces = u64::from(options.keyspaces);
    let has = |family| u64::from(options.families.contains(&family));
    let [
        strings,
        sets,
        hashes,
        sorted_sets,
        lists,
        streams,
        small_kinds,
    ] = Family::ALL.map(has);
    let kinds: [(u64, u32); 44] = [
        (3, 0),
        (9 * strings, 1),
        (3 * strings, 2),
        (7, 3),
        (9 * strings, 4),
        (6 * expiry, 5),
        (2 * expiry, 6),
        (10 * sets, 7),
        (6 * sets, 8),
        (2 * sets, 9),
        (10 * hashes, 10),
        (6 * hashes, 11),
        (8 * hashes, 12),
        (2 * hashes, 13),
        (2, 14),
        (2, 15),
        (1, 16),
        (5 * spaces, 17),
        (6 * spaces * strings, 18),
        (spaces, 19),
        (u64::from(!options.clock_jumps), 20),
        (9 * sorted_sets, 21),
        (8 * sorted_sets, 22),
        (5 * sorted_sets, 23),
        (2 * sorted_sets, 24),
        (14 * lists, 25),
        (6 * lists, 26),
        (5 * lists, 27),
        (5 * lists, 28),
        (4 * lists, 29),
        (2 * lists, 30),
        (2 * lists, 31),
        (3 * lists, 32),
        (16 * streams, 33),
        (5 * streams, 34),
        (3 * streams, 35),
        (2 * streams, 36),
        (2 * streams, 37),
        (16 * small_kinds, 38),
        (30 * streams, 39),
        (4 * sorted_sets, 40),
        (spaces, 41),
        (4 * sets * spaces, 42),
        (2 * sets, 43),
    ];
    match random.weighted(&kinds) {
        0 => Command::Get(key(random)),
        1 => Command::Set(key(random), string(options, random), ttl(options, random)),
        2 => Command::Append(key(random), small(random)),
        3 => Command::Del(key(random)),
        4 => Command::Incr(key(random), by(random)),
        5 => Command::Expire(key(random), delay(random)),
        6 => Command::Persist(key(random)),
        7 => Command::SetAdd(key(random), several(options, random)),
        8 => Command::SetRemove(key(random), several(options, random)),
        9 => Command::SetMembers(key(random)),
        10 => Command::HashPut(key(random), pairs(options, random)),
        11 => Command::HashRemove(key(random), several(options, random)),
        12 => Command::HashIncr(key(random), name(options, random), by(random)),
        13 => Command::HashAll(key(random)),
        14 => two(key, random, Command::Copy),
        15 => two(key, random, Command::Rename),
        16 => Command::Flush,
        17 => Command::Siblings(key(random), random.index(4)),
        18 => Command::SetInContext(key(random), string(options, random), random.index(4)),
        20 => Command::Keys,
        21 => Command::SortedAdd(key(random), scores(options, random), add_if(random)),
        22 => Command::SortedIncr(key(random), name(options, random), score(random)),
        23 => Command::SortedRemove(key(random), several(options, random)),
        24 => Command::SortedAll(key(random)),
        25 => Command::ListPush(key(random), list_end(random), pushed(options, random)),
        26 => {
            let most = if options.large { 60 } else { 2 };
            Command::ListPop(key(random), list_end(random), 1 + random.index(most))
        }
        27 => Command::ListSet(key(random), random.index(4), value(random)),
        28 => {
            let side = *random.pick(&[ListSide::Before, ListSide::After]);
            Command::ListInsert(
                key(random),
                side,
                name(options, random),
                name(options, random),
            )
        }
        29 => Command::ListRemove(
            key(random),
            *random.pick(&[0, 1, -1, 2]),
            name(options, random),
        ),
        30 => {
            let [start, len] = if options.large { [60, 200] } else { [3, 6] };
            Command::ListTrim(key(random), random.index(start), random.index(len))
        }
        31 => Command::ListAll(key(random)),
        32 => Command::ListMove(key(random), key(random), list_end(random), list_end(random)),
        33 => stream_add(key(random), options, random),
        34 => {
            let count = 1 + random.index(2);
            let places = (0..count).map(|_| random.index(6)).collect();
            Command::StreamRemove(key(random), places)
        }
        35 => Command::StreamTrim(key(random), stream_bound(random)),
        36 => Command::StreamSetId(key(random), random.below(3)),
        37 => Command::StreamAll(key(random)),
        38 => Command::Small(key(random), small_kinds::draw(random)),
        39 => Command::Group(key(random), groups::draw(random)),
        40 => {
            let [start, len] = if options.large { [10, 90] } else { [2, 3] };
            Command::SortedRemoveRanks(key(random), random.index(start), random.index(len))
        }
        41 => Command::Resolver(match random.below(5) {
            0 => None,
            1 => Some(Rule::Crash),
            _ => Some(Rule::Longest),
        }),
        42 => Command::SetMigrate(key(random)),
        43 => Command::SetScan(key(random), 1 + random.index(8)),
        _ => match random.percent(80) {
            true => Command::Keyspace(
                PREFIX.to_vec(),
                strategy(75, options, random),
                set_rule(random),
            ),
            false => Command::Keyspace(Vec::new(), strategy(40, options, random), set_rule(random)),
        },
    }
}

fn set_rule(random: &mut Random) -> SetRule {
    match random.percent(60) {
        true => SetRule::RemoveWins,
        false => SetRule::AddWins,
    }
}

/// A lens; so often one that keeps siblings.
fn strategy(multi_percent: u64, options: &Options, random: &mut Random) -> Lens {
    let strategy = match random.percent(multi_percent) {
        true if options.sums && random.percent(70) => Strategy::JsonSum,
        true if random.percent(40) => return resolvers::lens(),
        true => *random.pick(&[
            Strategy::MultiValue,
            Strategy::Fww,
            Strategy::Max,
            Strategy::Min,
            Strategy::Longest,
            Strategy::Union,
            Strategy::JsonSum,
        ]),
        false => Strategy::Lww,
    };
    strategy.into()
}

fn two(
    key: &mut dyn FnMut(&mut Random) -> Bytes,
    random: &mut Random,
    make: fn(Bytes, Bytes) -> Command,
) -> Command {
    let (from, to) = (key(random), key(random));
    if from == to {
        return Command::Get(from);
    }
    make(from, to)
}

fn several(options: &Options, random: &mut Random) -> Vec<Bytes> {
    let count = 1 + random.index(if options.large { 30 } else { 2 });
    (0..count).map(|_| name(options, random)).collect()
}

/// Values for a list, sometimes so many that they fill several pages.
fn pushed(options: &Options, random: &mut Random) -> Vec<Bytes> {
    match options.large && random.percent(15) {
        true => vec![small(random); 100 + random.index(150)],
        false => several(options, random),
    }
}

fn pairs(options: &Options, random: &mut Random) -> Vec<(Bytes, Bytes)> {
    let names = several(options, random).into_iter();
    names.map(|name| (name, value(random))).collect()
}

fn scores(options: &Options, random: &mut Random) -> Vec<(Bytes, f64)> {
    let names = several(options, random).into_iter();
    names.map(|name| (name, score(random))).collect()
}

/// Halves, so that sums are exact and often return to zero.
fn score(random: &mut Random) -> f64 {
    *random.pick(&[0.0, 0.5, 1.0, 1.0, 2.0, 3.5, -0.5, -1.0, -2.0])
}

fn add_if(random: &mut Random) -> AddIf {
    match random.below(10) {
        0 => AddIf::Absent,
        1 => AddIf::Present,
        _ => AddIf::Always,
    }
}

/// A member or field.
fn name(options: &Options, random: &mut Random) -> Bytes {
    match options.large && random.percent(70) {
        true => format!("name-{}", random.below(80)).into_bytes(),
        false => small(random),
    }
}

fn stream_add(key: Bytes, options: &Options, random: &mut Random) -> Command {
    let choice = match random.below(4) {
        0 => StreamChoice::InMs(random.below(2)),
        1 => StreamChoice::Given(random.below(3), random.below(2)),
        _ => StreamChoice::Generated,
    };
    let texts = vec![name(options, random), value(random)];
    let trims = random.percent(20);
    let bound = trims.then(|| stream_bound(random));
    Command::StreamAdd(key, choice, texts, bound)
}

fn stream_bound(random: &mut Random) -> StreamBound {
    match random.percent(70) {
        true => StreamBound::Len(random.index(4)),
        false => StreamBound::Place(random.index(4)),
    }
}

fn list_end(random: &mut Random) -> ListEnd {
    *random.pick(&[ListEnd::Front, ListEnd::Back])
}

fn small(random: &mut Random) -> Bytes {
    vec![b'x' + random.below(3) as u8]
}

/// Integers and other strings, few enough that equal values are written concurrently.
fn value(random: &mut Random) -> Bytes {
    match random.percent(50) {
        true => random.below(20).to_string().into_bytes(),
        false => format!("v{}", random.below(1000)).into_bytes(),
    }
}

/// The same, where numbers are to add up mostly integers, on which `SET` counts too.
fn string(options: &Options, random: &mut Random) -> Bytes {
    match options.sums && random.percent(85) {
        true => (random.below(40) as i64 - 10).to_string().into_bytes(),
        false => value(random),
    }
}

/// Small, of both signs, and often such that sums return to zero.
fn by(random: &mut Random) -> i64 {
    *random.pick(&[1, 1, 2, 3, 5, -1, -2, -3])
}

fn delay(random: &mut Random) -> i64 {
    *random.pick(&[-5, 0, 1, 20, 50, 200, 1_000, 5_000])
}

fn ttl(options: &Options, random: &mut Random) -> Ttl {
    match random.below(10) {
        0 | 1 if options.expiry => Ttl::After(delay(random).max(1)),
        2 => Ttl::Keep,
        _ => Ttl::Clear,
    }
}
