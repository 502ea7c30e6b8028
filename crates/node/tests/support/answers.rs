//! The commands that tests ask most, as plain data.

use std::collections::{BTreeMap, HashMap};

use redis::{Connection, FromRedisValue, Value};

use super::Node;

/// What is applied, and the digest of the content.
pub(crate) fn digest(connection: &mut Connection) -> (String, String) {
    let answer: HashMap<String, String> = redis::cmd("ISLES.DIGEST").query(connection).unwrap();
    (answer["applied"].clone(), answer["digest"].clone())
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conflict {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) winner: Option<String>,
    pub(crate) loser: Option<String>,
}

/// The journal's records about keys that match a pattern, by id.
pub(crate) fn conflicts(connection: &mut Connection, pattern: &str) -> BTreeMap<String, Conflict> {
    let mut command = redis::cmd("ISLES.CONFLICTS");
    let records: Vec<HashMap<String, Value>> = command
        .arg("COUNT")
        .arg(10_000)
        .arg("KEY")
        .arg(pattern)
        .query(connection)
        .unwrap();
    let count = records.len();
    let by_id: BTreeMap<_, _> = records
        .into_iter()
        .map(conflict)
        .map(|record| (record.id.clone(), record))
        .collect();
    assert_eq!(by_id.len(), count, "every record has an id of its own");
    by_id
}

fn conflict(mut record: HashMap<String, Value>) -> Conflict {
    let mut field = |name: &str| {
        record
            .remove(name)
            .unwrap_or_else(|| panic!("a record has {name}"))
    };
    let value = |contender: Value| {
        let mut contender = HashMap::<String, Value>::from_redis_value(contender).unwrap();
        Option::<String>::from_redis_value(contender.remove("value").unwrap()).unwrap()
    };
    let (winner, loser) = (value(field("winner")), value(field("loser")));
    let mut text = |name: &str| String::from_redis_value(field(name)).unwrap();
    Conflict {
        id: text("id"),
        key: text("key"),
        kind: text("kind"),
        winner,
        loser,
    }
}

/// The sum of a metric over all its labels; zero while it has no value.
pub(crate) fn metric(node: &Node, name: &str) -> f64 {
    let metrics = node.admin("/metrics");
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.parse::<f64>().ok()
    });
    values.sum()
}
