//! Every type, by running it: the cells of `docs/crdts.md`, one after the other.
//!
//! `cargo run -p isles-crdt --example tour`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod cells;

fn main() {
    for (name, cell) in cells::CELLS {
        println!("# {name}");
        cell();
        println!();
    }
}
