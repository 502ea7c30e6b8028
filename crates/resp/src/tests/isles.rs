use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind, Offer};
use isles_replica::{Replica, ReplicaConfig, SIBLINGS_MAX_DEFAULT, UnloggedContent};

use super::{SYNTAX, WRONG_TYPE, World, check, check_in};
use crate::token::{decode_token, encode_token};

/// The token in an answer of ISLES.SIBLINGS.
fn context_of(answer: &str) -> String {
    let mut words = answer.split(' ').skip_while(|word| *word != "context");
    words.nth(2).expect("a context").to_owned()
}

#[test]
fn a_value_has_one_sibling() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[("ISLES.SIBLINGS a", "$-1"), ("SET a 1", "+OK")],
    );
    let answer = world.run("ISLES.SIBLINGS a");
    assert!(
        answer.starts_with("*10 $4 kind $12 register-lww $7 context "),
        "{answer}"
    );
    assert!(
        answer.contains("$7 counter $-1 $7 failure $-1 $8 siblings *1 *12 $5 value $1 1 $3 dot "),
        "{answer}"
    );
    assert!(
        answer.ends_with("$4 node $4 eu-1 $6 region $2 eu"),
        "{answer}"
    );
    let clock = decode_token(context_of(&answer).as_bytes()).expect("a token");
    assert_eq!(
        clock
            .iter()
            .map(|(_, sequence)| sequence)
            .collect::<Vec<_>>(),
        [1]
    );
    check_in(
        &mut world,
        &[("SADD s m", ":1"), ("ISLES.SIBLINGS s", WRONG_TYPE)],
    );
}

#[test]
fn a_counter_is_shown_beside_the_register() {
    let mut world = World::new();
    check_in(&mut world, &[("INCRBY n 5", ":5")]);
    let answer = world.run("ISLES.SIBLINGS n");
    assert!(
        answer.starts_with("*10 $4 kind $7 counter $7 context "),
        "{answer}"
    );
    assert!(
        answer.ends_with("$7 counter :5 $7 failure $-1 $8 siblings *0"),
        "{answer}"
    );
    check_in(&mut world, &[("SET n 10", "+OK"), ("DECR n", ":9")]);
    let answer = world.run("ISLES.SIBLINGS n");
    for part in ["register-lww", "$7 counter :-1 ", "$5 value $2 10 "] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
}

#[test]
fn a_context_replaces_what_it_covers() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("ISLES.KEYSPACE SET cart: multi-value", "+OK"),
            ("SET cart:1 a", "+OK"),
        ],
    );
    let context = context_of(&world.run("ISLES.SIBLINGS cart:1"));
    assert_eq!(world.run("SET cart:1 b"), "+OK");
    assert_eq!(
        world.run(&format!("ISLES.SET cart:1 c CONTEXT {context}")),
        "+OK"
    );
    let answer = world.run("ISLES.SIBLINGS cart:1");
    assert!(
        answer.contains("register-mv") && answer.contains("$8 siblings *2 "),
        "{answer}"
    );
    let context = context_of(&answer);
    assert_eq!(
        world.run(&format!("ISLES.SET cart:1 d CONTEXT {context}")),
        "+OK"
    );
    let answer = world.run("ISLES.SIBLINGS cart:1");
    assert!(answer.contains("$8 siblings *1 "), "{answer}");
}

// The counter beside the number stayed, and was added to what replaces both.
#[test]
fn a_context_covers_what_was_counted() {
    let mut world = World::new();
    check_in(&mut world, &[("SET n 5", "+OK"), ("INCRBY n 3", ":8")]);
    let context = context_of(&world.run("ISLES.SIBLINGS n"));
    let write = format!("ISLES.SET n 20 CONTEXT {context}");
    assert_eq!(world.run(&write), "+OK");
    check_in(&mut world, &[("GET n", "$2 20"), ("INCR n", ":21")]);
    let context = context_of(&world.run("ISLES.SIBLINGS n"));
    check_in(&mut world, &[("INCR n", ":22")]);
    let answer = world.run(&format!("ISLES.SET n 30 CONTEXT {context}"));
    assert!(
        answer.starts_with("-TRYAGAIN the key has been incremented"),
        "{answer}"
    );
    check_in(&mut world, &[("GET n", "$2 22")]);
}

#[test]
fn compare_and_set_writes_only_over_what_was_read() {
    let mut world = World::new();
    check_in(&mut world, &[("SET a 1", "+OK")]);
    let read = |world: &mut World| context_of(&world.run("ISLES.SIBLINGS a"));
    let context = read(&mut world);
    let swap = format!("ISLES.CAS a {context} 2");
    check_in(
        &mut world,
        &[(&swap, "+OK"), ("GET a", "$1 2"), (&swap, "$-1")],
    );
    for change in ["INCR a", "SET a 2", "APPEND a 0", "DEL a"] {
        check_in(&mut world, &[("DEL a", ":1"), ("SET a 2", "+OK")]);
        let swap = format!("ISLES.CAS a {} 3", read(&mut world));
        world.run(change);
        let answer = world.run(&swap);
        assert_eq!(answer, "$-1", "{change}");
        world.run("SET a 2");
    }
    check_in(&mut world, &[("EXPIRE a 100", ":1")]);
    let swap = format!("ISLES.CAS a {} 3", read(&mut world));
    check_in(&mut world, &[(&swap, "+OK"), ("TTL a", ":100")]);
    check_in(
        &mut world,
        &[(
            "ISLES.CAS a !! 3",
            "-ERR invalid context token, expected the one that ISLES.SIBLINGS answered",
        )],
    );
}

#[test]
fn siblings_are_bounded() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("ISLES.KEYSPACE SET cart: multi-value", "+OK"),
            ("SET cart:1 0", "+OK"),
        ],
    );
    let context = context_of(&world.run("ISLES.SIBLINGS cart:1"));
    for number in 0..SIBLINGS_MAX_DEFAULT {
        let write = format!("ISLES.SET cart:1 {number} CONTEXT {context}");
        assert_eq!(world.run(&write), "+OK", "{number}");
    }
    let refused = world.run(&format!("ISLES.SET cart:1 more CONTEXT {context}"));
    assert!(
        refused.contains("key 'cart:1' has 100 siblings"),
        "{refused}"
    );
    assert!(refused.contains("siblings.max"), "{refused}");
    check_in(&mut world, &[("SET cart:1 one", "+OK")]);
    let answer = world.run("ISLES.SIBLINGS cart:1");
    assert!(answer.contains("$8 siblings *1 "), "{answer}");
}

#[test]
fn existing_keys_follow_their_keyspace_when_they_are_migrated() {
    let mut world = World::new();
    let only_new = "+OK for keys that are created from now on; ISLES.KEYSPACE MIGRATE <prefix> rewrites those that exist";
    check_in(
        &mut world,
        &[
            ("SET cart:1 a EX 100", "+OK"),
            ("SET cart:2 5", "+OK"),
            ("INCR cart:2", ":6"),
            ("SADD cart:3 x", ":1"),
            ("SET other a", "+OK"),
            ("ISLES.KEYSPACE SET cart: multi-value", only_new),
            ("ISLES.KEYSPACE SET cart: max", "+OK"),
            (
                "ISLES.KEYSPACE MIGRATE cart",
                "-ERR no keyspace has the prefix 'cart', see ISLES.KEYSPACE LIST",
            ),
            ("ISLES.KEYSPACE MIGRATE cart: COUNT", SYNTAX),
            (
                "ISLES.KEYSPACE MIGRATE cart:",
                "*6 $6 cursor :0 $9 rewritten :2 $13 with_siblings :0",
            ),
            (
                "ISLES.KEYSPACE MIGRATE cart:",
                "*6 $6 cursor :0 $9 rewritten :0 $13 with_siblings :0",
            ),
            ("TTL cart:1", ":100"),
            ("GET cart:2", "$1 6"),
            ("INCR cart:2", ":7"),
        ],
    );
    for (key, kind) in [
        ("cart:1", "register-mv"),
        ("cart:2", "register-mv"),
        ("other", "register-lww"),
    ] {
        let answer = world.run(&format!("ISLES.SIBLINGS {key}"));
        assert!(answer.contains(kind), "{answer}");
    }
    // A second sibling, of which lww could keep only one.
    let context = context_of(&world.run("ISLES.SIBLINGS cart:1"));
    check_in(
        &mut world,
        &[
            ("SET cart:1 b KEEPTTL", "+OK"),
            (&format!("ISLES.SET cart:1 c CONTEXT {context}"), "+OK"),
            ("ISLES.KEYSPACE DEL cart:", ":1"),
            (
                "ISLES.KEYSPACE MIGRATE ''",
                "*6 $6 cursor :0 $9 rewritten :1 $13 with_siblings :1",
            ),
            ("SET cart:1 d KEEPTTL", "+OK"),
            (
                "ISLES.KEYSPACE MIGRATE ''",
                "*6 $6 cursor :0 $9 rewritten :1 $13 with_siblings :0",
            ),
            ("TTL cart:1", ":100"),
            ("GET cart:1", "$1 d"),
            ("GET cart:2", "$1 7"),
        ],
    );
}

#[test]
fn migration_goes_on_from_its_cursor() {
    let mut world = World::new();
    for key in 0..50 {
        world.run(&format!("SET cart:{key} a"));
    }
    world.run("ISLES.KEYSPACE SET cart: multi-value");
    let (mut cursor, mut calls) = ("0".to_owned(), 0);
    loop {
        let answer = world.run(&format!(
            "ISLES.KEYSPACE MIGRATE cart: COUNT 10 CURSOR {cursor}"
        ));
        calls += 1;
        cursor = answer.split(' ').nth(3).expect("a cursor")[1..].to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert!(calls > 1);
    for key in 0..50 {
        let answer = world.run(&format!("ISLES.SIBLINGS cart:{key}"));
        assert!(answer.contains("register-mv"), "{answer}");
    }
}

#[test]
fn the_policy_of_a_key_says_what_will_happen_and_why() {
    let mut world = World::new();
    for (commands, parts) in [
        (
            &[][..],
            [
                "$3 lww",
                "greatest stamp stays",
                "the key does not exist; no keyspace is defined",
            ],
        ),
        (
            &["SET k 1"],
            [
                "$12 register-lww",
                "greatest stamp stays",
                "lww is the default",
            ],
        ),
        (
            &["ISLES.KEYSPACE SET k max"],
            [
                "$3 max",
                "greatest stamp stays",
                "a register-lww since it was created; the keyspace 'k' says max",
            ],
        ),
        (
            &["ISLES.KEYSPACE MIGRATE k"],
            [
                "register-mv",
                "readers are told the greatest value",
                "the keyspace 'k' says max",
            ],
        ),
        (
            &["DEL k", "SADD k x"],
            ["set-aw", "an addition wins", "the type decides"],
        ),
    ] {
        commands.iter().for_each(|command| drop(world.run(command)));
        let answer = world.run("ISLES.POLICY k");
        for part in parts {
            assert!(answer.contains(part), "{part} in {answer}");
        }
    }
}

#[test]
fn bad_contexts_are_refused() {
    let ahead = encode_token(&isles_clock::VectorClock::from_iter([(
        ReplicaId::from_u128(9),
        5,
    )]));
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("ISLES.SET a 1", SYNTAX),
            ("ISLES.SET a 1 CONTEXT", SYNTAX),
            ("ISLES.SET a 1 FOO x", SYNTAX),
            (
                "ISLES.SET a 1 CONTEXT !!",
                "-ERR invalid context token, expected the one that ISLES.SIBLINGS answered",
            ),
        ],
    );
    let answer = world.run(&format!("ISLES.SET a 1 CONTEXT {ahead}"));
    assert!(
        answer.starts_with("-TRYAGAIN context names writes"),
        "{answer}"
    );
    assert_eq!(world.run("EXISTS a"), ":0");
}

#[test]
fn keyspaces() {
    check(&[
        ("ISLES.KEYSPACE LIST", "*0"),
        ("ISLES.KEYSPACE SET user: MAX", "+OK"),
        (
            "ISLES.KEYSPACE LIST",
            "*1 *6 $6 prefix $5 user: $8 strategy $3 max $4 sets $8 add-wins",
        ),
        (
            "ISLES.KEYSPACE GET user:1",
            "*6 $6 prefix $5 user: $8 strategy $3 max $4 sets $8 add-wins",
        ),
        (
            "ISLES.KEYSPACE GET other",
            "*6 $6 prefix $0  $8 strategy $3 lww $4 sets $8 add-wins",
        ),
        (
            "ISLES.KEYSPACE SET user: foo",
            "-ERR unknown strategy 'foo', expected one of: lww, fww, multi-value, max, min, longest, union, json, json-min, json-sum, wasm:<resolver>",
        ),
        (
            "ISLES.KEYSPACE SET user:",
            "-ERR wrong number of arguments for 'isles.keyspace|set' command",
        ),
        (
            "ISLES.KEYSPACE FOO",
            "-ERR unknown subcommand 'FOO'. Try ISLES.KEYSPACE HELP.",
        ),
        ("DBSIZE", ":0"),
        ("KEYS *", "*0"),
    ]);
}

#[test]
fn what_a_node_says_of_itself() {
    let mut world = World::new();
    world.run("SET a 1");
    let answer = world.run("ISLES.STATUS");
    for part in [
        "$4 node $4 eu-1",
        "$6 region $2 eu",
        "$4 keys :1",
        "$5 peers *1",
        "$4 us-1",
        "$6 lag_ms $1 3",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let before = world.run("ISLES.DIGEST");
    assert!(before.starts_with("*6 $7 applied "), "{before}");
    world.run("SET a 2");
    assert_ne!(world.run("ISLES.DIGEST"), before);
}

#[test]
fn conflicts_can_be_listed() {
    check(&[
        ("ISLES.CONFLICTS", "*0"),
        ("ISLES.CONFLICTS COUNT 5 KEY a*", "*0"),
        (
            "ISLES.CONFLICTS COUNT -1",
            "-ERR value is out of range, must be positive",
        ),
        (
            "ISLES.CONFLICTS COUNT",
            "-ERR wrong number of arguments for 'isles.conflicts|count' command",
        ),
        ("ISLES.CONFLICTS COUNT 1 KEY", SYNTAX),
        (
            "ISLES.CONFLICTS FOO 1",
            "-ERR unknown subcommand 'FOO'. Try ISLES.CONFLICTS HELP.",
        ),
        ("ISLES.CONFLICTS HOT", "*0"),
        (
            "ISLES.CONFLICTS HOT COUNT -1",
            "-ERR value is out of range, must be positive",
        ),
    ]);
}

/// Another region's replica, which wrote this without having seen anything of ours.
pub(super) fn learn_from(world: &mut World, id: u128, line: &str) {
    let mut other = World::new();
    other.replica = Replica::new(ReplicaId::from_u128(id), ReplicaConfig::default());
    other.advance(1);
    other.run(line);
    let lane = Lane {
        peer: other.replica.id(),
        kind: LaneKind::Direct,
    };
    for unlogged in other.replica.take_unlogged() {
        if let UnloggedContent::Own(open) = unlogged.content {
            let offer = world.replica.offer(open.seal(0), lane);
            assert_eq!(
                offer.expect("a frame that was just sealed"),
                Offer::Accepted
            );
        }
    }
    // Frames are applied once the open one has been handed to the log.
    world.replica.take_unlogged();
    while world.replica.apply_ready(world.wall_ms) > 0 {}
}

#[test]
fn a_conflict_shows_both_sides() {
    let mut world = World::new();
    world.run("SET cart:1 mine");
    learn_from(&mut world, 2, "SET cart:1 theirs");
    assert_eq!(world.run("GET cart:1"), "$6 theirs");
    let answer = world.run("ISLES.CONFLICTS KEY cart:*");
    for part in [
        "*1 *26 $2 id $32 ",
        "$3 key $6 cart:1 ",
        "$4 kind $11 write-write $8 strategy $3 lww $4 kept :0 ",
        "$6 winner *18 $5 value $6 theirs $11 value_bytes :6 $10 kept_bytes :6 ",
        "$4 node $-1 $6 region $-1 $5 loser *18 $5 value $4 mine $11 value_bytes :4 ",
        "$4 node $4 eu-1 $6 region $2 eu $8 resolved $-1",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert_eq!(world.run("ISLES.CONFLICTS KEY other:*"), "*0");
    assert_eq!(
        world.run("ISLES.CONFLICTS HOT"),
        "*1 *6 $3 key $6 cart:1 $9 conflicts :1 $8 at_least :1"
    );
    assert_eq!(world.run("ISLES.CONFLICTS HOT COUNT 0"), "*0");
    assert!(world.run("ISLES.STATUS").contains("$9 conflicts :1"));
}

/// The id of the first record in an answer.
fn id_of(answer: &str) -> String {
    let (_, after) = answer.split_once("$2 id $32 ").expect("a record");
    after[..32].to_owned()
}

fn in_conflict() -> World {
    let mut world = World::new();
    world.run("SET cart:1 mine");
    learn_from(&mut world, 2, "SET cart:1 theirs");
    world
}

#[test]
fn conflicts_are_listed_by_page_and_filter() {
    let mut world = in_conflict();
    world.run("SET cart:2 mine");
    learn_from(&mut world, 3, "SET cart:2 theirs");
    let first = world.run("ISLES.CONFLICTS LIST COUNT 1");
    assert!(
        first.contains("cart:2") && !first.contains("cart:1"),
        "{first}"
    );
    assert!(
        first.contains("$6 cursor :2 $7 dropped *6 $7 records :0 "),
        "{first}"
    );
    let second = world.run("ISLES.CONFLICTS LIST COUNT 1 CURSOR 2");
    assert!(
        second.contains("cart:1") && !second.contains("cart:2"),
        "{second}"
    );
    let last = world.run("ISLES.CONFLICTS LIST CURSOR 1");
    assert!(last.starts_with("*6 $7 records *0 $6 cursor :0 "), "{last}");
    for (filter, count) in [
        ("KEY cart:*", 2),
        ("KEY *:1 STATE open", 1),
        ("STATE resolved", 0),
        ("KIND write-write", 2),
        ("KIND expiry", 0),
        ("KEYSPACE cart:", 0),
        ("LOSER eu", 1),
        ("WINNER eu", 1),
        ("REGION eu", 2),
        ("SINCE 1d", 2),
        ("UNTIL 1", 0),
    ] {
        let answer = world.run(&format!("ISLES.CONFLICTS LIST {filter}"));
        let expected = format!("*6 $7 records *{count} ");
        assert!(answer.starts_with(&expected), "{filter}: {answer}");
    }
    let id = id_of(&first);
    let shown = world.run(&format!("ISLES.CONFLICTS SHOW {id}"));
    assert!(
        shown.starts_with("*26 $2 id $32 ") && shown.contains("cart:2"),
        "{shown}"
    );
}

#[test]
fn the_journal_can_be_followed() {
    let mut world = in_conflict();
    let end = world.run("ISLES.CONFLICTS FOLLOW");
    assert!(
        end.starts_with("*8 $7 records *0 $6 cursor :1 $6 missed :0 "),
        "{end}"
    );
    learn_from(&mut world, 3, "SET cart:1 others");
    let more = world.run("ISLES.CONFLICTS FOLLOW AFTER 1");
    assert!(more.starts_with("*8 $7 records *1 "), "{more}");
    assert!(more.contains("$6 cursor :2 "), "{more}");
    let all = world.run("ISLES.CONFLICTS FOLLOW AFTER 0 COUNT 1");
    assert!(all.contains("$6 cursor :1 "), "{all}");
    let error = world.run("ISLES.CONFLICTS FOLLOW AFTER 9");
    assert!(error.contains("it is of another node"), "{error}");
}

#[test]
fn conflicts_are_put_right() {
    let mut world = in_conflict();
    let id = id_of(&world.run("ISLES.CONFLICTS"));
    let restored = world.run(&format!("ISLES.CONFLICTS RESTORE {id}"));
    assert!(
        restored.contains("$7 outcome $8 restored $3 dot "),
        "{restored}"
    );
    check_in(&mut world, &[("GET cart:1", "$4 mine")]);
    let shown = world.run(&format!("ISLES.CONFLICTS SHOW {id}"));
    assert!(
        shown.contains("$8 resolved *12 $3 how $8 explicit "),
        "{shown}"
    );
    let again = world.run(&format!("ISLES.CONFLICTS RESTORE {id} IFOPEN"));
    assert!(again.contains("$7 outcome $14 settled before "), "{again}");

    let mut world = in_conflict();
    let id = id_of(&world.run("ISLES.CONFLICTS"));
    let answer = format!("ISLES.CONFLICTS RESOLVE ID {id} VALUE both");
    check_in(
        &mut world,
        &[
            (&answer, "*2 $8 resolved :1"),
            ("GET cart:1", "$4 both"),
            (
                "ISLES.CONFLICTS RESOLVE KEY cart:1 VALUE x",
                "-ERR 'cart:1' has neither siblings nor open records in this node's journal, so there is nothing to resolve",
            ),
        ],
    );
    let mut world = in_conflict();
    let shown = world.run("ISLES.CONFLICTS");
    let (_, loser) = shown.split_once("$5 loser ").expect("a loser");
    let (_, replica) = loser.split_once("$7 replica $32 ").expect("a replica");
    // The short ids of the two are the same.
    let error = world.run("ISLES.CONFLICTS RESOLVE KEY cart:1 DOT 00000000:1");
    assert!(error.contains("give the whole replica id"), "{error}");
    let answer = format!(
        "ISLES.CONFLICTS RESOLVE KEY cart:1 DOT {}:1",
        &replica[..32]
    );
    check_in(
        &mut world,
        &[(&answer, "*2 $8 resolved :1"), ("GET cart:1", "$4 mine")],
    );
}

#[test]
fn another_strategy_can_be_tried() {
    let mut world = in_conflict();
    let answer = world.run("ISLES.CONFLICTS REPLAY STRATEGY min");
    for part in [
        "$4 same :0 $9 different :1 ",
        "$6 cursor :0 ",
        "$3 now *4 $6 answer $5 value $5 value $6 theirs ",
        "$4 then *4 $6 answer $5 value $5 value $4 mine",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let answer = world.run("ISLES.CONFLICTS REPLAY STRATEGY lww");
    assert!(answer.contains("$4 same :1 $9 different :0 "), "{answer}");
    let stats = world.run("ISLES.CONFLICTS STATS");
    for part in [
        "$7 records :1 ",
        "$4 open :1 ",
        "$11 last_minute :1 ",
        "$6 groups *1 *16 ",
        "$5 loser $2 eu ",
    ] {
        assert!(stats.contains(part), "{part} in {stats}");
    }
}

#[test]
fn mistakes_about_conflicts_say_what_to_do() {
    for (line, words) in [
        (
            "LIST FOO 1",
            "has no option 'FOO'; there are KEY, KEYSPACE,",
        ),
        (
            "LIST KEY",
            "option 'KEY' of ISLES.CONFLICTS LIST needs a value",
        ),
        (
            "LIST KIND x",
            "expected one of: write-write, write-delete, type, expiry",
        ),
        ("LIST STATE x", "expected one of: open, resolved, all"),
        ("LIST SINCE x", "or how long ago, such as 90s"),
        ("LIST CURSOR x", "not an integer"),
        ("LIST AFTER 1", "has no option 'AFTER'"),
        ("SHOW 12", "32 hexadecimal digits"),
        (
            "SHOW 00000000000000000000000000000007",
            "no record 00000000000000000000000000000007",
        ),
        ("RESTORE 00000000000000000000000000000007", "no record"),
        (
            "RESTORE 00000000000000000000000000000007 NOW",
            "[IFOPEN | FORCE]",
        ),
        ("RESOLVE KEY k VALUE", "wrong number of arguments"),
        ("RESOLVE KEY k FOO x", "then DOT <dot> or VALUE <value>"),
        (
            "RESOLVE THING k VALUE x",
            "expected ISLES.CONFLICTS RESOLVE KEY",
        ),
        ("REPLAY KEY x", "say which strategy to try"),
        ("REPLAY STRATEGY best", "expected one of: lww"),
        ("FOLLOW CURSOR 1", "has no option 'CURSOR'"),
    ] {
        let answer = World::new().run(&format!("ISLES.CONFLICTS {line}"));
        assert!(
            answer.starts_with('-') && answer.contains(words),
            "{line}: {answer}"
        );
    }
}

// An operator could not look at conflicts while too few peers were there, which is when they are made.
#[test]
fn conflicts_can_be_read_while_writes_are_refused() {
    let mut world = in_conflict();
    let id = id_of(&world.run("ISLES.CONFLICTS"));
    world.run("CONFIG SET min-replicas-to-write 9");
    assert!(
        world
            .run("ISLES.CONFLICTS LIST")
            .starts_with("*6 $7 records *1 ")
    );
    let refused = world.run(&format!("ISLES.CONFLICTS RESTORE {id}"));
    assert!(refused.starts_with("-NOREPLICAS"), "{refused}");
}

#[test]
fn siblings_of_two_regions_end_with_a_write_in_their_context() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[("ISLES.KEYSPACE SET cart: multi-value", "+OK")],
    );
    world.run("SET cart:1 mine");
    learn_from(
        &mut world,
        2,
        "MULTI\r\nISLES.KEYSPACE SET cart: multi-value\r\nSET cart:1 theirs\r\nEXEC",
    );
    let answer = world.run("ISLES.SIBLINGS cart:1");
    assert!(answer.contains("$8 siblings *2 "), "{answer}");
    let context = context_of(&answer);
    let line = format!("ISLES.SET cart:1 both CONTEXT {context}");
    check_in(&mut world, &[(&line, "+OK"), ("GET cart:1", "$4 both")]);
    assert!(
        world
            .run("ISLES.SIBLINGS cart:1")
            .contains("$8 siblings *1 ")
    );
}
