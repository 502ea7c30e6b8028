//! Payloads of `RESTORE` that are damaged although their check is right are refused, or restored as some value that every
//! later command can deal with, here and in another region.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind};
use isles_replica::{Frame, Replica, ReplicaConfig, UnloggedContent};
use isles_resp::{Answer, Console};
use xxhash_rust::xxh3::xxh3_64;

const NOW_MS: u64 = 1_790_000_000_000;
const CHECK_BYTES: usize = 8;
/// Damaged payloads of each value.
const CASES: u64 = 1_500;

/// What payloads are made of: at least one value of each type.
const VALUES: &[&[&str]] = &[
    &["SET v hello"],
    &["SET v 12345"],
    &["HSET v f 1 g two h 3.5"],
    &["SADD v a bb ccc 4"],
    &["ZADD v 1 a 2.5 b -inf c inf d"],
    &["RPUSH v a b c 1 2 3"],
    &[
        "XADD v 1-1 f a g b",
        "XADD v 2-0 f c",
        "XADD v 3-7 f d",
        "XDEL v 2-0",
    ],
    &[
        "XADD v 1-1 f a",
        "XGROUP CREATE v g 0",
        "XREADGROUP GROUP g c STREAMS v >",
    ],
    &["ISLES.FLAG.ENABLE v"],
    &["ISLES.FLAG.ENABLE v DISABLE-WINS"],
    &["PFADD v a b c d"],
    &["PFADD v a", "PFADD w b c", "PFMERGE v w"],
    &["ISLES.BCOUNTER.CREATE v 1000"],
];

/// What is done to a value that was restored: reads first, so that they meet it as it was restored. Those for other types answer
/// errors.
const COMMANDS: &[&str] = &[
    "TYPE v",
    "OBJECT ENCODING v",
    "MEMORY USAGE v",
    "GET v",
    "STRLEN v",
    "GETRANGE v 0 9",
    "HGETALL v",
    "HSCAN v 0",
    "HRANDFIELD v 5 WITHVALUES",
    "SMEMBERS v",
    "SRANDMEMBER v 5",
    "SSCAN v 0",
    "ZRANGE v 0 -1 WITHSCORES",
    "ZRANGEBYSCORE v -inf +inf",
    "ZRANGEBYLEX v - +",
    "ZCOUNT v -inf +inf",
    "ZSCAN v 0",
    "LRANGE v 0 -1",
    "LPOS v a",
    "SORT v ALPHA",
    "XRANGE v - +",
    "XREVRANGE v + -",
    "XINFO STREAM v FULL",
    "XREAD STREAMS v 0",
    "ISLES.FLAG.GET v",
    "ISLES.BCOUNTER.GET v",
    "PFCOUNT v",
    "ISLES.SIBLINGS v",
    "COPY v u REPLACE",
    "PEXPIREAT v 33000000000000",
    "PERSIST v",
    "APPEND v x",
    "INCR v",
    "HSET v f z",
    "HINCRBY v g 1",
    "HDEL v h",
    "SADD v zz",
    "SPOP v",
    "ZADD v 7 a 8 zz",
    "ZINCRBY v 1 c",
    "ZPOPMIN v",
    "ZUNIONSTORE u 2 v v",
    "RPUSH v z",
    "LSET v 0 y",
    "LINSERT v AFTER y x",
    "LPOP v",
    "XADD v * f z",
    "XTRIM v MAXLEN 1",
    "XGROUP CREATE v h 0",
    "XREADGROUP GROUP h c STREAMS v >",
    "ISLES.FLAG.DISABLE v",
    "ISLES.BCOUNTER.INCR v 1",
    "ISLES.BCOUNTER.DECR v 1",
    "PFADD v q",
    "PFMERGE u v",
    "RENAME v t",
    "DUMP t",
    "DUMP u",
    "DEL t u",
];

/// Numbers without a pattern, the same ones in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A region, with what it has written.
struct Region {
    replica: Replica,
    console: Console,
    chain: u64,
}

impl Region {
    fn new(id: u128) -> Region {
        Region {
            replica: Replica::new(ReplicaId::from_u128(id), ReplicaConfig::default()),
            console: Console::new(),
            chain: 0,
        }
    }

    fn ask(&mut self, args: &[&[u8]]) -> Answer {
        let answer = self.console.command(&mut self.replica, NOW_MS, args);
        answer.unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(args[0])))
    }

    fn run(&mut self, line: &str) -> Answer {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.ask(&words)
    }

    /// What it has written since it was asked last.
    fn written(&mut self) -> Vec<Frame> {
        let taken = self.replica.take_unlogged();
        let Some(last) = taken.last().map(|unlogged| unlogged.number) else {
            return Vec::new();
        };
        let mut frames = Vec::new();
        for unlogged in taken {
            match unlogged.content {
                UnloggedContent::Own(open) => {
                    let frame = open.seal(self.chain);
                    self.chain = frame.chain();
                    frames.push(frame);
                }
                UnloggedContent::Remote(frame) => frames.push(frame),
                UnloggedContent::Note(_) => {}
            }
        }
        self.replica.note_durable(last, &frames);
        frames
    }

    fn learn(&mut self, frames: &[Frame]) {
        for frame in frames {
            let frame = Frame::decode(frame.bytes().clone()).unwrap();
            let lane = Lane {
                peer: frame.replica(),
                kind: LaneKind::Direct,
            };
            _ = self.replica.offer(frame, lane).unwrap();
            while self.replica.apply_ready(NOW_MS) > 0 {}
        }
        self.written();
    }
}

/// Changes some bytes of what is between the name and version, and the check, which is made right again.
fn damaged(payload: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = payload[..payload.len() - CHECK_BYTES].to_vec();
    // The type's number and the content.
    let start = b"ISLES".len() + 1;
    for _ in 0..=random.below(3) {
        let at = start + random.below(bytes.len() - start);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            3 => bytes.insert(at, random.next() as u8),
            4 => bytes.truncate((at + 1).max(start + 1)),
            5 => {
                // A large number where a length or an id may be.
                let end = (at + 9).min(bytes.len());
                bytes[at..end].fill(0xFF);
            }
            _ => {
                // A part of it again.
                let end = at + random.below(bytes.len() - at);
                let part = bytes[at..=end.min(bytes.len() - 1)].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    let check = xxh3_64(&bytes).to_le_bytes();
    bytes.extend_from_slice(&check);
    bytes
}

#[test]
fn a_damaged_payload_is_refused_or_harmless() {
    let (mut restored, mut refused) = ([0; VALUES.len()], [0; VALUES.len()]);
    for (index, value) in VALUES.iter().enumerate() {
        let mut here = Region::new(1);
        let mut there = Region::new(2);
        for line in *value {
            let answer = here.run(line);
            assert!(!matches!(answer, Answer::Error(_)), "{line}: {answer}");
        }
        let Answer::Text(payload) = here.run("DUMP v") else {
            panic!("{value:?} has no payload");
        };
        there.learn(&here.written());
        for case in 0..CASES {
            let mut random = Random((index as u64) << 32 | case);
            let payload = damaged(&payload, &mut random);
            match here.ask(&[b"RESTORE", b"v", b"0", &payload, b"REPLACE"]) {
                Answer::Error(text) => {
                    let is_known =
                        text.contains("Bad data format") || text.contains("DUMP payload");
                    assert!(is_known, "{text}");
                    refused[index] += 1;
                    continue;
                }
                _ => restored[index] += 1,
            }
            // What was restored can be carried on, and is the same then.
            let Answer::Text(again) = here.run("DUMP v") else {
                panic!("{value:?} {case}: {payload:02x?} made no value");
            };
            let copy = here.ask(&[b"RESTORE", b"u", b"0", &again, b"REPLACE"]);
            assert_eq!(copy, Answer::Text(b"OK".to_vec()), "{value:?} {case}");
            assert_eq!(here.run("DUMP u"), Answer::Text(again), "{value:?} {case}");
            there.learn(&here.written());
            for line in COMMANDS {
                here.run(line);
                there.run(line);
                // The types of both go on differently where something was chosen at random; what counts is that they agree.
                let (ours, theirs) = (here.written(), there.written());
                here.learn(&theirs);
                there.learn(&ours);
            }
            here.replica.check().unwrap();
            assert_eq!(
                here.replica.digest(),
                there.replica.digest(),
                "{value:?} {case}: {payload:02x?}"
            );
        }
    }
    // The damage is neither so small that nothing is refused, nor so large that everything is.
    assert!(restored.iter().all(|count| *count > 20), "{restored:?}");
    assert!(refused.iter().all(|count| *count > 500), "{refused:?}");
}
