//! Links as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What every error shows.
const EXAMPLE: &str = "eu-us=80ms,eu-ap=180ms/5ms/0.1%/100mbit";

/// Longest delay that makes sense to anybody: to the moon and back takes 2.6 s.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// How one link behaves: `80ms/5ms/0.1%/100mbit` is a round trip of 80 ms, up to 5 ms of jitter, 0.1 % of packets
/// lost, and 100 Mbit/s. All but the first are optional and may come in any order.
///
/// ```
/// use std::time::Duration;
/// use isles_wan::LinkSpec;
///
/// let link: LinkSpec = "80ms/0.1%".parse()?;
/// assert_eq!(link.one_way(), Duration::from_millis(40));
/// assert_eq!(link.to_string(), "80ms/0.1%");
/// # Ok::<(), isles_wan::SpecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkSpec {
    /// The time that `ping` would show: each direction takes half of it.
    pub round_trip: Duration,
    /// The most that a packet may take longer, in each direction; evenly distributed. Packets stay in order.
    pub jitter: Duration,
    /// The share of packets that get lost, 0 to 1, in each direction.
    pub loss: f64,
    /// Bits per second in each direction; `None`: as fast as the machine.
    pub rate_bits_per_s: Option<u64>,
}

impl LinkSpec {
    /// How long a packet is on its way: half of the round trip.
    pub fn one_way(&self) -> Duration {
        self.round_trip / 2
    }
}

/// What is wrong with a link or a list of links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} {problem}; write for example {EXAMPLE}")]
pub struct SpecError {
    /// The part of the text that is wrong.
    pub part: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

fn error(part: &str, problem: &'static str) -> SpecError {
    SpecError {
        part: part.to_owned(),
        problem,
    }
}

impl FromStr for LinkSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.split('/').map(str::trim);
        let round_trip = parts.next().unwrap_or_default();
        let Part::Time(round_trip) = parse_part(round_trip)? else {
            return Err(error(
                round_trip,
                "must be the round-trip time, which comes first",
            ));
        };
        let (mut jitter, mut loss, mut rate) = (None, None, None);
        for text in parts {
            let again = match parse_part(text)? {
                Part::Time(value) => jitter.replace(value).is_some(),
                Part::Share(value) => loss.replace(value).is_some(),
                Part::Rate(value) => rate.replace(value).is_some(),
            };
            if again {
                return Err(error(text, "says the same thing a second time"));
            }
        }
        Ok(Self {
            round_trip,
            jitter: jitter.unwrap_or_default(),
            loss: loss.unwrap_or_default(),
            rate_bits_per_s: rate,
        })
    }
}

/// One of the things between slashes; its unit tells which.
enum Part {
    Time(Duration),
    Share(f64),
    Rate(u64),
}

fn parse_part(text: &str) -> Result<Part, SpecError> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number
        .parse()
        .map_err(|_| error(text, "does not begin with a number such as 80 or 0.1"))?;
    match unit.trim().to_ascii_lowercase().as_str() {
        "us" => time(text, number / 1e6),
        "ms" => time(text, number / 1e3),
        "s" => time(text, number),
        "%" => share(text, number / 100.0),
        "kbit" => rate(text, number * 1e3),
        "mbit" => rate(text, number * 1e6),
        "gbit" => rate(text, number * 1e9),
        "" => Err(error(
            text,
            "has no unit: use us, ms, s, %, kbit, mbit or gbit",
        )),
        _ => Err(error(
            text,
            "has an unknown unit: use us, ms, s, %, kbit, mbit or gbit",
        )),
    }
}

fn time(text: &str, seconds: f64) -> Result<Part, SpecError> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time <= DELAY_MAX => Ok(Part::Time(time)),
        _ => Err(error(text, "is longer than 60 s")),
    }
}

fn share(text: &str, share: f64) -> Result<Part, SpecError> {
    if share < 1.0 {
        return Ok(Part::Share(share));
    }
    Err(error(
        text,
        "would lose everything: give less than 100 %, or cut the link",
    ))
}

fn rate(text: &str, bits_per_s: f64) -> Result<Part, SpecError> {
    if (1e3..=1e12).contains(&bits_per_s) {
        return Ok(Part::Rate(bits_per_s as u64));
    }
    Err(error(text, "is not between 1kbit and 1000gbit per second"))
}

impl fmt::Display for LinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", ms(self.round_trip))?;
        if !self.jitter.is_zero() {
            write!(f, "/{}ms", ms(self.jitter))?;
        }
        if self.loss > 0.0 {
            write!(f, "/{}%", rounded(self.loss * 100.0))?;
        }
        if let Some(rate) = self.rate_bits_per_s {
            write!(f, "/{}mbit", rate as f64 / 1e6)?;
        }
        Ok(())
    }
}

fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

/// Takes away what binary fractions add to decimal ones.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// Links between regions: `eu-us=80ms,eu-ap=180ms/2ms/0.5%`. Pairs that are not named have no delay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WanSpec {
    /// Pairs as written. They are matched against known regions and not split, since names may contain dashes.
    links: Vec<(String, LinkSpec)>,
}

impl WanSpec {
    /// The link between two regions, if it is named; their order does not matter.
    pub fn link(&self, a: &str, b: &str) -> Option<&LinkSpec> {
        self.links
            .iter()
            .find(|(pair, _)| joins(pair, a, b))
            .map(|(_, link)| link)
    }

    /// Whether every pair names two of `regions`, and no link is given twice.
    ///
    /// # Errors
    /// Names the pair that does not.
    pub fn check(&self, regions: &[&str]) -> Result<(), SpecError> {
        let mut seen = Vec::new();
        for (pair, _) in &self.links {
            let link = (0..regions.len())
                .flat_map(|a| (0..a).map(move |b| (a, b)))
                .find(|&(a, b)| joins(pair, regions[a], regions[b]))
                .ok_or_else(|| error(pair, "is not a pair of two regions of this cluster"))?;
            if seen.contains(&link) {
                return Err(error(pair, "is given a second time"));
            }
            seen.push(link);
        }
        Ok(())
    }

    /// True if no link is named.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

fn joins(pair: &str, a: &str, b: &str) -> bool {
    let is = |first: &str, second: &str| {
        pair.strip_prefix(first)
            .and_then(|rest| rest.strip_prefix('-'))
            == Some(second)
    };
    is(a, b) || is(b, a)
}

impl FromStr for WanSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut links: Vec<(String, LinkSpec)> = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (pair, link) = item
                .split_once('=')
                .ok_or_else(|| error(item, "is not of the form region-region=delay"))?;
            let pair = pair.trim();
            if !pair.trim_matches('-').contains('-') {
                return Err(error(pair, "is not a pair of regions such as eu-us"));
            }
            if links.iter().any(|(known, _)| known == pair) {
                return Err(error(pair, "is given a second time"));
            }
            links.push((pair.to_owned(), link.parse()?));
        }
        Ok(Self { links })
    }
}

impl fmt::Display for WanSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (pair, link)) in self.links.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{pair}={link}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
