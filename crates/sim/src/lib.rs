//! A deterministic world in one thread, from one seed.
