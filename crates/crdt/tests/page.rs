//! The page `docs/crdts.md` shows the cells of the example `tour`, and what they print.
//!
//! `UPDATE_PAGE=1 cargo test -p isles-crdt --test page` writes code and output anew.

use std::cell::RefCell;
use std::{env, fmt, fs};

thread_local! {
    static PRINTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Takes the place of the standard one in the cells.
macro_rules! println {
    ($($arguments:tt)*) => {
        crate::print(std::format_args!($($arguments)*))
    };
}

#[path = "../examples/tour/cells.rs"]
mod cells;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/crdts.md");
const SOURCE: &str = include_str!("../examples/tour/cells.rs");

fn print(line: fmt::Arguments<'_>) {
    PRINTED.with_borrow_mut(|printed| printed.extend([line.to_string().as_str(), "\n"]));
}

/// What stands between a cell's braces, unindented.
fn body(name: &str) -> String {
    let head = format!("fn {name}() {{");
    let lines = SOURCE.lines().skip_while(|line| *line != head).skip(1);
    let mut body = String::new();
    for line in lines.take_while(|line| *line != "}") {
        body.extend([line.strip_prefix("    ").unwrap_or(line), "\n"]);
    }
    body
}

/// The page with the content of every block of Rust, and of the block of text behind it, taken from the cells.
fn filled_in(page: &str) -> String {
    let mut cells = cells::CELLS.iter();
    let mut output = None;
    let mut filled = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        filled.extend([line, "\n"]);
        let content = match line {
            "```rust" => {
                let (name, cell) = cells.next().expect("a block of the page is no cell");
                assert_eq!(output, None, "the cell before {name} has no output");
                cell();
                output = Some(PRINTED.take());
                body(name)
            }
            "```text" if output.is_some() => output.take().unwrap_or_default(),
            _ => continue,
        };
        lines.find(|line| *line == "```").expect("a block ends");
        filled.extend([content.as_str(), "```\n"]);
    }
    assert_eq!(cells.next().map(|(name, _)| name), None, "not on the page");
    assert_eq!(output, None, "the last cell has no output");
    filled
}

#[test]
fn the_page_shows_the_cells_and_what_they_print() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let filled = filled_in(&page);
    if env::var_os("UPDATE_PAGE").is_some() {
        return fs::write(PAGE, &filled).expect("the page can be written");
    }
    for (number, (shown, runs)) in (1..).zip(page.lines().zip(filled.lines())) {
        assert_eq!(shown, runs, "line {number} of docs/crdts.md");
    }
    assert_eq!(page, filled);
}
