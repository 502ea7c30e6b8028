//! Modules that mean harm, or are just wrong: refused when they are loaded, or stopped when they run. None of them
//! chooses an answer, and none takes more than it may have.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_resolve::{Failure, Resolver, Sibling};
use isles_resolve_wasm::{Limits, LoadError, MODULE_BYTES_MAX, WasmResolver};

const SMALL: Limits = Limits {
    fuel: 100_000,
    memory_bytes: 1 << 20,
    answer_bytes: 1_000,
};

/// A module that is right but for what is put in.
fn module(resolve: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 1024))
            (func $resolve (export "isles_resolve_v1") (param i32 i32) (result i64) {resolve})
            {more})"#
    );
    wat::parse_str(text).unwrap()
}

fn two_siblings() -> [Sibling<'static>; 2] {
    [1u128, 2].map(|id| Sibling::new(Dot::new(ReplicaId::from_u128(id), 1), Hlc::ZERO, b"value"))
}

fn check_stopped(name: &str, module: &[u8], failure: Failure) {
    let resolver = WasmResolver::load(module, SMALL).unwrap();
    let resolution = resolver.resolve(&two_siblings());
    assert_eq!(resolution.failure(), Some(failure), "{name}");
    assert_eq!(resolution.value(), None, "{name}");
}

fn check_refused(name: &str, module: &[u8], expected: &str) {
    let error = WasmResolver::load(module, SMALL).unwrap_err().to_string();
    assert!(error.contains(expected), "{name}: {error}");
}

#[test]
fn what_does_not_end_runs_out_of_fuel() {
    let endless = "(loop $again (br $again)) unreachable";
    check_stopped("a loop", &module(endless, ""), Failure::Fuel);
    let start = "(start $start) (func $start (loop $again (br $again)))";
    check_stopped(
        "a start function",
        &module("(i64.const 0)", start),
        Failure::Fuel,
    );
    let initialize = r#"(func (export "_initialize") (loop $again (br $again)))"#;
    check_stopped(
        "an initializer",
        &module("(i64.const 0)", initialize),
        Failure::Fuel,
    );
    let tail = "(func $again (return_call $again))";
    let calls = "(call $again) (i64.const 0)";
    check_stopped(
        "calls that leave no frame",
        &module(calls, tail),
        Failure::Fuel,
    );
    let fill = "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $again)) unreachable";
    check_stopped("a loop of fills", &module(fill, ""), Failure::Fuel);
}

#[test]
fn the_source_of_a_module_is_told_from_a_module() {
    let text = include_bytes!("../../../docs/examples/resolvers/longest.wat");
    let commented = b"\n (; longest ;) (module)";
    for text in [&text[..], commented] {
        check_refused("text", text, "this is WebAssembly text: compile it first");
    }
    check_refused("neither", b"", "cannot be compiled");
    check_refused("neither", b"wasm", "cannot be compiled");
}

#[test]
fn what_calls_itself_is_too_deep() {
    let calls = "(call $resolve (local.get 0) (local.get 1))";
    check_stopped("a call of itself", &module(calls, ""), Failure::Depth);
    let locals = "(local i64)".repeat(2_000);
    let large =
        format!("{locals} (i64.add (i64.const 1) (call $resolve (local.get 0) (local.get 1)))");
    check_stopped("large frames", &module(&large, ""), Failure::Depth);
}

#[test]
fn memory_has_a_limit() {
    let grow = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) unreachable";
    check_stopped("page by page", &module(grow, ""), Failure::Memory);
    let bomb = "(drop (memory.grow (i32.const 65535))) (i64.const 0)";
    check_stopped("all at once", &module(bomb, ""), Failure::Memory);
    let declared = wat::parse_str(
        r#"(module (memory (export "memory") 65536)
            (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 0))
            (func (export "isles_resolve_v1") (param i32 i32) (result i64) (i64.const 0)))"#,
    );
    check_refused(
        "from the start",
        &declared.unwrap(),
        "begins with 4294967296 bytes of memory",
    );
}

#[test]
fn tables_have_limits() {
    let huge = "(table 10000000 funcref)";
    let stopped = WasmResolver::load(&module("(i64.const 0)", huge), SMALL).unwrap();
    assert!(stopped.resolve(&two_siblings()).failure().is_some());
    let growing = "(loop $again (drop (table.grow $t (ref.null func) (i32.const 100000))) (br $again)) unreachable";
    let stopped = WasmResolver::load(&module(growing, "(table $t 1 funcref)"), SMALL).unwrap();
    assert!(stopped.resolve(&two_siblings()).failure().is_some());
    let many = "(table 1 funcref)".repeat(200);
    check_refused(
        "many",
        &module("(i64.const 0)", &many),
        "exceeds the limit of 100 tables",
    );
}

#[test]
fn what_crashes_traps() {
    for (name, resolve) in [
        ("unreachable", "unreachable"),
        (
            "a division by zero",
            "(i64.div_u (i64.const 1) (i64.const 0))",
        ),
        ("a read beyond the memory", "(i64.load (i32.const 65536))"),
    ] {
        check_stopped(name, &module(resolve, ""), Failure::Trap);
    }
}

#[test]
fn an_answer_must_be_in_the_memory_and_within_its_limit() {
    for (name, answer, failure) in [
        ("at the end", "0x0000ffff_00000002", Failure::Bounds),
        ("beyond", "0x7fffffff_00000001", Failure::Bounds),
        ("far beyond", "0xffffffff_000003e8", Failure::Bounds),
        ("too long", "0x00000000_000003e9", Failure::Answer),
        ("as long as can be", "0x00000000_ffffffff", Failure::Answer),
    ] {
        let resolve = format!("(i64.const {answer})");
        check_stopped(name, &module(&resolve, ""), failure);
    }
}

#[test]
fn room_for_the_input_must_be_in_the_memory() {
    for place in ["65530", "-1", "-65536"] {
        let text = format!(
            r#"(module (memory (export "memory") 1)
                (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const {place}))
                (func (export "isles_resolve_v1") (param i32 i32) (result i64) (i64.const 0)))"#
        );
        check_stopped(place, &wat::parse_str(text).unwrap(), Failure::Bounds);
    }
}

#[test]
fn floats_are_refused() {
    for resolve in [
        "(i64.trunc_f64_s (f64.const 1.5))",
        "(drop (f32.load (i32.const 0))) (i64.const 0)",
        "(local f64) (i64.const 0)",
    ] {
        let error = WasmResolver::load(&module(resolve, ""), SMALL).unwrap_err();
        assert!(matches!(error, LoadError::Floats(_)), "{resolve}: {error}");
    }
    let global = "(global f32 (f32.const 0))";
    let error = WasmResolver::load(&module("(i64.const 0)", global), SMALL).unwrap_err();
    assert!(matches!(error, LoadError::Floats(_)), "{error}");
}

#[test]
fn imports_are_refused_by_name() {
    let text = r#"(module (import "env" "random" (func (result i32)))
        (memory (export "memory") 1)
        (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 0))
        (func (export "isles_resolve_v1") (param i32 i32) (result i64) (i64.const 0)))"#;
    check_refused(
        "a function",
        &wat::parse_str(text).unwrap(),
        "imports \"env\" \"random\"",
    );
    let text = r#"(module (import "env" "memory" (memory 1)) (export "memory" (memory 0)))"#;
    check_refused(
        "a memory",
        &wat::parse_str(text).unwrap(),
        "imports \"env\" \"memory\"",
    );
}

#[test]
fn exports_must_be_there_and_of_their_types() {
    let memory = r#"(memory (export "memory") 1)"#;
    let alloc = r#"(func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 0))"#;
    let resolve =
        r#"(func (export "isles_resolve_v1") (param i32 i32) (result i64) (i64.const 0))"#;
    let other = r#"(func (export "isles_resolve_v1") (param i32 i32) (result i32) (i32.const 0))"#;
    let global = r#"(global (export "isles_alloc_v1") i32 (i32.const 0))"#;
    for (parts, missing) in [
        ([alloc, resolve, ""], "memory"),
        ([memory, resolve, ""], "isles_alloc_v1"),
        ([memory, resolve, global], "isles_alloc_v1"),
        ([memory, alloc, ""], "isles_resolve_v1"),
        ([memory, alloc, other], "isles_resolve_v1"),
    ] {
        let text = format!("(module {})", parts.concat());
        check_refused(missing, &wat::parse_str(text).unwrap(), missing);
    }
}

#[test]
fn what_is_no_module_is_refused() {
    check_refused("nothing", b"", "cannot be compiled");
    check_refused("text", b"fn main() {}", "cannot be compiled");
    let good = module("(i64.const 0)", "");
    // The names of functions at its end can be missing.
    for cut in 1..good.len() / 2 {
        assert!(WasmResolver::load(&good[..cut], SMALL).is_err(), "{cut}");
    }
    let large = vec![0; MODULE_BYTES_MAX + 1];
    check_refused("too large", &large, "are the limit");
    let threads = r#"(module (memory (export "memory") 1 1 shared))"#;
    check_refused(
        "threads",
        &wat::parse_str(threads).unwrap(),
        "cannot be compiled",
    );
}

#[test]
fn nothing_is_left_of_the_call_before() {
    // It answers how often it was called: in memory, in a global, in a table.
    let resolve = r#"
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
        (i32.store8 (i32.const 1) (global.get $calls))
        (i64.const 2)"#;
    let counting = module(resolve, "(global $calls (mut i32) (i32.const 0))");
    let resolver = WasmResolver::load(&counting, SMALL).unwrap();
    for _ in 0..3 {
        let resolution = resolver.resolve(&two_siblings());
        assert_eq!(resolution.value(), Some(&[1, 1][..]));
    }
}

#[test]
fn siblings_that_are_too_large_are_not_given_to_it() {
    let large = vec![b'x'; 3 << 20];
    let sibling = |id| Sibling::new(Dot::new(ReplicaId::from_u128(id), 1), Hlc::ZERO, &large);
    let resolver = WasmResolver::load(&module("unreachable", ""), SMALL).unwrap();
    let resolution = resolver.resolve(&[sibling(1), sibling(2)]);
    assert_eq!(resolution.failure(), Some(Failure::Input));
}

/// What it says of itself decides whether it fails: a call takes as much fuel every time.
#[test]
fn a_call_takes_the_same_fuel_every_time() {
    let loops = "(local $i i32) (loop $again (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))) (i64.const 0)";
    let resolver = WasmResolver::load(&module(loops, ""), SMALL).unwrap();
    let fuel: Vec<u64> = (0..3)
        .map(|_| resolver.run_measured(&two_siblings()).1)
        .collect();
    assert!(
        fuel[0] > 1_000 && fuel.iter().all(|each| *each == fuel[0]),
        "{fuel:?}"
    );
    let exact = Limits {
        fuel: fuel[0],
        ..SMALL
    };
    for (limit, answers) in [(fuel[0], true), (fuel[0] - 1, false)] {
        let limits = Limits {
            fuel: limit,
            ..exact
        };
        let resolver = WasmResolver::load(&module(loops, ""), limits).unwrap();
        assert_eq!(resolver.run(&two_siblings()).is_ok(), answers);
    }
}
