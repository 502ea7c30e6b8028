//! What a request costs besides the transaction: finding it in the buffer.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isles_resp::parser::{Batch, Parser, ParserLimits};

const COMMANDS: u64 = 16;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, request) in [
        (
            "set",
            &b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$16\r\nvalue:0000000001\r\n"[..],
        ),
        ("get", b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"),
    ] {
        let mut buffer = request.repeat(COMMANDS as usize);
        let (mut parser, mut batch) = (Parser::new(ParserLimits::default()), Batch::new());
        group.throughput(Throughput::Elements(COMMANDS));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                parser
                    .parse(black_box(&mut buffer), &mut batch)
                    .expect("a well-formed request");
                parser.advance(&mut batch)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
