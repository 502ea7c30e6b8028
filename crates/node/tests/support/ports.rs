//! Ports that no other test has, now or while one of its nodes is down.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Below the range from which systems give out ports by themselves, so that no client's socket takes a free one.
const FIRST: u16 = 20_000;
const BLOCK: u16 = 20;
const BLOCKS: u16 = 600;

/// A block of ports. A locked file holds it until it is dropped, or the process ends, however it ends.
pub(crate) struct Ports {
    next: u16,
    end: u16,
    _lock: File,
}

impl Ports {
    pub(crate) fn take() -> Ports {
        let folder = std::env::temp_dir().join("isles-test-ports");
        std::fs::create_dir_all(&folder).unwrap();
        let somewhere = std::process::id() as u16 % BLOCKS;
        let blocks = (0..BLOCKS).map(|block| (somewhere + block) % BLOCKS);
        let mut taken = blocks.filter_map(|block| {
            let lock = File::create(folder.join(block.to_string())).unwrap();
            lock.try_lock().ok()?;
            let next = FIRST + block * BLOCK;
            let end = next + BLOCK;
            (next..end).all(is_free).then_some(Ports {
                next,
                end,
                _lock: lock,
            })
        });
        taken.next().expect("some block of ports is free")
    }

    /// The first of them, and all that follow in the block: for a program that counts up from a base.
    pub(crate) fn base(&self) -> u16 {
        self.next
    }

    pub(crate) fn next(&mut self) -> SocketAddr {
        assert!(
            self.next < self.end,
            "a test needs fewer ports than a block has"
        );
        self.next += 1;
        address(self.next - 1)
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(address(port)).is_ok() && UdpSocket::bind(address(port)).is_ok()
}
