//! One node: its folder, its process, and its log.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use isles_transport_quic::NodeCertificate;
use rustix::process::{Pid, Signal, kill_process};

use super::{Ports, eventually_some};

/// A node answers within this, or the test fails.
const ANSWER: Duration = Duration::from_secs(30);

/// What a node's configuration says; tests change what they are about.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) cluster: String,
    pub(crate) node: String,
    pub(crate) region: String,
    pub(crate) durability: &'static str,
    pub(crate) redis: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) listen: SocketAddr,
    /// Name, region, address.
    pub(crate) peers: Vec<(String, String, SocketAddr)>,
    /// Whether it has certificates, and thus peers.
    pub(crate) tls: bool,
    /// Where the data lies, if not in the node's folder.
    pub(crate) data_dir: Option<PathBuf>,
    /// Whole sections, as in the file.
    pub(crate) more: String,
}

impl Spec {
    /// A node without peers.
    pub(crate) fn alone(node: &str, region: &str, ports: &mut Ports) -> Spec {
        Spec {
            cluster: "test".to_owned(),
            node: node.to_owned(),
            region: region.to_owned(),
            durability: "always",
            redis: ports.next(),
            admin: ports.next(),
            listen: ports.next(),
            peers: Vec::new(),
            tls: false,
            data_dir: None,
            more: String::new(),
        }
    }

    fn text(&self) -> String {
        let Spec {
            cluster,
            node,
            region,
            durability,
            redis,
            admin,
            listen,
            ..
        } = self;
        let data = self.data_dir.as_deref().unwrap_or(Path::new("data"));
        let mut text = format!(
            "cluster = \"{cluster}\"\nnode = \"{node}\"\nregion = \"{region}\"\ndata_dir = {data:?}\ndurability = \"{durability}\"\n\
             [redis]\nlisten = \"{redis}\"\n[admin]\nlisten = \"{admin}\"\n"
        );
        if self.tls {
            write!(
                text,
                "[peers]\nlisten = \"{listen}\"\n[tls]\nca = \"certs/ca.pem\"\ncert = \"certs/node.pem\"\nkey = \"certs/node.key\"\n"
            )
            .unwrap();
        }
        text.push_str(&self.more);
        for (node, region, address) in &self.peers {
            write!(
                text,
                "[[peer]]\nnode = \"{node}\"\nregion = \"{region}\"\naddress = \"{address}\"\n"
            )
            .unwrap();
        }
        text
    }
}

/// A node's folder: configuration, certificates, data, log.
#[derive(Clone, Debug)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// Writes a node's configuration and certificates into a folder of its own.
    pub(crate) fn write(
        parent: &Path,
        spec: &Spec,
        certificate: Option<&NodeCertificate>,
    ) -> Files {
        let folder = parent.join(&spec.node);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("isles.toml"), spec.text()).unwrap();
        if let Some(certificate) = certificate {
            let _ = std::fs::remove_dir_all(folder.join("certs"));
            certificate.save(&folder.join("certs")).unwrap();
        }
        Files(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("isles.toml")
    }

    /// The segments of the log, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("data/log"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let is_segment = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(".log") && name.starts_with(|first: char| first.is_ascii_digit())
        };
        let mut segments: Vec<PathBuf> = entries.filter(is_segment).collect();
        segments.sort();
        segments
    }
}

/// The program, without whatever the environment says to it.
pub(crate) fn isles(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isles"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ISLES_")) {
        command.env_remove(name);
    }
    command
}

/// A process that ended by itself.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) code: Option<i32>,
    pub(crate) complaint: String,
}

impl Stopped {
    pub(crate) fn of(output: &Output) -> Stopped {
        Stopped {
            code: output.status.code(),
            complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It ended with this code, said each of these words, and neither panicked nor showed a backtrace.
    pub(crate) fn check(&self, code: i32, words: &[&str]) {
        let complaint = &self.complaint;
        assert_eq!(self.code, Some(code), "{complaint}");
        for word in words {
            assert!(
                complaint.contains(word),
                "it does not say {word:?}: {complaint}"
            );
        }
        let internal = ["panicked", "backtrace", "RUST_"];
        assert!(
            !internal.iter().any(|word| complaint.contains(word)),
            "{complaint}"
        );
    }
}

/// A node that is started, killed and stopped as the test says.
pub(crate) struct Node {
    pub(crate) spec: Spec,
    pub(crate) files: Files,
    child: Option<Child>,
}

impl Node {
    pub(crate) fn new(spec: Spec, files: Files) -> Node {
        Node {
            spec,
            files,
            child: None,
        }
    }

    /// A node without peers, in a folder, serving.
    pub(crate) fn alone(folder: &Path, spec: Spec) -> Node {
        let files = Files::write(folder, &spec, None);
        let mut node = Node::new(spec, files);
        node.start();
        node
    }

    /// Starts the process and waits until it serves.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.await_ready();
    }

    pub(crate) fn spawn(&mut self) {
        self.spawn_as(isles(&[
            "start",
            "--config",
            self.files.config().to_str().unwrap(),
        ]));
    }

    /// Starts another command line than the usual one.
    pub(crate) fn spawn_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "{} runs already", self.spec.node);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub(crate) fn await_ready(&mut self) {
        let what = format!("{} serves", self.spec.node);
        eventually_some(&what, || {
            let ended = self
                .child
                .as_mut()
                .expect("it was started")
                .try_wait()
                .unwrap();
            assert!(
                ended.is_none(),
                "{} ended by itself with {ended:?}:\n{}",
                self.spec.node,
                self.log()
            );
            let ready = http(self.spec.admin, "/readyz")
                .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
            (ready && TcpStream::connect(self.spec.redis).is_ok()).then_some(())
        });
    }

    /// The process, to the operating system.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The same while others still hold it; [`kill`](Self::kill) is to follow.
    pub(crate) fn kill_now(&self) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), Signal::KILL).unwrap();
    }

    /// As an operator stops it; it must end well.
    pub(crate) fn stop(&mut self) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), Signal::TERM).unwrap();
        let stopped = self.await_end();
        assert_eq!(
            stopped.code,
            Some(0),
            "{} did not stop well:\n{}",
            self.spec.node,
            stopped.complaint
        );
    }

    /// Waits until the process ends by itself.
    pub(crate) fn await_end(&mut self) -> Stopped {
        let mut child = self.child.take().expect("it was started");
        let what = format!("{} ends", self.spec.node);
        let status = eventually_some(&what, || child.try_wait().unwrap());
        Stopped {
            code: status.code(),
            complaint: self.log(),
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn connect(&self) -> redis::Connection {
        self.try_connect()
            .unwrap_or_else(|error| panic!("{} does not answer: {error}", self.spec.node))
    }

    pub(crate) fn try_connect(&self) -> redis::RedisResult<redis::Connection> {
        connect(self.spec.redis)
    }

    /// What it has said on standard error, over all its starts.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.files.path("stderr.log")
    }

    /// The body of an answer of the admin port.
    pub(crate) fn admin(&self, path: &str) -> String {
        let answer = http(self.spec.admin, path)
            .unwrap_or_else(|| panic!("{} has no admin port", self.spec.node));
        answer
            .split_once("\r\n\r\n")
            .map_or_else(String::new, |(_, body)| body.to_owned())
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.admin("/status")).unwrap()
    }

    /// Whether there is a session with a peer, as this node sees it.
    pub(crate) fn is_connected_to(&self, peer: &str) -> bool {
        let status = self.status();
        let peers = status["peers"].as_array().unwrap();
        peers
            .iter()
            .any(|state| state["node"] == peer && state["connected"] == true)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- the end of {}'s log\n{tail}", self.spec.node);
        }
    }
}

pub(super) fn connect(address: SocketAddr) -> redis::RedisResult<redis::Connection> {
    let client = redis::Client::open(format!("redis://{address}/"))?;
    let connection = client.get_connection_with_timeout(ANSWER)?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.set_write_timeout(Some(ANSWER))?;
    Ok(connection)
}

fn http(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Copies a file, for tests that change a byte of it.
pub(crate) fn patch(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    File::create(path).unwrap().write_all(&bytes).unwrap();
}
