//! The binary `isles`: sockets, threads, config and signals. This file is the table of its commands.
#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

mod backup;
mod certs;
mod cli;
mod config;
mod conflicts;
mod database;
mod demo;
mod identity;
mod log_tool;
mod memory;
mod node;
mod peers;
mod redis_client;
mod resolver;
mod start;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// Small allocations by many threads: what a connection and a row are made of.
#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

use crate::cli::{Cli, Command, ConfigCommand, IdentityCommand, ResolverCommand, TableCommand};
use crate::config::Config;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", cli::explain(&error));
            cli::exit_code(&error)
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Start(options) => {
            let config = Config::load(options.config.as_deref(), &options.overrides)?;
            let stop = match options.exit_with_stdin {
                true => start::Stop::BySignalOrEndOfInput,
                false => start::Stop::BySignal,
            };
            start::run(config, stop)
        }
        Command::Demo(options) => demo::run(options),
        Command::Config {
            command: ConfigCommand::Example,
        } => {
            print!("{}", config::example());
            Ok(())
        }
        Command::Config {
            command: ConfigCommand::Check { file },
        } => {
            let config = Config::load(Some(&file), &config::Overrides::default())?;
            println!(
                "{} is good: node {} of region {} in cluster {}",
                file.display(),
                config.node,
                config.region,
                config.cluster
            );
            Ok(())
        }
        Command::Backup { command } => backup::run(&command),
        Command::Restore(options) => backup::restore(&options),
        Command::Table {
            command: TableCommand::Rebuild(options),
        } => backup::rebuild(&options),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "isles", &mut std::io::stdout());
            Ok(())
        }
        Command::Certs { command } => certs::run(command),
        Command::Identity {
            command: IdentityCommand::Renew { config },
        } => identity::renew(&config),
        Command::Log { command } => log_tool::run(&command),
        Command::Status(options) => status::run(&options),
        Command::Resolver {
            command: ResolverCommand::Check(options),
        } => resolver::check(&options),
        Command::Conflicts(options) => conflicts::run(&options),
    }
}
