//! Places on earth as the scores of a sorted set: Redis's interleaving of 26 bits of latitude and 26 of longitude.

use std::ops::RangeInclusive;

/// Bits of each coordinate in a score.
const STEPS: u32 = 26;
/// The projection ends before the poles.
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
/// The radius that Redis takes for the earth's.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// An area is searched in at most so many cells, so that each is about as large as the area, as Redis has it.
const CELLS_MAX: u64 = 4;
/// Wider than the rounding of any coordinate here.
const MARGIN_DEGREES: f64 = 1e-9;
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
const GEOHASH_LETTERS: u32 = 11;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

/// What lies near a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Circle { radius_m: f64 },
    Box { width_m: f64, height_m: f64 },
}

impl Place {
    /// Whether it can be a score.
    pub(crate) fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score: an integer of 52 bits.
    pub(crate) fn to_bits(self) -> u64 {
        interleave(
            cell(self.latitude, LATITUDE_MAX, STEPS),
            cell(self.longitude, LONGITUDE_MAX, STEPS),
        )
    }

    /// The middle of the cell of a score.
    pub(crate) fn from_score(score: f64) -> Place {
        // What does not come from GEOADD reads as some place, as in Redis.
        let bits = score as u64;
        Place {
            longitude: middle(squash(bits >> 1), LONGITUDE_MAX),
            latitude: middle(squash(bits), LATITUDE_MAX),
        }
    }

    /// The distance in metres along the surface.
    pub(crate) fn distance_m(self, other: Place) -> f64 {
        let v = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    fn latitude_distance_m(self, other: Place) -> f64 {
        EARTH_RADIUS_M * (other.latitude.to_radians() - self.latitude.to_radians()).abs()
    }

    /// The geohash of eleven letters that other programs know, which has its own projection.
    pub(crate) fn to_geohash(self) -> String {
        let bits = interleave(
            cell(self.latitude, 90.0, STEPS),
            cell(self.longitude, LONGITUDE_MAX, STEPS),
        );
        // The last letter would need three bits more than there are.
        let letter = |index: u32| match (2 * STEPS).checked_sub((index + 1) * 5) {
            Some(shift) => (bits >> shift) as usize & 31,
            None => 0,
        };
        (0..GEOHASH_LETTERS)
            .map(|index| char::from(ALPHABET[letter(index)]))
            .collect()
    }
}

impl Shape {
    /// The distance of a place that lies within the shape around a centre.
    pub(crate) fn distance_within_m(self, centre: Place, place: Place) -> Option<f64> {
        match self {
            Shape::Circle { radius_m } => {
                Some(centre.distance_m(place)).filter(|distance_m| *distance_m <= radius_m)
            }
            Shape::Box { width_m, height_m } => {
                let beside = Place {
                    longitude: centre.longitude,
                    latitude: place.latitude,
                };
                let inside = place.latitude_distance_m(centre) <= height_m / 2.0
                    && place.distance_m(beside) <= width_m / 2.0;
                inside.then(|| centre.distance_m(place))
            }
        }
    }

    /// Ranges of scores, apart from each other, that hold all places within the shape, and some others. The one around the
    /// centre comes first.
    pub(crate) fn cover(self, centre: Place) -> Vec<RangeInclusive<u64>> {
        let (half_width_m, half_height_m) = match self {
            Shape::Circle { radius_m } => (radius_m, radius_m),
            Shape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let height = (half_height_m / EARTH_RADIUS_M).to_degrees() + MARGIN_DEGREES;
        let (south, north) = (centre.latitude - height, centre.latitude + height);
        let width = longitude_reach(half_width_m, south.abs().max(north.abs()));
        let latitudes = south.max(-LATITUDE_MAX)..=north.min(LATITUDE_MAX);
        if latitudes.is_empty() {
            return Vec::new();
        }
        let west_east = width.map_or(vec![-LONGITUDE_MAX..=LONGITUDE_MAX], |width| {
            around(centre.longitude - width, centre.longitude + width)
        });
        let cells = (1..=STEPS)
            .rev()
            .map(|steps| Cells::new(&latitudes, &west_east, steps));
        let mut cells = cells.skip_while(|cells| cells.len() > CELLS_MAX);
        cells
            .next()
            .map_or(vec![0..=u64::MAX], |cells| cells.scores(centre.to_bits()))
    }
}

/// How many degrees of longitude a distance can span up to a latitude; none for all of them.
fn longitude_reach(half_width_m: f64, latitude: f64) -> Option<f64> {
    let half_angle = half_width_m / EARTH_RADIUS_M / 2.0;
    if latitude >= 90.0 || half_angle >= std::f64::consts::FRAC_PI_2 {
        return None;
    }
    let sine = half_angle.sin() / latitude.to_radians().cos();
    (sine < 1.0).then(|| 2.0 * sine.asin().to_degrees() + MARGIN_DEGREES)
}

/// Longitudes from west to east, which may go around the edge of the map.
fn around(west: f64, east: f64) -> Vec<RangeInclusive<f64>> {
    if east - west >= 2.0 * LONGITUDE_MAX {
        vec![-LONGITUDE_MAX..=LONGITUDE_MAX]
    } else if west < -LONGITUDE_MAX {
        vec![
            -LONGITUDE_MAX..=east,
            west + 2.0 * LONGITUDE_MAX..=LONGITUDE_MAX,
        ]
    } else if east > LONGITUDE_MAX {
        vec![
            -LONGITUDE_MAX..=east - 2.0 * LONGITUDE_MAX,
            west..=LONGITUDE_MAX,
        ]
    } else {
        vec![west..=east]
    }
}

/// The cells of one size that an area touches.
struct Cells {
    steps: u32,
    rows: RangeInclusive<u32>,
    columns: Vec<RangeInclusive<u32>>,
}

impl Cells {
    fn new(
        latitudes: &RangeInclusive<f64>,
        longitudes: &[RangeInclusive<f64>],
        steps: u32,
    ) -> Cells {
        let within = |range: &RangeInclusive<f64>, max| {
            cell(*range.start(), max, steps)..=cell(*range.end(), max, steps)
        };
        Cells {
            steps,
            rows: within(latitudes, LATITUDE_MAX),
            columns: longitudes
                .iter()
                .map(|range| within(range, LONGITUDE_MAX))
                .collect(),
        }
    }

    fn len(&self) -> u64 {
        let count = |range: &RangeInclusive<u32>| u64::from(range.end() - range.start()) + 1;
        count(&self.rows) * self.columns.iter().map(count).sum::<u64>()
    }

    /// Each cell is a range of scores; the one of `centre` comes first.
    fn scores(&self, centre: u64) -> Vec<RangeInclusive<u64>> {
        let columns = self.columns.iter().cloned().flatten();
        let cells =
            columns.flat_map(|column| self.rows.clone().map(move |row| interleave(row, column)));
        let mut cells: Vec<u64> = cells.collect();
        let shift = 2 * (STEPS - self.steps);
        cells.sort_unstable_by_key(|cell| (*cell != centre >> shift, *cell));
        cells.dedup();
        let range = |cell| cell << shift..=((cell + 1) << shift) - 1;
        cells.into_iter().map(range).collect()
    }
}

/// Which of 2^steps equal parts of -max..=max a coordinate lies in.
fn cell(degrees: f64, max: f64, steps: u32) -> u32 {
    let parts = f64::from(1u32 << steps);
    let offset = (degrees + max) / (2.0 * max) * parts;
    // The eastern and northern edges belong to the last part, as Redis's 32 bits would have it wrapped around.
    (offset as u32).min((1 << steps) - 1)
}

fn middle(part: u32, max: f64) -> f64 {
    let parts = f64::from(1u32 << STEPS);
    let edge = |part: f64| -max + part / parts * (2.0 * max);
    let middle = (edge(f64::from(part)) + edge(f64::from(part) + 1.0)) / 2.0;
    middle.clamp(-max, max)
}

fn interleave(even: u32, odd: u32) -> u64 {
    spread(even) | spread(odd) << 1
}

/// Puts a zero after each bit.
fn spread(bits: u32) -> u64 {
    let bits = u64::from(bits);
    let bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF;
    let bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF;
    let bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    let bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// Takes every second bit.
fn squash(bits: u64) -> u32 {
    let bits = bits & 0x5555_5555_5555_5555;
    let bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    let bits = (bits | bits >> 2) & 0x0F0F_0F0F_0F0F_0F0F;
    let bits = (bits | bits >> 4) & 0x00FF_00FF_00FF_00FF;
    let bits = (bits | bits >> 8) & 0x0000_FFFF_0000_FFFF;
    (bits | bits >> 16) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PALERMO: Place = Place {
        longitude: 13.361389,
        latitude: 38.115556,
    };

    #[test]
    fn scores_and_letters_are_redis_s() {
        assert_eq!(PALERMO.to_bits(), 3_479_099_956_230_698);
        let read = Place::from_score(3_479_099_956_230_698.0);
        assert_eq!(read.to_geohash(), "sqc8b49rny0");
        assert_eq!(format!("{:.17}", read.longitude), "13.36138933897018433");
    }

    #[test]
    fn an_area_at_the_edge_of_the_map_goes_around_it() {
        let east = Place {
            longitude: 179.99,
            latitude: 0.0,
        };
        let west = Place {
            longitude: -179.99,
            latitude: 0.0,
        };
        let shape = Shape::Circle { radius_m: 5_000.0 };
        let bits = west.to_bits();
        assert!(shape.cover(east).iter().any(|range| range.contains(&bits)));
        assert!(shape.distance_within_m(east, west).is_some());
    }

    fn place() -> impl Strategy<Value = Place> {
        (-180.0..=180.0f64, -85.05..=85.05f64).prop_map(|(longitude, latitude)| Place {
            longitude,
            latitude,
        })
    }

    proptest! {
        #[test]
        fn a_place_is_read_back_nearly_as_it_was(place in place()) {
            let read = Place::from_score(place.to_bits() as f64);
            prop_assert!((read.longitude - place.longitude).abs() < 1e-5);
            prop_assert!((read.latitude - place.latitude).abs() < 1e-5);
        }

        #[test]
        fn a_cover_holds_all_that_lies_within(
            centre in place(),
            (east, north) in (-1.0..=1.0f64, -1.0..=1.0f64),
            size_m in 1.0..3e7f64,
            is_box in any::<bool>(),
        ) {
            let shape = match is_box {
                true => Shape::Box { width_m: size_m, height_m: size_m / 3.0 },
                false => Shape::Circle { radius_m: size_m },
            };
            let reach = (size_m / 5e4).min(170.0);
            let other = Place {
                longitude: (centre.longitude + east * reach + 540.0).rem_euclid(360.0) - 180.0,
                latitude: (centre.latitude + north * reach).clamp(-85.05, 85.05),
            };
            let bits = other.to_bits();
            let other = Place::from_score(bits as f64);
            if shape.distance_within_m(centre, other).is_some() {
                prop_assert!(shape.cover(centre).iter().any(|range| range.contains(&bits)));
            }
        }
    }
}
