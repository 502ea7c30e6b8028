//! Who waits for a list is served by what another region pushes.

mod support;

use redis::cmd;
use support::{Cluster, Options, eventually};

#[test]
fn an_element_from_another_region_ends_the_wait() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    cluster.await_connected();
    let (mut here, mut there) = (cluster.nodes[0].connect(), cluster.nodes[1].connect());
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || -> (String, String) {
            cmd("BLPOP")
                .arg("none")
                .arg("list")
                .arg(0)
                .query(&mut here)
                .unwrap()
        });
        let mut watching = cluster.nodes[0].connect();
        eventually("the client waits", || {
            let info: String = cmd("INFO").arg("clients").query(&mut watching).unwrap();
            info.contains("blocked_clients:1")
        });
        let _: () = cmd("RPUSH")
            .arg("list")
            .arg("element")
            .query(&mut there)
            .unwrap();
        assert_eq!(
            waits.join().unwrap(),
            ("list".to_owned(), "element".to_owned())
        );
    });
    eventually("the pop has arrived where it was pushed", || {
        let len: usize = cmd("LLEN").arg("list").query(&mut there).unwrap();
        len == 0
    });
}
