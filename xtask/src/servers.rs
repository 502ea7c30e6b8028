//! Servers that tasks measure and test: `redis-server` and our own node, each in a folder of its own, on free ports, ended with the
//! task.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, Server};

/// A server that has not answered after this long never will.
const START_MAX: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A server that answers on a Redis port.
pub(crate) struct Running {
    process: Server,
    /// Its Redis port.
    pub(crate) port: u16,
    /// Its admin port, if it has one.
    pub(crate) admin: Option<u16>,
    /// How it was started, if it is a node.
    launch: Option<Launch>,
}

/// The program and the configuration of a node.
#[derive(Clone)]
struct Launch {
    binary: PathBuf,
    config: PathBuf,
}

/// A node that has ended and can be started again with what it holds.
pub(crate) struct Stopped {
    launch: Launch,
    port: u16,
    admin: Option<u16>,
}

impl Stopped {
    pub(crate) fn start(self) -> Result<Running> {
        self.launch.start(self.port, self.admin)
    }
}

impl Launch {
    fn start(self, port: u16, admin: Option<u16>) -> Result<Running> {
        let mut command = Command::new(&self.binary);
        command.arg("start").arg("--config").arg(&self.config);
        let output = self.config.with_file_name("output.txt");
        let mut running = Running::start(command, &output, port, admin)?;
        running.launch = Some(self);
        Ok(running)
    }
}

/// How a node is to be configured.
pub(crate) struct NodePlan<'a> {
    pub(crate) binary: &'a Path,
    /// Where its configuration, data and log go; emptied first.
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a str,
    /// `always`, `interval` or `never`.
    pub(crate) durability: &'a str,
    /// Further lines of its configuration.
    pub(crate) more: &'a str,
}

impl Running {
    /// Starts `redis-server` with further options, in an emptied folder.
    pub(crate) fn redis(folder: &Path, options: &[&str]) -> Result<Self> {
        if !process::answers("redis-server", &["--version"]) {
            bail!(
                "redis-server is not installed; to install it: apt-get install redis-server redis-tools"
            );
        }
        empty(folder)?;
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(folder)
            .args(options);
        Self::start(command, &folder.join("output.txt"), port, None)
    }

    /// Starts a node with a generated configuration.
    pub(crate) fn node(plan: &NodePlan<'_>) -> Result<Self> {
        empty(plan.folder)?;
        let (port, admin) = (free_port()?, free_port()?);
        let config = plan.folder.join("isles.toml");
        fs::write(&config, configuration(plan, port, admin))?;
        let binary = plan.binary.to_owned();
        Launch { binary, config }.start(port, Some(admin))
    }

    /// Ends a node with SIGTERM, for which it has its log written, and waits.
    pub(crate) fn stop(mut self) -> Result<Stopped> {
        let launch = self.launch.take().context("only nodes can be stopped")?;
        let id = self.process.id().to_string();
        process::output(Command::new("kill").arg(&id))?;
        wait_until(START_MAX, || Ok(self.process.check().is_err()))
            .context("the node does not end")?;
        Ok(Stopped {
            launch,
            port: self.port,
            admin: self.admin,
        })
    }

    fn start(mut command: Command, output: &Path, port: u16, admin: Option<u16>) -> Result<Self> {
        let log = fs::File::create(output)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
        let mut running = Self {
            process: Server(child),
            port,
            admin,
            launch: None,
        };
        running.wait_until_it_answers().with_context(|| {
            let text = fs::read_to_string(output).unwrap_or_default();
            format!(
                "`{}` did not come up; its output in {}:\n{}",
                process::line(&command),
                output.display(),
                text.trim_end()
            )
        })?;
        Ok(running)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let port = self.port;
        wait_until(START_MAX, || {
            self.process.check()?;
            Ok(ping(port).is_ok())
        })
    }

    /// CPU time of all its threads so far, user and system together, in microseconds.
    pub(crate) fn cpu_us(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))
            .context("cannot read the server's CPU time")?;
        parse_cpu_us(&stat).context("/proc/PID/stat has an unknown shape")
    }

    /// Memory that it holds now.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most memory that it has held so far.
    pub(crate) fn resident_bytes_max(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, line: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .context("cannot read the server's memory")?;
        parse_bytes(&status, line).context("/proc/PID/status has an unknown shape")
    }

    /// Bytes that it has had written to disks so far.
    pub(crate) fn written_bytes(&self) -> Result<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.process.id()))
            .context("cannot read what the server has written")?;
        let line = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        let bytes = line.and_then(|bytes| bytes.trim().parse().ok());
        bytes.context("/proc/PID/io has an unknown shape")
    }

    /// What the admin server says at `path`.
    pub(crate) fn admin_get(&self, path: &str) -> Result<String> {
        http_get(self.admin.context("this server has no admin port")?, path)
    }
}

fn configuration(plan: &NodePlan<'_>, port: u16, admin: u16) -> String {
    let NodePlan {
        folder,
        name,
        durability,
        more,
        ..
    } = plan;
    let data = folder.join("data");
    format!(
        "cluster = \"xtask\"\nnode = \"{name}\"\nregion = \"{name}\"\ndata_dir = {data:?}\ndurability = \"{durability}\"\n\
         redis.listen = \"127.0.0.1:{port}\"\nadmin.listen = \"127.0.0.1:{admin}\"\n\
         log.retention_bytes = \"256MiB\"\ntrace.filter = \"warn\"\n{more}\n"
    )
}

fn parse_bytes(status: &str, line: &str) -> Option<u64> {
    let mut lines = status.lines();
    let line = lines.find_map(|each| each.strip_prefix(line))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Calls `done` until it says yes.
pub(crate) fn wait_until(longest: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + longest;
    while !done()? {
        if Instant::now() > deadline {
            bail!("nothing after {} s", longest.as_secs());
        }
        thread::sleep(POLL_EVERY);
    }
    Ok(())
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// A TCP port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A UDP port that was free a moment ago.
pub(crate) fn free_udp_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn ping(port: u16) -> Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" {
        Ok(())
    } else {
        bail!("it does not answer PING")
    }
}

fn http_get(port: u16, path: &str) -> Result<String> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer is not HTTP")?;
    if head.split_whitespace().nth(1) != Some("200") {
        bail!("{path} answers {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// Fields 14 and 15, in hundredths of a second on every Linux of today; the name before them may hold blanks.
fn parse_cpu_us(stat: &str) -> Option<u64> {
    const TICK_US: u64 = 10_000;
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = after_name.next()?.parse().ok()?;
    let system: u64 = after_name.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

/// Two nodes that replicate to each other; the second only listens to the first.
pub(crate) struct Pair {
    pub(crate) first: Running,
    pub(crate) second: Running,
}

impl Pair {
    /// Makes certificates and starts both.
    pub(crate) fn start(binary: &Path, folder: &Path, durability: &str) -> Result<Self> {
        empty(folder)?;
        let certs = folder.join("certs");
        process::output(
            Command::new(binary)
                .args(["certs", "init", "--cluster", "xtask", "--dir"])
                .arg(&certs),
        )?;
        let ports = [free_udp_port()?, free_udp_port()?];
        let names = ["first", "second"];
        let mut running = Vec::new();
        for (own, other) in [(0, 1), (1, 0)] {
            let mut issue = Command::new(binary);
            issue
                .args([
                    "certs", "node", "--node", names[own], "--region", names[own], "--dir",
                ])
                .arg(&certs);
            process::output(&mut issue)?;
            let more = peer_lines(
                &certs.join(names[own]),
                ports[own],
                names[other],
                ports[other],
            );
            let own_folder: PathBuf = folder.join(names[own]);
            running.push(Running::node(&NodePlan {
                binary,
                folder: &own_folder,
                name: names[own],
                durability,
                more: &more,
            })?);
        }
        let second = running.pop().context("two nodes were started")?;
        let first = running.pop().context("two nodes were started")?;
        Ok(Self { first, second })
    }

    /// Waits until both have applied the same and hold the same.
    pub(crate) fn wait_until_equal(&self, longest: Duration) -> Result<()> {
        let mut seen = String::new();
        let equal = wait_until(longest, || {
            let states = [content(&self.first)?, content(&self.second)?];
            seen = format!("first {} second {}", states[0], states[1]);
            Ok(states[0] == states[1])
        });
        equal.with_context(|| format!("the two nodes do not become equal: {seen}"))
    }
}

/// The applied clock and the digest, as text.
fn content(node: &Running) -> Result<String> {
    let status: serde_json::Value = serde_json::from_str(&node.admin_get("/status")?)?;
    Ok(format!("{} {}", status["applied"], status["digest"]))
}

fn peer_lines(certs: &Path, port: u16, peer: &str, peer_port: u16) -> String {
    let file = |name: &str| certs.join(name);
    format!(
        "peers.listen = \"127.0.0.1:{port}\"\ntls.ca = {:?}\ntls.cert = {:?}\ntls.key = {:?}\n\
         [[peer]]\nnode = \"{peer}\"\nregion = \"{peer}\"\naddress = \"127.0.0.1:{peer_port}\"",
        file("ca.pem"),
        file("node.pem"),
        file("node.key"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let status = "Name:\tisles\nVmHWM:\t  20 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(parse_bytes(status, "VmRSS:"), Some(12_288));
        assert_eq!(parse_bytes(status, "VmHWM:"), Some(20_480));
    }

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 4 0 100 1000 10";
        assert_eq!(parse_cpu_us(stat), Some(420_000));
        assert_eq!(parse_cpu_us("7 (a"), None);
    }
}
