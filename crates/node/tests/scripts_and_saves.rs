//! What operators and their tools ask of a node besides data: checkpoints, an end, enough replicas, and to live on beside a script.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::{Connection, RedisResult, Value};
use support::{Cluster, Files, Node, Options, Ports, Spec, eventually, isles};

fn ask(connection: &mut Connection, words: &[&str]) -> RedisResult<Value> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query(connection)
}

/// The code and the text of a refusal.
fn refusal(connection: &mut Connection, words: &[&str]) -> String {
    let error = ask(connection, words).unwrap_err();
    let code = error.code().unwrap_or_default().to_owned();
    format!("{code} {}", error.detail().unwrap_or_default())
}

fn info(connection: &mut Connection, name: &str) -> u64 {
    let text: String = redis::cmd("INFO").query(connection).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_save_is_a_checkpoint() {
    let (folder, mut ports) = (tempfile::tempdir().unwrap(), Ports::take());
    let mut spec = Spec::alone("eu-1", "eu", &mut ports);
    // None is made by itself while the test runs.
    spec.more = "[checkpoint]\ninterval_ms = 3600000\n".to_owned();
    let mut node = Node::alone(folder.path(), spec);
    let mut client = node.connect();
    let began = info(&mut client, "rdb_last_save_time");
    for number in 0..3 {
        ask(&mut client, &["SET", "a", &number.to_string()]).unwrap();
    }
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), 3);
    let before = node.status()["checkpoint"].as_u64().unwrap();
    assert_eq!(ask(&mut client, &["SAVE"]).unwrap(), Value::Okay);
    assert_eq!(node.status()["checkpoint"], before + 1);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), 0);
    assert_eq!(info(&mut client, "rdb_saves"), 1);
    let last: u64 = redis::cmd("LASTSAVE").query(&mut client).unwrap();
    assert!(last >= began);
    ask(&mut client, &["SET", "a", "4"]).unwrap();
    let started = Value::SimpleString("Background saving started".to_owned());
    assert_eq!(ask(&mut client, &["BGSAVE"]).unwrap(), started);
    eventually("the checkpoint is made", || {
        info(&mut client, "rdb_saves") == 2
    });
    assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), 0);
    node.kill();
    node.start();
    let kept: String = redis::cmd("GET")
        .arg("a")
        .query(&mut node.connect())
        .unwrap();
    assert_eq!(kept, "4");
}

#[test]
fn a_client_stops_a_node_where_it_may() {
    let (folder, mut ports) = (tempfile::tempdir().unwrap(), Ports::take());
    let mut node = Node::alone(folder.path(), Spec::alone("eu-1", "eu", &mut ports));
    let answer = refusal(&mut node.connect(), &["SHUTDOWN", "NOSAVE"]);
    assert!(answer.contains("redis.allow_shutdown"), "{answer}");
    node.stop();
    let config = node.files.config();
    let command = ["start", "--config", config.to_str().unwrap()];
    node.spawn_as(isles(
        &[&command[..], &["--redis-allow-shutdown", "yes"]].concat(),
    ));
    node.await_ready();
    let mut client = node.connect();
    ask(&mut client, &["SET", "a", "1"]).unwrap();
    // The script is ended for it, and undone.
    ask(&mut client, &["CONFIG", "SET", "lua-time-limit", "100"]).unwrap();
    let mut busy = node.connect();
    let script = std::thread::spawn(move || {
        refusal(
            &mut busy,
            &["EVAL", "redis.call('set', 'a', 2) while true do end", "0"],
        )
    });
    eventually("the script is late", || {
        let answer = ask(&mut client, &["GET", "a"]);
        answer.is_err_and(|error| error.code() == Some("BUSY"))
    });
    assert!(refusal(&mut client, &["SHUTDOWN"]).starts_with("BUSY "));
    assert!(
        ask(&mut client, &["SHUTDOWN", "NOSAVE"]).is_err(),
        "there is no answer"
    );
    assert_eq!(node.await_end().code, Some(0));
    let ended = script.join().unwrap();
    assert!(ended.contains("nothing of it was done"), "{ended}");
    node.start();
    let kept: String = redis::cmd("GET")
        .arg("a")
        .query(&mut node.connect())
        .unwrap();
    assert_eq!(kept, "1");
}

#[test]
fn writes_are_refused_without_enough_replicas() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    cluster.await_connected();
    let mut client = cluster.nodes[0].connect();
    ask(
        &mut client,
        &[
            "CONFIG",
            "SET",
            "min-replicas-to-write",
            "1",
            "min-replicas-max-lag",
            "2",
        ],
    )
    .unwrap();
    eventually("the peer has acknowledged", || {
        ask(&mut client, &["SET", "a", "1"]).is_ok()
    });
    assert_eq!(info(&mut client, "min_slaves_good_slaves"), 1);
    cluster.isolate(0);
    eventually("the peer is missed", || {
        let answer = ask(&mut client, &["SET", "a", "2"]);
        answer.is_err_and(|error| error.code() == Some("NOREPLICAS"))
    });
    assert!(ask(&mut client, &["GET", "a"]).is_ok());
    cluster.rejoin(0);
    eventually("the peer is back", || {
        ask(&mut client, &["SET", "a", "3"]).is_ok()
    });
}

// Nodes give each other up after 5 s of silence; before, a script kept the thread that said they live.
#[test]
fn peers_and_operators_hear_a_node_whose_replica_a_script_holds() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    cluster.await_connected();
    let sessions = || {
        cluster
            .nodes
            .iter()
            .map(|node| node.log().matches("established").count())
            .sum::<usize>()
    };
    let before = sessions();
    let mut client = cluster.nodes[0].connect();
    ask(&mut client, &["CONFIG", "SET", "script-time-max", "8000"]).unwrap();
    let script = std::thread::spawn(move || {
        refusal(
            &mut client,
            &["EVAL", "redis.call('set', 'a', 1) while true do end", "0"],
        )
    });
    // Its own late answers show that the other node hears it: it is asked over and over until the script has ended.
    while !script.is_finished() {
        assert_eq!(cluster.nodes[0].admin("/healthz").trim(), "ok");
        assert!(cluster.nodes[1].is_connected_to("eu-1"));
        std::thread::yield_now();
    }
    assert!(script.join().unwrap().contains("script-time-max"));
    assert_eq!(sessions(), before, "a session was given up");
    ask(&mut cluster.nodes[0].connect(), &["SET", "a", "2"]).unwrap();
    cluster.await_convergence();
}

#[test]
fn the_time_of_scripts_is_configured() {
    let (folder, mut ports) = (tempfile::tempdir().unwrap(), Ports::take());
    let spec = Spec::alone("eu-1", "eu", &mut ports);
    let files = Files::write(folder.path(), &spec, None);
    let mut node = Node::new(spec, files);
    let config = node.files.config();
    let command = ["start", "--config", config.to_str().unwrap()];
    node.spawn_as(isles(
        &[&command[..], &["--redis-script-time-max-ms", "50"]].concat(),
    ));
    node.await_ready();
    let answer = refusal(&mut node.connect(), &["EVAL", "while true do end", "0"]);
    assert!(answer.contains("script-time-max (50 ms)"), "{answer}");
}
