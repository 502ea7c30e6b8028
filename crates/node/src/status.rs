//! `isles status`: asks a running node over HTTP and shows the answer.

pub(crate) mod http;
pub(crate) mod table;

use std::time::Duration;

use anyhow::Context;
use isles_admin::NodeStatus;

use crate::cli::{StatusOptions, UsageError};

/// Asks and prints; fails when the node does not answer or is not what it should be.
///
/// # Errors
/// Names the address and what to look at.
pub(crate) fn run(options: &StatusOptions) -> anyhow::Result<()> {
    let url = http::Url::parse(&options.admin).ok_or_else(|| {
        UsageError(format!(
            "--admin '{}' is not a plain HTTP address; for example http://127.0.0.1:9180",
            options.admin
        ))
    })?;
    let body = http::get(&url, "/status", Duration::from_millis(options.timeout_ms)).with_context(
        || {
            format!(
                "no answer from {}; is the node running, and is this its admin.listen?",
                options.admin
            )
        },
    )?;
    let status: NodeStatus = serde_json::from_str(&body)
        .with_context(|| format!("{} answers, but not like an Isles node", options.admin))?;
    if options.json {
        println!("{}", body.trim_end());
    } else {
        print!("{}", table::render(&status));
    }
    Ok(())
}
