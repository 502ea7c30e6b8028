//! Siblings in, one answer out: pure conflict-resolution strategies.
