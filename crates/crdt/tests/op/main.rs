//! Operation-based types under causal, exactly-once delivery: replicas agree whatever the order of concurrent
//! operations, and hold exactly what an oracle of all operations says.

mod cell;
mod delivery;
mod presence;
mod tally;
mod tally_cases;
