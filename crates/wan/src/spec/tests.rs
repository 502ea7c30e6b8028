use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Result<&str, &str>) {
    let parsed = text.parse::<WanSpec>();
    let shown = parsed
        .as_ref()
        .map(ToString::to_string)
        .map_err(ToString::to_string);
    match (shown, expected) {
        (Ok(shown), Ok(expected)) => assert_eq!(shown, expected),
        (Err(shown), Err(expected)) => {
            assert_eq!(shown, format!("{expected}; write for example {EXAMPLE}"));
        }
        (shown, _) => panic!("{text}: {shown:?}"),
    }
}

#[test]
fn what_people_write() {
    check("eu-us=80ms", Ok("eu-us=80ms"));
    check(
        " eu-us=80ms , eu-ap=0.18s/2ms/0.5% ",
        Ok("eu-us=80ms,eu-ap=180ms/2ms/0.5%"),
    );
    check("a-b=10ms/100Mbit/1%", Ok("a-b=10ms/1%/100mbit"));
    check(
        "eu-west-us-east=1.5s/1gbit",
        Ok("eu-west-us-east=1500ms/1000mbit"),
    );
    check("a-b=500us/64kbit", Ok("a-b=0.5ms/0.064mbit"));
}

#[test]
fn nonsense_is_named() {
    check("", Err("\"\" is not of the form region-region=delay"));
    check(
        "eu-us",
        Err("\"eu-us\" is not of the form region-region=delay"),
    );
    check(
        "euus=80ms",
        Err("\"euus\" is not a pair of regions such as eu-us"),
    );
    check(
        "-eu=80ms",
        Err("\"-eu\" is not a pair of regions such as eu-us"),
    );
    check(
        "eu-us=",
        Err("\"\" does not begin with a number such as 80 or 0.1"),
    );
    check(
        "eu-us=fast",
        Err("\"fast\" does not begin with a number such as 80 or 0.1"),
    );
    check(
        "eu-us=-5ms",
        Err("\"-5ms\" does not begin with a number such as 80 or 0.1"),
    );
    check(
        "eu-us=80",
        Err("\"80\" has no unit: use us, ms, s, %, kbit, mbit or gbit"),
    );
    check(
        "eu-us=80mss",
        Err("\"80mss\" has an unknown unit: use us, ms, s, %, kbit, mbit or gbit"),
    );
    check(
        "eu-us=1%",
        Err("\"1%\" must be the round-trip time, which comes first"),
    );
    check(
        "eu-us=1ms/2ms/3ms",
        Err("\"3ms\" says the same thing a second time"),
    );
    check(
        "eu-us=1ms/100%",
        Err("\"100%\" would lose everything: give less than 100 %, or cut the link"),
    );
    check("eu-us=61s", Err("\"61s\" is longer than 60 s"));
    check(
        "eu-us=1ms/0mbit",
        Err("\"0mbit\" is not between 1kbit and 1000gbit per second"),
    );
    check(
        "eu-us=1ms,eu-us=2ms",
        Err("\"eu-us\" is given a second time"),
    );
}

#[test]
fn pairs_are_matched_against_the_regions() {
    let wan: WanSpec = "eu-west-us=80ms,ap-us=120ms".parse().expect("two links");
    let ms = |a, b| wan.link(a, b).map(|link| link.round_trip.as_millis());
    assert_eq!(ms("eu-west", "us"), Some(80));
    assert_eq!(ms("us", "eu-west"), Some(80));
    assert_eq!(ms("us", "ap"), Some(120));
    assert_eq!(ms("eu-west", "ap"), None);
    assert_eq!(wan.check(&["eu-west", "us", "ap"]), Ok(()));
    let error = wan
        .check(&["eu", "us", "ap"])
        .expect_err("eu-west is unknown")
        .to_string();
    assert!(
        error.starts_with("\"eu-west-us\" is not a pair of two regions of this cluster"),
        "{error}"
    );
    let twice: WanSpec = "eu-us=80ms,us-eu=90ms"
        .parse()
        .expect("parses, not knowing the regions");
    assert!(twice.check(&["eu", "us"]).is_err());
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in ".{0,60}") {
        let _ = text.parse::<WanSpec>();
        let _ = format!("a-b={text}").parse::<WanSpec>();
    }

    #[test]
    fn what_is_shown_reads_back(rtt_us in 0_u64..60_000_000, jitter_us in 0_u64..1_000_000, loss in 0_u32..10_000, mbit in 1_u64..10_000) {
        let spec = LinkSpec {
            round_trip: Duration::from_micros(rtt_us),
            jitter: Duration::from_micros(jitter_us),
            loss: f64::from(loss) / 10_001.0,
            rate_bits_per_s: Some(mbit * 1_000_000),
        };
        let read: LinkSpec = spec.to_string().parse().expect("is well-formed");
        prop_assert!(read.round_trip.abs_diff(spec.round_trip) < Duration::from_nanos(10));
        prop_assert!(read.jitter.abs_diff(spec.jitter) < Duration::from_nanos(10));
        prop_assert!((read.loss - spec.loss).abs() < 1e-9);
        prop_assert_eq!(read.rate_bits_per_s, spec.rate_bits_per_s);
    }
}
