//! `sim`: runs seeds and reports those that fail, with the least that fails in the same way.
#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use isles_sim::run::silence_panics;
use isles_sim::{Mutant, Options, Report, examine, run_seed};

const HELP: &str = "\
sim [--seeds A..B] [--mutant NAME] [--steps N] [--no-shrink] [--keep-going] [--panics]

  --seeds A..B    seeds to run, B not included; one number is that seed alone [default: 0..500]
  --mutant NAME   plant a bug; `all` tries each and says which seed finds it
  --steps N       steps per run instead of what the seed says
  --no-shrink     report the first failure as it is
  --keep-going    run all seeds, also after a failure
  --panics        show the messages of panics";

struct Settings {
    seeds: std::ops::Range<u64>,
    mutants: Vec<Mutant>,
    steps: Option<usize>,
    shrink: bool,
    keep_going: bool,
    panics: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let settings = match parse(words) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("error: {error:#}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if !settings.panics {
        silence_panics();
    }
    let held = match settings.mutants.is_empty() {
        true => run_all(&settings),
        false => hunt_all(&settings),
    };
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(words: Vec<String>) -> Result<Settings> {
    let mut settings = Settings {
        seeds: 0..500,
        mutants: Vec::new(),
        steps: None,
        shrink: true,
        keep_going: false,
        panics: false,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "--seeds" => settings.seeds = parse_seeds(&value()?)?,
            "--mutant" => settings.mutants = parse_mutants(&value()?)?,
            "--steps" => settings.steps = Some(value()?.parse().context("--steps takes a number")?),
            "--no-shrink" => settings.shrink = false,
            "--keep-going" => settings.keep_going = true,
            "--panics" => settings.panics = true,
            _ => bail!("unknown option '{word}'"),
        }
    }
    Ok(settings)
}

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>> {
    let number = |text: &str| {
        text.parse::<u64>()
            .with_context(|| format!("'{text}' is not a seed"))
    };
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => number(text).map(|seed| seed..seed.saturating_add(1)),
    }
}

fn parse_mutants(name: &str) -> Result<Vec<Mutant>> {
    if name == "all" {
        return Ok(Mutant::ALL.to_vec());
    }
    let names = || Mutant::ALL.map(Mutant::name).join(", ");
    let mutant = Mutant::of_name(name)
        .with_context(|| format!("there is no '{name}'; known are {}", names()))?;
    Ok(vec![mutant])
}

fn options_of(settings: &Settings, seed: u64) -> Options {
    let mut options = Options::of_seed(seed);
    options.steps = settings.steps.unwrap_or(options.steps);
    options
}

fn run_all(settings: &Settings) -> bool {
    let started = Instant::now();
    let (mut commands, mut entries, mut frames, mut restarts, mut conflicts) = (0, 0, 0, 0, 0);
    let (mut evicted, mut misses) = (0, 0);
    let (mut runs, mut failed) = (0u64, 0u64);
    for seed in settings.seeds.clone() {
        let options = options_of(settings, seed);
        runs += 1;
        match examine_or_run(settings, &options, seed) {
            Ok(counts) => {
                commands += counts.commands;
                entries += counts.entries;
                frames += counts.frames;
                restarts += counts.restarts;
                conflicts += counts.conflicts;
                evicted += counts.evicted;
                misses += counts.misses;
            }
            Err(report) => {
                failed += 1;
                print(&options, &report);
                if !settings.keep_going {
                    break;
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    println!(
        "{runs} seeds, {failed} failed, in {seconds:.1} s ({:.0} seeds/min): {commands} commands ({:.0}/s), {entries} \
         entries, {frames} remote frames, {restarts} starts after a crash, {conflicts} lost writes recorded, {evicted} rows left memory, {misses} scripts \
         missed some",
        runs as f64 * 60.0 / seconds,
        commands as f64 / seconds,
    );
    failed == 0
}

fn examine_or_run(
    settings: &Settings,
    options: &Options,
    seed: u64,
) -> Result<isles_sim::world::Counts, Box<Report>> {
    if settings.shrink {
        return examine(options, seed);
    }
    run_seed(options, seed).map_err(|failure| {
        Box::new(Report {
            seed,
            shrunk: failure.clone(),
            failure,
            steps: Vec::new(),
        })
    })
}

fn print(options: &Options, report: &Report) {
    println!(
        "seed {}: {}",
        report.seed,
        readable(&report.failure.to_string())
    );
    if !report.steps.is_empty() {
        println!("  shrunk to {} steps of {options:?}", report.steps.len());
        for step in &report.steps {
            println!("    {}", readable(&format!("{step:?}")));
        }
        println!("  {}", readable(&report.shrunk.to_string()));
    }
}

/// Shows lists of bytes, such as `[102, 111, 111]`, as text.
fn readable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        shown.push_str(before);
        let bytes = after.split_once(']').and_then(|(inside, behind)| {
            let bytes: Result<Vec<u8>, _> = inside.split(", ").map(str::parse).collect();
            Some((bytes.ok()?, behind))
        });
        rest = match bytes {
            Some((bytes, behind)) => {
                shown.push_str(&format!("\"{}\"", bytes.escape_ascii()));
                behind
            }
            None => {
                shown.push('[');
                after
            }
        };
    }
    shown + rest
}

/// Says for each planted bug which seed finds it first.
fn hunt_all(settings: &Settings) -> bool {
    let hunted = settings.mutants.iter().map(|mutant| {
        for seed in settings.seeds.clone() {
            let mut options = Options::of_mutant(*mutant, seed);
            options.steps = settings.steps.unwrap_or(options.steps);
            if let Err(report) = examine_or_run(settings, &options, seed) {
                println!("{}: found by seed {seed}", mutant.name());
                if settings.mutants.len() == 1 {
                    print(&options, &report);
                } else {
                    println!("  {}", readable(&report.shrunk.to_string()));
                }
                return true;
            }
        }
        println!("{}: NOT FOUND in seeds {:?}", mutant.name(), settings.seeds);
        false
    });
    hunted.fold(true, |all, found| all & found)
}
