//! Causality and time as values: vector clocks, dots, hybrid logical clocks.
