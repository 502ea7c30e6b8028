use super::*;

#[test]
fn answers_become_what_redis_makes_of_them() {
    check("return 'hello'", "hello");
    check("return 100.5", "100");
    check("return true", "1");
    check("return false", "nil");
    check("return nil", "nil");
    check("return {1, 2, 'a', {3}}", "[1 2 a [3]]");
    check("return {1, nil, 3}", "[1]");
    check("return {ok='fine'}", "+fine");
    check("return {err='ERR a\\r\\nb'}", "-ERR a  b");
    check("return redis.status_reply('yes')", "+yes");
    check("return redis.error_reply('My Err')", "-My Err");
    check("return redis.error_reply('-MYERR text')", "-MYERR text");
    check("return redis.error_reply('single')", "-ERR single");
    check("return {double=1.5}", "1.5");
    check("redis.setresp(3) return true", "true");
    check("return {map={a=1}}", "{a:1}");
    check("return {set={a=true}}", "~[a]");
    check("return {big_number='123'}", "(123");
    check(
        "return {verbatim_string={format='txt', string='a'}}",
        "=txt:a",
    );
    check("return _G", "[]");
    check(
        "local a = {}; setmetatable(a, {__index=function() foo() end}) return a",
        "[]",
    );
}

#[test]
fn commands_answers_become_what_redis_makes_of_them() {
    for (bytes, script, expected) in [
        (":7", "return {type(r), r}", "[number 7]"),
        ("+OK", "return {type(r), r.ok}", "[table OK]"),
        ("$-1", "return {type(r), tostring(r)}", "[boolean false]"),
        ("*2\\r\\n:1\\r\\n:2", "return r", "[1 2]"),
        ("-ERR no", "return r.err", "ERR no"),
        (",1.5", "return r", "1.5"),
        ("_", "return {tostring(r)}", "[false]"),
        ("%1\\r\\n+a\\r\\n:1", "return r.map", "[]"),
        ("~1\\r\\n:5", "return r", "~[5]"),
    ] {
        check(
            &format!("local r = redis.pcall('resp', '{bytes}\\r\\n') {script}"),
            expected,
        );
    }
    check(
        "redis.setresp(3) return tostring(redis.call('resp', '_\\r\\n'))",
        "nil",
    );
}

#[test]
fn numbers_lose_nothing_as_arguments() {
    check(
        "return redis.call('echo', 9007199254740991)",
        "9007199254740991",
    );
    check("return redis.call('echo', 3.99)", "3.9900000000000002");
    check("return redis.call('echo', 10/2)", "5");
    check("return redis.call('echo', 1e14)", "100000000000000");
    check("return redis.call('echo', 1/0)", "inf");
    check("local zero = 0 return redis.call('echo', -zero)", "-0");
    check("return redis.call('echo', '3.99')", "3.99");
    check("return redis.call('echo', '1e5')", "1e5");
}

/// However many there are, and whatever else is among them: few come by themselves, more in a table.
#[test]
fn arguments_arrive_as_they_were_given() {
    for (given, expected) in [
        ("'a'", &[&b"a"[..]][..]),
        ("'a', 1, 2.5, '3.5', ''", &[b"a", b"1", b"2.5", b"3.5", b""]),
        ("'a', '\\255\\0', 7", &[b"a", b"\xff\0", b"7"]),
        (
            "'a', 1, 2, 3, 4, 5, 6.5, '\\255'",
            &[b"a", b"1", b"2", b"3", b"4", b"5", b"6.5", b"\xff"],
        ),
    ] {
        let (mut lua, mut host) = (Interpreter::new("7.0.15"), Echo::default());
        let script = lua.compile(format!("redis.pcall({given})").as_bytes());
        lua.run(&script.expect("is Lua"), &[], &[], &mut host, &limit())
            .expect("runs");
        assert_eq!(host.calls, [expected], "{given}");
    }
    for given in [
        "'a', nil",
        "'a', true",
        "'a', {}, 1, 2, 3, 4, 5",
        "nil, 'a'",
    ] {
        check_contains(
            &format!("redis.call({given})"),
            "Lua redis lib command arguments must be strings or integers",
        );
    }
}

#[test]
fn keys_and_arguments_need_not_be_text() {
    let mut lua = Interpreter::new("7.0.15");
    let script = lua.compile(b"return KEYS[1] .. ARGV[2]").expect("is Lua");
    let argv: [&[u8]; 2] = [b"x", b"\xfe\0"];
    let answer = lua.run(&script, &[b"\xff"], &argv, &mut Echo::default(), &limit());
    assert_eq!(answer, Ok(Answer::Bulk(b"\xff\xfe\0".to_vec())));
}

/// INFO shows it, and tools take more than 100 KB for a leak.
#[test]
fn the_environment_is_small_and_stays_so() {
    let mut lua = Interpreter::new("7.0.15");
    let fresh = lua.memory_bytes();
    assert!(fresh < 92_000, "{fresh} bytes");
    for _ in 0..2000 {
        run_on(&mut lua, "return redis.call('echo', ARGV[1])", &["x"]).expect("an answer");
    }
    lua.collect();
    assert!(
        lua.memory_bytes() < fresh + 4_000,
        "{} bytes",
        lua.memory_bytes()
    );
}

#[test]
fn keys_and_arguments() {
    let mut lua = Interpreter::new("7.0.15");
    let answer =
        run_on(&mut lua, "return {KEYS[1], ARGV[1], #ARGV}", &["a", "b"]).expect("an answer");
    assert_eq!(show(&answer), "[key a 2]");
}

#[test]
fn errors_say_what_and_where() {
    let raised = |text: &str| match run(text) {
        Err(ScriptError::Raised { text, place }) => (text, place),
        other => panic!("{other:?}"),
    };
    let at = |line: &str| Some(("@user_script".to_owned(), line.to_owned()));
    assert_eq!(
        raised("redis.call('nope')"),
        (
            "ERR Unknown Redis command called from script".into(),
            at("1")
        )
    );
    assert_eq!(
        raised("\nerror('oh')"),
        ("ERR user_script:2: oh".into(), at("2"))
    );
    assert_eq!(raised("error({err='MINE x'})"), ("MINE x".into(), at("1")));
    assert_eq!(
        raised("return a"),
        (
            "ERR user_script:1: Script attempted to access nonexistent global variable 'a'".into(),
            at("1")
        )
    );
    assert!(
        matches!(run("this is not lua"), Err(ScriptError::Syntax(text)) if text.starts_with("user_script:1:"))
    );
    check(
        "local ok, e = pcall(redis.call, 'nope') return e",
        "ERR Unknown Redis command called from script",
    );
    check("local ok, e = pcall(error, 'x') return e", "x");
    check_contains(
        "redis.call()",
        "Please specify at least one argument for this redis lib call",
    );
    check_contains(
        "redis.call('echo', {})",
        "Lua redis lib command arguments must be strings or integers",
    );
}

#[test]
fn globals_are_closed() {
    let readonly = "Attempt to modify a readonly table";
    for script in [
        "a = 10",
        "_G.a = 1",
        "_G = {}",
        "redis = 1",
        "redis.call = 1",
        "cjson.encode = 1",
        "string.rep = 1",
        "setmetatable(_G, {})",
        "getmetatable(_G).__index = {}",
        "getmetatable('').__index = {}",
        "rawset(_G, 'a', 1)",
        "rawset(redis, 'call', 1)",
        "table.insert(_G, 1)",
        "setmetatable(redis, nil)",
        "for _, t in pairs({redis}) do t.x = 1 end",
    ] {
        check_contains(script, readonly);
    }
    for name in [
        "print", "dofile", "loadfile", "require", "module", "package", "io", "os", "debug",
        "newproxy",
    ] {
        check_contains(
            &format!("return {name}"),
            &format!("nonexistent global variable '{name}'"),
        );
    }
    check_contains("return os.clock()", "nonexistent global variable 'os'");
    check("return type(rawget(_G, 'redis'))", "table");
    check(
        "local n = 0 for k in pairs(_G) do n = n + 1 end return n > 20",
        "1",
    );
    check(
        "for k, v in pairs(bit) do if k == 'band' then return type(v) end end",
        "function",
    );
}

#[test]
fn nothing_reaches_around_the_environment() {
    check("local g = getfenv(pcall) return tostring(g == _G)", "true");
    check("return tostring(getfenv(0) == _G)", "true");
    check(
        "setfenv(redis.call, {}) return redis.call('echo', 'still')",
        "still",
    );
    check_contains("setfenv(0, {}) return 1", "cannot change environment");
    check_contains(
        "return loadstring(string.dump(function() return 1 end))()",
        "attempt to call a nil value",
    );
    check("return loadstring('return 1 + 1')()", "2");
    check(
        "local parts = {'return ', '7'} local i = 0 return load(function() i = i + 1 return parts[i] end)()",
        "7",
    );
    check_contains(
        "loadstring('x = 1')()",
        "Attempt to modify a readonly table",
    );
    check(
        "local f = setfenv(function() return y end, {y = 5}) return f()",
        "5",
    );
    check(
        "local function f() y = 6 return y end setfenv(f, {}) return f()",
        "6",
    );
    check("return tostring(getmetatable(redis) == redis)", "false");
    check(
        "collectgarbage('stop') return collectgarbage('count') > 0",
        "1",
    );
}

#[test]
fn a_script_leaves_nothing_to_the_next() {
    let mut lua = Interpreter::new("7.0.15");
    for script in [
        "cjson.encode_number_precision(3) redis.setresp(3) return 1",
        "local s = getmetatable('') return 1",
    ] {
        run_on(&mut lua, script, &[]).expect("an answer");
    }
    let answer = run_on(
        &mut lua,
        "return {cjson.encode(1.23456), tostring(redis.call('resp', '$-1\\r\\n'))}",
        &[],
    );
    assert_eq!(show(&answer.expect("an answer")), "[1.23456 false]");
}

#[test]
fn requests_that_make_no_sense_here_are_refused_honestly() {
    check("return redis.replicate_commands()", "1");
    check("redis.set_repl(redis.REPL_ALL) return 1", "1");
    check_contains(
        "redis.set_repl(redis.REPL_NONE)",
        "Isles replicates every write",
    );
    check_contains("redis.set_repl(99)", "Invalid replication flags");
    check_contains("redis.setresp(4)", "RESP version must be 2 or 3.");
    check_contains(
        "redis.breakpoint()",
        "attempt to call field 'breakpoint' (a nil value)",
    );
    check_contains("redis.log(10, 'x')", "Invalid debug level.");
    check("return redis.acl_check_cmd('echo')", "1");
    check_contains(
        "redis.acl_check_cmd('nope')",
        "Invalid command passed to redis.acl_check_cmd()",
    );
    check(
        "return redis.sha1hex('')",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    );
    check_contains("redis.sha1hex()", "wrong number of arguments");
    check("return redis.REDIS_VERSION_NUM", "458767");
}

#[test]
fn logs_go_to_the_host() {
    let mut lua = Interpreter::new("7.0.15");
    let mut host = Echo::default();
    let script = lua
        .compile(b"redis.log(redis.LOG_WARNING, 'a', 1)")
        .expect("compiles");
    lua.run(&script, &[], &[], &mut host, &limit())
        .expect("runs");
    assert_eq!(host.lines, [(3, "a 1".to_owned())]);
}

#[test]
fn libraries_register_functions() {
    let mut lua = Interpreter::new("7.0.15");
    let code = b"local n = 1\nredis.register_function('f', function(keys, args) n = n + 1 return {n, keys[1], args[1]} end)
        redis.register_function{function_name='g', callback=function() return redis.call('echo', 'x') end, flags={'no-writes'}}";
    let functions = lua
        .load_library(code, &mut |_, _| {}, &limit())
        .expect("loads");
    let names: Vec<_> = functions
        .iter()
        .map(|f| (f.name.clone(), f.flags.clone()))
        .collect();
    assert_eq!(
        names,
        [
            (b"f".to_vec(), vec![]),
            (b"g".to_vec(), vec![b"no-writes".to_vec()])
        ]
    );
    let answer = lua
        .call(
            &functions[0],
            &[b"k"],
            &[b"a"],
            &mut Echo::default(),
            &limit(),
        )
        .expect("runs");
    assert_eq!(show(&answer), "[2 k a]");
    let answer = lua
        .call(&functions[1], &[], &[], &mut Echo::default(), &limit())
        .expect("runs");
    assert_eq!(show(&answer), "x");
    for (code, expected) in [
        (
            "redis.call('ping')",
            "attempted to access nonexistent global variable 'call'",
        ),
        ("a = 1", "Attempt to modify a readonly table"),
        (
            "redis.register_function('f')",
            "single argument is only applicable to Lua table",
        ),
        ("error('x')", "nonexistent global variable 'error'"),
        ("while true do end", "longer than its limit"),
    ] {
        let error = lua
            .load_library(code.as_bytes(), &mut |_, _| {}, &limit())
            .expect_err(code)
            .to_string();
        assert!(error.contains(expected), "{code}: {error}");
    }
}

#[test]
fn functions_register_only_while_a_library_is_loaded() {
    let mut lua = Interpreter::new("7.0.15");
    let code =
        b"redis.register_function('f', function() redis.register_function('g', function() end) end)
        redis.register_function('h', function() return nothing end)
        redis.register_function('i', function() x = 1 end)";
    let functions = lua
        .load_library(code, &mut |_, _| {}, &limit())
        .expect("loads");
    for (function, expected) in functions.iter().zip([
        "attempt to call field 'register_function'",
        "nonexistent global variable 'nothing'",
        "readonly",
    ]) {
        let error = lua
            .call(function, &[], &[], &mut Echo::default(), &limit())
            .expect_err("refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
