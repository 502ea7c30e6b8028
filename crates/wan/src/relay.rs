//! The sockets around a link.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};

use crate::delay::{DelayLine, DelayThread, Parcel, lock};
use crate::link::{Link, LinkCounters};
use crate::spec::LinkSpec;

/// Sources that may use one entrance at a time; packets of further ones are dropped.
const MAX_SOURCES: usize = 256;

/// A source that is silent for so long gives its place away. Longer than any idle timeout of what is relayed.
const SOURCE_IDLE: Duration = Duration::from_secs(120);

/// Largest UDP payload.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// Wanted size of socket buffers: senders on the same machine come in bursts.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// One of the two ways along a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first node to the second.
    AToB,
    /// From the second node to the first.
    BToA,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AToB, Self::BToA];

    const fn index(self) -> usize {
        match self {
            Self::AToB => 0,
            Self::BToA => 1,
        }
    }

    const fn back(self) -> Self {
        match self {
            Self::AToB => Self::BToA,
            Self::BToA => Self::AToB,
        }
    }
}

/// A link between two UDP addresses, A and B. A reaches B by sending to [`address_of_b`](Self::address_of_b), and B
/// reaches A by sending to [`address_of_a`](Self::address_of_a); both share the link's two directions. Answers go back
/// to whoever asked, as through a router with address translation.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use isles_wan::{Direction, Relay};
///
/// let link = "80ms/0.1%".parse()?;
/// let relay = Relay::start(link, "127.0.0.1:7101".parse()?, "127.0.0.1:7102".parse()?, 1)?;
/// println!("the first node dials {}", relay.address_of_b());
/// relay.cut();
/// relay.heal();
/// relay.cut_direction(Direction::AToB);
/// # Ok(())
/// # }
/// ```
pub struct Relay {
    links: [Arc<Mutex<Link>>; 2],
    /// By direction: where one enters to go that way.
    entrances: [SocketAddr; 2],
    tasks: [AbortHandle; 2],
    _thread: DelayThread,
}

impl Relay {
    /// Starts relaying between `a` and `b`, on ports that the system chooses. Must be called inside a tokio runtime.
    /// Ends when the relay is dropped.
    ///
    /// # Errors
    /// If sockets or a thread cannot be had.
    pub fn start(spec: LinkSpec, a: SocketAddr, b: SocketAddr, seed: u64) -> io::Result<Self> {
        let links = Direction::ALL.map(|way| {
            Arc::new(Mutex::new(Link::new(
                spec,
                seed.wrapping_add(way.index() as u64),
            )))
        });
        let (delays, thread) = DelayLine::start()?;
        let open = |way: Direction, target: SocketAddr| -> io::Result<Entrance> {
            Ok(Entrance {
                socket: Port::open(target, None)?,
                target,
                forth: Arc::clone(&links[way.index()]),
                back: Arc::clone(&links[way.back().index()]),
                delays: delays.clone(),
                sources: Arc::default(),
            })
        };
        let [towards_b, towards_a] = [open(Direction::AToB, b)?, open(Direction::BToA, a)?];
        let entrances = [towards_b.socket.address()?, towards_a.socket.address()?];
        let tasks =
            [towards_b, towards_a].map(|entrance| tokio::spawn(entrance.run()).abort_handle());
        Ok(Self {
            links,
            entrances,
            tasks,
            _thread: thread,
        })
    }

    /// Send here to reach A.
    pub fn address_of_a(&self) -> SocketAddr {
        self.entrances[Direction::BToA.index()]
    }

    /// Send here to reach B.
    pub fn address_of_b(&self) -> SocketAddr {
        self.entrances[Direction::AToB.index()]
    }

    /// Cuts both ways; what is under way is lost.
    pub fn cut(&self) {
        Direction::ALL
            .into_iter()
            .for_each(|way| self.cut_direction(way));
    }

    /// Opens both ways.
    pub fn heal(&self) {
        Direction::ALL
            .into_iter()
            .for_each(|way| self.heal_direction(way));
    }

    /// Cuts one way only; the other goes on.
    pub fn cut_direction(&self, way: Direction) {
        lock(&self.links[way.index()]).cut();
    }

    /// Opens one way.
    pub fn heal_direction(&self, way: Direction) {
        lock(&self.links[way.index()]).heal();
    }

    /// True if both ways are open.
    pub fn is_open(&self) -> bool {
        self.links.iter().all(|link| lock(link).is_open())
    }

    /// Changes how both ways behave, for packets sent from now on.
    pub fn set_spec(&self, spec: LinkSpec) {
        self.links.iter().for_each(|link| lock(link).set_spec(spec));
    }

    /// What became of the packets in one direction.
    pub fn counters(&self, way: Direction) -> LinkCounters {
        lock(&self.links[way.index()]).counters()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// One socket under two handles: tokio reads from it, the delay thread writes to it.
struct Port {
    reader: UdpSocket,
    writer: Arc<std::net::UdpSocket>,
}

impl Port {
    /// A socket that can reach `near`: on loopback if `near` is, else on every interface.
    fn open(near: SocketAddr, connect: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(near), Type::DGRAM, Some(Protocol::UDP))?;
        // Best effort: small buffers only lose more.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.bind(&local_for(near).into())?;
        if let Some(target) = connect {
            socket.connect(&target.into())?;
        }
        socket.set_nonblocking(true)?;
        let writer = std::net::UdpSocket::from(socket);
        Ok(Self {
            reader: UdpSocket::from_std(writer.try_clone()?)?,
            writer: Arc::new(writer),
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.writer.local_addr()
    }
}

fn local_for(near: SocketAddr) -> SocketAddr {
    let ip = match (near.is_ipv4(), near.ip().is_loopback()) {
        (true, true) => Ipv4Addr::LOCALHOST.into(),
        (true, false) => Ipv4Addr::UNSPECIFIED.into(),
        (false, true) => Ipv6Addr::LOCALHOST.into(),
        (false, false) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

type Sources = Arc<Mutex<HashMap<SocketAddr, Source>>>;

/// Someone who sends to an entrance, and the socket by which the target knows it.
struct Source {
    towards_target: Arc<std::net::UdpSocket>,
    last_used: Instant,
}

/// One way in: packets go on to `target` by way of `forth`, and its answers come by way of `back`.
struct Entrance {
    socket: Port,
    target: SocketAddr,
    forth: Arc<Mutex<Link>>,
    back: Arc<Mutex<Link>>,
    delays: DelayLine,
    sources: Sources,
}

impl Entrance {
    async fn run(self) {
        let mut answers = JoinSet::new();
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        loop {
            tokio::select! {
                received = self.socket.reader.recv_from(&mut buffer) => {
                    // An error here reports an earlier packet that could not be delivered.
                    let Ok((bytes, source)) = received else { continue };
                    let Some(socket) = self.socket_of(source, &mut answers) else { continue };
                    relay(&self.delays, &self.forth, &buffer[..bytes], &socket, None);
                }
                Some(_ended) = answers.join_next() => {}
            }
        }
    }

    /// The socket by which the target knows `source`, made if it is new. `None`: there is no room for it.
    fn socket_of(
        &self,
        source: SocketAddr,
        answers: &mut JoinSet<()>,
    ) -> Option<Arc<std::net::UdpSocket>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sources.get_mut(&source) {
            known.last_used = Instant::now();
            return Some(Arc::clone(&known.towards_target));
        }
        if sources.len() >= MAX_SOURCES {
            return None;
        }
        let port = Port::open(self.target, Some(self.target)).ok()?;
        let towards_target = Arc::clone(&port.writer);
        let known = Source {
            towards_target: Arc::clone(&towards_target),
            last_used: Instant::now(),
        };
        sources.insert(source, known);
        let answer = Answers {
            from_target: port.reader,
            source,
            sources: Arc::clone(&self.sources),
            entrance: Arc::clone(&self.socket.writer),
            back: Arc::clone(&self.back),
            delays: self.delays.clone(),
        };
        answers.spawn(answer.run());
        Some(towards_target)
    }
}

/// Carries the target's answers back to one source, until that source has been silent for long.
struct Answers {
    from_target: UdpSocket,
    source: SocketAddr,
    sources: Sources,
    entrance: Arc<std::net::UdpSocket>,
    back: Arc<Mutex<Link>>,
    delays: DelayLine,
}

impl Answers {
    async fn run(self) {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        let mut expiry = Instant::now() + SOURCE_IDLE;
        loop {
            tokio::select! {
                received = self.from_target.recv(&mut buffer) => {
                    // An error here says that nobody listens at the target now; that may change.
                    let Ok(bytes) = received else { continue };
                    relay(&self.delays, &self.back, &buffer[..bytes], &self.entrance, Some(self.source));
                }
                () = tokio::time::sleep_until(expiry.into()) => match self.expire() {
                    Some(later) => expiry = later,
                    None => return,
                },
            }
        }
    }

    /// Gives the source's place away if it has been silent for long, else says when to look again.
    fn expire(&self) -> Option<Instant> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let last_used = sources.get(&self.source)?.last_used;
        if last_used.elapsed() < SOURCE_IDLE {
            return Some(last_used + SOURCE_IDLE);
        }
        sources.remove(&self.source);
        None
    }
}

fn relay(
    delays: &DelayLine,
    link: &Arc<Mutex<Link>>,
    bytes: &[u8],
    socket: &Arc<std::net::UdpSocket>,
    target: Option<SocketAddr>,
) {
    let arrival = lock(link).send(Instant::now(), bytes.len());
    let Some(arrival) = arrival else { return };
    let (socket, link) = (Arc::clone(socket), Arc::clone(link));
    delays.push(Parcel {
        arrival,
        bytes: bytes.into(),
        socket,
        target,
        link,
    });
}
