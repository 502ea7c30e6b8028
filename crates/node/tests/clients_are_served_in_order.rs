//! What is sent on one connection runs before what is sent on another after it, though nobody waits for the first answer.

mod support;

use support::{Node, Ports, Raw, Spec, isles};

const CLIENTS: usize = 16;
const ROUNDS: usize = 50;

// With Tokio's slot for the task that was woken last nearly every round was out of order.
#[test]
fn requests_of_several_clients_run_in_the_order_in_which_they_came() {
    let (folder, mut ports) = (tempfile::tempdir().unwrap(), Ports::take());
    let mut node = Node::alone(folder.path(), Spec::alone("eu-1", "eu", &mut ports));
    node.stop();
    let config = node.files.config();
    let start = ["start", "--config", config.to_str().unwrap()];
    // Order holds between the connections of one worker.
    node.spawn_as(isles(
        &[&start[..], &["--redis-worker-threads", "1"]].concat(),
    ));
    node.await_ready();
    let mut clients: Vec<Raw> = (0..CLIENTS)
        .map(|_| Raw::connect(node.spec.redis))
        .collect();
    // Who is still being let in may be overtaken.
    for client in &mut clients {
        client.send(b"PING\r\n");
        assert_eq!(client.read(7), b"+PONG\r\n");
    }
    let sent: Vec<String> = (0..CLIENTS).map(|client| format!("{client:02}")).collect();
    let mut in_order = 0;
    for round in 0..ROUNDS {
        // From here on every answer has two digits.
        let ten = "x ".repeat(10);
        clients[0].send(format!("RPUSH order:{round} {ten}\r\n").as_bytes());
        assert_eq!(clients[0].read(5), b":10\r\n");
        for (client, name) in clients.iter_mut().zip(&sent) {
            client.send(format!("RPUSH order:{round} {name}\r\n").as_bytes());
        }
        let answers: Vec<Vec<u8>> = clients.iter_mut().map(|client| client.read(5)).collect();
        in_order += usize::from(answers.is_sorted());
    }
    assert!(
        in_order == ROUNDS,
        "only {in_order} of {ROUNDS} rounds: was this built without the flags of .cargo/config.toml?"
    );
}
