//! Three processes edit apart and meet again.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Todo {
    process: Child,
    address: String,
    lines: Receiver<String>,
}

impl Todo {
    fn start(file: &Path, address: &str, peers: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_todo"));
        command.args(["--listen", address, "--file"]).arg(file);
        for peer in peers {
            command.args(["--peer", peer]);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let first = lines.recv_timeout(PATIENCE).expect("it listens");
        let address = first.strip_prefix("listening on ").unwrap().to_owned();
        Self {
            process,
            address,
            lines,
        }
    }

    fn type_in(&mut self, commands: &[&str]) {
        let mut keyboard = self.process.stdin.as_ref().unwrap();
        for command in commands {
            writeln!(keyboard, "{command}").unwrap();
        }
    }

    /// Reads lists, which end with an empty line, until this one is shown.
    fn wait_for(&mut self, expected: &[&str]) {
        let mut shown = Vec::new();
        let mut last = Vec::new();
        while last != expected {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{last:?} was shown last"));
            if line.is_empty() {
                last = std::mem::take(&mut shown);
            } else {
                shown.push(line);
            }
        }
    }

    /// Closes the keyboard, and waits for the end.
    fn quit(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

/// Whoever a failing test leaves behind is stopped.
impl Drop for Todo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An empty folder for the files of a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const ANY: &str = "127.0.0.1:0";

#[test]
fn edits_made_apart_are_the_same_list_after_meeting() {
    let folder = folder("apart");
    let [at_ann, at_bob, at_cyd] = ["ann", "bob", "cyd"].map(|name| folder.join(name));

    // Together: what one writes, everybody reads. Cyd hears of Ann through Bob only.
    let mut ann = Todo::start(&at_ann, ANY, &[]);
    let mut bob = Todo::start(&at_bob, ANY, &[&ann.address]);
    let mut cyd = Todo::start(&at_cyd, ANY, &[&bob.address]);
    ann.type_in(&["add bread", "add milk"]);
    for todo in [&mut ann, &mut bob, &mut cyd] {
        todo.wait_for(&["[ ] bread", "[ ] milk"]);
    }
    for todo in [ann, bob, cyd] {
        todo.quit();
    }

    // Apart: each one starts from its file, and nobody knows of anybody.
    let mut ann = Todo::start(&at_ann, ANY, &[]);
    let mut bob = Todo::start(&at_bob, ANY, &[]);
    let mut cyd = Todo::start(&at_cyd, ANY, &[]);
    ann.type_in(&["done milk", "add eggs"]);
    ann.wait_for(&["[ ] bread", "[ ] eggs", "[x] milk"]);
    bob.type_in(&["remove milk", "remove bread"]);
    bob.wait_for(&[]);
    cyd.type_in(&["add tea", "add eggs", "done eggs", "done tea", "remove tea"]);
    cyd.wait_for(&["[ ] bread", "[x] eggs", "[ ] milk"]);
    for todo in [bob, cyd] {
        todo.quit();
    }

    // Together again: Ann has not been restarted. Bob had not seen that the milk was done, so it stays.
    let mut bob = Todo::start(&at_bob, ANY, &[&ann.address]);
    let mut cyd = Todo::start(&at_cyd, ANY, &[&ann.address, &bob.address]);
    for todo in [&mut ann, &mut bob, &mut cyd] {
        todo.wait_for(&["[x] eggs", "[x] milk"]);
    }
}

#[test]
fn a_peer_that_comes_up_later_is_found_and_catches_up() {
    let folder = folder("later");
    let free = TcpListener::bind(ANY).unwrap();
    let later = free.local_addr().unwrap().to_string();
    drop(free);

    let mut ann = Todo::start(&folder.join("ann"), ANY, &[&later]);
    ann.type_in(&["add bread", "add milk", "remove bread"]);
    ann.wait_for(&["[ ] milk"]);
    let mut bob = Todo::start(&folder.join("bob"), &later, &[]);
    bob.wait_for(&["[ ] milk"]);

    // It is killed, as in a power cut, and comes back with what it had.
    bob.process.kill().unwrap();
    bob.process.wait().unwrap();
    ann.type_in(&["done milk"]);
    ann.wait_for(&["[x] milk"]);
    let mut bob = Todo::start(&folder.join("bob"), &later, &[]);
    bob.wait_for(&["[ ] milk"]);
    bob.wait_for(&["[x] milk"]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut ann = Todo::start(&folder("said").join("ann"), ANY, &[]);
    ann.type_in(&["done milk", "milk", "add milk"]);
    let next = || ann.lines.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "");
    assert_eq!(next(), "there is no task 'milk'");
    assert_eq!(next(), "add TASK, done TASK, remove TASK or list");
    assert_eq!(next(), "[ ] milk");
}
