//! The worked example: a shopping cart, from its source to what it answers, and through every law.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Command;

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_resolve::{Json, Resolution, Resolver, Sibling, laws};
use isles_resolve_wasm::{Limits, Refusal, WasmResolver, check};

const CART: &[u8] = include_bytes!("../../resolver/examples/cart.wasm");
const SAMPLES: &[&str] = &[
    "",
    "milk 1\n",
    "milk 2\n",
    "milk 0 3\n",
    "eggs 6 1\nmilk 2 2\n",
    "bread 1\neggs 12 2",
];

fn load(module: &[u8]) -> WasmResolver {
    WasmResolver::load(module, Limits::default()).unwrap()
}

fn merge(cart: &WasmResolver, values: &[&str]) -> Option<String> {
    let siblings: Vec<Sibling<'_>> = (1u128..)
        .zip(values)
        .map(|(id, value)| {
            let dot = Dot::new(ReplicaId::from_u128(id), 1);
            Sibling::new(dot, Hlc::ZERO, value.as_bytes())
        })
        .collect();
    let resolution = cart.resolve(&siblings);
    assert_eq!(resolution.failure(), None, "{values:?}");
    let value = resolution.value()?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

fn check_merges(cart: &WasmResolver) {
    let cases: &[(&[&str], Option<&str>)] = &[
        (&["milk 1", "eggs 6"], Some("eggs 6\nmilk 1\n")),
        (&["milk 1", "milk 3", "milk 2"], Some("milk 3\n")),
        // Taken out by somebody who had seen it, and more of it by somebody who had not changed it as often.
        (&["milk 0 2", "milk 5 1"], Some("milk 0 2\n")),
        (&["milk 0 2", "milk 5 2"], Some("milk 5 2\n")),
        (&["", ""], Some("")),
        (&["milk 1\nmilk 4", ""], Some("milk 4\n")),
        // What is no cart is for the reader to decide.
        (&["milk 1", "milk"], None),
        (&["milk 1", "milk -1"], None),
        (&["milk 1", "milk 01"], None),
        (&["milk 1", "milk 1 1 1"], None),
        (&["milk 1", "milk 18446744073709551616"], None),
        (&["milk 1", "\u{1f95b} 2"], Some("milk 1\n\u{1f95b} 2\n")),
    ];
    for (values, expected) in cases {
        assert_eq!(merge(cart, values).as_deref(), *expected, "{values:?}");
    }
    assert_eq!(
        merge(cart, &["as it stands"]).as_deref(),
        Some("as it stands")
    );
}

#[test]
fn carts_become_one_with_the_items_of_all() {
    check_merges(&load(CART));
}

#[test]
fn the_cart_keeps_the_laws() {
    let report = check(&load(CART), SAMPLES).unwrap();
    assert!(
        report.sets > 50 && report.generated_sets > 100,
        "{report:?}"
    );
    assert!(report.undecided > 0 && report.failed == 0, "{report:?}");
    assert!(report.fuel_max * 10 < Limits::default().fuel, "{report:?}");
}

#[test]
fn the_example_is_what_its_source_compiles_to() {
    let Some(built) = build_the_example() else {
        // Without the target the committed module is all there is, and the other tests have run it.
        assert!(!CART.is_empty());
        return;
    };
    let cart = load(&built);
    check_merges(&cart);
    let committed = load(CART);
    for one in SAMPLES {
        for other in SAMPLES {
            let values = [*one, *other];
            assert_eq!(
                merge(&cart, &values),
                merge(&committed, &values),
                "{values:?}"
            );
        }
    }
}

/// Compiles the example for WebAssembly, if the target is installed.
fn build_the_example() -> Option<Vec<u8>> {
    let cargo = std::env::var_os("CARGO")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cart");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .ok()?;
    let libraries = String::from_utf8(libraries.stdout).ok()?;
    if !Path::new(libraries.trim()).exists() {
        return None;
    }
    let built = Command::new(cargo)
        .current_dir(root)
        .args([
            "build",
            "--quiet",
            "--package",
            "isles-resolver",
            "--example",
            "cart",
        ])
        .args(["--target", TARGET, "--profile", "resolver", "--target-dir"])
        .arg(&target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    let file = target.join(TARGET).join("resolver/examples/cart.wasm");
    Some(std::fs::read(file).unwrap())
}

const TARGET: &str = "wasm32-unknown-unknown";

#[test]
fn a_resolver_of_a_field_is_a_resolver() {
    let json = Json::new().per_field("note", load(CART));
    let values = [r#"{"a":1,"note":"x"}"#, r#"{"a":2,"note":"y"}"#];
    // What a module answers is no JSON here, so the rule for other fields holds.
    laws::check_values(&json, &values).unwrap();
}

#[test]
fn the_complete_example_in_text_is_a_resolver() {
    let module = include_str!("../../../docs/examples/resolvers/longest.wat");
    let longest = load(&wat::parse_str(module).unwrap());
    assert_eq!(
        merge(&longest, &["a", "abc", "xyz", "zz"]).as_deref(),
        Some("xyz")
    );
    assert_eq!(merge(&longest, &["", ""]).as_deref(), Some(""));
    let report = check(&longest, SAMPLES).unwrap();
    assert_eq!((report.undecided, report.failed), (0, 0));
    let large = "x".repeat(300_000);
    assert_eq!(merge(&longest, &[&large, "y"]), Some(large));
}

/// A module that answers the sum of its siblings' first bytes, which is not idempotent.
fn broken(resolve: &str) -> WasmResolver {
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 1024))
            (func (export "isles_resolve_v1") (param $input i32) (param $bytes i32) (result i64) {resolve}))"#
    );
    load(&wat::parse_str(text).unwrap())
}

#[test]
fn breaking_a_law_is_refused_with_a_counter_example() {
    // The first sibling's value.
    let first = broken(
        "(i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get $input) (i32.load offset=8 (local.get $input)))) (i64.const 32))
            (i64.extend_i32_u (i32.load offset=12 (local.get $input))))",
    );
    let refusal = check(&first, &["milk 1\n", "milk 2\n"]).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        r#"the order of the siblings changes the answer: ["milk 1\n", "milk 2\n"] gives "milk 1\n", but ["milk 2\n", "milk 1\n"] gives "milk 2\n""#
    );
    // The number of siblings.
    let count = broken("(i64.const 0x00000400_00000001)");
    let refusal = check(&count, &["a", "b"]).unwrap_err();
    assert!(
        refusal
            .to_string()
            .starts_with("a repeated sibling changes the answer: "),
        "{refusal}"
    );
}

#[test]
fn failing_for_a_sample_is_refused_and_failing_otherwise_is_counted() {
    let module = include_str!("../../../docs/examples/resolvers/fails-for-x.wat");
    let picky = load(&wat::parse_str(module).unwrap());
    let refusal = check(&picky, &["xa", "xb"]).unwrap_err();
    assert!(matches!(refusal, Refusal::Fails { .. }));
    assert!(
        refusal.to_string().starts_with("the resolver crashed: ")
            && refusal.to_string().contains("siblings ["),
        "{refusal}"
    );
    // Values are made of the ends of samples, among other things.
    let report = check(&picky, &["axe", "fox", "ox"]).unwrap();
    assert!(
        report.failed > 0,
        "some of the values that are made are such ends and begin with an x: {report:?}"
    );
}

#[test]
fn answering_nothing_at_all_is_refused() {
    let refusal = check(&broken("(i64.const -1)"), &["a", "b"]).unwrap_err();
    assert!(
        refusal.to_string().starts_with("it answered none of "),
        "{refusal}"
    );
    let refusal = check(&broken("unreachable"), &[b""; 0]).unwrap_err();
    assert!(
        refusal
            .to_string()
            .ends_with(" failed: the resolver crashed"),
        "{refusal}"
    );
}

#[test]
fn a_failure_within_a_composition_is_a_failure_of_the_whole() {
    let crash = broken("unreachable");
    let json = Json::new().per_field("n", crash);
    let sibling = |id, value: &'static str| {
        Sibling::new(
            Dot::new(ReplicaId::from_u128(id), 1),
            Hlc::ZERO,
            value.as_bytes(),
        )
    };
    let same = [sibling(1, r#"{"n":1}"#), sibling(2, r#"{"m":1,"n":1}"#)];
    assert!(
        matches!(json.resolve(&same), Resolution::One { .. }),
        "nobody is asked"
    );
    let differing = [sibling(1, r#"{"n":1}"#), sibling(2, r#"{"n":2}"#)];
    assert!(matches!(json.resolve(&differing), Resolution::Failed(_)));
}
