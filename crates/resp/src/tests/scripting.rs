use super::*;
use crate::busy::Kind;

/// Runs a command given as its parts.
fn command(world: &mut World, parts: &[&str]) -> String {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n{part}\r\n", part.len()).as_bytes());
    }
    world.run_buffer(bytes).0
}

pub(super) fn eval(world: &mut World, script: &str) -> String {
    command(world, &["EVAL", script, "0"])
}

#[test]
fn scripts_run_commands() {
    let mut world = World::new();
    assert_eq!(
        command(
            &mut world,
            &[
                "EVAL",
                "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])",
                "1",
                "a",
                "7"
            ]
        ),
        "$1 7"
    );
    assert_eq!(eval(&mut world, "return redis.call('incr', 'a')"), ":8");
    assert_eq!(
        eval(&mut world, "return redis.pcall('sadd', 'a', 'x').err"),
        format!("${} {}", WRONG_TYPE.len() - 1, &WRONG_TYPE[1..])
    );
    check_in(
        &mut world,
        &[
            (
                "EVAL 'return 1' 1",
                "-ERR Number of keys can't be greater than number of args",
            ),
            (
                "EVAL 'return 1' -1",
                "-ERR Number of keys can't be negative",
            ),
            ("EVAL 'return 1' x", NOT_INTEGER),
            (
                "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
                "-NOSCRIPT No matching script. Please use EVAL.",
            ),
            (
                "SCRIPT LOAD 'return 1'",
                "$40 e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
            ),
            ("EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0", ":1"),
            (
                "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db x",
                "*2 :1 :0",
            ),
            (
                "SCRIPT FLUSH NOW",
                "-ERR SCRIPT FLUSH only support SYNC|ASYNC option",
            ),
            ("SCRIPT FLUSH", "+OK"),
            (
                "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
                "-NOSCRIPT No matching script. Please use EVAL.",
            ),
            ("SCRIPT KILL", "-NOTBUSY No scripts in execution right now."),
            ("SCRIPT DEBUG YES", "-ERR Isles has no debugger for scripts"),
        ],
    );
}

#[test]
fn a_script_gives_a_command_more_arguments_than_native_code_takes() {
    let mut world = World::new();
    let script =
        "local a = {} for i = 1, 7999 do a[i] = 1 end return redis.call('rpush', 'l', unpack(a))";
    assert_eq!(eval(&mut world, script), ":7999");
}

/// Telling of writes that were undone would have clients drop what is still right, or act on what never was.
#[test]
fn nobody_is_told_of_an_entry_that_was_too_large() {
    let mut world = World::new();
    world.run("SET a 1");
    world.run("CONFIG SET notify-keyspace-events KEA");
    let listener = world.other(&["PSUBSCRIBE *"]);
    World::letters(&listener.client);
    let large = format!(
        "redis.call('set', 'a', 2) for i = 1, {} do redis.call('set', i, string.rep('x', 1048576)) end",
        80
    );
    let answer = eval(&mut world, &large);
    assert!(
        answer.starts_with("-ERR one write is larger than the limit"),
        "{answer}"
    );
    world.run("GET a");
    assert_eq!(World::letters(&listener.client), "");
    assert_eq!(world.run("GET a"), "$1 1");
}

#[test]
fn what_scripts_may_not_do() {
    let mut world = World::new();
    let not_allowed = "-ERR This Redis command is not allowed from script script: ";
    for call in [
        "'eval', 'return 1', '0'",
        "'multi'",
        "'watch', 'a'",
        "'client', 'id'",
        "'config', 'get', '*'",
        "'script', 'flush'",
        "'function', 'flush'",
        "'isles.status'",
        "'cluster', 'reset'",
        "'blpop', 'l', '0'",
        "'bzpopmin', 'z', '0'",
        "'flushall'",
        "'flushdb'",
    ] {
        let answer = eval(&mut world, &format!("redis.call({call}) return 1"));
        assert!(answer.starts_with(not_allowed), "{call}: {answer}");
    }
    for (script, expected) in [
        (
            "redis.call('migrate')",
            "-ERR This Redis command is not allowed from script: it is not supported by Isles: other regions",
        ),
        (
            "redis.call('nope')",
            "-ERR Unknown Redis command called from script script: ",
        ),
        (
            "redis.call('get')",
            "-ERR Wrong number of args calling Redis command from script script: ",
        ),
        (
            "redis.call('set', '\\0isles:keyspace:x', 'y')",
            "-ERR keys that start with \\0isles:",
        ),
        (
            "return x",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: ",
        ),
        (
            "retrun 1",
            "-ERR Error compiling script (new function): user_script:1:",
        ),
    ] {
        let answer = eval(&mut world, script);
        assert!(answer.starts_with(expected), "{script}: {answer}");
    }
    let refused = "-ERR Write commands are not allowed from read-only scripts. script: ";
    let answer = command(&mut world, &["EVAL_RO", "redis.call('set', 'a', 1)", "0"]);
    assert!(answer.starts_with(refused), "{answer}");
    let answer = eval(
        &mut world,
        "#!lua flags=no-writes\nredis.call('set', 'a', 1)",
    );
    assert!(answer.starts_with(refused), "{answer}");
    assert_eq!(
        command(
            &mut world,
            &["EVAL_RO", "return redis.call('get', 'a')", "0"]
        ),
        "$-1"
    );
    assert_eq!(
        eval(&mut world, "#!lua bad=1\nreturn 1"),
        "-ERR Unknown lua shebang option: bad=1"
    );
    assert_eq!(
        eval(&mut world, "#!lua flags=odd\nreturn 1"),
        "-ERR Unexpected flag in script shebang: odd"
    );
    assert_eq!(
        eval(&mut world, "#!js\nreturn 1"),
        "-ERR Unexpected engine in script shebang: #!js"
    );
    assert_eq!(eval(&mut world, "#!lua"), "-ERR Invalid script shebang");
}

#[test]
fn what_a_script_wrote_before_an_error_stays() {
    let mut world = World::new();
    let answer = eval(&mut world, "redis.call('set', 'a', 1) redis.call('nope')");
    assert!(answer.starts_with("-ERR Unknown Redis command"), "{answer}");
    check_in(&mut world, &[("GET a", "$1 1")]);
}

#[test]
fn a_script_that_meets_a_limit_is_undone() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[
            ("CONFIG SET script-time-max 20", "+OK"),
            ("SET a before", "+OK"),
            ("SADD s x", ":1"),
        ],
    );
    let endless = "redis.call('set', 'a', 'after') redis.call('sadd', 's', 'y') redis.call('set', 'new', 1) while true do end";
    let expected = "-ERR the script ran longer than script-time-max (20 ms) and was ended; nothing of it was done";
    assert_eq!(eval(&mut world, endless), expected);
    check_in(
        &mut world,
        &[
            ("GET a", "$6 before"),
            ("SMEMBERS s", "*1 $1 x"),
            ("EXISTS new", ":0"),
            ("DBSIZE", ":2"),
        ],
    );
    check_in(
        &mut world,
        &[
            ("MULTI", "+OK"),
            ("SET a queued", "+QUEUED"),
            ("SADD s z", "+QUEUED"),
        ],
    );
    assert_eq!(eval(&mut world, endless), "+QUEUED");
    check_in(
        &mut world,
        &[
            ("SADD s w", "+QUEUED"),
            ("EXEC", &format!("*4 +OK :1 {expected} :1")),
            ("GET a", "$6 queued"),
            ("SCARD s", ":3"),
            ("EXISTS new", ":0"),
        ],
    );
    let hog = "redis.call('set', 'a', 'hog') local t = {} while true do t[#t + 1] = string.rep('x', 1000000) .. #t end";
    check_in(&mut world, &[("CONFIG SET script-time-max 30000", "+OK")]);
    let answer = eval(&mut world, hog);
    assert!(
        answer.contains("bytes of memory; nothing of it was done"),
        "{answer}"
    );
    check_in(&mut world, &[("GET a", "$6 queued")]);
    assert_eq!(eval(&mut world, "return 1"), ":1");
}

// Its client would wait for the place of an entry that is never logged, until somebody else writes.
#[test]
fn the_answer_of_an_undone_script_waits_for_no_entry() {
    let mut world = World::new();
    check_in(
        &mut world,
        &[("SET a 1", "+OK"), ("CONFIG SET script-time-max 20", "+OK")],
    );
    let logged = world.replica.position();
    let answer = eval(&mut world, "redis.call('incr', 'a') while true do end");
    assert!(answer.contains("nothing of it was done"), "{answer}");
    assert_eq!(world.replica.position(), logged);
    assert_eq!(world.session.barrier, logged);
}

#[test]
fn a_script_is_one_entry() {
    let mut world = World::new();
    let before = world.replica.applied().get(ReplicaId::from_u128(1));
    eval(
        &mut world,
        "for i = 1, 10 do redis.call('set', 'k' .. i, i) redis.call('incr', 'n') end",
    );
    assert_eq!(
        world.replica.applied().get(ReplicaId::from_u128(1)),
        before + 1
    );
    check_in(&mut world, &[("GET n", "$2 10"), ("DBSIZE", ":11")]);
}

#[test]
fn answers_follow_the_clients_protocol() {
    let mut world = World::resp3();
    check_in(&mut world, &[("HSET h f v", ":1")]);
    assert_eq!(
        eval(
            &mut world,
            "redis.setresp(3) return redis.call('hgetall', 'h')"
        ),
        "%1 $1 f $1 v"
    );
    assert_eq!(
        eval(&mut world, "return redis.call('hgetall', 'h')"),
        "*2 $1 f $1 v"
    );
    assert_eq!(eval(&mut world, "redis.setresp(3) return true"), "#t");
    assert_eq!(eval(&mut world, "return {double=1.5}"), ",1.5");
    assert_eq!(eval(&mut world, "return {big_number='12'}"), "(12");
    assert_eq!(
        eval(
            &mut world,
            "return {verbatim_string={format='txt', string='a'}}"
        ),
        "=5 txt:a"
    );
    world.reply.protocol = Protocol::Resp2;
    assert_eq!(
        eval(
            &mut world,
            "redis.setresp(3) return redis.call('hgetall', 'h')"
        ),
        "*2 $1 f $1 v"
    );
    assert_eq!(eval(&mut world, "redis.setresp(3) return false"), "$-1");
    assert_eq!(
        eval(
            &mut world,
            "return {verbatim_string={format='txt', string='a'}}"
        ),
        "$1 a"
    );
}

#[test]
fn the_cache_is_bounded() {
    let mut world = World::new();
    for number in 0..crate::scripts::CACHED_SCRIPTS_MAX {
        command(&mut world, &["SCRIPT", "LOAD", &format!("return {number}")]);
    }
    let first = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    assert_eq!(command(&mut world, &["EVALSHA", first, "0"]), ":1");
    command(&mut world, &["SCRIPT", "LOAD", "return 'one more'"]);
    assert_eq!(command(&mut world, &["SCRIPT", "EXISTS", first]), "*1 :1");
    let oldest = isles_lua::sha1_hex(b"return 0");
    assert_eq!(command(&mut world, &["SCRIPT", "EXISTS", &oldest]), "*1 :0");
}

const LIBRARY: &str = "#!lua name=lib\nredis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)\n\
    redis.register_function{function_name='look', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}";

#[test]
fn functions_are_called_by_name() {
    let mut world = World::new();
    assert_eq!(
        command(&mut world, &["FUNCTION", "LOAD", LIBRARY]),
        "$3 lib"
    );
    check_in(
        &mut world,
        &[
            ("FCALL put 1 a 5", "+OK"),
            ("FCALL_RO look 1 a", "$1 5"),
            (
                "FCALL_RO put 1 a 5",
                "-ERR Can not execute a script with write flag using *_ro command.",
            ),
            ("FCALL nothing 0", "-ERR Function not found"),
            ("FCALL put x", "-ERR Bad number of keys provided"),
            (
                "FUNCTION STATS",
                "*4 $14 running_script $-1 $7 engines *2 $3 LUA *4 $15 libraries_count :1 $15 functions_count :2",
            ),
            ("FUNCTION DELETE other", "-ERR Library not found"),
            ("FUNCTION DELETE lib", "+OK"),
            ("FCALL put 1 a 5", "-ERR Function not found"),
            ("FUNCTION LIST", "*0"),
        ],
    );
    for (code, expected) in [
        ("return 1", "-ERR Missing library metadata"),
        ("#!lua\nreturn 1", "-ERR Library name was not given"),
        (
            "#!lua name=a-b\nreturn 1",
            "-ERR Library names can only contain",
        ),
        ("#!js name=a\nreturn 1", "-ERR Engine 'js' not found"),
        ("#!lua name=a\nlocal x = 1", "-ERR No functions registered"),
        (
            "#!lua name=a\nnot lua",
            "-ERR Error compiling function: user_function:2:",
        ),
        (
            "#!lua name=a\nwhile true do end",
            "-ERR Error registering functions: ERR FUNCTION LOAD timeout",
        ),
        (
            "#!lua name=a\nredis.register_function('f', function() end) redis.register_function('f', function() end)",
            "-ERR Error registering functions: ERR Function already exists in the library",
        ),
    ] {
        let answer = command(&mut world, &["FUNCTION", "LOAD", code]);
        assert!(answer.starts_with(expected), "{code}: {answer}");
    }
}

#[test]
fn libraries_are_kept_all_or_none() {
    let mut world = World::new();
    command(&mut world, &["FUNCTION", "LOAD", LIBRARY]);
    let other = "#!lua name=other\nredis.register_function('put', function() return 1 end)";
    assert_eq!(
        command(&mut world, &["FUNCTION", "LOAD", other]),
        "-ERR Function put already exists"
    );
    assert_eq!(
        command(&mut world, &["FUNCTION", "LOAD", LIBRARY]),
        "-ERR Library 'lib' already exists"
    );
    assert_eq!(
        command(&mut world, &["FUNCTION", "LOAD", "REPLACE", LIBRARY]),
        "$3 lib"
    );
    // A library that runs for ever takes the interpreter with it, not the functions.
    command(
        &mut world,
        &["FUNCTION", "LOAD", "#!lua name=a\nwhile true do end"],
    );
    assert_eq!(command(&mut world, &["FCALL", "put", "1", "a", "5"]), "+OK");
    world.run("MULTI");
    command(&mut world, &["FUNCTION", "DELETE", "lib"]);
    command(&mut world, &["FCALL", "put", "1", "a", "6"]);
    assert_eq!(world.run("EXEC"), "*2 +OK -ERR Function not found");
    assert_eq!(
        world.run("FUNCTION RESTORE nonsense"),
        "-ERR DUMP payload version or checksum are wrong"
    );
}

#[test]
fn libraries_outlive_a_flush_of_the_keys() {
    let mut world = World::new();
    command(&mut world, &["FUNCTION", "LOAD", LIBRARY]);
    check_in(
        &mut world,
        &[
            ("FLUSHALL", "+OK"),
            ("FCALL put 1 a 5", "+OK"),
            ("FUNCTION FLUSH", "+OK"),
            ("FUNCTION LIST", "*0"),
            ("GET a", "$1 5"),
        ],
    );
}

/// Runs a line as connections do while a script is late: on an empty replica.
fn beside(world: &mut World, kind: Kind, line: &str) -> String {
    world.busy = Some(kind);
    let answer = world.run(line);
    world.busy = None;
    answer
}

const BUSY_SCRIPT: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

#[test]
fn few_commands_run_beside_a_script_that_is_late() {
    let mut world = World::new();
    for refused in [
        "GET a",
        "SET a 1",
        "PING",
        "INFO",
        "CONFIG GET *",
        "CLIENT LIST",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "EVAL 'return 1' 0",
        "ISLES.STATUS",
        "SUBSCRIBE c",
        "SHUTDOWN",
        "SHUTDOWN SAVE",
    ] {
        assert_eq!(
            beside(&mut world, Kind::Script, refused),
            BUSY_SCRIPT,
            "{refused}"
        );
        assert_eq!(
            beside(&mut world, Kind::Function, refused),
            BUSY_FUNCTION,
            "{refused}"
        );
    }
    // What is wrong anyway is told as ever.
    let answer = beside(&mut world, Kind::Script, "GET");
    assert_eq!(answer, "-ERR wrong number of arguments for 'get' command");
    assert_eq!(beside(&mut world, Kind::Script, "UNWATCH"), "+OK");
    assert_eq!(beside(&mut world, Kind::Script, "RESET"), "+RESET");
    assert!(beside(&mut world, Kind::Script, "HELLO").starts_with("*14 "));
    assert_eq!(
        beside(&mut world, Kind::Script, "FUNCTION STATS"),
        BUSY_SCRIPT
    );
    let answer = beside(&mut world, Kind::Script, "SHUTDOWN NOSAVE");
    assert_eq!(answer, "-ERR clients do not stop this process");
    assert_eq!(
        beside(&mut world, Kind::Script, "SCRIPT KILL"),
        "-NOTBUSY No scripts in execution right now."
    );
    world.busy = Some(Kind::Script);
    let (answer, stop) = world.run_buffer(b"RESET\r\nWATCH a\r\nRESET\r\n".to_vec());
    assert_eq!((answer.as_str(), stop), ("+RESET", Stop::Held));
}

#[test]
fn no_half_of_a_transaction_is_left_beside_a_script() {
    let mut world = World::new();
    // MULTI is let through, so that what follows it is not taken for commands of their own.
    assert_eq!(beside(&mut world, Kind::Script, "MULTI"), "+OK");
    assert_eq!(beside(&mut world, Kind::Script, "INCR a"), BUSY_SCRIPT);
    check_in(
        &mut world,
        &[
            ("INCR a", "+QUEUED"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("MULTI", "+OK"),
            ("INCR a", "+QUEUED"),
        ],
    );
    assert_eq!(
        beside(&mut world, Kind::Function, "EXEC"),
        format!(
            "-EXECABORT Transaction discarded because of: {}",
            &BUSY_FUNCTION[1..]
        )
    );
    check_in(
        &mut world,
        &[("EXEC", "-ERR EXEC without MULTI"), ("EXISTS a", ":0")],
    );
    world.run("MULTI");
    assert_eq!(beside(&mut world, Kind::Script, "DISCARD"), "+OK");
}

#[test]
fn a_late_function_is_shown() {
    let mut world = World::new();
    let script = "redis.register_function('slow', function() return 1 end)";
    command(
        &mut world,
        &["FUNCTION", "LOAD", &format!("#!lua name=lib\n{script}")],
    );
    let running = std::sync::Arc::clone(&world.server.scripting.running);
    world.run("CONFIG SET lua-time-limit 1");
    let ran = running.begin(Kind::Function, &[b"FCALL", b"slow", b"0"]);
    isles_lua::Overseer::ask(&*running, Duration::from_millis(1));
    let shown = beside(&mut world, Kind::Function, "FUNCTION STATS");
    assert!(
        shown.starts_with("*4 $14 running_script *6 $4 name $4 slow $7 command *3 $5 FCALL $4 slow $1 0 $11 duration_ms :"),
        "{shown}"
    );
    assert!(
        shown.ends_with("$7 engines *2 $3 LUA *4 $15 libraries_count :1 $15 functions_count :1"),
        "{shown}"
    );
    assert_eq!(
        beside(&mut world, Kind::Function, "SCRIPT KILL"),
        BUSY_FUNCTION
    );
    assert_eq!(beside(&mut world, Kind::Function, "FUNCTION KILL"), "+OK");
    assert!(ran.reason().contains("FUNCTION KILL"));
}

#[test]
fn the_limits_of_scripts_have_bounds_and_two_names() {
    check(&[
        ("CONFIG SET lua-time-limit 10", "+OK"),
        (
            "CONFIG GET busy-reply-threshold",
            "*2 $20 busy-reply-threshold $2 10",
        ),
        ("CONFIG SET busy-reply-threshold 0", "+OK"),
        ("CONFIG GET lua-time-limit", "*2 $14 lua-time-limit $1 0"),
        (
            "CONFIG SET script-time-max 0",
            "-ERR CONFIG SET failed (possibly related to argument 'script-time-max') - argument must be between 1 and 600000 inclusive",
        ),
        (
            "CONFIG GET script-time-max",
            "*2 $15 script-time-max $5 30000",
        ),
        ("CONFIG SET min-slaves-to-write 2", "+OK"),
        (
            "CONFIG GET min-replicas-to-write",
            "*2 $21 min-replicas-to-write $1 2",
        ),
    ]);
}

/// What INFO says of a command and of errors.
fn counted(world: &mut World, command: &str) -> (String, String) {
    let info = world.run("INFO commandstats errorstats");
    let find = |start: &str| {
        let lines = info.split(' ').filter(|line| line.starts_with(start));
        lines.collect::<Vec<_>>().join(" ")
    };
    let calls = find(&format!("cmdstat_{command}:"));
    let short = calls.split(',').filter(|part| !part.contains("usec"));
    (short.collect::<Vec<_>>().join(","), find("errorstat_"))
}

/// An error is counted where it arises, however many hands it passes through.
#[test]
fn errors_in_scripts_are_counted_once() {
    let mut world = World::new();
    world.run("SET text x");
    for (script, inner, outer) in [
        (
            "return redis.call('incr', 'text')",
            "calls=1,rejected_calls=0,failed_calls=1",
            1,
        ),
        (
            "return redis.pcall('incr', 'text')",
            "calls=1,rejected_calls=0,failed_calls=1",
            1,
        ),
        (
            "redis.pcall('incr', 'text') return 1",
            "calls=1,rejected_calls=0,failed_calls=1",
            0,
        ),
        (
            "return redis.call('incr')",
            "calls=0,rejected_calls=1,failed_calls=0",
            1,
        ),
    ] {
        world.run("CONFIG RESETSTAT");
        eval(&mut world, script);
        let expected = format!("cmdstat_incr:{inner}");
        assert_eq!(
            counted(&mut world, "incr"),
            (expected, "errorstat_ERR:count=1".to_owned()),
            "{script}"
        );
        let expected = format!("cmdstat_eval:calls=1,rejected_calls=0,failed_calls={outer}");
        assert_eq!(counted(&mut world, "eval").0, expected, "{script}");
        let info = world.run("INFO stats");
        assert!(info.contains("total_error_replies:1 "), "{info}");
    }
    for (script, errors) in [
        (
            "return redis.error_reply('MY_CODE text')",
            "errorstat_MY_CODE:count=1",
        ),
        ("return redis.error_reply('')", "errorstat_ERR:count=1"),
        ("return redis.status_reply('MY_CODE text')", ""),
        (
            "return {redis.pcall('incr', 'text'), redis.error_reply('B b')}",
            "errorstat_B:count=1 errorstat_ERR:count=1",
        ),
        ("error('x')", "errorstat_ERR:count=1"),
    ] {
        world.run("CONFIG RESETSTAT");
        eval(&mut world, script);
        assert_eq!(counted(&mut world, "eval").1, errors, "{script}");
    }
    // Also inside MULTI, and for commands that do not exist.
    world.run("CONFIG RESETSTAT");
    world.run("NOSUCH");
    world.run("MULTI");
    world.run("LPUSH text x");
    command(
        &mut world,
        &["EVAL", "return redis.call('lpush', 'text', 'x')", "0"],
    );
    world.run("EXEC");
    assert_eq!(
        counted(&mut world, "lpush").1,
        "errorstat_ERR:count=1 errorstat_WRONGTYPE:count=2"
    );
}

#[test]
fn scripts_and_functions_are_counted() {
    let mut world = World::new();
    let number = |world: &mut World, name: &str| {
        let info = world.run("INFO memory");
        let line = info
            .split(' ')
            .find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.expect("a line of that name")
            .parse::<u64>()
            .expect("a number")
    };
    assert_eq!(number(&mut world, "used_memory_vm_total"), 0);
    eval(&mut world, "return 1");
    command(&mut world, &["FUNCTION", "LOAD", LIBRARY]);
    for (name, expected) in [
        ("number_of_cached_scripts", 1),
        ("number_of_libraries", 1),
        ("number_of_functions", 2),
        ("used_memory_scripts_eval", 8),
        ("used_memory_functions", LIBRARY.len() as u64),
    ] {
        assert_eq!(number(&mut world, name), expected, "{name}");
    }
    assert!(number(&mut world, "used_memory_lua") > 1000);
    // What is waiting to be collected is no leak.
    for _ in 0..1000 {
        eval(&mut world, "return redis.call('echo', 'x')");
    }
    assert!(number(&mut world, "used_memory_lua") < 100 << 10);
    // A function that asks finds the same; it has the libraries locked itself.
    let ask = "#!lua name=ask\nredis.register_function('ask', function() return redis.call('info', 'memory') end)";
    command(&mut world, &["FUNCTION", "LOAD", ask]);
    let info = world.run("FCALL ask 0");
    assert!(info.contains("number_of_functions:3 "), "{info}");
    world.run("SCRIPT FLUSH");
    world.run("FUNCTION FLUSH");
    assert_eq!(number(&mut world, "number_of_cached_scripts"), 0);
    assert_eq!(number(&mut world, "number_of_functions"), 0);
}

#[test]
fn scripts_that_write_need_enough_replicas() {
    let mut world = World::new();
    let refused = "-NOREPLICAS Not enough good replicas to write.";
    check_in(
        &mut world,
        &[
            ("SET a 1", "+OK"),
            ("MULTI", "+OK"),
            ("INCR a", "+QUEUED"),
            ("CONFIG SET min-replicas-to-write 2", "+QUEUED"),
            ("EXEC", "*2 :2 +OK"),
            ("SET a 1", refused),
            ("GET a", "$1 2"),
            ("FUNCTION FLUSH", refused),
        ],
    );
    let mut lacking = |script: &str| eval(&mut world, script);
    assert_eq!(lacking("return redis.call('get', 'a')"), "$1 2");
    assert_eq!(
        lacking("#!lua flags=no-writes\nreturn redis.call('get', 'a')"),
        "$1 2"
    );
    assert_eq!(lacking("#!lua\nreturn 1"), refused);
    let answer = lacking("redis.call('set', 'a', 1)");
    assert!(
        answer.starts_with(&format!("{refused} script: ")),
        "{answer}"
    );
    world.run("CONFIG SET min-replicas-to-write 1");
    check_in(
        &mut world,
        &[("SET a 3", "+OK"), ("MULTI", "+OK"), ("INCR a", "+QUEUED")],
    );
    world.good_peers = 0;
    check_in(
        &mut world,
        &[
            (
                "EXEC",
                &format!(
                    "-EXECABORT Transaction discarded because of: {}",
                    &refused[1..]
                ),
            ),
            ("MULTI", "+OK"),
            ("GET a", "+QUEUED"),
            ("EXEC", "*1 $1 3"),
            ("CONFIG SET min-replicas-max-lag 0", "+OK"),
            ("SET a 4", "+OK"),
        ],
    );
}
