//! What all nodes say of themselves at one moment.

use std::time::Duration;

use isles_admin::NodeStatus;
use tokio::task::JoinSet;

use super::cluster::Cluster;
use super::plan::Region;
use crate::status::http;

/// A node on the same machine that has not answered by then is stopped or overwhelmed.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// All regions and links.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot {
    pub(super) regions: Vec<RegionView>,
    /// By the indexes of their ends.
    pub(super) links: Vec<LinkView>,
}

/// One region.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RegionView {
    pub(super) region: Region,
    pub(super) state: State,
}

/// How a region's node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It answers.
    Up(Box<NodeStatus>),
    /// Its process runs, and does not answer.
    Silent,
    /// Its process has ended like this.
    Ended(String),
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkView {
    pub(super) ends: (usize, usize),
    pub(super) open: bool,
}

impl Snapshot {
    /// Asks everybody.
    pub(super) async fn take(cluster: &mut Cluster) -> Self {
        let statuses = statuses(cluster.regions()).await;
        let endings = cluster.endings();
        let state = |(status, ended): (Option<NodeStatus>, Option<String>)| match (status, ended) {
            (_, Some(ended)) => State::Ended(ended),
            (Some(status), None) => State::Up(Box::new(status)),
            (None, None) => State::Silent,
        };
        let states = statuses.into_iter().zip(endings).map(state);
        let regions = cluster.regions().iter().cloned().zip(states);
        Self {
            regions: regions
                .map(|(region, state)| RegionView { region, state })
                .collect(),
            links: cluster
                .links()
                .iter()
                .map(|link| LinkView {
                    ends: link.ends,
                    open: link.is_open(),
                })
                .collect(),
        }
    }

    /// Whether the link between two regions lets packets through.
    pub(super) fn is_open(&self, a: usize, b: usize) -> bool {
        let ends = (a.min(b), a.max(b));
        self.links.iter().all(|link| link.ends != ends || link.open)
    }
}

/// What each node answers at `/status`, asked at once; `None` where there is no answer.
pub(super) async fn statuses(regions: &[Region]) -> Vec<Option<NodeStatus>> {
    let mut asking = JoinSet::new();
    for (index, region) in regions.iter().enumerate() {
        let address = region.admin.to_string();
        asking.spawn_blocking(move || (index, status(&address)));
    }
    let mut answers = vec![None; regions.len()];
    while let Some(answer) = asking.join_next().await {
        if let Ok((index, status)) = answer {
            answers[index] = status;
        }
    }
    answers
}

fn status(address: &str) -> Option<NodeStatus> {
    let url = http::Url::parse(address)?;
    let body = http::get(&url, "/status", ANSWER_LIMIT).ok()?;
    serde_json::from_str(&body).ok()
}
