//! The cells of the page, in its order. A test holds the page to their text and to what they print.

/// The cells by name.
pub(crate) const CELLS: &[(&str, fn())] = &[
    ("g_counter", g_counter),
    ("pn_counter", pn_counter),
    ("resettable_counter", resettable_counter),
    ("bounded_counter", bounded_counter),
    ("lww_register", lww_register),
    ("mv_register", mv_register),
    ("extreme_registers", extreme_registers),
    ("flags", flags),
    ("g_set", g_set),
    ("aw_set", aw_set),
    ("rw_set", rw_set),
    ("sorted_set", sorted_set),
    ("aw_map", aw_map),
    ("list", list),
    ("hyper_log_log", hyper_log_log),
    ("full_state", full_state),
    ("delta_state", delta_state),
    ("operations", operations),
    ("sizes", sizes),
    ("vector_clock", vector_clock),
    ("hybrid_clock", hybrid_clock),
];

fn g_counter() {
    use isles_clock::ReplicaId;
    use isles_crdt::{GCounter, Merge};

    let [eu, us, ap] = [1, 2, 3].map(ReplicaId::from_u128);
    let (mut at_eu, mut at_us, mut at_ap) = (GCounter::new(), GCounter::new(), GCounter::new());

    let _delta = at_eu.increment(eu, 1); // concurrently
    let _delta = at_us.increment(us, 2);
    let _delta = at_ap.increment(ap, 3);
    let values = [&at_eu, &at_us, &at_ap].map(GCounter::value);
    println!("apart:    {values:?}");

    at_us.merge(&at_eu);
    at_ap.merge(&at_us);
    at_ap.merge(&at_eu); // again, by another way: no harm done
    at_eu.merge(&at_ap);
    let values = [&at_eu, &at_us, &at_ap].map(GCounter::value);
    println!("merging:  {values:?}");

    at_us.merge(&at_ap);
    let values = [&at_eu, &at_us, &at_ap].map(GCounter::value);
    println!("together: {values:?}");
}

fn pn_counter() {
    use isles_clock::ReplicaId;
    use isles_crdt::{DeltaState, Merge, PnCounter};

    let [eu, us, ap] = [1, 2, 3].map(ReplicaId::from_u128);
    let (mut at_eu, mut at_us, mut at_ap) = (PnCounter::new(), PnCounter::new(), PnCounter::new());

    let mut from_eu = at_eu.add(eu, 10); // concurrently
    let from_us = at_us.add(us, -3);
    let from_ap = at_ap.add(ap, 1);
    from_eu.merge(&at_eu.add(eu, 5)); // two deltas joined into one

    for delta in [&from_us, &from_ap, &from_eu, &from_us] {
        at_eu.apply(delta); // its own comes back, another one comes twice
        at_us.apply(delta);
        at_ap.apply(delta);
    }
    println!("{:?}", [at_eu, at_us, at_ap].map(|counter| counter.value()));
}

fn resettable_counter() {
    use isles_clock::ReplicaId;
    use isles_crdt::{DeltaState, ResettableCounter};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (ResettableCounter::new(), ResettableCounter::new());
    at_us.apply(&at_eu.add(eu, 5));

    let reset = at_eu.reset(eu);
    let more = at_us.add(us, 3); // concurrently
    println!("apart:    {} {}", at_eu.total(), at_us.total());
    at_eu.apply(&more);
    at_us.apply(&reset);
    println!("together: {} {}", at_eu.total(), at_us.total());
}

fn bounded_counter() {
    use isles_clock::ReplicaId;
    use isles_crdt::{BoundedCounter, DeltaState};

    let (eu, us) = (
        ReplicaId::from_u128(0xe0 << 120),
        ReplicaId::from_u128(0x05 << 120),
    );
    let (mut at_eu, mut at_us) = (BoundedCounter::new(), BoundedCounter::new());
    at_us.apply(&at_eu.increment(eu, 10)); // ten seats
    at_us.apply(&at_eu.transfer(eu, us, 4).expect("eu has ten"));

    let sold_here = at_eu.decrement(eu, 6).expect("eu has six"); // concurrently
    let sold_there = at_us.decrement(us, 3).expect("us has four");
    let refusal = at_us.decrement(us, 2).expect_err("us has one");
    println!("us sells two more: {refusal}");

    at_eu.apply(&sold_there);
    at_us.apply(&sold_here);
    println!("seats left: {} {}", at_eu.value(), at_us.value());
}

fn lww_register() {
    use isles_clock::{Hlc, ReplicaId, Stamp};
    use isles_crdt::{DeltaState, LwwRegister};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (LwwRegister::new(), LwwRegister::new());

    let red = at_eu.write(Stamp::new(Hlc::new(1_010, 0), eu), "red");
    let blue = at_us.write(Stamp::new(Hlc::new(1_020, 0), us), "blue"); // concurrently, but later
    at_eu.apply(&blue);
    at_us.apply(&red);
    println!("{:?} {:?}", at_eu.get(), at_us.get());
}

fn mv_register() {
    use isles_clock::ReplicaId;
    use isles_crdt::{Crdt, DeltaState, MvRegister};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (MvRegister::new(), MvRegister::new());

    let red = at_eu.write(eu, "red");
    let blue = at_us.write(us, "blue"); // concurrently
    at_eu.apply(&blue);
    at_us.apply(&red);
    println!("{:?} {:?}", at_eu.value(), at_us.value());

    at_us.apply(&at_eu.write(eu, "violet")); // has observed both
    println!("{:?} {:?}", at_eu.value(), at_us.value());
}

fn extreme_registers() {
    use isles_crdt::{DeltaState, MaxRegister, MinRegister};

    let (mut high_at_eu, mut high_at_us) = (MaxRegister::new(), MaxRegister::new());
    let (three, seven) = (high_at_eu.write(3), high_at_us.write(7)); // concurrently
    high_at_eu.apply(&seven);
    high_at_us.apply(&three);
    println!("greatest: {:?} {:?}", high_at_eu.get(), high_at_us.get());

    let (mut low_at_eu, mut low_at_us) = (MinRegister::new(), MinRegister::new());
    let (three, seven) = (low_at_eu.write(3), low_at_us.write(7));
    low_at_eu.apply(&seven);
    low_at_us.apply(&three);
    println!("smallest: {:?} {:?}", low_at_eu.get(), low_at_us.get());
}

fn flags() {
    use isles_clock::ReplicaId;
    use isles_crdt::{DeltaState, DwFlag, EwFlag};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (EwFlag::new(), EwFlag::new());
    at_us.apply(&at_eu.enable(eu));
    let (down, up) = (at_eu.disable(eu), at_us.enable(us)); // concurrently
    at_eu.apply(&up);
    at_us.apply(&down);
    let up = [at_eu, at_us].map(|flag| flag.is_enabled());
    println!("enable wins:  {up:?}");

    let (mut at_eu, mut at_us) = (DwFlag::new(), DwFlag::new());
    at_us.apply(&at_eu.enable(eu));
    let (down, up) = (at_eu.disable(eu), at_us.enable(us)); // concurrently
    at_eu.apply(&up);
    at_us.apply(&down);
    let up = [at_eu, at_us].map(|flag| flag.is_enabled());
    println!("disable wins: {up:?}");
}

fn g_set() {
    use isles_crdt::{Crdt, DeltaState, GSet};

    let (mut at_eu, mut at_us) = (GSet::new(), GSet::new());
    let apple = at_eu.add("apple"); // concurrently
    let pear = at_us.add("pear");
    at_eu.apply(&pear);
    at_us.apply(&apple);
    println!("{:?} {:?}", at_eu.value(), at_us.value());
}

fn aw_set() {
    use isles_clock::ReplicaId;
    use isles_crdt::{AwSet, Crdt, DeltaState};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (AwSet::new(), AwSet::new());
    at_us.apply(&at_eu.add(eu, "apple"));
    at_us.apply(&at_eu.add(eu, "pear"));

    let cleared = at_eu.clear(eu);
    let added = at_us.add(us, "apple"); // concurrently, though it is there
    println!("apart:    {:?} {:?}", at_eu.value(), at_us.value());
    at_eu.apply(&added);
    at_us.apply(&cleared);
    println!("together: {:?} {:?}", at_eu.value(), at_us.value());
}

fn rw_set() {
    use isles_clock::ReplicaId;
    use isles_crdt::{Crdt, DeltaState, RwSet};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (RwSet::new(), RwSet::new());
    at_us.apply(&at_eu.add(eu, "mallory"));

    let banned = at_eu.remove(eu, "mallory");
    let added = at_us.add(us, "mallory"); // concurrently
    at_eu.apply(&added);
    at_us.apply(&banned);
    println!("together:  {:?} {:?}", at_eu.value(), at_us.value());

    at_eu.apply(&at_us.add(us, "mallory")); // by someone who knows of the ban
    println!("let in:    {:?} {:?}", at_eu.value(), at_us.value());

    let mut bans = RwSet::new();
    for person in 0..1_000 {
        let _delta = bans.remove(eu, person);
    }
    let bytes = |set: &RwSet<u32>| postcard::to_allocvec(set).map_or(0, |bytes| bytes.len());
    println!("removed:   {} bytes", bytes(&bans));
    let stable = bans.seen().clock().clone(); // once everybody has seen all this
    bans.forget(&stable);
    println!("forgotten: {} bytes", bytes(&bans));
}

fn sorted_set() {
    use isles_clock::{Hlc, ReplicaId, Stamp};
    use isles_crdt::sorted_set::Score;
    use isles_crdt::{DeltaState, SortedSet};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let at = |ms, replica| Stamp::new(Hlc::new(ms, 0), replica);
    let (mut at_eu, mut at_us) = (SortedSet::new(), SortedSet::new());
    at_us.apply(&at_eu.set(at(1_000, eu), "ada", Score::from(10)));
    at_us.apply(&at_eu.set(at(1_001, eu), "bob", Score::from(12)));

    let won = at_eu.add(eu, "ada", Score::from(5)).expect("a sum"); // concurrently
    let won_too = at_us.add(us, "ada", Score::from(2)).expect("a sum");
    let left = at_us.remove(us, "bob");
    for delta in [won_too, left] {
        at_eu.apply(&delta);
    }
    at_us.apply(&won);
    println!("{:?}", at_eu.iter().collect::<Vec<_>>());
    println!("{:?}", at_us.iter().collect::<Vec<_>>());
}

fn aw_map() {
    use isles_clock::ReplicaId;
    use isles_crdt::update::SetUpdate::Add;
    use isles_crdt::{AwMap, Crdt, DeltaState, op};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut at_eu: AwMap<&str, op::AwSet<&str>> = AwMap::new();
    let mut at_us = AwMap::new();
    at_us.apply(&at_eu.update(eu, "ann's cart", Add("apple")));
    at_us.apply(&at_eu.update(eu, "bob's cart", Add("pear")));

    let removed = at_eu.remove(eu, "ann's cart");
    let added = at_us.update(us, "ann's cart", Add("plum")); // concurrently
    at_eu.apply(&added);
    at_us.apply(&removed);
    println!("{:?}", at_eu.value());
    println!("{:?}", at_us.value());
}

fn list() {
    use isles_clock::ReplicaId;
    use isles_crdt::{DeltaState, List};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (List::new(), List::new());
    at_us.apply(&at_eu.push_back(eu, ['(', ')']));

    let (mut from_eu, mut from_us) = (Vec::new(), Vec::new());
    for (index, (ours, theirs)) in (1..).zip("bread".chars().zip("honey".chars())) {
        from_eu.push(at_eu.insert(eu, index, [ours]).expect("there is room"));
        from_us.push(at_us.insert(us, index, [theirs]).expect("there is room")); // concurrently
    }
    let text = |list: &List<char>| list.iter().collect::<String>();
    println!("apart:    {} {}", text(&at_eu), text(&at_us));

    from_us.iter().rev().for_each(|delta| at_eu.apply(delta)); // in any order
    from_eu.iter().for_each(|delta| at_us.apply(delta));
    println!("together: {} {}", text(&at_eu), text(&at_us));
}

fn hyper_log_log() {
    use isles_clock::ReplicaId;
    use isles_crdt::{DeltaState, HyperLogLog};

    // A hash of 64 good bits, the same everywhere; here that of splitmix64.
    let hash = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    };
    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (HyperLogLog::new(), HyperLogLog::new());
    let here = at_eu.add(eu, (1..=6_000).map(hash).collect::<Vec<_>>()); // concurrently
    let there = at_us.add(us, (4_001..=10_000).map(hash).collect::<Vec<_>>());
    let counts = [&at_eu, &at_us].map(HyperLogLog::cardinality);
    println!("apart:    {counts:?}");
    at_eu.apply(&there);
    at_us.apply(&here);
    let counts = [at_eu, at_us].map(|log| log.cardinality());
    println!("together: {counts:?}, in truth 10000");
}

fn full_state() {
    use isles_clock::ReplicaId;
    use isles_crdt::{AwSet, Crdt, Merge};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut at_eu, mut at_us) = (AwSet::new(), AwSet::new());
    let _delta = at_eu.add(eu, "apple");
    let _delta = at_us.add(us, "pear");

    let on_the_wire = postcard::to_allocvec(&at_eu).expect("a state has an encoding");
    at_us.merge(&postcard::from_bytes(&on_the_wire).expect("it was encoded above"));
    println!("{:?} {:?}", at_eu.value(), at_us.value());
}

fn delta_state() {
    use isles_clock::ReplicaId;
    use isles_crdt::{AwSet, Crdt, DeltaState};

    let eu = ReplicaId::from_u128(1);
    let (mut at_eu, mut at_us) = (AwSet::new(), AwSet::new());
    let first = at_eu.add(eu, "apple");
    let second = at_eu.add(eu, "pear");
    let third = at_eu.remove(eu, "apple");

    at_us.apply(&third); // the removal overtakes what it removes
    at_us.apply(&first);
    println!("the second is on its way: {:?}", at_us.value());
    drop(second); // it was lost

    let lacking = at_eu.delta_since(&at_us.context());
    at_us.apply(&lacking);
    println!("caught up: {:?}", at_us.value());
}

fn operations() {
    use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp, VectorClock};
    use isles_crdt::Crdt;
    use isles_crdt::op::{AwSet, OpBased};
    use isles_crdt::update::SetUpdate::{Add, Remove};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let at = |replica| Stamp::new(Hlc::ZERO, replica);
    let (mut at_eu, mut at_us) = (AwSet::new(), AwSet::new());
    let nothing = VectorClock::new();
    let one_of_eu = VectorClock::from_iter([(eu, 1)]);

    let add = at_eu
        .prepare(at(eu), Add("apple"))
        .expect("always an operation");
    at_eu.effect(Dot::new(eu, 1), &Everything, add.clone());
    at_us.effect(Dot::new(eu, 1), &nothing, add); // its writer had seen nothing

    let remove = at_eu
        .prepare(at(eu), Remove("apple"))
        .expect("the apple is there");
    let again = at_us
        .prepare(at(us), Add("apple"))
        .expect("always an operation");
    at_eu.effect(Dot::new(eu, 2), &Everything, remove.clone());
    at_us.effect(Dot::new(us, 1), &Everything, again.clone());

    at_eu.effect(Dot::new(us, 1), &one_of_eu, again); // both had seen one write of eu
    at_us.effect(Dot::new(eu, 2), &one_of_eu, remove);
    println!("{:?} {:?}", at_eu.value(), at_us.value());
}

fn sizes() {
    use isles_clock::{Hlc, ReplicaId, Stamp};
    use isles_crdt::op::OpBased;
    use isles_crdt::update::SetUpdate;
    use isles_crdt::{AwSet, DeltaState};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut set: AwSet<u32> = AwSet::new();
    for element in 0..1_000 {
        let _delta = set.add(eu, element);
    }
    let before = set.context();

    let update = SetUpdate::Add(1_000);
    let op = set.store().prepare(Stamp::new(Hlc::ZERO, us), update);
    let delta = set.add(us, 1_000);
    let since = set.delta_since(&before);
    let bytes = [
        ("the whole set", postcard::to_allocvec(&set)),
        ("what the addition changed", postcard::to_allocvec(&delta)),
        (
            "what a peer lacks that has seen the rest",
            postcard::to_allocvec(&since),
        ),
        ("the addition as an operation", postcard::to_allocvec(&op)),
    ];
    for (what, bytes) in bytes {
        let length = bytes.expect("it has an encoding").len();
        println!("{length:>5} bytes: {what}");
    }
}

fn vector_clock() {
    use isles_clock::{ReplicaId, VectorClock};

    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut at_eu = VectorClock::new();
    at_eu.next(eu); // a write in Europe
    let mut at_us = at_eu.clone(); // America has seen it
    at_us.next(us); // and writes
    println!("{:?}", at_eu.compare(&at_us));

    at_eu.next(eu); // meanwhile, without having seen America's
    println!("{:?}", at_eu.compare(&at_us));
    println!("Europe lacks {} write", at_us.minus(&at_eu).len());
}

fn hybrid_clock() {
    use isles_clock::{Hlc, HybridClock};

    let mut clock = HybridClock::new(Hlc::ZERO, 500); // follows nobody further than 500 ms
    println!("{}", clock.now(1_000)); // milliseconds of wall time
    println!("{}", clock.now(900)); // wall time stepped back
    let theirs = Hlc::new(1_200, 0);
    println!("followed: {}", clock.observe(theirs, 1_001).is_followed());
    println!("{}", clock.now(1_002)); // later than what was read from the peer
    let broken = Hlc::new(86_400_000, 0);
    println!("followed: {}", clock.observe(broken, 1_003).is_followed());
}
