//! The commented configuration that `isles config example` prints. It works as it stands: one node, no peers.

use std::fmt::Write;

use super::key::{Fallback, KEYS, Key};

/// Widest line of a comment.
const COLUMNS: usize = 110;

const HEAD: &str = "\
# Configuration of one Isles node. Start it with: isles start --config isles.toml
# Every key can also be given as an environment variable or a flag; a flag beats a variable, a variable beats this file.
# Keys with a # in front show their default, or an example where there is none.
";

const PEERS: &str = r#"
# The other nodes of the cluster, one table each. Also --peer NODE@REGION=HOST:PORT, or ISLES_PEER with commas between.
#[[peer]]
#node = "us-1"
#region = "us"
#address = "us-1.example.org:7400"
"#;

/// The text of the example.
pub(crate) fn example() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (own_section, name) = key.section();
        if own_section != section {
            section = own_section;
            write!(text, "\n[{section}]").expect("invariant: writing to a string works");
        }
        text.push('\n');
        push_key(&mut text, key, name);
    }
    text.push_str(PEERS);
    text
}

fn push_key(text: &mut String, key: &Key, name: &str) {
    let about = match key.default {
        Fallback::Absent(meaning) => format!("{} Without it: {meaning}.", key.about),
        _ => key.about.to_owned(),
    };
    let spellings = format!("(--{}, {})", key.flag(), key.variable());
    for line in wrapped(&format!("{about} {spellings}")) {
        text.push_str(&format!("# {line}\n"));
    }
    let (mark, value) = match key.default {
        Fallback::Required => ("", key.example),
        Fallback::Absent(_) => ("#", key.example),
        Fallback::Value(value) => ("#", value),
    };
    text.push_str(&format!("{mark}{name} = {}\n", key.in_toml(value)));
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
