//! The table of regions, kept fresh, and the keys that cut and heal.

use std::time::Duration;

use isles_admin::{NodeStatus, PeerStatus};
use tokio::time::{Instant, MissedTickBehavior};

use super::cluster::{Cluster, RegionLink};
use super::screen::{Keys, Screen};
use super::snapshot::{RegionView, Snapshot, State};
use crate::status::table::columns;

/// How often a terminal is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(500);
/// How often changes are reported where nothing can be redrawn.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// Links that have a digit of their own.
const DIGITS: usize = 9;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    CutFirst,
    Heal,
    /// Cut or heal the link with this index.
    Toggle(usize),
    /// Start every node again that has ended.
    Restart,
    Quit,
}

impl Wish {
    fn of(key: char) -> Option<Self> {
        match key {
            'c' | 'C' => Some(Self::CutFirst),
            'h' | 'H' => Some(Self::Heal),
            'r' | 'R' => Some(Self::Restart),
            'q' | 'Q' => Some(Self::Quit),
            '1'..='9' => Some(Self::Toggle(key as usize - '1' as usize)),
            _ => None,
        }
    }
}

/// Shows the table until somebody wants to quit.
///
/// # Errors
/// If nobody reads the output any more.
pub(super) async fn show(cluster: &mut Cluster, screen: &mut Screen) -> anyhow::Result<()> {
    let mut keys = Keys::listen()?;
    let mut board = Board {
        cluster,
        screen,
        keyboard: keys.are_of_a_keyboard(),
        reported: None,
    };
    board.introduce().await?;
    let every = if board.screen.is_terminal() {
        REDRAW_EVERY
    } else {
        REPORT_EVERY
    };
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            key = keys.next() => match Wish::of(key) {
                Some(Wish::Quit) => return Ok(()),
                Some(wish) => board.fulfil(wish)?,
                None => continue,
            },
            _ = ticks.tick() => {}
        }
        board.refresh().await?;
    }
}

struct Board<'b> {
    cluster: &'b mut Cluster,
    screen: &'b mut Screen,
    /// Somebody can press the keys of the legend.
    keyboard: bool,
    /// What was said last, where nothing can be redrawn.
    reported: Option<Snapshot>,
}

impl Board<'_> {
    async fn introduce(&mut self) -> anyhow::Result<()> {
        let [first, second, ..] = self.cluster.regions() else {
            return Ok(());
        };
        let hint = format!(
            "try: redis-cli -p {} SET greeting hello; redis-cli -p {} GET greeting\n",
            first.redis.port(),
            second.redis.port()
        );
        self.screen.line(&hint)?;
        let snapshot = Snapshot::take(self.cluster).await;
        if self.screen.is_terminal() {
            return self.screen.redraw(&block(&snapshot, self.keyboard));
        }
        self.screen.line(table(&snapshot).trim_end())?;
        if self.keyboard {
            self.screen.line(&legend(&snapshot))?;
        }
        self.reported = Some(snapshot);
        Ok(())
    }

    fn fulfil(&mut self, wish: Wish) -> anyhow::Result<()> {
        let (act, links): (fn(&RegionLink), Vec<&RegionLink>) = match wish {
            Wish::CutFirst => (RegionLink::cut, self.cluster.links_of(0).collect()),
            Wish::Heal => (RegionLink::heal, self.cluster.links().iter().collect()),
            Wish::Toggle(index) => match self.cluster.links().get(index) {
                Some(link) if link.is_open() => (RegionLink::cut, vec![link]),
                Some(link) => (RegionLink::heal, vec![link]),
                None => return Ok(()),
            },
            Wish::Restart => return self.cluster.restart_ended(),
            Wish::Quit => return Ok(()),
        };
        links.into_iter().for_each(act);
        Ok(())
    }

    async fn refresh(&mut self) -> anyhow::Result<()> {
        let snapshot = Snapshot::take(self.cluster).await;
        if self.screen.is_terminal() {
            return self.screen.redraw(&block(&snapshot, self.keyboard));
        }
        for line in news(self.reported.as_ref(), &snapshot) {
            self.screen.line(&line)?;
        }
        self.reported = Some(snapshot);
        Ok(())
    }
}

/// The table, and below it whether the regions agree.
fn table(snapshot: &Snapshot) -> String {
    let head = [
        "REGION",
        "REDIS",
        "ADMIN",
        "KEYS",
        "CONFLICTS",
        "LAG",
        "LINKS",
    ]
    .map(str::to_owned);
    let rows = snapshot.regions.iter().enumerate().map(|(index, view)| {
        let [keys, conflicts, lag, links] = match &view.state {
            State::Up(status) => [
                status.keys.to_string(),
                status.conflicts_total.to_string(),
                worst_lag(status),
                links(snapshot, index, status),
            ],
            down => [
                "-".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
                trouble(down),
            ],
        };
        let admin = format!("http://{}", view.region.admin);
        [
            view.region.name.to_owned(),
            view.region.redis.to_string(),
            admin,
            keys,
            conflicts,
            lag,
            links,
        ]
    });
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(rows).collect();
    format!("{}{}\n", columns(&rows), agreement(snapshot))
}

fn trouble(state: &State) -> String {
    match state {
        State::Up(_) => String::new(),
        State::Silent => "does not answer".to_owned(),
        State::Ended(how) => format!("ended: {how}; r starts it again"),
    }
}

/// Of the peers' newest entries that are known here, the age of the oldest.
fn worst_lag(status: &NodeStatus) -> String {
    let lags = status
        .peers
        .iter()
        .filter_map(|peer| Some((peer.lag_ms?, &peer.region)));
    match lags.max_by(|left, right| left.0.total_cmp(&right.0)) {
        None => "-".to_owned(),
        Some((lag_ms, _)) if lag_ms < 0.5 => "0 ms".to_owned(),
        Some((lag_ms, region)) => format!("{} behind {region}", time(lag_ms)),
    }
}

/// The links of a region: to whom, and how long there and back.
fn links(snapshot: &Snapshot, own: usize, status: &NodeStatus) -> String {
    let others = snapshot
        .regions
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != own);
    let link = |(index, view): (usize, &RegionView)| {
        let peer = status
            .peers
            .iter()
            .find(|peer| peer.region == view.region.name);
        format!(
            "{} {}",
            view.region.name,
            link_state(snapshot.is_open(own, index), peer)
        )
    };
    others.map(link).collect::<Vec<_>>().join(", ")
}

fn link_state(open: bool, peer: Option<&PeerStatus>) -> String {
    match peer {
        _ if !open => "cut".to_owned(),
        Some(PeerStatus {
            connected: true,
            rtt_ms: Some(round_trip_ms),
            ..
        }) => time(*round_trip_ms),
        Some(PeerStatus {
            connected: true, ..
        }) => "connected".to_owned(),
        _ => "connecting".to_owned(),
    }
}

/// Milliseconds for people.
fn time(ms: f64) -> String {
    match ms {
        ..9.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        ..59_950.0 => format!("{:.1} s", ms / 1e3),
        _ => format!("{:.0} min", ms / 6e4),
    }
}

/// Whether all that answer hold the same.
fn agreement(snapshot: &Snapshot) -> String {
    let up: Vec<(&str, &NodeStatus)> = snapshot
        .regions
        .iter()
        .filter_map(|view| match &view.state {
            State::Up(status) => Some((view.region.name, &**status)),
            _ => None,
        })
        .collect();
    let Some(((_, first), rest)) = up.split_first() else {
        return "no region answers".to_owned();
    };
    let behind: Vec<&str> = rest
        .iter()
        .filter(|(_, status)| status.applied != first.applied)
        .map(|(name, _)| *name)
        .collect();
    let who = if up.len() == snapshot.regions.len() {
        "all regions"
    } else {
        "the regions that answer"
    };
    let digest = first.digest.get(..8).unwrap_or_default();
    match (behind.is_empty(), rest.iter().all(|(_, status)| status.digest == first.digest)) {
        (true, true) => format!("{who} have applied the same entries and hold the same data (digest {digest})"),
        (true, false) => "the regions have applied the same entries and hold different data: this is a bug, please report it".to_owned(),
        (false, _) => format!("not the same everywhere yet: {} and {} have applied different entries", up[0].0, behind.join(", ")),
    }
}

/// The table, and the keys if there is a keyboard.
fn block(snapshot: &Snapshot, keyboard: bool) -> String {
    let mut block = table(snapshot);
    if keyboard {
        block.push_str(&legend(snapshot));
        block.push('\n');
    }
    block
}

/// The keys.
fn legend(snapshot: &Snapshot) -> String {
    let name = |index: usize| snapshot.regions[index].region.name;
    let links = snapshot.links.iter().take(DIGITS).zip(1..);
    let digits: Vec<String> = links
        .map(|(link, digit)| format!("{digit} {}-{}", name(link.ends.0), name(link.ends.1)))
        .collect();
    format!(
        "keys: c cut {} off, h heal, {} (cut or heal one link), q quit",
        name(0),
        digits.join(", ")
    )
}

/// One line for each region that has changed, and one if their agreement has.
fn news(before: Option<&Snapshot>, now: &Snapshot) -> Vec<String> {
    let line = |snapshot: &Snapshot, index: usize| -> Option<String> {
        let view = snapshot.regions.get(index)?;
        let State::Up(status) = &view.state else {
            return Some(format!("{}: {}", view.region.name, trouble(&view.state)));
        };
        let others = (0..snapshot.regions.len()).filter(|other| *other != index);
        let away: Vec<String> = others
            .filter_map(|other| {
                let name = snapshot.regions[other].region.name;
                let peer = status.peers.iter().find(|peer| peer.region == name);
                let state = link_state(snapshot.is_open(index, other), peer);
                ["cut", "connecting"]
                    .contains(&state.as_str())
                    .then(|| format!(", {name} {state}"))
            })
            .collect();
        let (keys, conflicts) = (
            counted(status.keys, "key"),
            counted(status.conflicts_total, "conflict"),
        );
        Some(format!(
            "{}: {keys}, {conflicts}{}",
            view.region.name,
            away.concat()
        ))
    };
    let mut lines: Vec<String> = (0..now.regions.len())
        .filter(|index| before.and_then(|before| line(before, *index)) != line(now, *index))
        .filter_map(|index| line(now, index))
        .collect();
    if before.map(agreement) != Some(agreement(now)) {
        lines.push(agreement(now));
    }
    lines
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
