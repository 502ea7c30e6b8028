//! Waiting for conditions: never longer than a limit, and never without saying for what.

use std::time::{Duration, Instant};

/// How often a condition is looked at: as fast as anybody could notice.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a look at a condition gave.
pub(super) enum Look<T> {
    /// It holds.
    Holds(T),
    /// It does not yet; what was seen instead.
    NotYet(String),
}

/// Looks until the condition holds.
///
/// # Errors
/// After `limit`: what was awaited and what was seen last. At once: what a look fails with.
pub(super) async fn until<T>(
    awaited: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Look<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let seen = match look().await? {
            Look::Holds(value) => return Ok(value),
            Look::NotYet(seen) => seen,
        };
        anyhow::ensure!(
            start.elapsed() < limit,
            "waited {:.0} s until {awaited}, but {seen}",
            limit.as_secs_f64()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_until_it_holds() {
        let mut looks = 0;
        let value = until("three looks", Duration::from_secs(60), async || {
            looks += 1;
            Ok(if looks == 3 {
                Look::Holds(looks)
            } else {
                Look::NotYet(format!("{looks} so far"))
            })
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn gives_up_and_says_what_it_saw() {
        let never = until::<()>("pigs fly", Duration::ZERO, async || {
            Ok(Look::NotYet("they walk".to_owned()))
        });
        assert_eq!(
            never.await.unwrap_err().to_string(),
            "waited 0 s until pigs fly, but they walk"
        );
    }
}
