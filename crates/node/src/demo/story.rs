//! The demo that plays by itself: what regions do while they cannot reach each other, and how they agree again.
//!
//! Every claim is checked against what the nodes answer. In reading order: [`apart`] (until both sides of a cut have
//! written the same keys), [`together`] (healing, conflicts, siblings, proof), [`checks`] (the bookkeeping).

mod apart;
mod checks;
mod together;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use self::checks::Checks;
use super::client::{Client, Value};
use super::cluster::Cluster;
use super::screen::Screen;
use super::snapshot;
use super::wait::{Look, until};
use crate::status::table::columns;

/// On a terminal somebody reads along; shorter than a connection survives a cut.
const READING_TIME: Duration = Duration::from_millis(1_500);

/// What the story is about, and how it is read.
const VIEWS: [(&str, &str); 5] = [
    ("shop:price", "GET shop:price"),
    ("shop:note", "GET shop:note"),
    ("shop:visits", "GET shop:visits"),
    ("shop:tags", "SMEMBERS shop:tags"),
    ("shop:cart", "HGETALL shop:cart"),
];

/// Index of the region that is cut off, and of the one that writes the same keys on the other side.
const ISLAND: usize = 0;
const MAINLAND: usize = 1;

/// Plays the story.
///
/// # Errors
/// If something cannot be done, or did not turn out as told.
pub(super) async fn play(cluster: &mut Cluster, screen: &mut Screen) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut story = Story::begin(cluster, screen).await?;
    story.agree_on_rules().await?;
    story.write_in_every_region().await?;
    story.cut().await?;
    story.write_on_both_sides().await?;
    story.heal().await?;
    story.explain_conflicts().await?;
    story.resolve_siblings().await?;
    story.prove().await?;
    story.checks.verdict(start.elapsed(), story.screen)?;
    story
        .screen
        .line("Without --story the regions stay up, for you to write, cut and heal.")
}

struct Story<'s> {
    cluster: &'s mut Cluster,
    screen: &'s mut Screen,
    checks: Checks,
    /// By region.
    clients: Vec<Client>,
    /// By region, 32 hexadecimal digits.
    replicas: Vec<String>,
    /// Conflicts of earlier stories, where the data was kept.
    old_conflicts: BTreeSet<String>,
    chapter: u32,
}

impl<'s> Story<'s> {
    async fn begin(cluster: &'s mut Cluster, screen: &'s mut Screen) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for region in cluster.regions() {
            clients.push(Client::connect(region.name, region.redis).await?);
        }
        let statuses = snapshot::statuses(cluster.regions()).await;
        let replicas = statuses
            .into_iter()
            .map(|status| status.unwrap_or_default().replica)
            .collect();
        let mut story = Self {
            cluster,
            screen,
            checks: Checks::default(),
            clients,
            replicas,
            old_conflicts: BTreeSet::new(),
            chapter: 0,
        };
        story.forget_earlier_stories().await?;
        Ok(story)
    }

    /// A kept database may hold what an earlier story wrote.
    async fn forget_earlier_stories(&mut self) -> anyhow::Result<()> {
        self.settle("all regions hold what earlier runs left")
            .await?;
        let keys: Vec<&str> = VIEWS.iter().map(|(key, _)| *key).collect();
        self.clients[ISLAND]
            .run(&format!("DEL {}", keys.join(" ")))
            .await?;
        self.settle("all regions have forgotten earlier stories")
            .await?;
        self.old_conflicts = self
            .conflicts(ISLAND)
            .await?
            .iter()
            .map(|record| field(record, "id"))
            .collect();
        Ok(())
    }

    fn names(&self) -> Vec<&'static str> {
        self.clients.iter().map(Client::region).collect()
    }

    fn name(&self, region: usize) -> &'static str {
        self.clients[region].region()
    }

    /// All but the island.
    fn mainland(&self) -> String {
        self.names()[MAINLAND..].join(", ")
    }

    async fn chapter(&mut self, title: &str) -> anyhow::Result<()> {
        if self.screen.is_terminal() && self.chapter > 0 {
            tokio::time::sleep(READING_TIME).await;
        }
        self.chapter += 1;
        self.screen.line("")?;
        self.screen.heading(&format!("{}. {title}", self.chapter))
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.screen.line(&format!("   {text}"))
    }

    /// Says what takes a moment.
    fn wait_aloud(&mut self, until: &str) -> anyhow::Result<()> {
        let line = self.screen.paint(&format!("waiting {until} ..."), "2");
        self.say(&line)
    }

    /// Runs a command in a region, for all to see.
    async fn act(&mut self, region: usize, command: &str) -> anyhow::Result<Value> {
        let prompt = format!("{}>", self.name(region));
        let prompt = self.screen.paint(&prompt, "36");
        self.say(&format!("{prompt} {command}"))?;
        self.clients[region].run(command).await
    }

    fn check(&mut self, claim: &str, expected: &str, found: &str) -> anyhow::Result<()> {
        self.checks.check(claim, expected, found, self.screen)
    }

    /// What every region answers to every view, by view.
    async fn read_everything(&mut self) -> anyhow::Result<Vec<Vec<String>>> {
        let mut answers = Vec::new();
        for (_, command) in VIEWS {
            let mut row = Vec::new();
            for client in &mut self.clients {
                row.push(client.run(command).await?.text());
            }
            answers.push(row);
        }
        Ok(answers)
    }

    fn show_answers(&mut self, answers: &[Vec<String>]) -> anyhow::Result<()> {
        let mut rows = vec![
            ["KEY".to_owned()]
                .into_iter()
                .chain(self.names().iter().map(|name| name.to_uppercase()))
                .collect(),
        ];
        for ((key, _), row) in VIEWS.iter().zip(answers) {
            rows.push(
                std::iter::once((*key).to_owned())
                    .chain(row.iter().cloned())
                    .collect::<Vec<_>>(),
            );
        }
        self.show_table(&rows)
    }

    /// Shows rows below a head.
    fn show_table(&mut self, rows: &[Vec<String>]) -> anyhow::Result<()> {
        columns(rows).lines().try_for_each(|line| self.say(line))
    }

    /// Checks what each region answers; `expected` says it by region and view.
    fn check_answers(
        &mut self,
        claim: &str,
        answers: &[Vec<String>],
        expected: impl Fn(usize) -> [String; VIEWS.len()],
    ) -> anyhow::Result<()> {
        let regions = self.names().into_iter().enumerate();
        let all = |of: &dyn Fn(usize) -> Vec<String>| -> String {
            let regions = regions
                .clone()
                .map(|(region, name)| format!("{name}: {}", of(region).join("; ")));
            regions.collect::<Vec<_>>().join(" | ")
        };
        let expected = all(&|region| expected(region).to_vec());
        let found = all(&|region| answers.iter().map(|row| row[region].clone()).collect());
        self.check(claim, &expected, &found)
    }

    /// Waits until these regions have applied the same entries; says how long it took.
    async fn settle_among(
        &mut self,
        awaited: &str,
        regions: std::ops::Range<usize>,
    ) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let Self {
            cluster, clients, ..
        } = self;
        until(awaited, cluster.settle_limit(), async || {
            cluster.check()?;
            let mut clocks = Vec::new();
            for client in &mut clients[regions.clone()] {
                clocks.push((
                    client.region(),
                    field(&client.run("ISLES.DIGEST").await?, "applied"),
                ));
            }
            if clocks.iter().all(|(_, clock)| *clock == clocks[0].1) {
                return Ok(Look::Holds(()));
            }
            let seen: Vec<String> = clocks
                .iter()
                .map(|(name, clock)| format!("{name} has applied {clock}"))
                .collect();
            Ok(Look::NotYet(seen.join(", ")))
        })
        .await?;
        Ok(start.elapsed())
    }

    async fn settle(&mut self, awaited: &str) -> anyhow::Result<Duration> {
        let all = 0..self.clients.len();
        self.settle_among(awaited, all).await
    }

    /// The conflicts over the story's keys that a region has recorded, oldest first, without those of earlier stories.
    async fn conflicts(&mut self, region: usize) -> anyhow::Result<Vec<Value>> {
        let answer = self.clients[region]
            .run("ISLES.CONFLICTS COUNT 1000 KEY shop:*")
            .await?;
        let newest_first = answer.items().iter().rev();
        Ok(newest_first
            .filter(|record| !self.old_conflicts.contains(&field(record, "id")))
            .cloned()
            .collect())
    }

    /// The name of the region with this replica.
    fn region_of(&self, replica: &str) -> &'static str {
        let region = self.replicas.iter().position(|known| known == replica);
        region.map_or("an unknown region", |region| self.name(region))
    }
}

/// An entry of a map, as text.
fn field(record: &Value, name: &str) -> String {
    record.get(name).map(Value::text).unwrap_or_default()
}
