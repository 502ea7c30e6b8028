//! What a write means and what peers are told: the sans-IO heart of Isles.
