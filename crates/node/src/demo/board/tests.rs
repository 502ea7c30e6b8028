use isles_admin::ClockEntry;

use super::super::plan::Region;
use super::super::snapshot::LinkView;
use super::*;

fn peer(region: &str, connected: bool, lag_ms: f64) -> PeerStatus {
    PeerStatus {
        node: format!("{region}-1"),
        region: region.to_owned(),
        connected,
        rtt_ms: connected.then_some(80.2),
        lag_ms: Some(lag_ms),
        ..PeerStatus::default()
    }
}

fn up(name: &'static str, port: u16, sequence: u64, peers: Vec<PeerStatus>) -> RegionView {
    let status = NodeStatus {
        keys: sequence,
        conflicts_total: 1,
        digest: format!("{sequence:032x}"),
        applied: vec![ClockEntry {
            replica: "ab".into(),
            sequence,
        }],
        peers,
        ..NodeStatus::default()
    };
    RegionView {
        region: region(name, port),
        state: State::Up(Box::new(status)),
    }
}

fn region(name: &'static str, port: u16) -> Region {
    let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Region {
        name,
        redis: address(port),
        admin: address(port + 1000),
    }
}

fn cut_off() -> Snapshot {
    Snapshot {
        regions: vec![
            up(
                "eu",
                7001,
                3,
                vec![peer("us", false, 4200.0), peer("ap", true, 0.0)],
            ),
            up(
                "us",
                7002,
                4,
                vec![peer("eu", false, 3000.0), peer("ap", true, 0.0)],
            ),
            RegionView {
                region: region("ap", 7003),
                state: State::Ended("signal 9".to_owned()),
            },
        ],
        links: [((0, 1), false), ((0, 2), true), ((1, 2), true)]
            .map(|(ends, open)| LinkView { ends, open })
            .to_vec(),
    }
}

#[test]
fn a_table_with_a_cut_and_a_loss() {
    let expected = "\
REGION  REDIS           ADMIN                  KEYS  CONFLICTS  LAG              LINKS
eu      127.0.0.1:7001  http://127.0.0.1:8001  3     1          4.2 s behind us  us cut, ap 80 ms
us      127.0.0.1:7002  http://127.0.0.1:8002  4     1          3.0 s behind eu  eu cut, ap 80 ms
ap      127.0.0.1:7003  http://127.0.0.1:8003  -     -          -                ended: signal 9; r starts it again
not the same everywhere yet: eu and us have applied different entries
";
    assert_eq!(table(&cut_off()), expected);
}

#[test]
fn every_link_has_its_key() {
    assert_eq!(
        legend(&cut_off()),
        "keys: c cut eu off, h heal, 1 eu-us, 2 eu-ap, 3 us-ap (cut or heal one link), q quit"
    );
}

#[test]
fn keys_are_named_only_to_a_keyboard() {
    let view = cut_off();
    assert_eq!(block(&view, false), table(&view));
    let expected = format!("{}{}\n", table(&view), legend(&view));
    assert_eq!(block(&view, true), expected);
}

#[test]
fn only_changes_are_news() {
    let before = cut_off();
    assert!(news(Some(&before), &before).is_empty());
    let mut now = before.clone();
    now.links[0].open = true;
    now.regions[0] = up(
        "eu",
        7001,
        4,
        vec![peer("us", true, 0.0), peer("ap", true, 0.0)],
    );
    assert_eq!(
        news(Some(&before), &now),
        [
            "eu: 4 keys, 1 conflict",
            "us: 4 keys, 1 conflict, eu connecting",
            "the regions that answer have applied the same entries and hold the same data (digest 00000000)"
        ]
    );
}

#[test]
fn times_for_people() {
    for (ms, expected) in [
        (0.42, "0.4 ms"),
        (80.2, "80 ms"),
        (999.7, "1.0 s"),
        (61_000.0, "1 min"),
        (300_000.0, "5 min"),
    ] {
        assert_eq!(time(ms), expected);
    }
}

#[test]
fn keys_mean_what_the_legend_says() {
    for (key, wish) in [
        ('c', Some(Wish::CutFirst)),
        ('h', Some(Wish::Heal)),
        ('1', Some(Wish::Toggle(0))),
        ('9', Some(Wish::Toggle(8))),
        ('r', Some(Wish::Restart)),
        ('q', Some(Wish::Quit)),
        ('0', None),
        ('\n', None),
    ] {
        assert_eq!(Wish::of(key), wish, "{key:?}");
    }
}
