//! A node whose memory is bounded asks the operating system for no huge pages: what is free in one of those stays counted.

mod support;

use support::{Node, Ports, Spec};

fn node(folder: &std::path::Path, more: &str) -> Node {
    let mut ports = Ports::take();
    let mut spec = Spec::alone("eu-1", "eu", &mut ports);
    spec.more = more.to_owned();
    Node::alone(folder, spec)
}

/// What a process may have, as the kernel says it; nothing where the kernel does not say.
fn huge_pages(process: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("THP_enabled:"))?;
    Some(value.trim().to_owned())
}

#[test]
fn only_where_memory_is_bounded() {
    let Some(here) = huge_pages("self") else {
        return;
    };
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let free = node(folders[0].path(), "");
    assert_eq!(huge_pages(&free.id().to_string()), Some(here));
    let bounded = node(folders[1].path(), "[memory]\nmax = \"64MiB\"\n");
    assert_eq!(huge_pages(&bounded.id().to_string()).as_deref(), Some("0"));
}
