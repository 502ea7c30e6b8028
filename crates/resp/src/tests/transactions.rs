use super::{World, check, check_in, check_resp3};

#[test]
fn queued_commands_run_together() {
    check(&[
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("INCR a", "+QUEUED"),
        ("GET a", "+QUEUED"),
        ("PING", "+QUEUED"),
        ("EXEC", "*4 +OK :2 $1 2 +PONG"),
        ("GET a", "$1 2"),
        ("MULTI", "+OK"),
        ("EXEC", "*0"),
    ]);
}

#[test]
fn an_error_at_run_time_stops_nothing() {
    check(&[
        ("SET a text", "+OK"),
        ("MULTI", "+OK"),
        ("INCR a", "+QUEUED"),
        ("SET b 1", "+QUEUED"),
        (
            "EXEC",
            "*2 -ERR value is not an integer or out of range +OK",
        ),
        ("GET b", "$1 1"),
    ]);
}

#[test]
fn an_error_while_queueing_refuses_all() {
    check(
        &[
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("SET a", "-ERR wrong number of arguments for 'set' command"),
            ("SET b 1", "+QUEUED"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("EXISTS a b", ":0"),
            ("MULTI", "+OK"),
            (
                "FOO",
                "-ERR unknown command 'FOO', with args beginning with: ",
            ),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("MULTI", "+OK"),
            (
                "ISLES.STATUS",
                "-ERR Command not allowed inside a transaction",
            ),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("EXEC", "-ERR EXEC without MULTI"),
        ]
        .map(|(line, answer)| (line, answer.trim_end())),
    );
}

#[test]
fn discarding() {
    check(&[
        ("DISCARD", "-ERR DISCARD without MULTI"),
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("MULTI", "-ERR MULTI calls can not be nested"),
        ("WATCH a", "-ERR WATCH inside MULTI is not allowed"),
        ("DISCARD", "+OK"),
        ("EXISTS a", ":0"),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("MULTI", "+OK"),
        ("MULTI", "-ERR MULTI calls can not be nested"),
        ("SET a 1", "+QUEUED"),
        ("EXEC", "*1 +OK"),
    ]);
}

#[test]
fn an_exec_or_discard_with_arguments_spoils_the_transaction() {
    for wrong in ["DISCARD now", "EXEC now"] {
        let mut world = World::new();
        let name = wrong.split(' ').next().unwrap().to_lowercase();
        let refusal = format!("-ERR wrong number of arguments for '{name}' command");
        check_in(
            &mut world,
            &[
                ("MULTI", "+OK"),
                ("SET x 1", "+QUEUED"),
                (wrong, &refusal),
                (
                    "EXEC",
                    "-EXECABORT Transaction discarded because of previous errors.",
                ),
                ("EXISTS x", ":0"),
            ],
        );
    }
}

#[test]
fn watched_keys() {
    check(&[
        ("WATCH a", "+OK"),
        ("SET a 1", "+OK"),
        ("MULTI", "+OK"),
        ("SET a 2", "+QUEUED"),
        ("EXEC", "*-1"),
        ("GET a", "$1 1"),
        ("WATCH a", "+OK"),
        ("GET a", "$1 1"),
        ("MULTI", "+OK"),
        ("SET a 2", "+QUEUED"),
        ("EXEC", "*1 +OK"),
        ("WATCH a", "+OK"),
        ("SET a 3", "+OK"),
        ("UNWATCH", "+OK"),
        ("MULTI", "+OK"),
        ("EXEC", "*0"),
        ("WATCH a", "+OK"),
        ("FLUSHALL", "+OK"),
        ("MULTI", "+OK"),
        ("EXEC", "*-1"),
        ("WATCH a", "+OK"),
        ("SET a 1", "+OK"),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("DISCARD", "-ERR DISCARD without MULTI"),
        ("MULTI", "+OK"),
        ("EXEC", "*-1"),
        ("WATCH none", "+OK"),
        ("DEL none", ":0"),
        ("MULTI", "+OK"),
        ("EXEC", "*0"),
    ]);
    check_resp3(&[
        ("WATCH a", "+OK"),
        ("SET a 1", "+OK"),
        ("MULTI", "+OK"),
        ("EXEC", "_"),
    ]);
}

#[test]
fn another_connection_changes_a_watched_key() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("WATCH a", "+OK"),
            ("MULTI", "+OK"),
            ("SET a mine", "+QUEUED"),
        ],
    );
    let first = world.reconnect();
    assert_eq!(world.run("SET a theirs"), "+OK");
    world.session = first;
    check_in(&mut world, &[("EXEC", "*-1"), ("GET a", "$6 theirs")]);
}

/// Adding what is there is logged, so that it beats a concurrent removal; who watches the set sees no change.
#[test]
fn adding_a_present_member_changes_no_watched_set() {
    let unseen = ["SADD s x", "SMOVE from s x", "SREM s absent"];
    let seen = ["SADD s x z", "SREM s y", "EXPIRE s 100", "DEL s", "SET s 1"];
    let cases = unseen.map(|write| (write, true));
    for (write, unchanged) in cases.into_iter().chain(seen.map(|write| (write, false))) {
        let mut world = World::new();
        for before in ["SADD s x y", "SADD from x", "WATCH s", write, "MULTI"] {
            world.run(before);
        }
        let ran = world.run("EXEC") == "*0";
        assert_eq!(ran, unchanged, "after {write}");
    }
}

#[test]
fn a_watched_key_expires() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("SET a 1 PX 10", "+OK"),
            ("WATCH a", "+OK"),
            ("MULTI", "+OK"),
        ],
    );
    world.advance(20);
    check_in(&mut world, &[("EXEC", "*-1")]);
}

#[test]
fn many_keys_and_types_in_one_entry() {
    check(&[
        ("SADD s old", ":1"),
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("DEL a", "+QUEUED"),
        ("SADD a m n", "+QUEUED"),
        ("SREM a m", "+QUEUED"),
        ("DEL s", "+QUEUED"),
        ("INCRBY s 5", "+QUEUED"),
        ("APPEND s 0", "+QUEUED"),
        ("HSET h f 1", "+QUEUED"),
        ("HINCRBY h f 2", "+QUEUED"),
        ("RENAME h g", "+QUEUED"),
        ("EXPIRE g 10", "+QUEUED"),
        ("EXEC", "*11 +OK :1 :2 :1 :1 :5 :2 :1 :3 +OK :1"),
        ("SMEMBERS a", "*1 $1 n"),
        ("GET s", "$2 50"),
        ("HGETALL g", "*2 $1 f $1 3"),
        ("TTL g", ":10"),
        ("DBSIZE", ":3"),
    ]);
}

#[test]
fn a_queue_has_limits() {
    let options = crate::ServeOptions {
        max_entry_bytes: 100,
        ..Default::default()
    };
    let mut world = World::with(options);
    assert_eq!(world.run("MULTI"), "+OK");
    let set = format!("SET a {}", "v".repeat(60));
    assert_eq!(world.run(&set), "+QUEUED");
    assert!(
        world
            .run(&set)
            .starts_with("-ERR one write is larger than the limit of 100 bytes")
    );
    assert_eq!(
        world.run("EXEC"),
        "-EXECABORT Transaction discarded because of previous errors."
    );
}

#[test]
fn resetting_leaves_the_transaction() {
    check(&[
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("RESET", "+RESET"),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("GET a", "$-1"),
    ]);
}
