use super::key::{KEYS, Kind};
use super::*;

const MINIMAL: &str = "cluster = \"c\"\nnode = \"eu-1\"\nregion = \"eu\"\ndata_dir = \"data\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    let path = Path::new("/etc/isles/isles.toml");
    let mut layers = Layers::default();
    layers.read(path, text);
    check::check(layers, &Origin::File("isles.toml".into()))
}

/// The whole of the error for a file that begins with the four required keys.
fn check_error(rest: &str, expected: &str) {
    let error = parse(&format!("{MINIMAL}{rest}")).unwrap_err().to_string();
    assert_eq!(error.replace("/etc/isles/", ""), expected, "for {rest}");
}

#[test]
fn defaults_are_what_the_table_says() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.durability, Durability::Always);
    assert_eq!(config.redis.listen.to_string(), "127.0.0.1:6379");
    assert_eq!(config.redis.max_request_bytes, 64 << 20);
    assert_eq!(config.log.retention_bytes, 1 << 30);
    assert_eq!(config.peers.listen, None);
    assert!(config.redis.worker_threads >= 1);
}

#[test]
fn the_example_works_as_it_stands() {
    let config = parse(&example()).unwrap();
    assert_eq!(
        (config.cluster.as_str(), config.node.as_str()),
        ("example", "eu-1")
    );
    assert_eq!(config.data_dir, Path::new("/etc/isles/isles-data"));
}

#[test]
fn the_example_works_with_every_line_switched_on() {
    let is_key = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    let text = example();
    assert!(
        text.lines().filter(is_key).count() > 15,
        "the example shows optional keys"
    );
    let full: String = text
        .lines()
        .map(|line| {
            if is_key(&line) {
                format!("{}\n", &line[1..])
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let config = parse(&full).unwrap();
    assert_eq!(config.peer.len(), 1);
    assert_eq!(
        config.tls.unwrap().ca,
        Path::new("/etc/isles/certs/eu-1/ca.pem")
    );
}

#[test]
fn every_key_is_read_and_its_example_and_default_are_good() {
    let reader = include_str!("check.rs");
    for key in KEYS {
        assert!(
            reader.contains(&format!("\"{}\"", key.name)),
            "nobody reads {}",
            key.name
        );
        let mut layers = Layers::default();
        layers.read(Path::new("f"), MINIMAL);
        layers.set(key, key.example, Origin::Default);
        let problems = check::check(layers, &Origin::Default)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            !problems.contains(&format!("{} = ", key.in_toml(key.example))),
            "{}: {problems}",
            key.name
        );
    }
}

#[test]
fn a_flag_beats_a_variable_beats_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{MINIMAL}[redis]\nmax_clients = 1\n")).unwrap();
    let variable = (
        "redis.max_clients",
        "2".to_owned(),
        Origin::Variable("ISLES_REDIS_MAX_CLIENTS".into()),
    );
    let flag = (
        "redis.max_clients",
        "3".to_owned(),
        Origin::Flag("--redis-max-clients".into()),
    );
    let clients = |values: Vec<_>| {
        Config::load(
            Some(file.path()),
            &Overrides {
                values,
                peers: None,
            },
        )
        .unwrap()
        .redis
        .max_clients
    };
    assert_eq!(clients(vec![]), 1);
    assert_eq!(clients(vec![variable.clone()]), 2);
    assert_eq!(clients(vec![variable, flag]), 3);
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    check_error(
        "[redis]\nlisen = \"x\"\n",
        "isles.toml:6: unknown key redis.lisen; did you mean redis.listen?",
    );
    check_error(
        "frobnicate = 1\n",
        "isles.toml:5: unknown key frobnicate; `isles config example` lists every key",
    );
    check_error(
        "[tls]\nca = \"a\"\ncert = \"b\"\nkey = \"c\"\n[[peer]]\nnode = \"us-1\"\nregion = \"us\"\nadress = \"h:1\"\n",
        "isles.toml:12: unknown key adress; did you mean address?\n\
         isles.toml:9: the peer has no address; for example address = \"us-1.example.org:7400\"",
    );
}

#[test]
fn bad_values_name_line_value_and_a_good_one() {
    check_error(
        "durability = \"sometimes\"\n",
        "isles.toml:5: durability = \"sometimes\" is not one of always, interval, never; for example durability = \"always\"",
    );
    check_error(
        "[redis]\nlisten = \"6379\"\n",
        "isles.toml:6: redis.listen = \"6379\" is not an IP address with a port; for example redis.listen = \"127.0.0.1:6379\"",
    );
    check_error(
        "[redis]\nmax_clients = 0\n",
        "isles.toml:6: redis.max_clients = 0 is not between 1 and 1000000; for example redis.max_clients = 10000",
    );
    check_error(
        "[redis]\nmax_clients = \"many\"\n",
        "isles.toml:6: redis.max_clients = many is text, not a number; for example redis.max_clients = 10000",
    );
    check_error(
        "[log]\nsegment_bytes = \"64 potatoes\"\n",
        "isles.toml:6: log.segment_bytes = \"64 potatoes\" is not a number of bytes; for example log.segment_bytes = \"64MiB\"",
    );
    check_error(
        "[clock]\nmax_skew_ms = true\n",
        "isles.toml:6: clock.max_skew_ms does not take boolean; for example clock.max_skew_ms = 500",
    );
}

#[test]
fn broken_syntax_names_its_line() {
    let error = parse("cluster = \"c\"\nnode = \n").unwrap_err().to_string();
    assert!(error.starts_with("/etc/isles/isles.toml:2: "), "{error}");
}

#[test]
fn broken_syntax_is_all_that_is_said() {
    let text = "cluster = \"x\"\nnode = \"a\nregion = \"eu\"\n";
    let error = parse(text).unwrap_err();
    assert_eq!(error.0.len(), 1, "{error}");
    assert!(
        error.to_string().starts_with("/etc/isles/isles.toml:2: "),
        "{error}"
    );
}

#[test]
fn all_problems_come_at_once() {
    let error = parse("node = \"EU 1\"\n[redis]\nlisten = 5\n").unwrap_err();
    assert_eq!(error.0.len(), 5, "{error}");
    assert!(error.to_string().contains(
        "cluster is missing; for example cluster = \"example\" (or --cluster, or ISLES_CLUSTER)"
    ));
}

#[test]
fn nodes_have_their_own_names_and_addresses() {
    let tls = "[tls]\nca = \"a\"\ncert = \"b\"\nkey = \"c\"\n";
    let peer = |node: &str, address: &str| {
        format!("[[peer]]\nnode = \"{node}\"\nregion = \"us\"\naddress = \"{address}\"\n")
    };
    check_error(
        &format!("{tls}{}", peer("eu-1", "h:1")),
        "isles.toml:9: the peer has this node's own name, eu-1; every node needs its own, for example eu-1-2",
    );
    check_error(
        &format!("{tls}{}{}", peer("us-1", "h:1"), peer("us-1", "i:1")),
        "isles.toml:13: two peers are named us-1; every node needs its own name, for example us-1-2",
    );
    check_error(
        &format!("{tls}{}{}", peer("us-1", "h:1"), peer("us-2", "h:1")),
        "isles.toml:13: peers us-1 and us-2 have one address, h:1",
    );
    check_error(
        &format!("{tls}{}", peer("us-1", "h")),
        "isles.toml:12: address of the peer is 'h', without a port; for example address = \"us-1.example.org:7400\"",
    );
}

#[test]
fn peers_need_certificates() {
    let advice =
        "give tls.ca, tls.cert and tls.key; `isles certs init` and `isles certs node` make them";
    check_error(
        "[peers]\nlisten = \"0.0.0.0:7400\"\n",
        &format!("isles.toml:6: peers need certificates: {advice}"),
    );
    check_error(
        "[tls]\nca = \"a\"\ncert = \"b\"\n",
        "isles.toml:6: tls.key is missing beside this; for example tls.key = \"certs/eu-1/node.key\"",
    );
}

#[test]
fn listeners_do_not_share_a_port() {
    let listen = |redis: &str, admin: &str| {
        format!("[redis]\nlisten = \"{redis}\"\n[admin]\nlisten = \"{admin}\"\n")
    };
    for (redis, admin) in [
        ("127.0.0.1:7000", "127.0.0.1:7000"),
        ("0.0.0.0:7000", "127.0.0.1:7000"),
        ("127.0.0.1:7000", "0.0.0.0:7000"),
        ("127.0.0.1:7000", "[::]:7000"),
        ("[::1]:7000", "[::]:7000"),
    ] {
        check_error(
            &listen(redis, admin),
            &format!(
                "isles.toml:8: redis.listen = \"{redis}\" and admin.listen = \"{admin}\" take the same port; give each its own"
            ),
        );
    }
    // With the default of the other key.
    check_error(
        "[redis]\nlisten = \"127.0.0.1:9180\"\n",
        "isles.toml:6: redis.listen = \"127.0.0.1:9180\" and admin.listen = \"127.0.0.1:9180\" take the same port; give each its own",
    );
    for (redis, admin) in [
        ("127.0.0.1:7000", "127.0.0.1:7001"),
        ("127.0.0.1:7000", "127.0.0.2:7000"),
        ("[::1]:7000", "0.0.0.0:7000"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        assert!(parse(&format!("{MINIMAL}{}", listen(redis, admin))).is_ok());
    }
    let udp =
        "[peers]\nlisten = \"127.0.0.1:6379\"\n[tls]\nca = \"a\"\ncert = \"b\"\nkey = \"c\"\n";
    assert!(
        parse(&format!("{MINIMAL}{udp}")).is_ok(),
        "UDP has ports of its own"
    );
}

#[test]
fn peers_of_a_flag_replace_those_of_the_file() {
    let mut layers = Layers::default();
    layers.read(
        Path::new("isles.toml"),
        &format!("{MINIMAL}[tls]\nca=\"a\"\ncert=\"b\"\nkey=\"c\"\n[[peer]]\nnode=\"x\"\n"),
    );
    let flag = Origin::Flag("--peer".into());
    layers.set_peers(&["us-1@us=h:7400".to_owned()], &flag);
    let config = check::check(layers, &Origin::Default).unwrap();
    assert_eq!(
        config.peer,
        [Peer {
            node: "us-1".into(),
            region: "us".into(),
            address: "h:7400".into()
        }]
    );

    let mut layers = Layers::default();
    layers.set_peers(&["us-1".to_owned()], &flag);
    let error = check::check(layers, &Origin::Default)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("--peer: 'us-1' is not a peer; for example us-1@us="),
        "{error}"
    );
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let error = Config::load(
        Some(Path::new("/nowhere/isles.toml")),
        &Overrides::default(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("/nowhere/isles.toml: cannot be read: "),
        "{error}"
    );
    assert!(
        error.ends_with("`isles config example` prints one to start from"),
        "{error}"
    );
}

#[test]
fn limits_of_every_number_hold_its_own_default() {
    for key in KEYS {
        if let Kind::Count { min, max } | Kind::Bytes { min, max } = key.kind {
            assert!(min <= max, "{}", key.name);
        }
    }
    assert!(Config::with_defaults("c", "n", "r", Path::new("/d")).is_ok());
}
