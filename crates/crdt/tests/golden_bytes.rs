//! The encodings, byte for byte: states and deltas are stored and sent, so a change here breaks what is out there.

use std::fmt::Debug;

use isles_clock::{Dot, Hlc, ReplicaId, Stamp};
use isles_crdt::hyper_log_log::{HyperLogLogOp, Sketch};
use isles_crdt::op::{
    BoundedCounterOp, CellOp, Increment, LedgerOp, MapOp, OpBased, Reset, SetOp, SortedSetOp,
    TallyOp,
};
use isles_crdt::sorted_set::{Score, ScoreOp};
use isles_crdt::update::{CounterUpdate, FlagUpdate, SetUpdate, SortedSetUpdate};
use isles_crdt::{
    AwMap, AwSet, Delta, DwFlag, EwFlag, GCounter, GSet, LwwRegister, MaxRegister, Merge,
    MinRegister, MvRegister, PnCounter, ResettableCounter, RwSet, op,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

const EU: ReplicaId = ReplicaId::from_bytes([0xe0; 16]);
const US: ReplicaId = ReplicaId::from_bytes([0xf0; 16]);

/// A value has these bytes, in hexadecimal with `E` and `U` for the two replicas, and these bytes are the value.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, golden: &str) {
    let bytes = postcard::to_allocvec(value).expect("a value has an encoding");
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = text
        .replace(&"e0".repeat(16), "E")
        .replace(&"f0".repeat(16), "U");
    assert_eq!(text, golden.replace(' ', ""));
    let decoded: T = postcard::from_bytes(&bytes).expect("golden bytes are a value");
    assert_eq!(&decoded, value);
    let json = serde_json::to_string(value).expect("a value has a JSON form");
    let decoded: T = serde_json::from_str(&json).expect("what is written can be read");
    assert_eq!(&decoded, value);
}

fn refuses<T: DeserializeOwned + Debug>(why: &str, bytes: &str) {
    let bytes = bytes
        .replace('E', &"e0".repeat(16))
        .replace('U', &"f0".repeat(16))
        .replace(' ', "");
    let digits: Vec<char> = bytes.chars().collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).expect("hexadecimal"))
        .collect();
    let decoded = postcard::from_bytes::<T>(&bytes);
    assert!(decoded.is_err(), "{why}: {decoded:?}");
}

#[test]
fn counters() {
    let mut counter = GCounter::new();
    let _delta = counter.increment(EU, 300);
    check(&counter, "01 E ac02");

    let mut counter = PnCounter::new();
    let delta = counter.add(EU, 1);
    let _delta = counter.add(US, -2);
    check(&counter, "01 E 01  01 U 02");
    check(&delta, "01 E 01  00");

    let mut counter = ResettableCounter::new();
    let _delta = counter.add(EU, 5);
    let reset = counter.reset(US);
    let delta = counter.add(US, -1);
    // Totals, each with its dot and start; marks, each with the reset's dot and what it was of; what was seen and forgotten.
    check(
        &counter,
        "01 U 02 02 01  01 U 01 E 01 0a  02 E 01 U 02 00  00",
    );
    check(&reset, "00  01 U 01 E 01 0a  01 E 01 00  00");
    check(&delta, "01 U 02 02 01  00  00 00  00");
}

#[test]
fn registers() {
    let mut register = LwwRegister::new();
    check(&register, "00");
    let _delta = register.write(Stamp::new(Hlc::new(0, 9), EU), 7u8);
    check(&register, "01 09 E 07");

    let (mut max, mut min) = (MaxRegister::new(), MinRegister::new());
    let (_, _) = (max.write(7u8), min.write(7u8));
    check(&max, "01 07");
    check(&min, "01 07");

    let mut register = MvRegister::new();
    let mut other = MvRegister::new();
    let _delta = register.write(EU, 7u8);
    let delta = other.write_at(Stamp::new(Hlc::new(0, 9), US), 8u8);
    register.merge(&other);
    check(&register, "02 E 01 00 07  U 01 09 08  02 E 01 U 01 00  00");
    check(&delta, "01 U 01 09 08  00 00  00");
}

#[test]
fn flags_and_sets() {
    let mut flag = EwFlag::new();
    let _delta = flag.enable(EU);
    check(&flag, "01 E 01  01 E 01 00  00");

    let mut flag = DwFlag::new();
    let _delta = flag.disable(EU);
    let _delta = flag.enable(EU);
    // Removals; additions, each with the removals it has observed and the clock of those that were forgotten.
    check(&flag, "01 E 01  01 E 02 01 E 01 00  01 E 02 00  00");

    let mut set = GSet::new();
    let _delta = set.add(7u8);
    check(&set, "01 07");

    let mut set = AwSet::new();
    let addition = set.add(EU, 7u8);
    check(&set, "00 01 07 01 E 01  01 E 01 00  00");
    // The same, speaking of the elements it names; of the context only what these do not say.
    check(&addition, "01 01 07 01 E 01  00 00  00");
    let again = set.add(EU, 7);
    check(&again, "01 01 07 01 E 02  01 E 01 00  00");
    let removal = set.remove(US, &7);
    check(&removal, "01 01 07 00  00 01 E 02 00  00");

    let mut set = RwSet::new();
    let removal = set.remove(EU, 7u8);
    check(&set, "00 01 07 01 E 01 00  01 E 01 00  00");
    check(&removal, "01 01 07 01 E 01 00  00 00  00");
}

#[test]
fn maps() {
    let mut map: AwMap<u8, op::AwSet<u8>> = AwMap::new();
    let delta = map.update(EU, 3, SetUpdate::Add(7));
    check(&map, "00 01 03  00 01 07 01 E 01  01 E 01 00  00");
    check(&delta, "01 01 03  01 01 07 01 E 01  00 00  00");
    let removal = map.remove(EU, &3);
    check(&removal, "01 01 03  00 00  01 E 01 00  00");

    let mut map: AwMap<u8, op::ResettableCounter> = AwMap::new();
    let _delta = map.update(EU, 3, CounterUpdate::Add(1));
    check(&map, "00 01 03  01 E 01 01 02  00  01 E 01 00  00");
}

#[test]
fn operations() {
    let (total, start, hlc) = (5, Some(1), Hlc::new(0, 9));
    let reset = Reset {
        replica: EU,
        sequence: 1,
        total,
    };
    let restart = true;
    check(&TallyOp::Add(Increment { total, restart }), "00 0a 01");
    check(&TallyOp::Reset(smallvec::smallvec![reset]), "01 01 E 01 0a");
    check(&LedgerOp::Add { start, total }, "00 01 01 0a");
    check(
        &LedgerOp::Reset(smallvec::smallvec![reset]),
        "01 01 E 01 0a",
    );

    check(&CellOp::Write { hlc, value: 7u8 }, "00 09 07");
    check(&CellOp::<u8>::Clear, "01");
    check(&(Stamp::new(hlc, EU), 7u8), "09 E 07");
    check(&FlagUpdate::Enable, "00");
    check(&SetOp::Add(7u8), "00 07");
    check(&SetOp::Remove(7u8), "01 07");
    check(&SetOp::RemoveAll(vec![7u8]), "02 01 07");
    check(&SetOp::<u8>::Clear, "03");

    type Flags = MapOp<u8, FlagUpdate, ()>;
    check(&Flags::Update(3, FlagUpdate::Disable), "00 03 01");
    check(&Flags::Remove(3, None), "01 03 00");
    check(&Flags::Clear(Vec::new()), "02 00");

    check(&BoundedCounterOp::Granted(300), "00 ac02");
    check(&BoundedCounterOp::Spent(1), "01 01");
    check(&BoundedCounterOp::Moved { to: US, rights: 1 }, "02 U 01");

    let (score, resets) = (Score::from(1), smallvec::smallvec![reset]);
    let set = ScoreOp::Set { hlc, score, resets };
    check(&set, "00 09 000000000000f03f 01 E 01 0a");
    let add: SortedSetOp<u8> = op::SortedSet::new()
        .prepare(Stamp::new(hlc, EU), SortedSetUpdate::Add(7u8, score))
        .expect("adding is an operation");
    check(&add, "00 07 01 00 80808080808080f07f");
    let mut sketch = Sketch::new();
    sketch.insert(1 << 63 | 7);
    check(&HyperLogLogOp::Create(sketch.clone()), "00 0001f203");
    check(
        &HyperLogLogOp::Raise(Dot::new(EU, 1), sketch),
        "01 E 01 0001f203",
    );
    check(&HyperLogLogOp::Clear, "02");
}

#[test]
fn what_is_never_written_is_refused() {
    refuses::<AwSet<u8>>("a fragment", "01 01 07 01 E 01  01 E 01 00  00");
    refuses::<AwSet<u8>>("an element without a dot", "00 01 07 00  01 E 01 00  00");
    refuses::<AwSet<u8>>(
        "a dot that was not seen",
        "00 01 07 01 E 02  01 E 01 00  00",
    );
    refuses::<AwSet<u8>>(
        "elements out of order",
        "00 02 07 01 E 01 06 01 E 02  01 E 02 00  00",
    );
    refuses::<AwSet<u8>>(
        "an element twice",
        "00 02 07 01 E 01 07 01 E 02  01 E 02 00  00",
    );
    refuses::<AwSet<u8>>("a dot twice", "00 01 07 02 E 01 E 01  01 E 01 00  00");
    refuses::<AwSet<u8>>("sequence 0", "00 01 07 01 E 00  01 E 01 00  00");
    refuses::<AwSet<u8>>("a length without entries", "00 ffffffffffffffff7f");
    refuses::<EwFlag>(
        "a sequence at the end of all sequences",
        "00  01 E ffffffffffffffffff01 00  00",
    );
    refuses::<EwFlag>(
        "a forgotten sequence at the end of all sequences",
        "00  00 00  01 E ffffffffffffffffff01",
    );
    refuses::<AwSet<u8>>(
        "one dot under two elements",
        "00 02 01 01 E 01 02 01 E 01  01 E 01 00  00",
    );
    refuses::<ResettableCounter>(
        "a total that starts after it ends",
        "01 E 01 02 0a  00  01 E 01 00  00",
    );
    refuses::<ResettableCounter>("a reset of nothing", "00  01 U 01 E 00 0a  01 U 01 00  00");
    refuses::<ResettableCounter>(
        "the mark of an operation in a state",
        "00  01 E 00 E 01 0a  01 E 01 00  00",
    );
    refuses::<op::Tally>("a reset of more than there is", "01 E 01 0a 02 0a");
    refuses::<op::Tally>("a total that was reset and is not zero", "01 E 01 0a 01 08");
    refuses::<GSet<()>>("very many of nothing", "ffffffffffffffff7f");
    refuses::<MvRegister<u8>>(
        "versions out of order",
        "02 U 01 09 08 E 01 00 07  02 E 01 U 01 00  00",
    );
    refuses::<Delta<op::AwSet<u8>>>(
        "a dot that is brought and superseded",
        "01 01 07 01 E 01  01 E 01 00  00",
    );
    let deep: &str = "00 01 03  01 01 07 01 E 01  01 E 01 00  00";
    refuses::<AwMap<u8, op::AwSet<u8>>>("a fragment under a key", deep);
}
