//! A merge function in WebAssembly that is loaded in one region answers in every one, and still does after a restart.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::{Connection, RedisResult, cmd};
use support::{Cluster, Node, Options, eventually, isles, metric};

const CART: &[u8] = include_bytes!("../../resolver/examples/cart.wasm");
const PICKY: &str = include_str!("../../../docs/examples/resolvers/fails-for-x.wat");

fn load(client: &mut Connection, name: &str, module: &[u8], samples: &[&str]) -> RedisResult<()> {
    let mut load = cmd("ISLES.RESOLVER");
    load.arg("LOAD").arg(name).arg(module).arg(samples);
    load.exec(client)
}

fn get(client: &mut Connection, key: &str) -> String {
    cmd("GET").arg(key).query(client).unwrap()
}

fn check_everywhere(cluster: &Cluster) {
    for mut client in cluster.connect() {
        assert_eq!(get(&mut client, "cart:1"), "bread 1\neggs 6\nmilk 2\n");
        let script = "return redis.call('GET', 'cart:2')";
        let answer: String = cmd("EVAL").arg(script).arg(0).query(&mut client).unwrap();
        assert_eq!(answer, "bread 1\neggs 6\n");
        assert_eq!(get(&mut client, "x:1"), "xb");
    }
    let flagged = |node: &Node| metric(node, "isles_resolver_failed_keys") == 1.0;
    eventually("both regions flag the key", || {
        cluster.nodes.iter().all(flagged)
    });
    for node in &cluster.nodes {
        assert!(metric(node, "isles_resolver_failures_total") >= 1.0);
    }
}

#[test]
fn one_load_serves_all_regions() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    let mut clients = cluster.connect();
    load(&mut clients[0], "cart", CART, &["milk 1\n", "eggs 6 1\n"]).unwrap();
    load(
        &mut clients[0],
        "picky",
        &wat::parse_str(PICKY).unwrap(),
        &[],
    )
    .unwrap();
    for (prefix, lens) in [("cart:", "wasm:cart"), ("x:", "wasm:picky")] {
        let mut define = cmd("ISLES.KEYSPACE");
        define.arg("SET").arg(prefix).arg(lens);
        define.exec(&mut clients[0]).unwrap();
    }
    cluster.await_convergence();
    // An alert on a first failure needs the gauge to be there before it.
    for node in &cluster.nodes {
        let shown = node.admin("/metrics");
        assert!(
            shown.contains("\nisles_resolver_failed_keys 0\n"),
            "{shown}"
        );
    }
    cluster.isolate(0);
    for (client, [one, two, x]) in clients.iter_mut().zip([
        ["milk 2\nbread 1", "bread 1", "xa"],
        ["eggs 6\nmilk 1", "eggs 6", "xb"],
    ]) {
        for (key, value) in [("cart:1", one), ("cart:2", two), ("x:1", x)] {
            cmd("SET").arg(key).arg(value).exec(client).unwrap();
        }
    }
    cluster.rejoin(0);
    cluster.await_convergence();
    check_everywhere(&cluster);
    cluster.nodes.iter_mut().for_each(Node::stop);
    cluster.nodes.iter_mut().for_each(Node::start);
    check_everywhere(&cluster);
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    check_everywhere(&cluster);
}

// What a module would have made of conflicts is best known before it is let loose on them.
#[test]
fn a_module_is_tried_on_the_journal() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    let mut clients = cluster.connect();
    load(&mut clients[0], "cart", CART, &["milk 1\n", "eggs 6 1\n"]).unwrap();
    cluster.await_convergence();
    cluster.isolate(0);
    for (client, [cart, other]) in clients
        .iter_mut()
        .zip([["milk 2\nbread 1", "no cart"], ["eggs 6\nmilk 1", "eggs 6"]])
    {
        for (key, value) in [("cart:1", cart), ("cart:2", other)] {
            cmd("SET").arg(key).arg(value).exec(client).unwrap();
        }
    }
    cluster.rejoin(0);
    cluster.await_convergence();
    let node = &cluster.nodes[1];
    let redis = node.spec.redis.to_string();
    let words = [
        "conflicts",
        "replay",
        "--strategy",
        "wasm:cart",
        "--redis",
        &redis,
    ];
    let output = isles(&words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.starts_with("1 of 1 conflicts would have had another answer under wasm:cart\n1 more would have been left to readers"),
        "{output:?}"
    );
    let answer = node.admin("/conflicts/replay?strategy=wasm:cart");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer["sample"][0]["then"]["value"],
        "bread 1\neggs 6\nmilk 2\n"
    );
    assert_eq!(answer["undecided"], 1);
}

#[test]
fn other_clients_are_served_while_a_module_is_checked() {
    let cluster = Cluster::start(&Options {
        nodes: 1,
        ..Options::default()
    });
    let (mut loading, mut other) = (cluster.nodes[0].connect(), cluster.nodes[0].connect());
    let samples: Vec<String> = (0..40)
        .map(|item| format!("item-{item} {item}\n"))
        .collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        scope.spawn(|| {
            let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
            load(&mut loading, "cart", CART, &samples).unwrap();
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut served = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            cmd("SET").arg("k").arg(served).exec(&mut other).unwrap();
            served += 1;
        }
        served
    });
    assert!(
        served > 10,
        "only {served} writes while a module was checked"
    );
}

#[test]
fn the_command_line_checks_modules() {
    let folder = tempfile::tempdir().unwrap();
    let [module, samples, bad] =
        ["cart.wasm", "samples", "bad.wasm"].map(|name| folder.path().join(name));
    std::fs::write(&module, CART).unwrap();
    std::fs::write(&bad, wat::parse_str(PICKY).unwrap()).unwrap();
    std::fs::create_dir(&samples).unwrap();
    for (name, value) in [("1", "milk 1\n"), ("2", "x 6 1\n"), ("3", "x 0 2\n")] {
        std::fs::write(samples.join(name), value).unwrap();
    }
    let check = |module: &std::path::Path| {
        let words = [
            "resolver",
            "check",
            module.to_str().unwrap(),
            "--samples",
            samples.to_str().unwrap(),
        ];
        isles(&words).output().unwrap()
    };
    let output = check(&module);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("keeps the laws, as far as ") && said.contains(" of 3 samples"),
        "{said}"
    );
    let output = check(&bad);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said.contains("bad.wasm is refused: the resolver crashed: "),
        "{said}"
    );
    assert!(said.contains("\n  siblings:\n    \"x 0 2\\n\"\n"), "{said}");
    let text = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/examples/resolvers/longest.wat"
    );
    let output = check(std::path::Path::new(text));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("this is WebAssembly text: compile it first")
            && output.status.code() == Some(1),
        "{said}"
    );
    let missing = folder.path().join("missing.wasm");
    let output = check(&missing);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("error: cannot read ") && output.status.code() == Some(1),
        "{said}"
    );
}
