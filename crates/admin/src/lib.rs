//! The HTTP side of a node: metrics, health, status.
