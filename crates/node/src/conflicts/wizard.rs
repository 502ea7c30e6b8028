//! Restoring many: a filter, a preview, and then the writes, one by one.
//!
//! Nothing has to be remembered between two runs. Each restore settles its record in every region, and the node refuses to
//! restore one that something has settled: a run that was interrupted goes on where it was by being run again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use isles_replica::RESERVED_PREFIX;
use isles_resp::resp3::Value;

use super::options::{Filter, RestoreOptions};
use super::{Journal, Output, table};

/// Records that are asked for at once.
const PAGE: u64 = 500;
/// Places that one run restores.
const PLACES_MAX: usize = 200_000;
/// Restores that a preview shows.
const SHOWN: usize = 20;

/// A key, component, and field.
type Place = (Vec<u8>, String, Vec<u8>);

/// What a run would do.
#[derive(Default)]
struct Plan {
    /// In each place what lost last; of what adds up, everything.
    restores: BTreeMap<Place, Value>,
    /// Writes that lost there before it.
    older: usize,
    truncated: usize,
    /// Siblings, of which none is lost until one is written over the others.
    kept: usize,
    /// Conflicts that leave nothing to write back.
    no_value: usize,
    /// Conflicts of keyspaces and the like, which no command on keys may write.
    of_isles: usize,
    /// There are more.
    is_full: bool,
}

pub(super) fn restore(
    client: &mut Journal,
    options: &RestoreOptions,
    output: &mut Output,
) -> anyhow::Result<()> {
    let plan = plan(client, &options.filter)?;
    preview(&plan, options, output)?;
    if !options.apply {
        return output
            .say("\nnothing was written; --apply does it")
            .map_err(Into::into);
    }
    apply(client, &plan, options.limit, output)
}

fn plan(client: &mut Journal, filter: &Filter) -> anyhow::Result<Plan> {
    let mut filter = filter.clone();
    filter.state.get_or_insert_with(|| "open".to_owned());
    let end = client.conflicts(&["STATS"])?.get("next_sequence").number();
    let (mut plan, mut after) = (Plan::default(), 0);
    loop {
        let mut words = vec!["FOLLOW".to_owned()];
        words.extend(filter.words());
        words.extend(["COUNT".to_owned(), PAGE.to_string()]);
        words.extend(["AFTER".to_owned(), after.to_string()]);
        let page = client.conflicts(&words)?;
        for record in page.get("records").items() {
            plan.add(record);
        }
        let cursor = page.get("cursor").number();
        if cursor == after || cursor + 1 >= end || plan.is_full {
            return Ok(plan);
        }
        after = cursor;
    }
}

impl Plan {
    fn add(&mut self, record: &Value) {
        let (kind, component) = (record.get("kind").text(), record.get("component").text());
        let loser = record.get("loser");
        let key = record.get("key").bytes().unwrap_or_default();
        if key.starts_with(RESERVED_PREFIX) {
            self.of_isles += 1;
            return;
        }
        let only_rights = component == "bounded-counter" && loser.get("value").text() == "0";
        if kind == "type" || only_rights || matches!(&*component, "stream" | "counter") {
            self.no_value += 1;
            return;
        }
        if table::is_kept(record) {
            self.kept += 1;
            return;
        }
        if loser.get("kept_bytes").number() < loser.get("value_bytes").number() {
            self.truncated += 1;
            return;
        }
        let bytes = |name| record.get(name).bytes().unwrap_or_default().to_vec();
        // What each of these has lost adds to what the others have, so that none takes another's place.
        let field = match &*component {
            "hyperloglog" | "bounded-counter" => bytes("id"),
            _ => bytes("field"),
        };
        let place = (bytes("key"), component, field);
        self.is_full = self.restores.len() >= PLACES_MAX;
        match self.restores.entry(place) {
            Entry::Vacant(_) if self.is_full => {}
            Entry::Vacant(free) => _ = free.insert(record.clone()),
            Entry::Occupied(mut known) => {
                self.older += 1;
                let stamp = |record: &Value| record.get("loser").get("stamp_ms").number();
                if stamp(record) >= stamp(known.get()) {
                    known.insert(record.clone());
                }
            }
        }
    }
}

fn preview(plan: &Plan, options: &RestoreOptions, output: &mut Output) -> anyhow::Result<()> {
    if output.json {
        if !options.apply {
            for record in plan.restores.values() {
                output.line(record, String::new)?;
            }
        }
        return Ok(());
    }
    let shown: Vec<Value> = plan.restores.values().take(SHOWN).cloned().collect();
    if !shown.is_empty() {
        output.say(table::records(&shown))?;
    }
    if plan.restores.len() > SHOWN {
        output.say(format!("and {} more", plan.restores.len() - SHOWN))?;
    }
    output.say(format!("\n{} lost writes to restore", plan.restores.len()))?;
    for (count, what) in [
        (
            plan.older,
            "lost before them in the same places, and stay lost",
        ),
        (
            plan.truncated,
            "cannot be restored: the journal has only their first bytes",
        ),
        (
            plan.kept,
            "lose nothing: both values are there, and the strategy says which is read; isles conflicts resolve chooses one",
        ),
        (
            plan.no_value,
            "leave nothing to restore: both values are there, or only rights had changed hands",
        ),
        (
            plan.of_isles,
            "are about definitions of Isles and are left out: say again what should hold, with ISLES.KEYSPACE SET, ISLES.RESOLVER LOAD or \
             FUNCTION LOAD",
        ),
    ] {
        if count > 0 {
            output.say(format!("{count} {what}"))?;
        }
    }
    if plan.is_full {
        output.say("there are more: run it again afterwards")?;
    }
    Ok(())
}

fn apply(
    client: &mut Journal,
    plan: &Plan,
    limit: Option<u64>,
    output: &mut Output,
) -> anyhow::Result<()> {
    let (mut restored, mut settled, mut expired, mut refused) = (0, 0, 0, 0);
    for record in plan.restores.values() {
        if limit.is_some_and(|limit| restored >= limit) {
            break;
        }
        let id = record.get("id").text();
        let answer = client.refusable(&["RESTORE", &id, "IFOPEN"])?;
        match (&answer, answer.get("resolved")) {
            (Value::Error(why), _) if why.starts_with("EXPIRED ") => expired += 1,
            (Value::Error(why), _) => {
                refused += 1;
                eprintln!("{}: {why}", table::place(record));
            }
            (_, Value::Null) => restored += 1,
            _ => settled += 1,
        }
        if output.json {
            output.line(&answer, String::new)?;
        }
    }
    output.say(format!(
        "\n{restored} restored, {settled} settled by somebody meanwhile, {expired} of keys that have expired, {refused} refused"
    ))?;
    anyhow::ensure!(
        refused == 0,
        "{refused} could not be restored; the reasons are above"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &[u8]) -> Value {
        record_of(key, "register-lww", "1", "v")
    }

    fn record_of(key: &[u8], component: &str, id: &str, value: &str) -> Value {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let entry = |name: &str, value: Value| (text(name), value);
        let loser = vec![
            entry("value", text(value)),
            entry("value_bytes", Value::Integer(1)),
            entry("kept_bytes", Value::Integer(1)),
        ];
        Value::Map(vec![
            entry("id", text(id)),
            entry("key", Value::Text(key.to_vec())),
            entry("kind", text("write-write")),
            entry("component", text(component)),
            entry("loser", Value::Map(loser)),
        ])
    }

    #[test]
    fn of_a_place_the_last_comes_back_and_of_what_adds_up_everything() {
        let mut plan = Plan::default();
        for component in ["register-lww", "hyperloglog", "bounded-counter"] {
            for id in ["1", "2"] {
                plan.add(&record_of(b"k", component, id, "5"));
            }
        }
        plan.add(&record_of(b"k", "bounded-counter", "3", "0"));
        assert_eq!((plan.restores.len(), plan.older, plan.no_value), (5, 1, 1));
    }

    // What all read was lost by that.
    #[test]
    fn siblings_are_left_alone() {
        let mut plan = Plan::default();
        let Value::Map(mut fields) = record_of(b"k", "register-mv", "1", "v") else {
            unreachable!("a record is a map");
        };
        fields.push((Value::Text(b"kept".to_vec()), Value::Boolean(true)));
        plan.add(&Value::Map(fields));
        assert_eq!((plan.kept, plan.restores.len()), (1, 0));
    }

    // Each run failed on them, as nobody may write them so.
    #[test]
    fn what_belongs_to_isles_is_left_out() {
        let mut plan = Plan::default();
        for key in [&b"\0isles:keyspace:cart:"[..], b"cart:1", b"\0isles"] {
            plan.add(&record(key));
        }
        assert_eq!((plan.of_isles, plan.restores.len()), (1, 2));
    }
}
