//! The first half: rules, writes everywhere, a cut, and writes on both sides of it.

use std::time::{Instant, SystemTime};

use isles_admin::PeerStatus;

use super::super::cluster::RegionLink;
use super::super::snapshot;
use super::super::wait::{Look, until};
use super::{ISLAND, MAINLAND, Story, VIEWS, field};

/// Milliseconds by which the second of two conflicting writes is later, so that nobody can doubt which one is.
const APART_MS: u128 = 5;
/// What is written on the two sides of the cut.
const ON_THE_ISLAND: [&str; 8] = [
    "SET shop:price 4.50",
    "SET shop:note \"sold out\"",
    "INCRBY shop:visits 2",
    "SREM shop:tags hot",
    "SADD shop:tags loose",
    "HINCRBY shop:cart tea 2",
    "HDEL shop:cart milk",
    "HSET shop:cart gift yes",
];
const ON_THE_MAINLAND: [&str; 7] = [
    "SET shop:price 4.20",
    "SET shop:note \"back on Monday\"",
    "INCRBY shop:visits 3",
    "SADD shop:tags hot iced",
    "HINCRBY shop:cart tea 1",
    "HSET shop:cart milk 2",
    "HSET shop:cart gift no",
];

impl Story<'_> {
    pub(super) async fn agree_on_rules(&mut self) -> anyhow::Result<()> {
        self.chapter("The owner of the data chooses how it resolves conflicts")
            .await?;
        self.act(ISLAND, "ISLES.KEYSPACE SET shop:note multi-value")
            .await?;
        self.settle("the rule has reached every region").await?;
        let mut rules = Vec::new();
        for client in &mut self.clients {
            let [note, price] =
                ["note", "price"].map(|key| format!("ISLES.KEYSPACE GET shop:{key}"));
            let (note, price) = (client.run(&note).await?, client.run(&price).await?);
            rules.push(format!(
                "{} {}",
                field(&note, "strategy"),
                field(&price, "strategy")
            ));
        }
        let expected = vec!["multi-value lww"; rules.len()].join(", ");
        let claim = "every region knows: shop:note keeps all values, the rest is lww (the last writer wins)";
        self.check(claim, &expected, &rules.join(", "))
    }

    pub(super) async fn write_in_every_region(&mut self) -> anyhow::Result<()> {
        self.chapter("Every region takes writes").await?;
        let last = self.clients.len() - 1;
        self.act(ISLAND, "SET shop:price 4.00").await?;
        self.act(MAINLAND, "SET shop:note \"in stock\"").await?;
        self.act(MAINLAND, "SADD shop:tags green hot").await?;
        self.act(last, "HINCRBY shop:cart tea 1").await?;
        self.act(last, "HSET shop:cart milk 1").await?;
        for region in 0..=last {
            self.act(region, "INCR shop:visits").await?;
        }
        let took = self.settle("every write has reached every region").await?;
        let answers = self.read_everything().await?;
        self.show_answers(&answers)?;
        let visits = self.clients.len().to_string();
        let expected =
            ["4.00", "in stock", &visits, "green hot", "milk=1 tea=1"].map(str::to_owned);
        let claim = format!(
            "all regions answer the same, {} ms after the last write",
            took.as_millis()
        );
        self.check_answers(&claim, &answers, |_| expected.clone())
    }

    pub(super) async fn cut(&mut self) -> anyhow::Result<()> {
        let island = self.name(ISLAND);
        self.chapter(&format!("The links between {island} and the rest are cut"))
            .await?;
        self.cluster.links_of(ISLAND).for_each(RegionLink::cut);
        let open = self
            .cluster
            .links_of(ISLAND)
            .filter(|link| link.is_open())
            .count();
        let claim = format!("no packet passes between {island} and {}", self.mainland());
        self.check(&claim, "0 open links", &format!("{open} open links"))?;
        self.wait_aloud(
            "until the nodes on both sides have noticed and given up their connections",
        )?;
        let start = Instant::now();
        self.nodes_notice().await?;
        self.say(&format!(
            "they have, after {:.1} s",
            start.elapsed().as_secs_f64()
        ))
    }

    /// Waits until no node claims to be connected across the cut.
    async fn nodes_notice(&mut self) -> anyhow::Result<()> {
        let Self { cluster, .. } = self;
        let island = cluster.regions()[ISLAND].name;
        until(
            "the nodes have noticed the cut",
            cluster.settle_limit(),
            async || {
                cluster.check()?;
                let statuses = snapshot::statuses(cluster.regions()).await;
                let across = statuses
                    .iter()
                    .zip(cluster.regions())
                    .find_map(|(status, region)| {
                        let peers = status
                            .as_ref()
                            .map(|status| status.peers.as_slice())
                            .unwrap_or_default();
                        let across =
                            |peer: &&PeerStatus| (region.name == island) != (peer.region == island);
                        let peer = peers.iter().filter(|peer| peer.connected).find(across)?;
                        Some(format!("{} still counts on {}", region.node(), peer.node))
                    });
                Ok(across.map_or(Look::Holds(()), Look::NotYet))
            },
        )
        .await
    }

    pub(super) async fn write_on_both_sides(&mut self) -> anyhow::Result<()> {
        self.chapter("Both sides write the same keys, without knowing of each other")
            .await?;
        let start = Instant::now();
        for command in ON_THE_ISLAND {
            self.act(ISLAND, command).await?;
        }
        self.wait_for_a_later_moment().await?;
        for command in ON_THE_MAINLAND {
            self.act(MAINLAND, command).await?;
        }
        let took = start.elapsed();
        let mainland = MAINLAND..self.clients.len();
        self.settle_among("the regions that are still connected agree", mainland)
            .await?;
        let answers = self.read_everything().await?;
        self.show_answers(&answers)?;
        let (regions, writes) = (
            self.clients.len(),
            ON_THE_ISLAND.len() + ON_THE_MAINLAND.len(),
        );
        let claim = format!(
            "all {} writes were answered within {} ms, and each side reads its own",
            writes,
            took.as_millis()
        );
        self.check_answers(&claim, &answers, |region| sides(region, regions))
    }

    /// Both sides run on one clock here; real regions' clocks differ by a few milliseconds.
    async fn wait_for_a_later_moment(&mut self) -> anyhow::Result<()> {
        let written = since_1970_ms();
        until(
            "the clock moves on",
            self.cluster.settle_limit(),
            async || {
                let passed = since_1970_ms().saturating_sub(written);
                Ok(if passed >= APART_MS {
                    Look::Holds(())
                } else {
                    Look::NotYet(format!("only {passed} ms have passed"))
                })
            },
        )
        .await
    }
}

/// What a region answers during the cut.
fn sides(region: usize, regions: usize) -> [String; VIEWS.len()] {
    let (island, mainland) = ((regions + 2).to_string(), (regions + 3).to_string());
    match region {
        ISLAND => ["4.50", "sold out", &island, "green loose", "gift=yes tea=3"].map(str::to_owned),
        _ => [
            "4.20",
            "back on Monday",
            &mainland,
            "green hot iced",
            "gift=no milk=2 tea=2",
        ]
        .map(str::to_owned),
    }
}

fn since_1970_ms() -> u128 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}
