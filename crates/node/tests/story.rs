//! `isles demo` on free ports: the story holds, and a port that somebody else has is named.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::Ports;

fn demo(temporary: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isles"));
    command
        .arg("demo")
        .args(line.split_whitespace())
        .stdin(Stdio::null());
    // A variable of the user's must not reach the nodes.
    command
        .env("TMPDIR", temporary)
        .env("ISLES_CLUSTER", "of-somebody-else");
    command.output().unwrap()
}

#[test]
fn the_story_holds_twice_on_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let ports = Ports::take();
    let base = ports.base();
    let line = format!(
        "--story --wan eu-us=20ms,us-ap=10ms/1% --keep {} --redis-port-base {base} --admin-port-base {}",
        kept.display(),
        base + 4
    );
    for _ in 0..2 {
        let output = demo(folder.path(), &line);
        let (told, complaint) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(output.status.code(), Some(0), "{told}\n{complaint}");
        for sentence in [
            "3 regions on this machine: eu, us, ap",
            "shop:price   4.50            4.20                  4.20",
            "eu removed what it knew, not what us was adding meanwhile",
            "shop:note       sold out  back on Monday  multi-value  both stay",
            "ok every region has recorded the same conflicts",
            "ok every region has the new note and no other",
            "ok equal clocks",
            "ok equal digests",
            "checks held",
        ] {
            assert!(
                told.contains(sentence),
                "'{sentence}' is missing in:\n{told}"
            );
        }
        assert!(kept.join("certs/ca.pem").is_file());
    }
    let leftovers: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(leftovers.len(), 1, "{leftovers:?}");
}

#[test]
fn a_port_in_use_is_a_failure_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let base = ports.base();
    let _holder = TcpListener::bind(("127.0.0.1", base + 1)).unwrap();
    let output = demo(
        folder.path(),
        &format!("--redis-port-base {base} --admin-port-base {}", base + 4),
    );
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    for word in [
        &(base + 1).to_string(),
        "region us",
        "--redis-port-base",
        "ss -ltnp",
    ] {
        assert!(
            complaint.contains(word),
            "'{word}' is missing in: {complaint}"
        );
    }
    assert!(!complaint.contains("panicked"), "{complaint}");
}

#[test]
fn mistakes_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("thesis");
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("chapter-1.txt"), "years of work").unwrap();
    let strange = format!("--keep {}", kept.display());
    for (line, words) in [
        ("--wan eu-mars=80ms", ["--wan", "eu-mars", "eu, us, ap"]),
        ("--wan eu-us=soon", ["--wan", "soon", "eu-us=80ms"]),
        (
            "--regions 3 --redis-port-base 65535",
            ["65535", "--redis-port-base", "65500"],
        ),
        (strange.as_str(), ["--keep", "thesis", "new or empty"]),
    ] {
        let output = demo(folder.path(), line);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {complaint}");
        for word in words {
            assert!(
                complaint.contains(word),
                "{line}: '{word}' is missing in: {complaint}"
            );
        }
    }
}
