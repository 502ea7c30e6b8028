//! A UDP relay that behaves like a long link: delay, jitter, loss, bandwidth, cuts.
