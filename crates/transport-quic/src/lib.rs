//! The transport port on QUIC with mutual TLS.
