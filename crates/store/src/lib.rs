//! Bytes that survive: a segmented log and an ordered-bytes table.
