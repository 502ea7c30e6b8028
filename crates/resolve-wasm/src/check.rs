//! Whether a module keeps the laws, as far as trying can tell.

use std::cell::Cell;
use std::fmt;

use isles_resolve::laws::{self, StampOrder, Violation};
use isles_resolve::{Failure, Resolution, Resolver, Sibling};

use crate::module::{RunError, WasmResolver};

/// Samples that are looked at.
pub const SAMPLES_MAX: usize = 64;
/// Sets of samples that are tried, and of values made from them.
const SETS_MAX: usize = 400;
const GENERATED_SETS_MAX: usize = 400;
/// Values made from samples.
const GENERATED_MAX: usize = 200;
/// The largest set; larger ones take ever more calls and find little more.
const SET_MAX: usize = 4;
/// A made value is no longer than its samples and this.
const EXTRA_BYTES_MAX: usize = 8;

/// What was tried without finding anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sets of samples that were tried.
    pub sets: u64,
    /// Sets of values that were made from the samples, and of values that others have stumbled over.
    pub generated_sets: u64,
    /// Calls of the module.
    pub calls: u64,
    /// Calls in which it did not decide.
    pub undecided: u64,
    /// Calls in which it failed: never for samples.
    pub failed: u64,
    /// The last way in which it failed.
    pub failure: Option<Failure>,
    /// The most fuel that a call took which did not fail.
    pub fuel_max: u64,
}

/// Why a module is no resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It breaks a law; this is how.
    Law(Violation),
    /// It has answered nothing at all.
    Silent {
        /// Calls of it.
        calls: u64,
        /// Those that failed; in the others it did not decide.
        failed: u64,
        /// The last way in which it failed.
        failure: Option<Failure>,
    },
    /// It fails for samples.
    Fails {
        /// The values of the siblings.
        siblings: Vec<Vec<u8>>,
        /// How.
        error: RunError,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Law(violation) => violation.fmt(f),
            Self::Silent {
                calls,
                failed,
                failure,
            } => {
                write!(
                    f,
                    "it answered none of {calls} calls, of which {failed} failed"
                )?;
                match failure {
                    Some(failure) => write!(f, ": {failure}"),
                    None => Ok(()),
                }
            }
            Self::Fails { siblings, error } => {
                write!(f, "{error}: siblings {}", laws::list(siblings))
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// Tries the laws on sets of the samples, of values made from them, and of values that resolvers are known to go wrong
/// with. The same module and samples are always tried in the same way.
///
/// It must answer for every set of samples, unless it says that it cannot decide; what it fails for otherwise is only
/// counted. Costs some twenty thousand calls, most of them with small values.
///
/// # Errors
/// The first and smallest counter-example found.
pub fn check(resolver: &WasmResolver, samples: &[impl AsRef<[u8]>]) -> Result<Report, Refusal> {
    let samples = samples.iter().map(AsRef::as_ref);
    let mut samples: Vec<&[u8]> = samples.take(SAMPLES_MAX).collect();
    samples.sort_unstable_by_key(|value| (value.len(), *value));
    samples.dedup();
    let watched = Watched::new(resolver);
    let random = &mut Random(0x1515_1515);
    let mut report = Report::default();
    watched.samples.set(true);
    for set in sets(&samples, SETS_MAX, random) {
        try_set(&watched, &set, random)?;
        report.sets += 1;
    }
    watched.samples.set(false);
    let made = generated(&samples, random);
    let mut pool: Vec<&[u8]> = made.iter().map(Vec::as_slice).collect();
    pool.extend(laws::SAMPLES);
    pool.extend(&samples);
    pool.sort_unstable_by_key(|value| (value.len(), *value));
    pool.dedup();
    for set in sets(&pool, GENERATED_SETS_MAX, random) {
        try_set(&watched, &set, random)?;
        report.generated_sets += 1;
    }
    report.calls = watched.calls.get();
    report.undecided = watched.undecided.get();
    report.failed = watched.failed.get();
    report.failure = watched.failure.get();
    report.fuel_max = watched.fuel_max.get();
    match report.undecided + report.failed < report.calls {
        true => Ok(report),
        false => Err(Refusal::Silent {
            calls: report.calls,
            failed: report.failed,
            failure: report.failure,
        }),
    }
}

fn try_set(watched: &Watched<'_>, values: &[&[u8]], random: &mut Random) -> Result<(), Refusal> {
    let order = StampOrder::ALL[random.below(StampOrder::ALL.len())];
    let checked = laws::check(watched, &order.siblings(values));
    if let Some(refusal) = watched.refusal.take() {
        return Err(refusal);
    }
    checked.map_err(Refusal::Law)
}

/// A resolver whose answers are counted. Nothing is counted for one sibling: a module is not asked then.
struct Watched<'r> {
    resolver: &'r WasmResolver,
    /// The values are the user's own, for which it must not fail.
    samples: Cell<bool>,
    refusal: Cell<Option<Refusal>>,
    calls: Cell<u64>,
    undecided: Cell<u64>,
    failed: Cell<u64>,
    failure: Cell<Option<Failure>>,
    fuel_max: Cell<u64>,
}

impl<'r> Watched<'r> {
    fn new(resolver: &'r WasmResolver) -> Self {
        Self {
            resolver,
            samples: Cell::new(false),
            refusal: Cell::new(None),
            calls: Cell::new(0),
            undecided: Cell::new(0),
            failed: Cell::new(0),
            failure: Cell::new(None),
            fuel_max: Cell::new(0),
        }
    }

    fn note_failure(&self, siblings: &[Sibling<'_>], error: RunError) {
        add_one(&self.failed);
        self.failure.set(Some(error.failure));
        if self.samples.get() {
            let siblings = siblings.iter().map(|sibling| sibling.value.to_vec());
            let siblings = siblings.collect();
            self.refusal.set(Some(Refusal::Fails { siblings, error }));
        }
    }
}

impl Resolver for Watched<'_> {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        let only = siblings
            .iter()
            .all(|sibling| sibling.dot == siblings[0].dot);
        if only {
            return self.resolver.resolve(siblings);
        }
        add_one(&self.calls);
        let (result, fuel) = self.resolver.run_measured(siblings);
        if result.is_ok() {
            self.fuel_max.set(self.fuel_max.get().max(fuel));
        }
        match result {
            Ok(Some(value)) => Resolution::made(value.into()),
            Ok(None) => {
                add_one(&self.undecided);
                Resolution::Many
            }
            Err(error) => {
                let failure = error.failure;
                self.note_failure(siblings, error);
                Resolution::Failed(failure)
            }
        }
    }
}

fn add_one(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Sets of these values, small ones first: all pairs if there is room for them, then larger ones drawn at random.
fn sets<'v>(values: &[&'v [u8]], limit: usize, random: &mut Random) -> Vec<Vec<&'v [u8]>> {
    let mut sets: Vec<Vec<&[u8]>> = Vec::new();
    let pairs = values.len() * values.len().saturating_sub(1) / 2;
    if pairs <= limit {
        for (index, one) in values.iter().enumerate() {
            sets.extend(values[index + 1..].iter().map(|other| vec![*one, *other]));
        }
    }
    // Two regions can write the same.
    if let [first, ..] = values {
        sets.push(vec![*first, *first]);
    }
    while values.len() > 1 && sets.len() < limit {
        let count = 2 + random.below(SET_MAX - 1);
        let set = (0..count).map(|_| values[random.below(values.len())]);
        sets.push(set.collect());
    }
    let bytes = |set: &[&[u8]]| set.iter().map(|value| value.len()).sum::<usize>();
    sets.sort_by(|one, other| {
        let size = |set: &[&[u8]]| (set.len(), bytes(set));
        size(one).cmp(&size(other)).then_with(|| one.cmp(other))
    });
    sets.dedup();
    sets
}

/// Values such as the samples, but not quite.
fn generated(samples: &[&[u8]], random: &mut Random) -> Vec<Vec<u8>> {
    if samples.is_empty() {
        return Vec::new();
    }
    let mut made = Vec::with_capacity(GENERATED_MAX);
    while made.len() < GENERATED_MAX {
        let mut value = samples[random.below(samples.len())].to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut value, samples, random);
        }
        made.push(value);
    }
    made
}

fn mutate(value: &mut Vec<u8>, samples: &[&[u8]], random: &mut Random) {
    let at = random.below(value.len() + 1);
    match random.below(8) {
        // What two of them share: the end of another one after the beginning of this one.
        0 | 1 => {
            let other = samples[random.below(samples.len())];
            value.truncate(at);
            value.extend_from_slice(&other[at.min(other.len())..]);
        }
        2 => value.truncate(at),
        3 => {
            value.drain(..at);
        }
        4 | 5 => change_digit(value, random),
        6 => {
            let count = 1 + random.below(EXTRA_BYTES_MAX.min(value.len() + 1));
            let end = (at + count).min(value.len());
            let copied = value[at..end].to_vec();
            value.splice(at..at, copied);
        }
        _ => {
            if let Some(byte) = value.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

/// Numbers are what merges compare and add.
fn change_digit(value: &mut [u8], random: &mut Random) {
    let digits = value.iter_mut().filter(|byte| byte.is_ascii_digit());
    let mut digits: Vec<&mut u8> = digits.collect();
    let count = digits.len();
    if count > 0 {
        *digits[random.below(count)] = b'0' + random.below(10) as u8;
    }
}

/// Steele, Lea and Flood's SplitMix64, so that a check is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count as u64) as usize
    }
}
