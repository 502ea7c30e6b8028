//! The second half: the links heal, and everything that happened is accounted for.

use super::super::client::Value;
use super::super::cluster::RegionLink;
use super::{ISLAND, MAINLAND, Story, field};

/// What somebody makes of the two notes.
const MERGED_NOTE: &str = "sold out, back on Monday";

impl Story<'_> {
    pub(super) async fn heal(&mut self) -> anyhow::Result<()> {
        self.chapter("The links heal").await?;
        self.cluster.links_of(ISLAND).for_each(RegionLink::heal);
        self.wait_aloud("until every region has applied what the others wrote")?;
        let took = self
            .settle("every region has applied what the others wrote")
            .await?;
        let answers = self.read_everything().await?;
        self.show_answers(&answers)?;
        let visits = (self.clients.len() + 5).to_string();
        let expected = [
            "4.20",
            "back on Monday",
            &visits,
            "green hot iced loose",
            "gift=no milk=2 tea=4",
        ]
        .map(str::to_owned);
        let claim = format!(
            "all regions answer the same, {:.1} s after the cut has ended",
            took.as_secs_f64()
        );
        self.check_answers(&claim, &answers, |_| expected.clone())?;
        let (island, mainland) = (self.name(ISLAND), self.name(MAINLAND));
        self.say("visits, tea  no conflict: the increments of both sides add up")?;
        self.say(&format!(
            "hot, milk    no conflict: {island} removed what it knew, not what {mainland} was adding meanwhile"
        ))
    }

    pub(super) async fn explain_conflicts(&mut self) -> anyhow::Result<()> {
        self.chapter("What was in conflict, and how it was resolved")
            .await?;
        let mut records = Vec::new();
        for region in 0..self.clients.len() {
            records.push(self.conflicts(region).await?);
        }
        let (island, mainland) = (self.name(ISLAND), self.name(MAINLAND));
        let head = [
            "WHERE",
            &format!("{island} WROTE"),
            &format!("{mainland} WROTE"),
            "RULE",
            "OUTCOME",
        ];
        let head = head.map(str::to_uppercase).to_vec();
        let rows = records[ISLAND]
            .iter()
            .map(|record| self.explanation(record));
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        self.show_table(&rows)?;
        let expected = [
            format!("shop:cart gift: lww, {mainland} has won"),
            format!("shop:note: multi-value, {mainland} is shown first"),
            format!("shop:price: lww, {mainland} has won"),
        ];
        let mut found: Vec<String> = records[ISLAND]
            .iter()
            .map(|record| self.summary(record))
            .collect();
        found.sort();
        self.check(
            "these three and no others were in conflict",
            &expected.join("; "),
            &found.join("; "),
        )?;
        let found: Vec<String> = records.iter().map(|records| ids(records)).collect();
        let expected = vec![found[ISLAND].as_str(); found.len()].join(" | ");
        self.check(
            "every region has recorded the same conflicts",
            &expected,
            &found.join(" | "),
        )
    }

    /// A row that tells who wrote what and what came of it.
    fn explanation(&self, record: &Value) -> Vec<String> {
        let contenders =
            ["winner", "loser"].map(|role| record.get(role).cloned().unwrap_or(Value::Null));
        let [winner, loser] = &contenders;
        let value_of = |region: usize| {
            let by_region = |contender: &&Value| {
                self.region_of(&field(contender, "replica")) == self.name(region)
            };
            contenders
                .iter()
                .find(by_region)
                .map(|contender| field(contender, "value"))
                .unwrap_or_default()
        };
        let later_ms = stamp_ms(winner) - stamp_ms(loser);
        let outcome = match record.get("kept") {
            Some(Value::Boolean(true)) => {
                "both stay, until somebody who has seen both writes again".to_owned()
            }
            _ => format!(
                "{}, written {later_ms} ms later; {} is in the journal",
                field(winner, "value"),
                field(loser, "value")
            ),
        };
        vec![
            place(record),
            value_of(ISLAND),
            value_of(MAINLAND),
            field(record, "strategy"),
            outcome,
        ]
    }

    fn summary(&self, record: &Value) -> String {
        let winner = record
            .get("winner")
            .map(|winner| field(winner, "replica"))
            .unwrap_or_default();
        let verb = match record.get("kept") {
            Some(Value::Boolean(true)) => "is shown first",
            _ => "has won",
        };
        format!(
            "{}: {}, {} {verb}",
            place(record),
            field(record, "strategy"),
            self.region_of(&winner)
        )
    }

    pub(super) async fn resolve_siblings(&mut self) -> anyhow::Result<()> {
        self.chapter("Somebody who has seen both notes writes again")
            .await?;
        let last = self.clients.len() - 1;
        let answer = self.act(last, "ISLES.SIBLINGS shop:note").await?;
        for sibling in answer.get("siblings").map(Value::items).unwrap_or_default() {
            let writer = self.region_of(&field(sibling, "replica"));
            self.say(&format!("\"{}\", by {writer}", field(sibling, "value")))?;
        }
        self.check_siblings(
            "every region has kept both notes",
            "back on Monday; sold out",
        )
        .await?;
        let context = field(&answer, "context");
        self.act(
            last,
            &format!("ISLES.SET shop:note \"{MERGED_NOTE}\" CONTEXT {context}"),
        )
        .await?;
        self.settle("the new note has reached every region").await?;
        self.check_siblings("every region has the new note and no other", MERGED_NOTE)
            .await
    }

    /// Checks the values that each region holds.
    async fn check_siblings(&mut self, claim: &str, expected: &str) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for client in &mut self.clients {
            let answer = client.run("ISLES.SIBLINGS shop:note").await?;
            let siblings = answer.get("siblings").map(Value::items).unwrap_or_default();
            let mut values: Vec<String> = siblings
                .iter()
                .map(|sibling| field(sibling, "value"))
                .collect();
            values.sort();
            found.push(values.join("; "));
        }
        let expected = vec![expected; found.len()].join(" | ");
        self.check(claim, &expected, &found.join(" | "))
    }

    pub(super) async fn prove(&mut self) -> anyhow::Result<()> {
        self.chapter(
            "The proof: every region has applied the same entries and holds the same data",
        )
        .await?;
        let mut rows = vec![
            ["REGION", "APPLIED", "DIGEST OF ALL DATA"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for region in 0..self.clients.len() {
            let answer = self.clients[region].run("ISLES.DIGEST").await?;
            let applied = self.with_region_names(field(&answer, "applied"));
            rows.push(vec![
                self.name(region).to_owned(),
                applied,
                field(&answer, "digest"),
            ]);
        }
        self.show_table(&rows)?;
        let (first, all) = (rows[1].clone(), &rows[1..]);
        for (column, claim) in [(1, "equal clocks"), (2, "equal digests")] {
            let expected = vec![first[column].as_str(); all.len()].join(" | ");
            let found: Vec<&str> = all.iter().map(|row| row[column].as_str()).collect();
            self.check(claim, &expected, &found.join(" | "))?;
        }
        Ok(())
    }

    /// A clock names replicas by the first eight digits of their ids.
    fn with_region_names(&self, clock: String) -> String {
        self.replicas
            .iter()
            .zip(self.names())
            .fold(clock, |clock, (replica, name)| match replica.get(..8) {
                Some(short) => clock.replace(short, name),
                None => clock,
            })
    }
}

/// The key, and the field of a hash.
fn place(record: &Value) -> String {
    match record.get("field") {
        Some(Value::Text(field_name)) => format!("{} {field_name}", field(record, "key")),
        _ => field(record, "key"),
    }
}

fn stamp_ms(contender: &Value) -> i64 {
    match contender.get("stamp_ms") {
        Some(Value::Integer(ms)) => *ms,
        _ => 0,
    }
}

fn ids(records: &[Value]) -> String {
    let mut ids: Vec<String> = records.iter().map(|record| field(record, "id")).collect();
    ids.sort();
    ids.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_the_field_if_there_is_one() {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut entries = vec![(text("key"), text("cart")), (text("field"), Value::Null)];
        assert_eq!(place(&Value::Map(entries.clone())), "cart");
        entries[1].1 = text("gift");
        assert_eq!(place(&Value::Map(entries)), "cart gift");
    }
}
