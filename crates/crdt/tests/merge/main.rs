//! State-based types: every type keeps the laws of `Merge`, and means what an oracle of events says.

mod counters;
mod history;
mod maps;
mod registers;
mod sets;
