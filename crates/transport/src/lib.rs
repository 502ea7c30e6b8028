//! Peer messages, their encoding, and the port they travel through.
