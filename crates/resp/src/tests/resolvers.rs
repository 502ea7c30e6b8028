//! Merge functions in WebAssembly: loading, reading through them, and what is said where they fail.

use super::*;

const CART: &[u8] = include_bytes!("../../../resolver/examples/cart.wasm");

fn picky() -> Vec<u8> {
    let text = include_str!("../../../../docs/examples/resolvers/fails-for-x.wat");
    wat::parse_str(text).expect("the example is well-formed")
}

fn send(world: &mut World, arguments: &[&[u8]]) -> String {
    let mut buffer = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        buffer.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        buffer.extend_from_slice(argument);
        buffer.extend_from_slice(b"\r\n");
    }
    world.run_buffer(buffer).0
}

fn load(world: &mut World, name: &str, module: &[u8], samples: &[&[u8]]) -> String {
    let mut arguments = vec![&b"ISLES.RESOLVER"[..], b"LOAD", name.as_bytes(), module];
    arguments.extend(samples);
    send(world, &arguments)
}

/// Values that nobody has seen of each other.
fn disagree(world: &mut World, key: &str, values: [&str; 2]) {
    world.run(&format!("DEL {key}"));
    world.run(&format!("SET {key} before"));
    let answer = world.run(&format!("ISLES.SIBLINGS {key}"));
    let mut words = answer.split(' ').skip_while(|word| *word != "context");
    let context = words.nth(2).expect("the token follows its length");
    assert_eq!(world.run(&format!("SET {key} {}", values[0])), "+OK");
    let line = format!("ISLES.SET {key} {} CONTEXT {context}", values[1]);
    assert_eq!(world.run(&line), "+OK", "{line}");
}

fn world_with_cart() -> World {
    let mut world = World::new();
    let answer = load(&mut world, "cart", CART, &[b"milk 1\n", b"eggs 6\n"]);
    assert!(
        answer.starts_with("*16 $4 name $4 cart $5 bytes :"),
        "{answer}"
    );
    assert_eq!(world.run("ISLES.KEYSPACE SET cart: wasm:cart"), "+OK");
    world
}

#[test]
fn siblings_are_read_through_the_module() {
    let mut world = world_with_cart();
    disagree(&mut world, "cart:1", ["'milk 1'", "'eggs 6'"]);
    check_in(
        &mut world,
        &[
            ("GET cart:1", "$14 eggs 6\nmilk 1"),
            ("STRLEN cart:1", ":14"),
            ("GETRANGE cart:1 0 3", "$4 eggs"),
            (
                "ISLES.KEYSPACE GET cart:1",
                "*6 $6 prefix $5 cart: $8 strategy $9 wasm:cart $4 sets $8 add-wins",
            ),
            ("APPEND cart:1 'tea 1'", ":19"),
            ("GET cart:1", "$19 eggs 6\nmilk 1\ntea 1"),
        ],
    );
    let answer = world.run("ISLES.SIBLINGS cart:1");
    assert!(answer.contains("$8 siblings *1 "), "{answer}");
    assert!(answer.contains("$7 failure $-1"), "{answer}");
}

#[test]
fn scripts_and_transactions_read_through_it_too() {
    let mut world = world_with_cart();
    for key in ["cart:1", "cart:2", "cart:3"] {
        disagree(&mut world, key, ["'milk 1'", "'eggs 6'"]);
    }
    check_in(
        &mut world,
        &[
            (
                "EVAL \"return redis.call('get', 'cart:1')\" 0",
                "$14 eggs 6\nmilk 1",
            ),
            (
                "EVAL \"return redis.call('get', KEYS[1])\" 1 cart:2",
                "$14 eggs 6\nmilk 1",
            ),
            ("MULTI", "+OK"),
            ("GET cart:3", "+QUEUED"),
            ("SET cart:3 'tea 1'", "+QUEUED"),
            ("GET cart:3", "+QUEUED"),
            ("EXEC", "*3 $14 eggs 6\nmilk 1\n +OK $5 tea 1"),
            (
                "MGET cart:1 cart:2",
                "*2 $14 eggs 6\nmilk 1\n $14 eggs 6\nmilk 1",
            ),
        ],
    );
}

#[test]
fn what_it_cannot_decide_is_read_as_under_multi_value() {
    let mut world = world_with_cart();
    disagree(&mut world, "cart:1", ["'milk 1'", "nonsense"]);
    check_in(
        &mut world,
        &[
            ("GET cart:1", "$8 nonsense"),
            ("ISLES.RESOLVER FAILED", "*0"),
        ],
    );
    let answer = world.run("ISLES.SIBLINGS cart:1");
    assert!(answer.contains("$8 siblings *2 "), "{answer}");
}

#[test]
fn a_resolver_that_fails_flags_the_key() {
    let mut world = World::new();
    load(&mut world, "picky", &picky(), &[]);
    world.run("ISLES.KEYSPACE SET p: wasm:picky");
    disagree(&mut world, "p:1", ["xa", "xb"]);
    let flagged = "*1 *8 $3 key $3 p:1 $8 resolver $5 picky $7 failure $4 trap $6 reason $20 the resolver crashed";
    check_in(
        &mut world,
        &[
            ("ISLES.RESOLVER FAILED", "*0"),
            ("GET p:1", "$2 xb"),
            ("GET p:1", "$2 xb"),
            ("ISLES.RESOLVER FAILED", flagged),
            ("ISLES.RESOLVER FAILED COUNT 0", "*0"),
        ],
    );
    let answer = world.run("ISLES.SIBLINGS p:1");
    assert!(
        answer.contains("$7 failure $27 picky: the resolver crashed $8 siblings *2 "),
        "{answer}"
    );
    // It is counted once, however often it is read.
    let answer = world.run("ISLES.RESOLVER LIST");
    assert!(answer.contains("$8 failures *2 $4 trap :1 "), "{answer}");
    // A write that has seen both ends it.
    check_in(
        &mut world,
        &[("SET p:1 y", "+OK"), ("ISLES.RESOLVER FAILED", "*0")],
    );
}

#[test]
fn another_version_answers_anew() {
    let mut world = World::new();
    load(&mut world, "r", &picky(), &[]);
    world.run("ISLES.KEYSPACE SET r: wasm:r");
    disagree(&mut world, "r:1", ["'x 1'", "'x 2'"]);
    assert_eq!(world.run("GET r:1"), "$3 x 2");
    load(&mut world, "r", CART, &[]);
    check_in(
        &mut world,
        &[
            ("ISLES.RESOLVER FAILED", "*0"),
            ("GET r:1", "$4 x 2"),
            ("ISLES.KEYSPACE SET r: max", "+OK"),
            ("GET r:1", "$3 x 2"),
        ],
    );
}

#[test]
fn keyspaces_name_resolvers_that_are_there() {
    let mut world = world_with_cart();
    check_in(
        &mut world,
        &[
            (
                "ISLES.KEYSPACE SET a: wasm:other",
                "-ERR no resolver 'other' is loaded; see ISLES.RESOLVER LOAD",
            ),
            (
                "ISLES.KEYSPACE SET a: 'wasm:no name'",
                "-ERR a resolver's name has 1 to 64 letters, digits, underscores, hyphens and dots",
            ),
            (
                "ISLES.RESOLVER DEL cart",
                "-ERR keyspace 'cart:' is read by resolver 'cart': give it another strategy first",
            ),
            ("ISLES.RESOLVER DEL other", ":0"),
            ("ISLES.KEYSPACE SET cart: lww", "+OK"),
            ("ISLES.RESOLVER DEL cart", ":1"),
            ("ISLES.RESOLVER LIST", "*0"),
            ("ISLES.RESOLVER GET cart", "$-1"),
        ],
    );
}

#[test]
fn a_resolver_can_be_looked_at() {
    let mut world = world_with_cart();
    let answer = world.run("ISLES.RESOLVER LIST");
    for part in [
        "*1 *26 $4 name $4 cart $8 strategy $9 wasm:cart $5 bytes :",
        "$4 fuel :1000000 $12 memory_bytes :16777216 $12 answer_bytes :4194304",
        "$9 keyspaces *1 $5 cart: $8 failures *0 $7 version ",
        "$4 node $4 eu-1",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let answer = send(&mut world, &[b"ISLES.RESOLVER", b"GET", b"cart"]);
    let expected = format!("${} ", CART.len());
    assert!(answer.starts_with(&expected), "{}", &answer[..20]);
}

#[test]
fn a_module_that_is_no_resolver_is_refused() {
    let mut world = World::new();
    type Case<'c> = (&'c [u8], &'c [&'c [u8]], &'c str);
    let cases: &[Case<'_>] = &[
        (
            b"text",
            &[],
            "-ERR the module is refused: the module cannot be compiled: ",
        ),
        (
            &picky(),
            &[b"xa", b"xb"],
            "-ERR the module is refused: the resolver crashed: ",
        ),
    ];
    for (module, samples, expected) in cases {
        let answer = load(&mut world, "r", module, samples);
        assert!(answer.starts_with(expected), "{answer}");
    }
    let large = vec![0; 300_000];
    assert_eq!(
        load(&mut world, "r", &large, &[]),
        "-ERR the module has 300000 bytes, and resolver-module-max is 262144"
    );
    assert_eq!(
        load(&mut world, "no name", CART, &[]),
        "-ERR a resolver's name has 1 to 64 letters, digits, underscores, hyphens and dots"
    );
    let many = vec![&b"milk 1"[..]; 65];
    assert_eq!(
        load(&mut world, "r", CART, &many),
        "-ERR at most 64 samples are looked at"
    );
    check_in(
        &mut world,
        &[
            ("ISLES.RESOLVER LIST", "*0"),
            ("MULTI", "+OK"),
            (
                "ISLES.RESOLVER LIST",
                "-ERR Command not allowed inside a transaction",
            ),
            ("DISCARD", "+OK"),
            (
                "SET \"\\x00isles:resolver:r\" x",
                "-ERR keys that start with \\0isles: belong to Isles; see ISLES.KEYSPACE",
            ),
        ],
    );
}

#[test]
fn limits_are_settings() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            (
                "CONFIG GET resolver-fuel-max",
                "*2 $17 resolver-fuel-max $7 1000000",
            ),
            ("CONFIG SET resolver-fuel-max 10", "+OK"),
            (
                "CONFIG SET resolver-fuel-max 0",
                "-ERR CONFIG SET failed (possibly related to argument 'resolver-fuel-max') - argument must be between 1 and 10000000 inclusive",
            ),
        ],
    );
    let answer = load(&mut world, "cart", CART, &[b"milk 1\n", b"eggs 6\n"]);
    assert!(
        answer.starts_with("-ERR the module is refused: the resolver used up its fuel"),
        "{answer}"
    );
    world.run("CONFIG SET resolver-fuel-max 1000000");
    world.run("CONFIG SET resolver-memory-max 65535");
    let answer = load(&mut world, "cart", CART, &[]);
    assert!(
        answer.starts_with("-ERR the module is refused: the module begins with "),
        "{answer}"
    );
}

#[test]
fn a_read_waits_for_no_lock_but_asks_beforehand() {
    let mut world = world_with_cart();
    disagree(&mut world, "cart:1", ["'milk 1'", "'eggs 6'"]);
    assert!(world.replica.question(b"cart:1").is_some());
    let before = world.errands;
    world.run("GET cart:1");
    assert_eq!(world.errands, before + 1);
    // It is known from here on, whoever asks.
    assert!(world.replica.question(b"cart:1").is_none());
    world.run("GET cart:1");
    assert_eq!(world.errands, before + 1);
}

/// A journal in which `theirs` has won over `mine` under each key.
fn lost(world: &mut World, keys: &[(&str, &str, &str)]) {
    for (number, (key, mine, theirs)) in (2..).zip(keys) {
        world.run(&format!("SET {key} {mine}"));
        super::isles::learn_from(world, number, &format!("SET {key} {theirs}"));
    }
}

#[test]
fn a_module_can_be_tried_on_the_journal_before_a_keyspace_gets_it() {
    let mut world = World::new();
    load(&mut world, "cart", CART, &[b"milk 1\n", b"eggs 6\n"]);
    lost(
        &mut world,
        &[
            ("a", "'milk 1'", "'eggs 6'"),
            ("b", "'milk 1'", "'milk 2'"),
            ("c", "'no cart at all'", "'eggs 6'"),
        ],
    );
    let before = world.errands;
    let question = "ISLES.CONFLICTS REPLAY STRATEGY wasm:cart";
    let answer = world.run(question);
    for part in [
        "$8 strategy $9 wasm:cart ",
        "$4 same :0 $9 different :2 $9 undecided :1 $6 failed :0 ",
        "$6 cursor :0 ",
        "$3 key $1 a $3 now *4 $6 answer $5 value $5 value $6 eggs 6 $4 then *4 $6 answer $5 value $5 value $14 eggs 6\nmilk 1",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    // Nobody waits for the module: it runs while the replica is not held.
    assert_eq!(world.errands, before + 1);
    // It is the question of one command, and the filters are those of all.
    let answer = world.run(&format!("{question} KEY c"));
    assert!(
        answer.contains("$9 different :0 $9 undecided :1 "),
        "{answer}"
    );
    let answer = world.run("ISLES.CONFLICTS REPLAY STRATEGY WASM:cart KEY a COUNT 1");
    assert!(answer.contains("$9 different :1 "), "{answer}");
    assert_eq!(world.errands, before + 3);
    // The same over HTTP.
    let words = ["REPLAY", "STRATEGY", "wasm:cart"].map(str::as_bytes);
    let host = TestHost::default();
    let answer = crate::read_conflicts(&world.replica, &host, world.wall_ms, &words);
    let answer = answer.expect("the module is there").finish();
    let answer = crate::resp3::Value::decode(&answer).expect("an answer");
    assert_eq!(answer.get("different").number(), 2);
    assert_eq!(answer.get("undecided").number(), 1);
}

// Over HTTP nobody counts the words of a command beforehand.
#[test]
fn stats_take_no_options() {
    let world = World::new();
    let host = TestHost::default();
    let ask = |words: &[&[u8]]| crate::read_conflicts(&world.replica, &host, world.wall_ms, words);
    assert!(ask(&[b"STATS"]).is_ok());
    let error = ask(&[b"STATS", b"X", b"1"]).expect_err("there is no such option");
    assert_eq!(
        error,
        "ERR ISLES.CONFLICTS STATS has no option 'X'; it takes none"
    );
}

#[test]
fn what_a_module_fails_on_is_counted_apart() {
    let mut world = World::new();
    load(&mut world, "picky", &picky(), &[]);
    lost(&mut world, &[("a", "xa", "xb"), ("b", "1", "2")]);
    let answer = world.run("ISLES.CONFLICTS REPLAY STRATEGY wasm:picky");
    for part in [
        "$9 different :1 $9 undecided :0 $6 failed :1 ",
        "$3 key $1 a $3 now *4 $6 answer $5 value $5 value $2 xb $4 then *4 $6 answer $12 failed: trap $5 value $-1",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    // A preview flags no key: nobody has read it so.
    assert!(world.replica.failed_keys().is_empty());
    check_in(
        &mut world,
        &[
            (
                "ISLES.CONFLICTS REPLAY STRATEGY wasm:none",
                "-ERR no resolver 'none' is loaded; see ISLES.RESOLVER LOAD",
            ),
            (
                "ISLES.CONFLICTS REPLAY STRATEGY best",
                "-ERR unknown strategy 'best', expected one of: lww, fww, multi-value, max, min, longest, union, json, json-min, json-sum, wasm:<resolver>",
            ),
        ],
    );
}

#[test]
fn a_module_that_may_burn_much_is_asked_about_fewer_records_at_once() {
    let mut world = World::new();
    world.run("CONFIG SET resolver-fuel-max 10000000");
    load(&mut world, "cart", CART, &[b"milk 1\n", b"eggs 6\n"]);
    let keys: Vec<String> = (0..30).map(|index| format!("k{index}")).collect();
    let keys: Vec<_> = keys
        .iter()
        .map(|key| (&**key, "'milk 1'", "'eggs 6'"))
        .collect();
    lost(&mut world, &keys);
    let question = "ISLES.CONFLICTS REPLAY STRATEGY wasm:cart";
    let first = world.run(question);
    assert!(
        first.contains("$9 different :25 ") && first.contains("$6 cursor :6 "),
        "{first}"
    );
    let rest = world.run(&format!("{question} CURSOR 6"));
    assert!(
        rest.contains("$9 different :5 ") && rest.contains("$6 cursor :0 "),
        "{rest}"
    );
    let answer = world.run("ISLES.CONFLICTS REPLAY STRATEGY max");
    assert!(answer.contains("$6 cursor :0 "), "{answer}");
}
