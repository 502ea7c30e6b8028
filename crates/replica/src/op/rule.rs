//! What becomes of concurrent operations on each kind, in words.

use super::Kind;

impl Kind {
    /// What becomes of concurrent writes of a component of this kind, for people.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Kind::RegisterLww => {
                "of concurrent writes and deletions the one with the greatest stamp stays, the others go to the journal of conflicts; \
                 increments of a number all count"
            }
            Kind::RegisterMv => {
                "concurrent writes stay beside each other as siblings until a write has seen them all, and a deletion removes what it has \
                 seen"
            }
            Kind::Map => {
                "field by field: of concurrent writes the one with the greatest stamp stays, increments all count, a write wins over a \
                 concurrent deletion"
            }
            Kind::SetAw => "member by member: an addition wins over a concurrent removal",
            Kind::SetRw => "member by member: a removal wins over a concurrent addition",
            Kind::SortedSet => {
                "member by member: of concurrent scores the one with the greatest stamp stays, increments add up, an addition wins over a \
                 concurrent removal"
            }
            Kind::List => {
                "all insertions stay, in one order everywhere; a removal removes what it has seen, so two regions may pop one element"
            }
            Kind::Stream => "all entries stay, by their ids; a removal removes what it has seen",
            Kind::Counter => "all increments count; a deletion takes away what it has seen of them",
            Kind::FlagEw => "enabling wins over concurrent disabling",
            Kind::FlagDw => "disabling wins over concurrent enabling",
            Kind::HyperLogLog => {
                "what any region has counted is counted; a deletion wins over concurrent additions"
            }
            Kind::BoundedCounter => {
                "all changes count, and none goes below the bound: each region spends only its own rights"
            }
        }
    }
}
