//! What a call of a module costs: of nothing but the call, of the cart, and of modules that use up what they may.
#![expect(clippy::print_stdout, reason = "a benchmark reports what it measured")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use isles_clock::{Dot, Hlc, ReplicaId};
use isles_resolve::{Resolver, Sibling, Strategy};
use isles_resolve_wasm::{Limits, WasmResolver, check};

/// About as much as an entry of the log may have.
const LARGEST: usize = 64 << 20;
const CART: &[u8] = include_bytes!("../../resolver/examples/cart.wasm");

fn load(module: &[u8]) -> WasmResolver {
    WasmResolver::load(module, Limits::default()).expect("a good module")
}

fn text(resolve: &str) -> WasmResolver {
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 1024))
            (func (export "isles_resolve_v1") (param i32 i32) (result i64) (local $i i32) {resolve}))"#
    );
    load(&wat::parse_str(text).expect("well-formed"))
}

fn siblings<'v>(values: &'v [String]) -> Vec<Sibling<'v>> {
    (1u128..)
        .zip(values)
        .map(|(id, value)| {
            let dot = Dot::new(ReplicaId::from_u128(id), 1);
            Sibling::new(dot, Hlc::new(1, 0), value.as_bytes())
        })
        .collect()
}

/// A cart of so many items, a third of them in every cart.
fn cart(index: usize, items: usize) -> String {
    let item = |number: usize| {
        format!(
            "item-{:05} {} {}\n",
            number * 7919 % 100_000,
            number % 9,
            index
        )
    };
    (0..items)
        .map(|number| item(number + index * items / 3))
        .collect()
}

/// A document of so many bytes or a little more: numbers, texts and lists, a third of the fields in every document.
fn document(index: usize, bytes: usize) -> String {
    let mut text = String::from("{");
    for number in index * 4.. {
        let field = format!(
            r#""field-{number:03}":{{"count":{},"name":"{}","tags":["a","b{index}"]}}"#,
            number * (index + 7919),
            "x".repeat(number % 17),
        );
        text.push_str(&field);
        if text.len() >= bytes {
            break;
        }
        text.push(',');
    }
    text + "}"
}

fn built_in(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resolve");
    let documents = [document(0, 1024), document(1, 1024)];
    let texts = documents.clone();
    for (name, strategy, values) in [
        ("lww, two values", Strategy::Lww, &texts),
        ("json, two documents of 1 KiB", Strategy::Json, &documents),
        (
            "union, two documents of 1 KiB as lines",
            Strategy::Union,
            &texts,
        ),
    ] {
        let siblings = siblings(values);
        group.bench_function(name, |bencher| {
            bencher.iter(|| strategy.resolve(black_box(&siblings)));
        });
    }
    group.finish();
}

/// The largest values that can be written, and as many siblings as a configuration may allow ten times over.
fn extremes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resolve");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    let large = [document(0, LARGEST), document(1, LARGEST)];
    let many: Vec<String> = (0..1000).map(|index| document(index, 100)).collect();
    for (what, values) in [
        ("two documents of 64 MiB", &large[..]),
        ("a thousand documents of 100 bytes", &many),
    ] {
        let siblings = siblings(values);
        for strategy in [Strategy::Lww, Strategy::Longest, Strategy::Json] {
            group.bench_function(format!("{strategy}, {what}"), |bencher| {
                bencher.iter(|| strategy.resolve(black_box(&siblings)));
            });
        }
    }
    group.finish();
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    let nothing = text("(i64.const 0)");
    let small = [cart(0, 2), cart(1, 2)];
    group.bench_function("nothing", |bencher| {
        let siblings = siblings(&small);
        bencher.iter(|| nothing.run(black_box(&siblings)));
    });
    let module = load(CART);
    for (carts, items) in [(2, 2), (2, 10), (3, 10), (2, 50)] {
        let values: Vec<String> = (0..carts).map(|index| cart(index, items)).collect();
        let siblings = siblings(&values);
        group.bench_function(format!("cart of {carts} x {items} items"), |bencher| {
            bencher.iter(|| module.resolve(black_box(&siblings)));
        });
        println!(
            "cart of {carts} x {items} items: {} bytes, fuel {}",
            values[0].len(),
            module.run_measured(&siblings).1
        );
    }
    group.finish();
}

fn bounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("all the fuel");
    group.sample_size(20);
    let fill = |bytes: u32| {
        format!(
            "(drop (memory.grow (i32.const 15))) (loop $a (memory.fill (i32.const 0) (i32.const 1) (i32.const {bytes})) (br $a)) unreachable"
        )
    };
    let fill = [fill(64), fill(1 << 20)];
    for (name, resolve) in [
        ("a loop", "(loop $a (br $a)) unreachable"),
        (
            "loads and stores",
            "(loop $a (i64.store (local.get $i) (i64.load offset=8 (local.get $i))) (local.set $i (i32.and (i32.add (local.get $i) (i32.const 264)) (i32.const 65279))) (br $a)) unreachable",
        ),
        (
            "divisions",
            "(loop $a (local.set $i (i32.div_u (i32.const 2000000000) (i32.or (local.get $i) (i32.const 3)))) (br $a)) unreachable",
        ),
        ("small fills", fill[0].as_str()),
        ("large fills", fill[1].as_str()),
        (
            "growing",
            "(loop $a (drop (memory.grow (i32.const 1))) (br $a)) unreachable",
        ),
    ] {
        let module = text(resolve);
        let values = ["a".to_owned(), "b".to_owned()];
        let siblings = siblings(&values);
        assert!(module.run(&siblings).is_err(), "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| module.run(black_box(&siblings)))
        });
    }
    group.finish();
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(20);
    group.bench_function(format!("cart, {} bytes", CART.len()), |bencher| {
        bencher.iter(|| load(black_box(CART)));
    });
    let module = load(CART);
    let samples = [cart(0, 2), cart(1, 2), cart(0, 10), cart(1, 10)];
    group.bench_function("check", |bencher| bencher.iter(|| check(&module, &samples)));
    group.finish();
}

criterion_group!(benches, built_in, extremes, calls, bounds, loading);
criterion_main!(benches);
