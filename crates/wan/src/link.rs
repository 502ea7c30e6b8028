//! What happens to packets in one direction of a link: arithmetic, without sockets or clocks.

use std::time::{Duration, Instant};

use crate::spec::LinkSpec;

/// What IPv4 and UDP put around a datagram; it takes time on a slow link too.
const HEADER_BYTES: u64 = 28;

/// Smallest queue in front of a slow link: about 40 full packets.
const QUEUE_BYTES_MIN: u64 = 64 << 10;

/// Smallest queue in front of a slow link, in time.
const QUEUE_TIME_MIN: Duration = Duration::from_millis(50);

/// One direction. A packet first waits in a bounded queue for its turn at the link's rate, then may get lost, then
/// travels. Packets that arrive, arrive in the order in which they were sent.
#[derive(Clone, Debug)]
pub struct Link {
    spec: LinkSpec,
    open: bool,
    random: u64,
    /// When the last queued bit leaves.
    busy_until: Option<Instant>,
    /// When the last packet arrives: no later one may come before it.
    last_arrival: Option<Instant>,
    counters: LinkCounters,
}

/// What became of the packets that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets that went through.
    pub forwarded_packets: u64,
    /// Bytes of payload that went through.
    pub forwarded_bytes: u64,
    /// Packets lost at random.
    pub lost_packets: u64,
    /// Packets that found the queue full.
    pub overflowed_packets: u64,
    /// Packets that met a cut link.
    pub cut_packets: u64,
}

impl Link {
    /// An open link; `seed` decides jitter and losses.
    pub fn new(spec: LinkSpec, seed: u64) -> Self {
        Self {
            spec,
            open: true,
            random: seed,
            busy_until: None,
            last_arrival: None,
            counters: LinkCounters::default(),
        }
    }

    /// Sends a packet of `bytes` at `now`, which never goes back; gives the moment of its arrival, or `None` if it
    /// is dropped.
    pub fn send(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        if !self.open {
            self.counters.cut_packets += 1;
            return None;
        }
        let Some(departure) = self.depart(now, bytes as u64 + HEADER_BYTES) else {
            self.counters.overflowed_packets += 1;
            return None;
        };
        if self.next_fraction() < self.spec.loss {
            self.counters.lost_packets += 1;
            return None;
        }
        let jitter = self.spec.jitter.mul_f64(self.next_fraction());
        let arrival = departure + self.spec.one_way() + jitter;
        let arrival = self.last_arrival.map_or(arrival, |last| arrival.max(last));
        self.last_arrival = Some(arrival);
        self.counters.forwarded_packets += 1;
        self.counters.forwarded_bytes += bytes as u64;
        Some(arrival)
    }

    /// When the packet has left the queue, or `None` if the queue has no room for it.
    fn depart(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        let Some(rate) = self.spec.rate_bits_per_s else {
            return Some(now);
        };
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        let queued_bytes = (start - now).as_secs_f64() * rate as f64 / 8.0;
        if queued_bytes + bytes as f64 > self.queue_bytes_max(rate) as f64 {
            return None;
        }
        let departure = start + Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        self.busy_until = Some(departure);
        Some(departure)
    }

    /// What routers are usually given: one round trip's worth.
    fn queue_bytes_max(&self, rate_bits_per_s: u64) -> u64 {
        let time = self.spec.round_trip.max(QUEUE_TIME_MIN);
        ((rate_bits_per_s as f64 / 8.0 * time.as_secs_f64()) as u64).max(QUEUE_BYTES_MIN)
    }

    /// Drops everything from now on.
    pub fn cut(&mut self) {
        self.open = false;
    }

    /// Lets packets through again.
    pub fn heal(&mut self) {
        self.open = true;
        self.busy_until = None;
    }

    /// False while the link is cut.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Changes how the link behaves, for packets sent from now on.
    pub fn set_spec(&mut self, spec: LinkSpec) {
        self.spec = spec;
        self.busy_until = None;
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// A packet that was on its way when the link was cut does not arrive.
    pub(crate) fn lose_in_flight(&mut self, bytes: usize) {
        self.counters.forwarded_packets -= 1;
        self.counters.forwarded_bytes -= bytes as u64;
        self.counters.cut_packets += 1;
    }

    /// A packet for which the relay has no memory left.
    pub(crate) fn overflow_in_flight(&mut self, bytes: usize) {
        self.counters.forwarded_packets -= 1;
        self.counters.forwarded_bytes -= bytes as u64;
        self.counters.overflowed_packets += 1;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), reduced to 0..1.
    fn next_fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET_BYTES: usize = 1222; // 1250 with its headers: 10 000 bits

    fn link(spec: &str) -> Link {
        Link::new(spec.parse().expect("a link"), 1)
    }

    /// Milliseconds after `start` at which `count` packets sent at once arrive.
    fn burst(link: &mut Link, start: Instant, count: usize) -> Vec<f64> {
        let arrivals = (0..count).filter_map(|_| link.send(start, PACKET_BYTES));
        arrivals
            .map(|arrival| (arrival - start).as_secs_f64() * 1e3)
            .collect()
    }

    #[test]
    fn a_packet_takes_half_of_the_round_trip() {
        let start = Instant::now();
        assert_eq!(burst(&mut link("80ms"), start, 3), [40.0; 3]);
    }

    #[test]
    fn packets_leave_at_the_links_rate() {
        let start = Instant::now();
        let mut link = link("80ms/10mbit");
        let arrivals = burst(&mut link, start, 3);
        for (arrival, expected) in arrivals.iter().zip([41.0, 42.0, 43.0]) {
            assert!(
                (arrival - expected).abs() < 1e-3,
                "{arrival} is not {expected}"
            );
        }
        let later = start + Duration::from_secs(1);
        assert!(
            (burst(&mut link, later, 1)[0] - 41.0).abs() < 1e-3,
            "an idle link has no queue"
        );
    }

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        let mut link = link("80ms/10mbit");
        let arrivals = burst(&mut link, Instant::now(), 1000);
        assert_eq!(
            arrivals.len(),
            80,
            "one round trip at 10 Mbit/s is 80 packets"
        );
        assert_eq!(link.counters().overflowed_packets, 920);
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_keeps_the_order() {
        let start = Instant::now();
        let arrivals = burst(&mut link("80ms/5ms"), start, 1000);
        assert!(arrivals.is_sorted());
        assert!(arrivals.iter().all(|ms| (40.0..=45.0).contains(ms)));
        let mut link = link("80ms/5ms");
        let spread: Vec<_> = (0..1000)
            .map(|index| {
                let now = start + Duration::from_secs(index);
                (link.send(now, PACKET_BYTES).expect("no losses") - now).as_secs_f64() * 1e3
            })
            .collect();
        let mean = spread.iter().sum::<f64>() / 1000.0;
        assert!((42.0..43.0).contains(&mean), "{mean}");
    }

    #[test]
    fn the_given_share_is_lost_and_the_seed_decides_which() {
        let start = Instant::now();
        let mut link = link("80ms/10%");
        let first = link.clone();
        let arrived = burst(&mut link, start, 10_000).len();
        assert!((8_800..9_200).contains(&arrived), "{arrived}");
        let counters = link.counters();
        assert_eq!(counters.lost_packets, 10_000 - arrived as u64);
        assert_eq!(counters.forwarded_bytes, (arrived * PACKET_BYTES) as u64);
        let mut again = first;
        assert_eq!(burst(&mut again, start, 10_000).len(), arrived);
    }

    #[test]
    fn a_cut_link_lets_nothing_through_until_it_is_healed() {
        let start = Instant::now();
        let mut link = link("0ms");
        link.cut();
        assert!(!link.is_open() && burst(&mut link, start, 5).is_empty());
        link.heal();
        assert_eq!(burst(&mut link, start, 5).len(), 5);
        let counters = link.counters();
        assert_eq!((counters.cut_packets, counters.forwarded_packets), (5, 5));
    }
}
