use std::time::Duration;

use super::{SYNTAX, World, check, check_in, check_resp3};
use crate::execute::Stop;
use crate::spec::Flags;
use crate::table;

#[test]
fn info_has_sections() {
    let mut world = World::new();
    world.run("SET a 1");
    let all = world.run("INFO");
    for part in [
        "redis_version:7.0.15",
        "loading:0",
        "role:master",
        "db0:keys=1,",
        "# Isles",
        "region:eu",
        "tcp_port:7001",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let one = world.run("INFO keyspace");
    assert!(
        one.contains("# Keyspace") && !one.contains("# Server"),
        "{one}"
    );
    assert!(
        world
            .run("INFO server clients")
            .contains("connected_clients:1")
    );
    check_resp3(&[("INFO none", "=4 txt:")]);
}

#[test]
fn config_is_tolerant() {
    check(&[
        ("CONFIG GET hz", "*2 $2 hz $2 10"),
        ("CONFIG SET hz 20", "+OK"),
        ("CONFIG GET HZ", "*2 $2 hz $2 20"),
        (
            "CONFIG GET port maxclients",
            "*4 $10 maxclients $5 10000 $4 port $4 7001",
        ),
        ("CONFIG GET none", "*0"),
        ("CONFIG GET save", "*2 $4 save $0"),
        (
            "CONFIG SET set-max-intset-entries 0 hash-max-listpack-value 1",
            "+OK",
        ),
        (
            "CONFIG SET none 1",
            "-ERR Unknown option or number of arguments for CONFIG SET - 'none'",
        ),
        (
            "CONFIG SET requirepass secret",
            "-ERR CONFIG SET failed (possibly related to argument 'requirepass') - can't set immutable config",
        ),
        (
            "CONFIG SET hz 30 none 1",
            "-ERR Unknown option or number of arguments for CONFIG SET - 'none'",
        ),
        ("CONFIG GET hz", "*2 $2 hz $2 20"),
        (
            "CONFIG SET hz 1 hz 2",
            "-ERR CONFIG SET failed (possibly related to argument 'hz') - duplicate parameter",
        ),
        (
            "CONFIG SET maxmemory lots",
            "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument couldn't be parsed into an integer",
        ),
        ("CONFIG SET maxmemory 100mb", "+OK"),
        ("CONFIG SET port 7001", "+OK"),
        (
            "CONFIG SET port 9",
            "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config",
        ),
        ("CONFIG RESETSTAT", "+OK"),
        (
            "CONFIG GET",
            "-ERR wrong number of arguments for 'config|get' command",
        ),
        (
            "CONFIG FOO",
            "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.",
        ),
    ]);
    check_resp3(&[("CONFIG GET hz", "%1 $2 hz $2 10")]);
}

#[test]
fn the_table_describes_itself() {
    let mut world = World::new();
    let count = table::all().len();
    check_in(
        &mut world,
        &[
            ("COMMAND COUNT", &format!(":{count}")),
            (
                "COMMAND INFO get",
                "*1 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@string +@read +@fast *0 *1 *6 $5 flags *2 +RO +access $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0",
            ),
            ("COMMAND INFO nope", "*1 *-1"),
            ("COMMAND GETKEYS SET k v", "*1 $1 k"),
            ("COMMAND GETKEYS MSET a 1 b 2", "*2 $1 a $1 b"),
            ("COMMAND GETKEYS SINTERCARD 2 a b", "*2 $1 a $1 b"),
            ("COMMAND GETKEYS DEL a b c", "*3 $1 a $1 b $1 c"),
            (
                "COMMAND GETKEYS PING a",
                "-ERR The command has no key arguments",
            ),
            (
                "COMMAND GETKEYS GET a b",
                "-ERR Invalid number of arguments specified for command",
            ),
            ("COMMAND GETKEYS FOO a", "-ERR Invalid command specified"),
            (
                "COMMAND GETKEYS FOO",
                "-ERR wrong number of arguments for 'command|getkeys' command",
            ),
            ("COMMAND LIST FILTERBY PATTERN y*", "*0"),
            (
                "COMMAND LIST FILTERBY ACLCAT transaction",
                "*5 $5 multi $4 exec $7 discard $5 watch $7 unwatch",
            ),
            ("COMMAND LIST FILTERBY ACLCAT none", "*0"),
            (
                "COMMAND FOO",
                "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.",
            ),
        ],
    );
    assert!(world.run("COMMAND").starts_with(&format!("*{count} *10 ")));
    assert!(
        world
            .run("COMMAND DOCS get")
            .starts_with("*2 $3 get *4 $7 summary ")
    );
    assert!(
        world
            .run("COMMAND DOCS")
            .starts_with(&format!("*{} ", count * 2))
    );
}

#[test]
fn debugging() {
    check(&[
        ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK"),
        (
            "DEBUG JUMP",
            "-ERR unknown subcommand 'JUMP'. Try DEBUG HELP.",
        ),
        ("DEBUG SLEEP x", "-ERR value is not a valid float"),
        ("FUNCTION FLUSH", "+OK"),
    ]);
    let mut world = World::new();
    let (answer, stop) = world.run_buffer(b"DEBUG SLEEP 0.5\r\nPING\r\n".to_vec());
    assert_eq!(
        (answer.as_str(), stop),
        ("+OK", Stop::Sleep(Duration::from_millis(500)))
    );
}

#[test]
fn time_is_seconds_and_microseconds() {
    let mut world = World::new();
    let answer = world.run("TIME");
    assert!(answer.starts_with("*2 $10 "), "{answer}");
}

#[test]
fn keys_that_will_expire_are_counted() {
    let mut world = World::new();
    check_in(&mut world, &[("SET a 1", "+OK"), ("SET b 1 EX 100", "+OK")]);
    assert!(world.run("INFO keyspace").contains("db0:keys=2,expires=1,"));
}

#[test]
fn loading_refuses_commands_on_keys() {
    let mut world = World::new();
    world.loading = true;
    check_in(
        &mut world,
        &[
            ("GET a", "-LOADING Redis is loading the dataset in memory"),
            ("PING", "-LOADING Redis is loading the dataset in memory"),
            ("SELECT 0", "+OK"),
        ],
    );
    assert!(world.run("INFO persistence").contains("loading:1"));
}

#[test]
fn a_long_buffer_gives_the_lock_back() {
    let mut world = World::new();
    let members: String = (0..5_000).map(|member| format!(" {member}")).collect();
    world.run(&format!("SADD s{members}"));
    let buffer = b"SMEMBERS s\r\n".repeat(100);
    let (_, stop) = world.run_buffer(buffer);
    assert_eq!(stop, Stop::Send);
}

#[test]
fn an_answer_has_a_size() {
    let mut world = World::with(crate::ServeOptions {
        max_reply_bytes: 1000,
        ..Default::default()
    });
    world.run(&format!("SET a {}", "v".repeat(600)));
    assert_eq!(world.run_buffer(b"GET a\r\n".to_vec()).1, Stop::Done);
    assert_eq!(world.run_buffer(b"MGET a a\r\n".to_vec()).1, Stop::Abort);
    let multi = b"MULTI\r\nGET a\r\nGET a\r\nSET b 1\r\nEXEC\r\n".to_vec();
    assert_eq!(world.run_buffer(multi).1, Stop::Abort);
}

#[test]
fn saves_are_checkpoints() {
    let mut world = World::new();
    let (answer, stop) = world.run_buffer(b"SAVE\r\nSAVE\r\n".to_vec());
    // The connection waits before it sends the answer, and then goes on.
    assert_eq!((answer.as_str(), stop), ("+OK", Stop::Save));
    let scheduled = "Background append only file rewriting scheduled";
    check(&[
        ("BGSAVE", "+Background saving started"),
        ("BGSAVE SCHEDULE", "+Background saving scheduled"),
        ("BGSAVE NOW", SYNTAX),
        (
            "BGREWRITEAOF",
            "+Background append only file rewriting started",
        ),
        ("LASTSAVE", ":0"),
        ("MULTI", "+OK"),
        ("BGSAVE", "+QUEUED"),
        ("BGREWRITEAOF", "+QUEUED"),
        ("LASTSAVE", "+QUEUED"),
        (
            "EXEC",
            &format!("*3 +Background saving scheduled +{scheduled} :0"),
        ),
    ]);
    for command in ["SAVE", "SHUTDOWN"] {
        check(&[
            ("MULTI", "+OK"),
            (command, "-ERR Command not allowed inside a transaction"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
        ]);
    }
    let info = world.run("INFO persistence");
    for line in [
        "rdb_changes_since_last_save:0",
        "rdb_bgsave_in_progress:0",
        "rdb_last_bgsave_time_sec:-1",
        "aof_enabled:1",
    ] {
        assert!(info.contains(&format!(" {line} ")), "{line}: {info}");
    }
}

#[test]
fn a_shutdown_is_asked_for_in_redis_words() {
    let refused = "-ERR clients do not stop this process";
    check(&[
        ("SHUTDOWN", refused),
        ("SHUTDOWN SAVE", refused),
        ("SHUTDOWN NOSAVE NOW FORCE", refused),
        ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
        ("SHUTDOWN SAVE NOSAVE", SYNTAX),
        ("SHUTDOWN ABORT NOW", SYNTAX),
        ("SHUTDOWN LATER", SYNTAX),
    ]);
}

/// What Redis 7.0.15 flags so, of the commands that are here.
#[test]
fn commands_have_the_flags_of_redis() {
    let no_script = "auth bgrewriteaof bgsave blmove blpop brpop brpoplpush bzpopmax bzpopmin debug discard eval eval_ro \
        evalsha evalsha_ro exec fcall fcall_ro hello monitor multi psubscribe punsubscribe quit reset role save shutdown \
        ssubscribe subscribe sunsubscribe sync unsubscribe unwatch wait watch acl client config function latency script";
    for name in no_script.split_whitespace() {
        let Some(command) = crate::table::find(name.as_bytes()) else {
            continue;
        };
        assert!(command.spec().flags.has(Flags::NO_SCRIPT), "{name}");
    }
    let mut world = World::new();
    for name in [
        "set",
        "xsetid",
        "geosearchstore",
        "xgroup|create",
        "function|load",
    ] {
        let info = world.run(&format!("COMMAND INFO {name}"));
        assert!(info.contains("+denyoom"), "{info}");
    }
    for name in ["get", "del", "zrem"] {
        let info = world.run(&format!("COMMAND INFO {name}"));
        assert!(!info.contains("+denyoom"), "{info}");
    }
}
