//! Scripts that want to hang, fill or break the node.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::Verdict;

/// Runs a script with time enough to meet another limit first.
fn run_patiently(text: &str) -> Result<Answer, ScriptError> {
    let mut lua = Interpreter::new("7.0.15");
    let script = lua.compile(text.as_bytes())?;
    let limit: Arc<dyn Overseer> = Arc::new(Duration::from_secs(60));
    let outcome = lua.run(&script, &[], &[], &mut Echo::default(), &limit);
    assert!(lua.is_spoiled(), "{text}");
    outcome
}

/// Runs a script that must meet one limit or another: which one comes first depends on the machine.
#[track_caller]
fn ends(text: &str) {
    let shown = shown(text);
    let ended = ["longer than its limit", "values", "too large", "too long"];
    assert!(
        ended.iter().any(|end| shown.contains(end)),
        "{text} gave {shown}"
    );
}

#[test]
fn unpack_counts_without_overflow() {
    for bounds in [
        "0, 2147483647",
        "-2147483648",
        "-2147483648, 0",
        "1, 1e300",
        "0/0, 3",
        "1, 0/0",
        "'0', '2147483647'",
        "1, 8001",
    ] {
        let shown = shown(&format!("return unpack({{1, 2, 3}}, {bounds})"));
        assert!(
            shown.contains("too many results to unpack"),
            "{bounds}: {shown}"
        );
    }
    assert_eq!(
        shown("return {unpack({1, 2, 3}, 2)}"),
        shown("return {2, 3}")
    );
    assert_eq!(
        shown("return {unpack({1, 2, 3}, '1', 2)}"),
        shown("return {1, 2}")
    );
    assert_eq!(
        shown("return {unpack({1, 2, 3}, 3, 1)}"),
        shown("return {}")
    );
    assert!(shown("return unpack()").contains("bad argument #1"));
}

#[test]
fn an_answer_that_repeats_a_text_is_limited() {
    let mut lua = Interpreter::new("7.0.15");
    let text = "local text, all = string.rep('x', 2 ^ 24), {} for i = 1, 17 do all[i] = text end return all";
    let script = lua.compile(text.as_bytes()).unwrap();
    let limit: Arc<dyn Overseer> = Arc::new(Duration::from_secs(60));
    let answer = lua.run(&script, &[], &[], &mut Echo::default(), &limit);
    let refusal = b"ERR the script's answer has more than 268435456 bytes".to_vec();
    assert!(answer == Ok(Answer::Error(refusal)));
}

#[test]
fn endless_scripts_end() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local function f() while true do pcall(f) end end f()",
        "local c = coroutine.wrap(function() while true do end end) c()",
        "local function nest(n) while true do coroutine.resume(coroutine.create(function() if n > 0 then nest(n - 1) end while true do end end)) end end nest(5)",
        "while true do redis.pcall('echo', 'x') end",
        "while true do local f = loadstring('return 1') f() end",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
        "table.sort({3, 2, 1}, function(a, b) while true do end end)",
        "string.gsub(string.rep('a', 100), 'a', function() while true do end end)",
        "for _ in pairs(setmetatable({}, {__call = 1})) do end while true do end",
        "return (string.rep('a', 30) .. 'b'):find(string.rep('a?', 30) .. string.rep('.-', 60) .. 'c')",
        "return string.rep('a', 100000):match(string.rep('.-', 40) .. 'b')",
        "while true do error_in = pcall(error) end",
    ] {
        let outcome = run(script);
        let refused = matches!(&outcome, Err(ScriptError::Raised { text, .. }) if text.contains("pattern takes too long") || text.contains("readonly"));
        assert!(
            refused || outcome == Err(ScriptError::Time),
            "{script}: {outcome:?}"
        );
    }
}

#[test]
fn memory_is_bounded() {
    for script in [
        "local t = {} while true do t[#t + 1] = string.rep('x', 1000000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
    ] {
        let outcome = run_patiently(script);
        assert_eq!(outcome, Err(ScriptError::Memory), "{script}");
    }
    check_contains("return string.rep('x', 2^40)", "resulting string too large");
    check_contains("return string.rep('', 2^53)", "");
    check_contains(
        "return string.format('%' .. '99999999d', 1)",
        "invalid format",
    );
    ends("return ('x'):rep(1000):gsub('x', ('y'):rep(100000))");
    check_contains(
        "local t = {} t[1] = 1 table.insert(t, -2^31, 5)",
        "position out of bounds",
    );
}

#[test]
fn deep_recursion_is_an_error() {
    check_contains(
        "local function f() return 1 + f() end return f()",
        "stack overflow",
    );
    check_contains("local function f() return pcall(f) end return f()", "1");
    check_contains(
        "local s = string.rep('(', 1000) .. '1' .. string.rep(')', 1000) return loadstring('return ' .. s)()",
        "nil value",
    );
    check_contains(
        "local t = {} for i = 1, 5000 do t = {t} end return t",
        "reached lua stack limit",
    );
    check_contains("local t = {} t[1] = t return t", "reached lua stack limit");
    check_contains(
        "local t = {} t[1] = t return cjson.encode(t)",
        "excessive depth",
    );
    check_contains("local t = {} t[1] = t return #cmsgpack.pack(t)", "17");
    check_contains(
        "return cjson.decode(string.rep('[', 100000))",
        "too many nested data structures",
    );
    check_contains(
        "return cmsgpack.unpack(string.rep('\\145', 100000))",
        "too many nested values",
    );
    let wide = "local t = {1} for i = 1, 60 do t = {t, t} end return t";
    ends(wide);
    ends("local t = {1} for i = 1, 60 do t = {t, t} end return cjson.encode(t)");
}

#[test]
fn deep_values_fit_the_stack_of_a_worker() {
    let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        check_contains("local t = {} t[1] = t return t", "reached lua stack limit");
        check_contains("local t = {} t[1] = t return cjson.encode(t)", "excessive depth");
        check("return #cjson.decode(string.rep('[', 190) .. string.rep(']', 190))", "1");
        check_contains("local function f() return pcall(pcall, f) end return tostring(f())", "true");
        check_contains("local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k .. 'x'] end return t.a", "overflow");
    });
    worker.expect("a thread").join().expect("no overflow");
}

#[test]
fn finalizers_and_metatables_do_no_harm() {
    check_contains(
        "local p = newproxy(true)",
        "nonexistent global variable 'newproxy'",
    );
    check(
        "local t = setmetatable({}, {__gc = function() while true do end end}) t = nil return 1",
        "1",
    );
    check("return tostring(getmetatable(redis.call))", "nil");
    check_contains(
        "return error(setmetatable({}, {__tostring = function() while true do end end}))",
        "unknown error",
    );
    check_contains(
        "error(setmetatable({}, {__index = function() error('x') end}))",
        "unknown error",
    );
    check_contains("error(nil)", "nil");
    check_contains("error(function() end)", "function");
    check_contains("error(redis)", "ERR");
    check(
        "local ok, e = pcall(cjson.decode, '{') return type(e)",
        "string",
    );
    check("return type(coroutine.running())", "nil");
    check(
        "local c = coroutine.wrap(function() return redis.call('echo', 'in') end) return c()",
        "in",
    );
    check_contains("coroutine.yield(1)", "attempt to yield");
    check_contains(
        "return redis.call('echo', unpack({}, 1, 1e8))",
        "too many results to unpack",
    );
}

#[test]
fn commands_after_a_script_are_refused() {
    // A library may keep a function for later; while it is loaded there is nobody to call.
    let mut lua = Interpreter::new("7.0.15");
    let code = b"local kept redis.register_function('f', function() kept = redis.call return 1 end)
        redis.register_function('g', function() return kept('echo', 'later') end)";
    let functions = lua
        .load_library(code, &mut |_, _| {}, &limit())
        .expect("loads");
    for (function, expected) in functions.iter().zip(["1", "later"]) {
        let answer = lua
            .call(function, &[], &[], &mut Echo::default(), &limit())
            .expect("runs");
        assert_eq!(show(&answer), expected);
    }
}

/// Lets a script go on a few times.
#[derive(Default)]
struct Patient(AtomicU32);

impl Overseer for Patient {
    fn first(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn ask(&self, ran: Duration) -> Verdict {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0..3 => Verdict::Continue(ran + Duration::from_millis(1)),
            _ => Verdict::End,
        }
    }
}

#[test]
fn an_overseer_is_asked_again_and_again_until_it_has_enough() {
    for script in [
        "while true do end",
        "while true do redis.pcall('echo', 'x') end",
        "while true do pcall(function() while true do end end) end",
    ] {
        let mut lua = Interpreter::new("7.0.15");
        let script = lua.compile(script.as_bytes()).expect("is Lua");
        let patient = Arc::new(Patient::default());
        let overseer: Arc<dyn Overseer> = Arc::clone(&patient) as _;
        let outcome = lua.run(&script, &[], &[], &mut Echo::default(), &overseer);
        assert_eq!(outcome, Err(ScriptError::Time));
        // Once it has had enough nobody asks any more.
        assert_eq!(patient.0.load(Ordering::Relaxed), 4);
    }
}
