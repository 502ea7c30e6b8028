//! Differences of numbers count once, whatever the order, grouping and repetition in which writes meet.
//!
//! Replicas write documents over what they have received, all of it or a part, delete keys, and tell each other. An oracle
//! keeps of each document the plain set of its differences, by the writes that made them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_resolve::{Json, Resolver, Sibling, Strategy, Sums, Writing, laws};
use proptest::prelude::{Just, any, prop, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;

/// The numbers of a document, in tenths, by path; and what kind stands at a path, 0 for a number.
#[derive(Clone, Debug, Default, PartialEq)]
struct Document(BTreeMap<&'static str, Leaf>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaf {
    Tenths(i64),
    Text,
    Array,
}

const PATHS: [&str; 4] = ["/a", "/b", "/n", "/n/c"];

impl Leaf {
    fn json(self) -> String {
        match self {
            Leaf::Tenths(tenths) if tenths % 10 == 0 => (tenths / 10).to_string(),
            Leaf::Tenths(tenths) => {
                let sign = if tenths < 0 { "-" } else { "" };
                format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
            }
            Leaf::Text => "\"5\"".to_owned(),
            Leaf::Array => "[1]".to_owned(),
        }
    }
}

impl Document {
    fn json(&self) -> Vec<u8> {
        let mut fields: Vec<String> = ["/a", "/b", "/n"]
            .into_iter()
            .filter(|path| *path != "/n" || !self.0.contains_key("/n/c"))
            .filter_map(|path| Some(format!("\"{}\": {}", &path[1..], self.0.get(path)?.json())))
            .collect();
        if let Some(leaf) = self.0.get("/n/c") {
            fields.push(format!("\"n\":{{\"c\":{}}}", leaf.json()));
        }
        format!("{{{}}}", fields.join(",")).into_bytes()
    }

    /// How a value ranks among those of a path; an object above all.
    fn rank(&self, path: &str) -> Option<u8> {
        if path == "/n" && self.0.contains_key("/n/c") {
            return Some(3);
        }
        Some(match self.0.get(path)? {
            Leaf::Tenths(_) => 0,
            Leaf::Text => 1,
            Leaf::Array => 2,
        })
    }
}

/// What a document's number began with, and each difference by the write that made it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    base: i64,
    differences: BTreeMap<Dot, i64>,
}

impl Known {
    fn value(&self) -> i64 {
        self.base + self.differences.values().sum::<i64>()
    }
}

/// One version of the key.
#[derive(Clone, Debug)]
struct Version {
    document: Document,
    json: Vec<u8>,
    sums: Option<Sums>,
    known: BTreeMap<&'static str, Known>,
}

/// What readers of these versions are told of a path, if it is a number.
fn expected<'v>(versions: impl Iterator<Item = &'v Version> + Clone, path: &str) -> Option<Known> {
    let ranks = versions.clone().filter_map(|it| it.document.rank(path));
    if ranks.max() != Some(0) {
        return None;
    }
    let mut joined: Option<Known> = None;
    for known in versions.filter_map(|version| version.known.get(path)) {
        let joined = joined.get_or_insert_with(|| known.clone());
        joined.base = joined.base.max(known.base);
        joined.differences.extend(&known.differences);
    }
    joined
}

#[derive(Clone)]
struct Event {
    dot: Dot,
    seen: BTreeSet<Dot>,
    version: Option<Version>,
}

#[derive(Clone, Default)]
struct Replica {
    live: BTreeMap<Dot, Version>,
    log: Vec<Event>,
    seen: BTreeSet<Dot>,
    /// The last write of each replica that carried differences, as long as one is there.
    newest: BTreeMap<ReplicaId, u64>,
}

impl Replica {
    fn siblings(&self) -> Vec<Sibling<'_>> {
        let live = self.live.iter();
        live.map(|(dot, version)| sibling(*dot, version)).collect()
    }

    fn apply(&mut self, event: Event) {
        self.live.retain(|dot, _| !event.seen.contains(dot));
        if let Some(version) = &event.version {
            if version.sums.is_some() {
                self.newest.insert(event.dot.replica, event.dot.sequence);
            }
            self.live.insert(event.dot, version.clone());
        }
        if self.live.values().all(|version| version.sums.is_none()) {
            self.newest.clear();
        }
        self.seen.insert(event.dot);
        self.log.push(event);
    }

    fn receive(&mut self, other: &Replica) {
        for event in &other.log {
            if !self.seen.contains(&event.dot) {
                self.apply(event.clone());
            }
        }
    }

    /// Writes over those live versions that `observes` chooses.
    fn write(
        &mut self,
        dot: Dot,
        document: Document,
        sums: Plain,
        observes: impl Fn(usize) -> bool,
    ) {
        let observed: BTreeMap<Dot, Version> = self
            .live
            .iter()
            .enumerate()
            .filter(|(index, _)| observes(*index))
            .map(|(_, (dot, version))| (*dot, version.clone()))
            .collect();
        let mut seen = self.seen.clone();
        seen.retain(|dot| observed.contains_key(dot) || !self.live.contains_key(dot));
        let known = PATHS.into_iter().filter_map(|path| {
            let Some(Leaf::Tenths(tenths)) = document.0.get(path) else {
                return None;
            };
            if path == "/n" && document.0.contains_key("/n/c") {
                return None;
            }
            let anew = || Known {
                base: *tenths,
                differences: BTreeMap::new(),
            };
            let shown = expected(observed.values(), path);
            let mut known = shown.filter(|_| sums == Plain::No).unwrap_or_else(anew);
            let difference = tenths - known.value();
            if difference != 0 {
                known.differences.insert(dot, difference);
            }
            Some((path, known))
        });
        let known = known.collect();
        let json = document.json();
        let siblings: Vec<_> = observed.iter().map(|(dot, it)| sibling(*dot, it)).collect();
        let previous = self.newest.get(&dot.replica).copied().unwrap_or(0);
        let writing = Writing { dot, previous };
        let sums = match sums {
            Plain::Yes => None,
            Plain::No => {
                let sums = json_sum().sums_after(&siblings, &json, writing);
                sums.expect("a few numbers")
            }
        };
        let version = Some(Version {
            document,
            json,
            sums,
            known,
        });
        self.apply(Event { dot, seen, version });
    }

    /// What readers are told, path by path.
    fn check(&self) -> Result<(), proptest::test_runner::TestCaseError> {
        let siblings = self.siblings();
        if siblings.is_empty() {
            return Ok(());
        }
        let answer = answer(self).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer);
        let json: serde_json::Value = serde_json::from_str(&text).expect("all are objects");
        for path in PATHS {
            let found = json.pointer(path).filter(|value| value.is_number());
            let found = found.and_then(serde_json::Value::as_f64);
            let found = found.map(|number| (number * 10.0).round() as i64);
            let expected = expected(self.live.values(), path).map(|known| known.value());
            prop_assert_eq!(found, expected, "{} in {} of {:?}", path, text, self.live);
        }
        prop_assert_eq!(laws::check(&Strategy::JsonSum, &siblings), Ok(()));
        Ok(())
    }
}

fn sibling(dot: Dot, version: &Version) -> Sibling<'_> {
    Sibling::new(dot, Hlc::new(dot.sequence, 0), &version.json).with_sums(version.sums.as_ref())
}

fn json_sum() -> Json {
    Json::new().with_summed_numbers()
}

/// Whether a write is one of another strategy, which knows of no differences.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain {
    No,
    Yes,
}

#[derive(Clone, Debug)]
enum Step {
    /// Reads, changes fields, writes.
    Edit(usize, Vec<(usize, Change)>, Plain),
    /// Writes without having read.
    Blind(usize, Vec<(usize, Change)>, Plain),
    /// Writes over the versions chosen by bits.
    Partly(usize, Vec<(usize, Change)>, u8),
    Delete(usize),
    Receive(usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Change {
    By(i64),
    To(Leaf),
    Remove,
}

fn changed(mut document: Document, changes: &[(usize, Change)]) -> Document {
    for (path, change) in changes {
        let path = PATHS[*path];
        let old = document.0.get(path).copied();
        match (change, old) {
            (Change::By(by), Some(Leaf::Tenths(tenths))) => {
                document.0.insert(path, Leaf::Tenths(tenths + by));
            }
            (Change::By(by), _) => {
                document.0.insert(path, Leaf::Tenths(*by));
            }
            (Change::To(leaf), _) => {
                document.0.insert(path, *leaf);
            }
            (Change::Remove, _) => {
                document.0.remove(path);
            }
        }
    }
    if document.0.contains_key("/n/c") {
        document.0.remove("/n");
    }
    document
}

const REPLICAS: usize = 4;

fn step() -> impl Generate<Value = Step> {
    let replica = || 0..REPLICAS;
    let leaf = prop_oneof![
        4 => (-50i64..50).prop_map(Leaf::Tenths),
        1 => Just(Leaf::Text),
        1 => Just(Leaf::Array),
    ];
    let change = prop_oneof![
        6 => (-9i64..9).prop_map(Change::By),
        2 => leaf.prop_map(Change::To),
        1 => Just(Change::Remove),
    ];
    let changes = prop::collection::vec((0..PATHS.len(), change), 1..4).boxed();
    let plain = prop_oneof![6 => Just(Plain::No), 1 => Just(Plain::Yes)];
    prop_oneof![
        8 => (replica(), changes.clone(), plain.clone()).prop_map(|(r, c, p)| Step::Edit(r, c, p)),
        2 => (replica(), changes.clone(), plain).prop_map(|(r, c, p)| Step::Blind(r, c, p)),
        2 => (replica(), changes, any::<u8>()).prop_map(|(r, c, bits)| Step::Partly(r, c, bits)),
        1 => replica().prop_map(Step::Delete),
        8 => (replica(), replica()).prop_map(|(to, from)| Step::Receive(to, from)),
    ]
}

/// What readers see of each path, to be edited.
fn shown(replica: &Replica) -> Document {
    let versions = || replica.live.values();
    let leaves = PATHS.into_iter().filter_map(|path| {
        let rank = versions().filter_map(|it| it.document.rank(path)).max()?;
        let leaf = match rank {
            0 => Leaf::Tenths(expected(versions(), path)?.value()),
            1 => Leaf::Text,
            2 => Leaf::Array,
            _ => return None,
        };
        Some((path, leaf))
    });
    Document(leaves.collect())
}

fn run(replicas: &mut [Replica], step: &Step, sequence: u64) {
    let dot = |replica: usize| Dot::new(ReplicaId::from_u128(replica as u128 + 1), sequence);
    match step {
        Step::Edit(at, changes, plain) => {
            let document = changed(shown(&replicas[*at]), changes);
            replicas[*at].write(dot(*at), document, *plain, |_| true);
        }
        Step::Blind(at, changes, plain) => {
            let document = changed(Document::default(), changes);
            replicas[*at].write(dot(*at), document, *plain, |_| true);
        }
        Step::Partly(at, changes, bits) => {
            let document = changed(shown(&replicas[*at]), changes);
            replicas[*at].write(dot(*at), document, Plain::No, |index| {
                bits & (1 << (index % 8)) != 0
            });
        }
        Step::Delete(at) => {
            let seen = replicas[*at].seen.clone();
            replicas[*at].apply(Event {
                dot: dot(*at),
                seen,
                version: None,
            });
        }
        Step::Receive(to, from) => {
            let from = replicas[*from].clone();
            replicas[*to].receive(&from);
        }
    }
}

/// Runs the steps, and then lets all receive everything; what readers are told is checked throughout.
fn check_history(steps: &[Step]) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut replicas = vec![Replica::default(); REPLICAS];
    for (sequence, step) in (1u64..).zip(steps) {
        run(&mut replicas, step, sequence);
        for replica in &replicas {
            replica.check()?;
        }
    }
    let all = replicas.clone();
    for replica in &mut replicas {
        all.iter().for_each(|other| replica.receive(other));
        replica.check()?;
        prop_assert_eq!(
            answer(replica),
            answer(&all_received(&all)),
            "one answer everywhere"
        );
    }
    Ok(())
}

fn all_received(all: &[Replica]) -> Replica {
    let mut replica = Replica::default();
    all.iter().rev().for_each(|other| replica.receive(other));
    replica
}

fn answer(replica: &Replica) -> Option<Vec<u8>> {
    let siblings = replica.siblings();
    let answer = (!siblings.is_empty()).then(|| Strategy::JsonSum.resolve(&siblings));
    answer.map(|answer| answer.value().expect("one answer").to_vec())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 512, ..Default::default() })]

    #[test]
    fn every_difference_counts_once(steps in prop::collection::vec(step(), 1..40)) {
        check_history(&steps)?;
    }
}

fn by(replica: usize, difference: i64) -> Step {
    Step::Edit(replica, vec![(0, Change::By(difference))], Plain::No)
}

/// What another replica has built on a total that this one had meanwhile left behind: taken up again, it would hide the
/// later one, which lives on elsewhere. The -2 would be lost.
#[test]
fn a_total_of_which_a_later_one_is_under_way_is_not_taken_up_again() {
    let steps = [
        by(0, 100),
        by(0, -10),
        Step::Receive(1, 0),
        by(1, -1),
        by(0, -2),
        Step::Receive(2, 0),
        Step::Receive(3, 0),
        Step::Delete(2),
        by(3, -4),
        // From here on replica 0 has what was built on its -10, and no longer its own -2.
        Step::Receive(0, 1),
        Step::Receive(0, 2),
        by(0, -8),
        Step::Receive(0, 3),
    ];
    check_history(&steps).unwrap();
}

/// Replicas that write in turns remember one total each, however long they do.
#[test]
fn totals_go_on() {
    let mut replicas = vec![Replica::default(); REPLICAS];
    run(&mut replicas, &by(0, 100), 1);
    for round in 1..50u64 {
        for at in 0..2 {
            run(&mut replicas, &by(at, -1), 4 * round + at as u64);
            run(&mut replicas, &Step::Receive(1 - at, at), 0);
        }
    }
    let [only] = &replicas[0].siblings()[..] else {
        panic!("they have seen each other's writes");
    };
    assert_eq!(only.value, br#"{"a": 0.2}"#);
    assert_eq!(only.sums.map(Sums::differences), Some(2));
}
