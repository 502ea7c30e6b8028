//! `isles demo` as somebody at a terminal sees it, and as a pipe does: the table, the keys that cut and heal, Ctrl-C.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use support::Ports;

/// How long a condition may take on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Stands behind the last thing that was printed.
const END: &str = "<end>";
const CTRL_C: &[u8] = b"\x03";

/// A demo under way, and what it has printed.
struct Demo {
    child: Child,
    printed: Arc<(Mutex<String>, Condvar)>,
    /// How much of it has been looked at.
    seen: usize,
}

impl Demo {
    fn start(command: &mut Command, temporary: &Path) -> Demo {
        let mut child = command
            .env("TMPDIR", temporary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let printed = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let shared = Arc::clone(&printed);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                // The end is said aloud, so that nobody waits for more.
                let count = output.read(&mut bytes).unwrap_or(0);
                let text = match count {
                    0 => Cow::Borrowed(END),
                    _ => String::from_utf8_lossy(&bytes[..count]),
                };
                shared.0.lock().unwrap().push_str(&text);
                shared.1.notify_all();
                if count == 0 {
                    break;
                }
            }
        });
        Demo {
            child,
            printed,
            seen: 0,
        }
    }

    /// Waits for `text` after what was waited for before.
    fn wait_for(&mut self, text: &str) {
        let (printed, news) = &*self.printed;
        let deadline = Instant::now() + PATIENCE;
        let mut all = printed.lock().unwrap();
        loop {
            if let Some(at) = all[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let hopeless = left.is_zero() || all.ends_with(END);
            assert!(!hopeless, "no '{text}' after {} in:\n{all}", self.seen);
            all = news.wait_timeout(all, left).unwrap().0;
        }
    }

    fn press(&mut self, keys: &[u8]) {
        let keyboard = self.child.stdin.as_mut().unwrap();
        keyboard.write_all(keys).unwrap();
        keyboard.flush().unwrap();
    }

    fn end(mut self) -> ExitStatus {
        // The keyboard stays: its end would be the end of the terminal.
        let _keyboard = self.child.stdin.take();
        self.child.wait().unwrap()
    }
}

/// The answer of a node to one command, on one line.
fn ask(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(format!("{command}\r\nQUIT\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace("\r\n", " ")
}

fn nothing_is_left(temporary: &Path, base: u16) {
    let leftovers: Vec<_> = std::fs::read_dir(temporary).unwrap().collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    for port in base..base + 2 {
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "{port}");
    }
}

#[test]
fn keys_cut_and_heal_and_ctrl_c_ends_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let base = ports.base();
    // Without `exec` a shell may stay in between, and Ctrl-C ends that one, too.
    let line = format!(
        "exec {} demo --regions 2 --redis-port-base {base} --admin-port-base {}",
        env!("CARGO_BIN_EXE_isles"),
        base + 2
    );
    // util-linux's `script` gives it a terminal, as a terminal's window would; every Debian has it.
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &line, "/dev/null"]);
    let mut demo = Demo::start(&mut terminal, folder.path());
    demo.wait_for("REGION");
    demo.wait_for("keys: c cut eu off");

    demo.press(b"c");
    demo.wait_for("us cut");
    assert!(ask(base, "SET greeting hello").starts_with("+OK"));
    assert!(ask(base + 1, "GET greeting").starts_with("$-1"));

    demo.press(b"h");
    demo.wait_for("all regions have applied the same entries");
    demo.wait_for("1     0          0 ms  us ");
    demo.wait_for("1     0          0 ms  eu ");
    assert!(ask(base + 1, "GET greeting").starts_with("$5 hello"));

    // A key that is no key, then one link by its number, both ways.
    demo.press(b"x1");
    demo.wait_for("us cut");
    demo.press(b"1");
    demo.press(CTRL_C);
    assert_eq!(demo.end().code(), Some(0));
    nothing_is_left(folder.path(), base);
}

#[test]
fn a_pipe_gets_lines() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let base = ports.base();
    let mut command = Command::new(env!("CARGO_BIN_EXE_isles"));
    command.args(["demo", "--regions", "2"]);
    command.args(["--redis-port-base", &base.to_string()]);
    command.args(["--admin-port-base", &(base + 2).to_string()]);
    let mut demo = Demo::start(&mut command, folder.path());
    demo.wait_for("REGION");
    assert!(ask(base + 1, "INCR visits").starts_with(":1"));
    demo.wait_for("all regions have applied the same entries");
    let interrupt = rustix::process::Signal::INT;
    let process = rustix::process::Pid::from_child(&demo.child);
    rustix::process::kill_process(process, interrupt).unwrap();
    let printed = Arc::clone(&demo.printed);
    assert_eq!(demo.end().code(), Some(0));
    assert!(
        !printed.0.lock().unwrap().contains('\x1b'),
        "no terminal, no control sequences"
    );
    nothing_is_left(folder.path(), base);
}
