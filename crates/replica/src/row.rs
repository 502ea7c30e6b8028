//! What a replica holds of one key.

use isles_clock::{Context, Dot, Hlc, ReplicaId, Stamp, VectorClock};
use isles_crdt::op::{Cell, DwFlag, EwFlag, Nested, Presence, Reset, Tally};
use isles_resolve::Sibling;
use smallvec::SmallVec;

use crate::escrow::Escrow;
use crate::list::ListValue;
use crate::op::Kind;
use crate::paged::PagedMap;
use crate::position::Position;
use crate::remove_wins::RemoveWinsSet;
use crate::rows::RESERVED_PREFIX;
use crate::sketches::Sketches;
use crate::sorted_set::SortedSet;
use crate::stream::Stream;
use crate::summed::SummedCell;
use crate::trail::Trail;

/// A register of class `lww`: one value, or the tombstone of one.
#[derive(Clone, Debug)]
pub(crate) struct LwwCell {
    pub(crate) dot: Dot,
    pub(crate) hlc: Hlc,
    pub(crate) value: Option<Box<[u8]>>,
}

impl LwwCell {
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            hlc: self.hlc,
            replica: self.dot.replica,
        }
    }
}

/// A map field or a member of a sorted set: a value, a counter, or a number and what was added to it.
#[derive(Clone, Debug)]
pub(crate) struct Field<V = Box<[u8]>> {
    pub(crate) cell: Cell<V>,
    pub(crate) tally: Option<Box<Tally>>,
}

impl<V> Default for Field<V> {
    fn default() -> Self {
        Field {
            cell: Cell::new(),
            tally: None,
        }
    }
}

impl<V> Field<V> {
    /// Whether the field is there for readers; what is left otherwise is residue.
    pub(crate) fn is_live(&self) -> bool {
        !self.cell.is_empty()
            || self
                .tally
                .as_ref()
                .is_some_and(|tally| !tally.all_covered())
    }

    pub(crate) fn is_residue_free(&self) -> bool {
        self.cell.is_empty() && self.tally.as_ref().is_none_or(|tally| tally.is_empty())
    }

    /// The counter contributions that a write or removal made here takes away.
    pub(crate) fn resets(&self) -> SmallVec<[Reset; 1]> {
        self.tally
            .as_deref()
            .map_or_else(SmallVec::new, Tally::resets)
    }

    /// Removes what its remover had observed, `resets` of the counter.
    pub(crate) fn remove(&mut self, context: &impl Context, resets: &[Reset]) {
        self.cell.remove(context);
        if let Some(tally) = &mut self.tally {
            tally.reset(resets);
        }
    }

    /// Removes what the writer of a clear had observed; one that creates the key covers the counter as well.
    pub(crate) fn clear(&mut self, context: &impl Context, create: bool, listed: &[Reset]) {
        self.cell.remove(context);
        if let Some(tally) = self.tally.as_mut().filter(|_| create) {
            tally.cover(context, listed);
        }
    }
}

/// The fields of a map, residue included, and how many of them readers see.
#[derive(Clone, Debug)]
pub(crate) struct FieldMap {
    pub(crate) fields: PagedMap<Field>,
    pub(crate) live: usize,
}

/// The members of a set.
#[derive(Clone, Debug)]
pub(crate) struct MemberSet {
    pub(crate) members: PagedMap<Presence>,
    /// The newest entry after which readers may see another set; adding what is there already is logged, but not seen.
    pub(crate) changed: Position,
}

impl From<PagedMap<Presence>> for MemberSet {
    fn from(members: PagedMap<Presence>) -> Self {
        MemberSet {
            members,
            changed: Position::ZERO,
        }
    }
}

/// One component of a key.
#[derive(Clone, Debug)]
pub(crate) enum Component {
    Lww(LwwCell),
    Mv(Box<Cell<Box<[u8]>>>),
    /// The same, where a version knows of differences.
    MvSummed(Box<SummedCell>),
    Map(Box<FieldMap>),
    Set(Box<MemberSet>),
    SetRw(Box<RemoveWinsSet>),
    SortedSet(Box<SortedSet>),
    List(Box<ListValue>),
    Stream(Box<Stream>),
    Counter(Box<Tally>),
    FlagEw(Box<EwFlag>),
    FlagDw(Box<DwFlag>),
    HyperLogLog(Box<Sketches>),
    BoundedCounter(Box<Escrow>),
}

impl Component {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Component::Lww(_) => Kind::RegisterLww,
            Component::Mv(_) | Component::MvSummed(_) => Kind::RegisterMv,
            Component::Map(_) => Kind::Map,
            Component::Set(_) => Kind::SetAw,
            Component::SetRw(_) => Kind::SetRw,
            Component::SortedSet(_) => Kind::SortedSet,
            Component::List(_) => Kind::List,
            Component::Stream(_) => Kind::Stream,
            Component::Counter(_) => Kind::Counter,
            Component::FlagEw(_) => Kind::FlagEw,
            Component::FlagDw(_) => Kind::FlagDw,
            Component::HyperLogLog(_) => Kind::HyperLogLog,
            Component::BoundedCounter(_) => Kind::BoundedCounter,
        }
    }

    /// Whether readers see it.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Component::Lww(cell) => cell.value.is_some(),
            Component::Mv(cell) => !cell.is_empty(),
            Component::MvSummed(summed) => !summed.cell.is_empty(),
            Component::Map(map) => map.live > 0,
            Component::Set(set) => set.members.len() > 0,
            Component::SetRw(set) => set.len() > 0,
            Component::SortedSet(set) => !set.is_empty(),
            Component::List(list) => !list.is_empty(),
            Component::Stream(stream) => stream.is_live(),
            Component::Counter(tally) => !tally.all_covered(),
            Component::FlagEw(flag) => flag.is_live(),
            Component::FlagDw(flag) => flag.is_live(),
            Component::HyperLogLog(sketches) => !sketches.sketches().is_empty(),
            Component::BoundedCounter(escrow) => !escrow.is_empty(),
        }
    }

    /// Number of elements, about; one for what is no collection.
    pub(crate) fn elements(&self) -> usize {
        match self {
            Component::Map(map) => map.fields.len(),
            Component::Set(set) => set.members.len(),
            Component::SetRw(set) => set.names().len(),
            Component::SortedSet(set) => set.members().len().max(set.len()),
            Component::List(list) => list.len(),
            Component::Stream(stream) => stream.len(),
            _ => 1,
        }
    }

    /// Whether it is large and nobody shares it: then dropping it takes long.
    pub(crate) fn is_burden(&self) -> bool {
        match self {
            Component::Map(map) => map.fields.is_burden(),
            Component::Set(set) => set.members.is_burden(),
            Component::SetRw(set) => set.names().is_burden(),
            Component::SortedSet(set) => set.is_burden(),
            Component::List(list) => list.is_burden(),
            Component::Stream(stream) => stream.is_burden(),
            _ => false,
        }
    }

    /// Whether nothing is left of it, residue included.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Component::Lww(_) => false,
            Component::Mv(cell) => cell.is_empty(),
            Component::MvSummed(summed) => summed.cell.is_empty(),
            Component::Map(map) => map.fields.len() == 0,
            Component::Set(set) => set.members.len() == 0,
            Component::SetRw(set) => set.names().len() == 0,
            Component::SortedSet(set) => set.members().len() == 0,
            Component::List(list) => list.is_empty(),
            Component::Stream(stream) => stream.is_gone(),
            Component::Counter(tally) => tally.is_empty(),
            Component::FlagEw(flag) => Nested::is_empty(&**flag),
            Component::FlagDw(flag) => Nested::is_empty(&**flag),
            Component::HyperLogLog(sketches) => {
                sketches.sketches().is_empty() && sketches.trail.is_none()
            }
            Component::BoundedCounter(escrow) => escrow.is_empty() && escrow.trail.is_none(),
        }
    }

    /// Whether it is only what is known of sketches or counters that were deleted.
    pub(crate) fn is_only_trail(&self) -> bool {
        self.trail().is_some() && !self.is_live()
    }

    /// What is known of recent changes and deletions, where the kind has names.
    pub(crate) fn trail(&self) -> Option<&Trail> {
        match self {
            Component::HyperLogLog(sketches) => sketches.trail.as_deref(),
            Component::BoundedCounter(escrow) => escrow.trail.as_deref(),
            _ => None,
        }
    }

    /// The same, to be changed; none for a kind without.
    pub(crate) fn trail_mut(&mut self) -> Option<&mut Option<Box<Trail>>> {
        match self {
            Component::HyperLogLog(sketches) => Some(&mut sketches.trail),
            Component::BoundedCounter(escrow) => Some(&mut escrow.trail),
            _ => None,
        }
    }

    /// Makes room for what versions of a multi-value register know.
    pub(crate) fn remember_sums(&mut self) {
        if let Component::Mv(cell) = self {
            let summed = SummedCell::from(std::mem::take(&mut **cell));
            *self = Component::MvSummed(Box::new(summed));
        }
    }

    /// Takes that room back where none knows of anything.
    pub(crate) fn forget_sums(&mut self) {
        if let Component::MvSummed(summed) = self
            && summed.is_plain()
        {
            *self = Component::Mv(Box::new(std::mem::take(&mut summed.cell)));
        }
    }

    pub(crate) fn new(kind: Kind) -> Option<Component> {
        Some(match kind {
            Kind::RegisterMv => Component::Mv(Box::default()),
            Kind::Map => Component::Map(Box::new(FieldMap {
                fields: PagedMap::new(),
                live: 0,
            })),
            Kind::SetAw => Component::Set(Box::new(PagedMap::new().into())),
            Kind::SetRw => Component::SetRw(Box::default()),
            Kind::SortedSet => Component::SortedSet(Box::default()),
            Kind::List => Component::List(Box::default()),
            Kind::Stream => Component::Stream(Box::default()),
            Kind::Counter => Component::Counter(Box::default()),
            Kind::FlagEw => Component::FlagEw(Box::default()),
            Kind::FlagDw => Component::FlagDw(Box::default()),
            Kind::HyperLogLog => Component::HyperLogLog(Box::default()),
            Kind::BoundedCounter => Component::BoundedCounter(Box::default()),
            Kind::RegisterLww => return None,
        })
    }
}

/// When a key goes, and who said so when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// Milliseconds since 1970; [`Deadline::NEVER_MS`] for a key that stays.
    pub(crate) at_ms: u64,
    pub(crate) stamp: Stamp,
    /// The entry that said so, among those of its replica.
    pub(crate) sequence: u64,
}

impl Deadline {
    pub(crate) const NEVER_MS: u64 = u64::MAX;

    /// What a key has that nobody gave or took a deadline.
    pub(crate) fn unset() -> Deadline {
        Deadline {
            at_ms: Deadline::NEVER_MS,
            stamp: Stamp {
                hlc: Hlc::ZERO,
                replica: ReplicaId::from_u128(0),
            },
            sequence: 0,
        }
    }

    /// The entry that set it; one that everybody has seen if none did.
    pub(crate) fn dot(self) -> Dot {
        Dot::new(self.stamp.replica, self.sequence)
    }

    pub(crate) fn is_set(self) -> bool {
        self.at_ms != Deadline::NEVER_MS
    }
}

/// How many pages of a component the table holds; of a list or stream, below which number all of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    pub(crate) pages: u32,
}

/// What the table holds of a key besides its row; nearly always nothing, so that a row has room for no more than that.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredParts(Option<Box<Parts>>);

#[derive(Clone, Debug, Default)]
struct Parts {
    pages: SmallVec<[Stored; 1]>,
    deadline_ms: Option<u64>,
}

impl StoredParts {
    pub(crate) fn new(pages: SmallVec<[Stored; 1]>, deadline_ms: Option<u64>) -> Self {
        let is_any = !pages.is_empty() || deadline_ms.is_some();
        StoredParts(is_any.then(|| Box::new(Parts { pages, deadline_ms })))
    }

    /// Per component, how many pages.
    pub(crate) fn pages(&self) -> &[Stored] {
        self.0.as_ref().map_or(&[], |parts| &parts.pages)
    }

    pub(crate) fn push(&mut self, stored: Stored) {
        self.0.get_or_insert_default().pages.push(stored);
    }

    /// Under which deadline the key is listed.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.0.as_ref()?.deadline_ms
    }

    pub(crate) fn set_deadline_ms(&mut self, deadline_ms: Option<u64>) {
        if self.deadline_ms() != deadline_ms {
            self.0.get_or_insert_default().deadline_ms = deadline_ms;
        }
    }
}

/// What a replica holds of one key.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: Box<[u8]>,
    pub(crate) hash: u64,
    /// The newest entry that touched the row: an image of it includes everything up to here.
    pub(crate) position: Position,
    pub(crate) deadline: Deadline,
    /// What the row adds to the sum of its bucket.
    pub(crate) sum: u128,
    /// Sorted by kind, at most one of each; nearly always exactly one.
    pub(crate) components: SmallVec<[Component; 1]>,
    /// What the table holds of this key beside its row, for rewriting and removing it.
    pub(crate) stored: StoredParts,
    /// The checkpoint will take an image of it.
    pub(crate) dirty: bool,
    /// It counts among the visible keys.
    pub(crate) counted: bool,
    /// It counts among the rows of its bucket: something is left of it.
    pub(crate) kept: bool,
    /// As what the table lists the key: a code of `image/index.rs`, zero where it does not.
    pub(crate) listed: u8,
    /// The journal may have records about it, which a write of it may settle.
    pub(crate) contested: bool,
    /// How often it was used again soon after it could have come to rest: each time it stays open for twice as long.
    pub(crate) patience: u8,
    /// When it was last used; it lies where alignment leaves room, so that it costs no memory.
    pub(crate) used: Tick,
}

/// A row that was not used for so long may come to rest.
pub const REST_MS: u64 = 10 << 10;
/// Who comes back after more than this may rest again as soon as all others: to be opened so rarely costs nothing.
const RETURN_MS: u64 = 120 << 10;
/// What is used again and again stays open for eight times as long.
pub(crate) const PATIENCE_MAX: u8 = 3;

/// Time in units of 1024 ms since 1970: in four bytes, until the year 2109.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u32);

impl Tick {
    const MS: u64 = 1 << 10;

    pub(crate) fn at(now_ms: u64) -> Tick {
        Tick((now_ms / Tick::MS) as u32)
    }

    pub(crate) fn as_number(self) -> u32 {
        self.0
    }

    pub(crate) fn from_number(number: u32) -> Tick {
        Tick(number)
    }

    /// So long before this one, or the beginning.
    pub(crate) fn before(self, idle_ms: u64) -> Tick {
        let ticks = u32::try_from(idle_ms.div_ceil(Tick::MS)).unwrap_or(u32::MAX);
        Tick(self.0.saturating_sub(ticks))
    }

    /// Milliseconds from an earlier one to this one.
    pub(crate) fn since_ms(self, earlier: Tick) -> u64 {
        u64::from(self.0.saturating_sub(earlier.0)) * Tick::MS
    }
}

impl Row {
    pub(crate) fn new(key: &[u8], hash: u64) -> Self {
        Row {
            key: key.into(),
            hash,
            position: Position::ZERO,
            deadline: Deadline::unset(),
            sum: 0,
            components: SmallVec::new(),
            stored: StoredParts::default(),
            dirty: false,
            counted: false,
            kept: false,
            listed: 0,
            contested: false,
            patience: 0,
            used: Tick::default(),
        }
    }

    /// Somebody uses it: one store, and only in a new tick.
    #[inline]
    pub(crate) fn note_used(&mut self, now: Tick) {
        if self.used == now {
            return;
        }
        let idle_ms = now.since_ms(self.used);
        if idle_ms >= RETURN_MS {
            self.patience = 0;
        } else if idle_ms >= REST_MS {
            self.patience = (self.patience + 1).min(PATIENCE_MAX);
        }
        self.used = now;
    }

    /// Whether it was not used for so long, or longer if it has always been used again.
    pub(crate) fn is_idle(&self, now: Tick, idle_ms: u64) -> bool {
        now.since_ms(self.used) >= idle_ms << self.patience
    }

    /// Whether it is one of Isles' own.
    pub(crate) fn is_reserved(&self) -> bool {
        self.key.starts_with(RESERVED_PREFIX)
    }

    /// When it goes, if it counts and does.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        (self.counted && self.deadline.is_set()).then_some(self.deadline.at_ms)
    }

    /// Whether it has content, expired or not.
    pub(crate) fn is_live(&self) -> bool {
        self.components.iter().any(Component::is_live)
    }

    /// Whether nothing is left of it, residue included.
    pub(crate) fn is_gone(&self) -> bool {
        self.components.is_empty() && self.deadline == Deadline::unset()
    }

    /// Whether its deadline has passed for a command or an entry with this clock.
    pub(crate) fn is_hidden(&self, now_ms: u64) -> bool {
        self.deadline.at_ms <= now_ms
    }

    /// Whether readers with this clock see it.
    pub(crate) fn is_visible(&self, now_ms: u64) -> bool {
        !self.is_hidden(now_ms) && self.is_live()
    }

    /// The component that readers see.
    pub(crate) fn visible(&self) -> Option<&Component> {
        self.components.iter().find(|component| component.is_live())
    }

    pub(crate) fn lww(&self) -> Option<&LwwCell> {
        match self.components.first() {
            Some(Component::Lww(cell)) => Some(cell),
            _ => None,
        }
    }

    pub(crate) fn mv(&self) -> Option<&Cell<Box<[u8]>>> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::Mv(cell) => Some(&**cell),
                Component::MvSummed(summed) => Some(&summed.cell),
                _ => None,
            })
    }

    /// The same register, if its versions know of differences.
    pub(crate) fn summed(&self) -> Option<&SummedCell> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::MvSummed(summed) => Some(&**summed),
                _ => None,
            })
    }

    /// The versions of the multi-value register, in the order of their dots, each with what it knows.
    pub(crate) fn siblings(&self) -> impl Iterator<Item = Sibling<'_>> {
        let versions = self.mv().map_or(&[][..], Cell::versions).iter();
        let summed = self.summed();
        versions.map(move |version| Sibling {
            dot: version.dot,
            stamp: version.stamp(),
            value: &version.value,
            sums: summed.and_then(|summed| summed.of(version.dot)),
        })
    }

    pub(crate) fn map(&self) -> Option<&FieldMap> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::Map(map) => Some(&**map),
                _ => None,
            })
    }

    pub(crate) fn sorted_set(&self) -> Option<&SortedSet> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::SortedSet(set) => Some(&**set),
                _ => None,
            })
    }

    pub(crate) fn list(&self) -> Option<&ListValue> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::List(list) => Some(&**list),
                _ => None,
            })
    }

    pub(crate) fn stream(&self) -> Option<&Stream> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::Stream(stream) => Some(&**stream),
                _ => None,
            })
    }

    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::Counter(tally) => Some(&**tally),
                _ => None,
            })
    }

    pub(crate) fn flag_dw(&self) -> Option<&DwFlag> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::FlagDw(flag) => Some(&**flag),
                _ => None,
            })
    }

    pub(crate) fn sketches(&self) -> Option<&Sketches> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::HyperLogLog(sketches) => Some(&**sketches),
                _ => None,
            })
    }

    pub(crate) fn escrow(&self) -> Option<&Escrow> {
        self.components
            .iter()
            .find_map(|component| match component {
                Component::BoundedCounter(escrow) => Some(&**escrow),
                _ => None,
            })
    }

    /// The component of this kind, made empty if it is not there.
    pub(crate) fn component_mut(&mut self, kind: Kind) -> Option<&mut Component> {
        let place = self
            .components
            .iter()
            .position(|component| component.kind() >= kind);
        let place = place.unwrap_or(self.components.len());
        if self
            .components
            .get(place)
            .is_none_or(|component| component.kind() != kind)
        {
            self.components.insert(place, Component::new(kind)?);
        }
        self.components.get_mut(place)
    }

    /// Keeps what the sketches count together.
    pub(crate) fn note_counted(&mut self, count: u64) {
        for component in &mut self.components {
            if let Component::HyperLogLog(sketches) = component {
                sketches.note_counted(count);
            }
        }
    }

    /// Forgets of recent changes and deletions what every region has seen.
    pub(crate) fn prune(&mut self, stable: &VectorClock) {
        let mut pruned = false;
        for trail in self.components.iter_mut().filter_map(Component::trail_mut) {
            if let Some(known) = trail {
                known.prune(stable);
                if known.is_empty() {
                    *trail = None;
                    pruned = true;
                }
            }
        }
        if pruned {
            self.sweep();
        }
    }

    /// Drops components of which nothing is left.
    pub(crate) fn sweep(&mut self) {
        self.components.retain(|component| !component.is_gone());
    }
}
