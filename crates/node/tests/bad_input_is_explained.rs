//! A node that cannot start, or cannot go on, says what is wrong, where, and what to do; without panic or backtrace.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use isles_transport::PeerIdentity;
use isles_transport_quic::{CertificateAuthority, IssueRequest, NodeCertificate};
use redis::cmd;
use support::{Files, Node, Ports, Spec, Stopped, eventually, isles};

/// A place for one node.
struct Place {
    folder: tempfile::TempDir,
    spec: Spec,
    _ports: Ports,
}

impl Place {
    fn new() -> Place {
        let mut ports = Ports::take();
        Place {
            folder: tempfile::tempdir().unwrap(),
            spec: Spec::alone("eu-1", "eu", &mut ports),
            _ports: ports,
        }
    }

    /// Starts a node that must end by itself.
    fn refusal(&self, certificate: Option<&NodeCertificate>) -> Stopped {
        let files = Files::write(self.folder.path(), &self.spec, certificate);
        let config = files.config();
        Stopped::of(
            &isles(&["start", "--config", config.to_str().unwrap()])
                .output()
                .unwrap(),
        )
    }

    /// Runs a node for a moment, so that there is data; gives its files.
    fn with_data(&self) -> Files {
        let mut node = Node::alone(self.folder.path(), self.spec.clone());
        cmd("SET")
            .arg("key")
            .arg("value")
            .exec(&mut node.connect())
            .unwrap();
        node.stop();
        node.files.clone()
    }
}

fn identity(node: &str) -> PeerIdentity {
    PeerIdentity {
        cluster: "test".into(),
        node: node.into(),
        region: "eu".into(),
    }
}

#[test]
fn ports_in_use() {
    let mut place = Place::new();
    let (redis, admin, listen) = (place.spec.redis, place.spec.admin, place.spec.listen);
    let taken = TcpListener::bind(redis).unwrap();
    place
        .refusal(None)
        .check(1, &[&redis.to_string(), "redis.listen"]);
    drop(taken);
    let taken = TcpListener::bind(admin).unwrap();
    place
        .refusal(None)
        .check(1, &[&admin.to_string(), "admin.listen"]);
    drop(taken);
    let _taken = UdpSocket::bind(listen).unwrap();
    place.spec.tls = true;
    let authority = CertificateAuthority::create("test").unwrap();
    let certificate = authority.issue("eu-1", "eu", &[], 30).unwrap();
    place
        .refusal(Some(&certificate))
        .check(1, &[&listen.to_string(), "UDP", "peers.listen"]);
}

// An address of the block for documentation, which no machine has.
#[test]
fn an_address_of_nobody() {
    let mut place = Place::new();
    place.spec.redis = ([192, 0, 2, 1], 6379).into();
    let stopped = place.refusal(None);
    stopped.check(
        1,
        &["192.0.2.1:6379", "has no such address", "redis.listen"],
    );
    assert!(
        !stopped.complaint.contains("program"),
        "{}",
        stopped.complaint
    );
}

#[test]
fn two_listeners_at_one_address() {
    let mut place = Place::new();
    place.spec.admin = place.spec.redis;
    place
        .refusal(None)
        .check(2, &["isles.toml:", "redis.listen", "admin.listen"]);
}

#[test]
fn two_nodes_with_one_name() {
    let mut place = Place::new();
    place.spec.tls = true;
    let peer = |node: &str, port: u16| {
        (
            node.to_owned(),
            "us".to_owned(),
            ([127, 0, 0, 1], port).into(),
        )
    };
    place.spec.peers = vec![peer("eu-1", 7)];
    place
        .refusal(None)
        .check(2, &["isles.toml:", "own name, eu-1"]);
    place.spec.peers = vec![peer("us-1", 7), peer("us-1", 8)];
    place
        .refusal(None)
        .check(2, &["isles.toml:", "two peers are named us-1"]);
}

#[test]
fn unknown_keys_of_the_configuration() {
    let mut place = Place::new();
    place.spec.more = "[log]\nsegment_byte = 5\n[unheard]\nof = 1\n".to_owned();
    place.refusal(None).check(
        2,
        &[
            "isles.toml:",
            "log.segment_byte",
            "log.segment_bytes",
            "unheard.of",
        ],
    );
}

#[test]
fn certificates_that_do_not_do() {
    let mut place = Place::new();
    place.spec.tls = true;
    place
        .refusal(None)
        .check(1, &["certs/ca.pem", "isles certs init"]);
    let authority = CertificateAuthority::create("test").unwrap();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let request = |start, node: &str| IssueRequest {
        identity: identity(node),
        names: &[],
        start,
        validity_days: 10,
    };
    let expired = authority.issue_request(&request(start, "eu-1")).unwrap();
    place.refusal(Some(&expired)).check(
        1,
        &[
            "certs/node.pem",
            "eu-1",
            "expired on 2020-09-23",
            "isles certs node",
        ],
    );
    let later = SystemTime::now() + Duration::from_secs(864_000);
    let early = authority.issue_request(&request(later, "eu-1")).unwrap();
    place
        .refusal(Some(&early))
        .check(1, &["certs/node.pem", "not valid before", "clock"]);
    let others = authority
        .issue_request(&request(SystemTime::now(), "eu-2"))
        .unwrap();
    place
        .refusal(Some(&others))
        .check(1, &["certs/node.pem", "eu-2", "eu-1", "isles certs node"]);
}

#[test]
fn a_data_directory_of_another_cluster() {
    let mut place = Place::new();
    place.with_data();
    place.spec.cluster = "other".to_owned();
    place.refusal(None).check(
        1,
        &[
            "data/log/",
            "belongs to \"test\"",
            "\"other\"",
            "choose another data directory",
        ],
    );
    // Nothing was changed: its own cluster can still use it.
    place.spec.cluster = "test".to_owned();
    let node = Node::alone(place.folder.path(), place.spec.clone());
    let value: String = cmd("GET").arg("key").query(&mut node.connect()).unwrap();
    assert_eq!(value, "value");
}

#[test]
fn a_data_directory_of_another_node_or_region() {
    let mut place = Place::new();
    let owner = place.with_data().path("data/node.toml");
    let check = |place: &Place, says: &str| {
        place.refusal(None).check(
            1,
            &[
                "belongs to node eu-1 of region eu",
                says,
                "choose another data_dir",
                "data/node.toml",
            ],
        );
    };
    place.spec.region = "us".to_owned();
    check(&place, "says node eu-1 of region us");
    let value = |place: &Place| -> String {
        let mut node = Node::alone(place.folder.path(), place.spec.clone());
        let value = cmd("GET").arg("key").query(&mut node.connect()).unwrap();
        node.stop();
        value
    };
    // The way to rename, as the error says.
    let noted = std::fs::read_to_string(&owner).unwrap();
    std::fs::write(&owner, noted.replace("region = \"eu\"", "region = \"us\"")).unwrap();
    assert_eq!(value(&place), "value");
    // Directories of before have no such file; they get one.
    std::fs::remove_file(&owner).unwrap();
    place.spec.region = "eu".to_owned();
    assert_eq!(value(&place), "value");
    assert_eq!(std::fs::read_to_string(&owner).unwrap(), noted);
    place.spec.data_dir = Some(place.folder.path().join("eu-1/data"));
    place.spec.node = "eu-2".to_owned();
    check(&place, "says node eu-2 of region eu");
}

#[test]
fn a_data_directory_of_a_newer_format() {
    let place = Place::new();
    let files = place.with_data();
    let segment = files.segments().pop().unwrap();
    support::patch(&segment, |bytes| {
        // docs/format.md: the version at byte 8, the size of the header at 12, its check at 16.
        bytes[8..10].copy_from_slice(&99_u16.to_le_bytes());
        let size = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        hash.update(&bytes[..16]);
        hash.update(&bytes[24..size]);
        bytes[16..24].copy_from_slice(&hash.digest().to_le_bytes());
    });
    let name = segment.file_name().unwrap().to_str().unwrap();
    place
        .refusal(None)
        .check(1, &[name, "format 99", "run the newer version"]);
}

#[test]
fn a_log_that_was_damaged() {
    let place = Place::new();
    let files = place.with_data();
    let segment = files.segments().pop().unwrap();
    support::patch(&segment, |bytes| {
        let size = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        bytes[size + 30] ^= 1;
    });
    let name = segment.file_name().unwrap().to_str().unwrap();
    place.refusal(None).check(
        1,
        &[name, "damaged at byte", "restore this file from a backup"],
    );
}

#[test]
fn a_log_or_a_table_that_is_gone() {
    let place = Place::new();
    let files = place.with_data();
    let (log, aside) = (files.path("data/log"), files.path("aside"));
    std::fs::rename(&log, &aside).unwrap();
    place.refusal(None).check(
        1,
        &[
            "data",
            "the log was removed or is an older copy",
            "start empty beside its peers",
        ],
    );
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    let node = Node::alone(place.folder.path(), place.spec.clone());
    let value: String = cmd("GET").arg("key").query(&mut node.connect()).unwrap();
    assert_eq!(value, "value");
}

#[test]
fn a_data_directory_in_use() {
    let mut place = Place::new();
    let owner = Node::alone(place.folder.path(), place.spec.clone());
    let mut ports = Ports::take();
    place.spec = Spec {
        data_dir: Some(owner.files.path("data")),
        ..Spec::alone("eu-2", "eu", &mut ports)
    };
    let data = owner.files.path("data").display().to_string();
    place.refusal(None).check(
        1,
        &[
            &data,
            "in use by another process (pid ",
            "stop that process or choose another",
        ],
    );
    cmd("SET")
        .arg("key")
        .arg("value")
        .exec(&mut owner.connect())
        .unwrap();
}

#[test]
fn a_data_directory_that_cannot_be() {
    let mut place = Place::new();
    let file = place.folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    place.spec.data_dir = Some(file.join("data"));
    place.refusal(None).check(
        1,
        &[
            &file.join("data").display().to_string(),
            "choose another data_dir",
        ],
    );
}

/// Fills a disk until the node gives up; what it acknowledged before must be there once there is room again.
fn check_full(place: &Place, start: Command, says: &str, make_room: impl FnOnce() -> Command) {
    let files = Files::write(place.folder.path(), &place.spec, None);
    let mut node = Node::new(place.spec.clone(), files);
    node.spawn_as(start);
    node.await_ready();
    let mut client = node.connect();
    let value = "x".repeat(100_000);
    let mut acknowledged = 0;
    let refusal = loop {
        let answer: redis::RedisResult<()> = cmd("SET")
            .arg(format!("key:{acknowledged}"))
            .arg(&value)
            .query(&mut client);
        match answer {
            Ok(()) => acknowledged += 1,
            Err(error) => break error.to_string(),
        }
        assert!(acknowledged < 5_000, "the disk was to be full by now");
    };
    let stopped = node.await_end();
    stopped.check(1, &["data/log/", says, "restart the node"]);
    assert!(acknowledged > 0, "{refusal}");
    node.spawn_as(make_room());
    node.await_ready();
    let mut client = node.connect();
    for number in 0..acknowledged {
        let length: usize = cmd("STRLEN")
            .arg(format!("key:{number}"))
            .query(&mut client)
            .unwrap();
        assert_eq!(
            length,
            value.len(),
            "key:{number} of {acknowledged} was acknowledged"
        );
    }
}

fn start(place: &Place) -> Command {
    let config = place.folder.path().join("eu-1/isles.toml");
    isles(&["start", "--config", config.to_str().unwrap()])
}

// A limit on the size of files stands for a disk that takes nothing; whoever runs the tests need not be root for it.
#[test]
fn a_disk_that_takes_nothing() {
    let place = Place::new();
    let files = Files::write(place.folder.path(), &place.spec, None);
    let binary = env!("CARGO_BIN_EXE_isles");
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec {binary} start --config {}",
        files.config().display()
    );
    let mut limited = Command::new("sh");
    let stopped = Stopped::of(&limited.args(["-c", &script]).output().unwrap());
    stopped.check(
        1,
        &[
            "data/log/00000000000000000001.log",
            "File too large",
            "check the disk",
        ],
    );
    assert_eq!(
        stopped.complaint.matches("File too large").count(),
        1,
        "{}",
        stopped.complaint
    );
}

/// A small disk, where the system lets us have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        let done = mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        done.status.success().then(|| SmallDisk(at.to_owned()))
    }

    fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        let done = mount
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.folder.path().join("eu-1/data"), "24m") else {
        println!("skipped: only root can mount a small disk");
        return;
    };
    check_full(&place, start(&place), "no space left", || {
        disk.resize("200m");
        start(&place)
    });
}

#[test]
fn a_node_that_is_well_says_so() {
    let place = Place::new();
    let mut node = Node::alone(place.folder.path(), place.spec.clone());
    eventually("it says where it serves", || {
        node.log().contains(&place.spec.redis.to_string())
    });
    node.stop();
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}
