//! What regions lost to each other is found, understood and put right with the program's own tools, over all three ways.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::Commands;
use serde_json::Value;
use support::{Cluster, Node, Options, isles};

/// Two regions that have written some keys at once, while they were cut from each other.
fn after_a_cut(keys: &[&str]) -> Cluster {
    let cluster = Cluster::start(&Options {
        relayed: true,
        ..Options::default()
    });
    let mut clients = cluster.connect();
    cluster.await_convergence();
    (0..3).for_each(|node| cluster.isolate(node));
    for key in keys {
        for (region, client) in clients.iter_mut().take(2).enumerate() {
            let _: () = client.set(key, format!("{key} from {region}")).unwrap();
        }
    }
    (0..3).for_each(|node| cluster.rejoin(node));
    cluster.await_convergence();
    cluster
}

/// Runs `isles conflicts` against a node; what it prints, and whether it succeeds.
fn conflicts(node: &Node, arguments: &[&str]) -> (String, bool) {
    let mut all = vec!["conflicts"];
    all.extend(arguments);
    let address = node.spec.redis.to_string();
    all.extend(["--redis", &address]);
    let output = isles(&all).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout) + &text(&output.stderr),
        output.status.success(),
    )
}

fn good(node: &Node, arguments: &[&str]) -> String {
    let (text, success) = conflicts(node, arguments);
    assert!(success, "isles conflicts {arguments:?}: {text}");
    text
}

fn lines(node: &Node, arguments: &[&str]) -> Vec<Value> {
    let mut all = arguments.to_vec();
    all.push("--json");
    let text = good(node, &all);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[test]
fn by_the_command_line() {
    let cluster = after_a_cut(&["cart:1", "cart:2", "cart:3", "other"]);
    let [one, two, ..] = &cluster.nodes[..] else {
        panic!("there are three nodes");
    };
    let table = good(one, &["list"]);
    assert!(
        table.contains("write-write") && table.contains("cart:1"),
        "{table}"
    );
    let found = lines(one, &["list", "--key", "cart:*", "--state", "open"]);
    assert_eq!(found.len(), 3);
    assert!(lines(one, &["list", "--since", "0s", "--until", "1"]).is_empty());
    assert_eq!(lines(one, &["list", "--kind", "expiry"]).len(), 0);
    let first = &found[0];
    let regions = [text(first, "/winner/region"), text(first, "/loser/region")];
    assert_ne!(regions[0], regions[1]);
    assert!(!lines(one, &["list", "--loser-region", regions[1]]).is_empty());
    let id = text(first, "/id");
    let whole = good(one, &["show", id]);
    assert!(whole.contains(text(first, "/loser/value")), "{whole}");
    assert!(whole.contains("open: nobody"), "{whole}");

    // One by its id, and what that means in the other region.
    let said = good(one, &["restore", id]);
    assert!(said.starts_with("restored by entry"), "{said}");
    cluster.await_convergence();
    let mut client = two.connect();
    let value: String = client.get(text(first, "/key")).unwrap();
    assert_eq!(value, text(first, "/loser/value"));
    let there = &lines(two, &["show", id])[0];
    assert_eq!(text(there, "/resolved/how"), "explicit");
    let again = good(two, &["restore", id]);
    assert!(again.contains("put right before"), "{again}");

    // Many by a filter; a run that ended early goes on, and does nothing twice.
    let preview = good(one, &["restore", "--key", "cart:*", "--dry-run"]);
    assert!(
        preview.contains("2 lost writes to restore") && preview.contains("nothing was written"),
        "{preview}"
    );
    let part = good(
        one,
        &["restore", "--key", "cart:*", "--apply", "--limit", "1"],
    );
    assert!(part.contains("1 restored"), "{part}");
    let rest = good(one, &["restore", "--key", "cart:*", "--apply"]);
    assert!(rest.contains("1 restored"), "{rest}");
    let none = good(one, &["restore", "--key", "cart:*", "--apply"]);
    assert!(none.contains("0 restored"), "{none}");
    assert!(lines(one, &["list", "--key", "cart:*", "--state", "open"]).is_empty());

    // An answer of one's own.
    let said = good(one, &["resolve", "other", "--value", "mine"]);
    assert!(said.contains("1 records are resolved"), "{said}");
    cluster.await_convergence();
    let value: String = client.get("other").unwrap();
    assert_eq!(value, "mine");

    let replayed = good(one, &["replay", "--strategy", "fww"]);
    assert!(
        replayed.contains("4 of 4 conflicts would have had another answer"),
        "{replayed}"
    );
    let stats = &lines(one, &["stats"])[0];
    assert_eq!(
        (stats["records"].as_u64(), stats["open"].as_u64()),
        (Some(4), Some(0))
    );
    let followed = lines(one, &["follow", "--after", "0", "--count", "4"]);
    assert_eq!(followed.len(), 4);
    let table = good(one, &["stats"]);
    assert!(
        table.contains("KEYSPACE") && table.contains("HOT KEY"),
        "{table}"
    );
}

// Definitions of keyspaces are replicated values, and can be in conflict; but nobody restores them as values.
#[test]
fn what_belongs_to_isles_is_left_out_of_a_run() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    let mut clients = cluster.connect();
    cluster.await_convergence();
    cluster.isolate(0);
    for (client, strategy) in clients.iter_mut().zip(["max", "min"]) {
        let mut define = redis::cmd("ISLES.KEYSPACE");
        define.arg("SET").arg("score:").arg(strategy);
        define.exec(client).unwrap();
        let _: () = client.set("k", strategy).unwrap();
    }
    cluster.rejoin(0);
    cluster.await_convergence();
    let node = &cluster.nodes[0];
    assert_eq!(lines(node, &["list", "--state", "open"]).len(), 2);
    for (mode, ends) in [
        ("--dry-run", "nothing was written"),
        ("--apply", "1 restored"),
    ] {
        let said = good(node, &["restore", mode]);
        assert!(
            said.contains("\n1 lost writes to restore\n1 are about definitions of Isles")
                && said.contains(ends),
            "{said}"
        );
    }
}

#[test]
fn by_http_and_mistakes_are_explained() {
    let cluster = after_a_cut(&["cart:1"]);
    let node = &cluster.nodes[0];
    let page: Value =
        serde_json::from_str(&node.admin("/conflicts?key=cart:*&state=open")).unwrap();
    let id = text(&page, "/records/0/id").to_owned();
    assert_eq!(text(&page, "/records/0/key"), "cart:1");
    let one: Value = serde_json::from_str(&node.admin(&format!("/conflicts/{id}"))).unwrap();
    assert_eq!(text(&one, "/id"), id);
    let stats: Value = serde_json::from_str(&node.admin("/conflicts/stats")).unwrap();
    assert_eq!(stats["open"].as_u64(), Some(1));
    for (query, words) in [
        ("stats?x=1", "STATS has no option 'X'"),
        ("hot?count=-1", "no '-1'"),
        ("replay?strategy=wasm:cart", "no resolver 'cart' is loaded"),
    ] {
        let said = node.admin(&format!("/conflicts/{query}"));
        assert!(said.contains(words), "{query}: {said}");
    }
    let hot: Value = serde_json::from_str(&node.admin("/conflicts/hot?count=0")).unwrap();
    assert_eq!(hot["keys"].as_array().map(Vec::len), Some(0));
    // Keys need not be text.
    for (key, found) in [("%ff*", 0), ("%63art*", 1)] {
        let page = node.admin(&format!("/conflicts?key={key}"));
        let page: Value = serde_json::from_str(&page).unwrap();
        assert_eq!(page["records"].as_array().map(Vec::len), Some(found));
    }
    for (arguments, words) in [
        (&["show", "123"][..], "32 hexadecimal digits"),
        (&["show", &"0".repeat(32)], "no record"),
        (&["list", "--since", "yesterday"], "such as 90s"),
        (&["replay", "--strategy", "best"], "expected one of: lww"),
        (&["resolve", "cart:1", "--dot", "x:1"], "there are: "),
        (
            &["resolve", "nothing", "--value", "x"],
            "'nothing' has neither siblings nor open records",
        ),
        (&["follow", "--after", "999999"], "another node"),
    ] {
        let (said, success) = conflicts(node, arguments);
        assert!(!success && said.contains(words), "{arguments:?}: {said}");
    }
}

// The records had other ids, other places and other times after a kill.
#[test]
fn a_killed_node_has_the_same_journal() {
    let mut cluster = after_a_cut(&["a", "b", "c"]);
    let before = lines(&cluster.nodes[0], &["list"]);
    let id = text(&before[1], "/id");
    good(&cluster.nodes[0], &["restore", id]);
    cluster.await_convergence();
    let before = lines(&cluster.nodes[0], &["list"]);
    let node = &mut cluster.nodes[0];
    node.kill();
    node.start();
    assert_eq!(lines(node, &["list"]), before);
}

/// Conflicts of which the journal cannot keep all.
const MANY: usize = 4_000;

#[test]
fn the_journal_keeps_within_what_the_configuration_says() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        durability: "interval",
        relayed: true,
        more: "[journal]\nbytes = \"2MiB\"\nage_ms = 60000000\n".to_owned(),
    });
    cluster.await_connected();
    cluster.link(0, 1).cut();
    for (region, client) in cluster.connect().iter_mut().enumerate() {
        let mut writes = redis::pipe();
        for key in 0..MANY {
            let value = format!("{region}{key:0>1000}");
            writes.set(format!("key:{key}"), value).ignore();
        }
        let () = writes.query(client).unwrap();
    }
    cluster.link(0, 1).heal();
    cluster.await_connected();
    cluster.await_convergence();
    for node in &cluster.nodes {
        let stats = &lines(node, &["stats"])[0];
        let number = |name: &str| stats[name].as_u64().unwrap();
        assert_eq!(number("bytes_max"), 2 << 20);
        assert_eq!(number("age_ms_max"), 60_000_000);
        assert!(number("bytes") <= 2 << 20, "{stats}");
        assert!(number("bytes") > 1 << 20, "{stats}");
        let (kept, dropped) = (number("records"), number("dropped_since_start"));
        assert!(dropped > 0, "{stats}");
        assert_eq!(kept + dropped, MANY as u64, "{stats}");
        let metrics = node.admin("/metrics");
        let shown = format!("isles_journal_dropped_total {dropped}\n");
        assert!(metrics.contains(&shown), "{dropped} are dropped");
    }
}
