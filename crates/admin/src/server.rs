//! Binding the port and answering what is asked.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::connection::LimitedListener;
use crate::query;
use crate::status::{HotConflicts, NodeStatus};

/// What Prometheus expects of its text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "isles\n\n/metrics  Prometheus text\n/healthz  does the process answer\n/readyz   may it be given traffic\n/status   everything, as JSON\n/conflicts  the journal of conflicts, newest first, as JSON; /conflicts/ID one record\n/conflicts/follow, /conflicts/stats, /conflicts/replay, /conflicts/hot\n";

/// What a node can be asked. Each method may block for a moment (a lock, a large rendering): they are called off the
/// threads that serve sockets.
pub trait Probe: Send + Sync + 'static {
    /// Every metric, in Prometheus's text format.
    fn metrics(&self) -> String;
    /// What the node says about itself.
    ///
    /// # Errors
    /// It cannot say yet; why, in words for an operator.
    fn status(&self) -> Result<NodeStatus, String>;
    /// The keys that were in conflict most often, most first: so many, or as many as is usual.
    ///
    /// # Errors
    /// As [`Probe::status`].
    fn hot_conflicts(&self, count: Option<usize>) -> Result<HotConflicts, String>;
    /// What the journal of conflicts answers to a question, such as `LIST`, `KEY`, `cart:*`, as JSON. Words are bytes,
    /// as keys are.
    ///
    /// # Errors
    /// As [`Probe::status`], or what is wrong with the question.
    fn conflicts(&self, question: &[Vec<u8>]) -> Result<serde_json::Value, ConflictsError>;
    /// Whether the node may be given traffic.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    fn ready(&self) -> Result<(), String>;
}

/// Why the journal of conflicts gives no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictsError {
    /// Not yet; why, in words for an operator.
    NotReady(String),
    /// The question is wrong; what is wrong with it.
    Question(String),
    /// There is no such record.
    NotFound(String),
}

/// Why the port could not be had, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else has it.
    #[error(
        "cannot serve admin requests at {address}: another program uses this port; stop it (`ss -ltnp 'sport = :{port}'` names it) or change admin.listen",
        port = address.port()
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The machine has no such address.
    #[error(
        "cannot serve admin requests at {address}: this machine has no such address; change admin.listen"
    )]
    NoSuchAddress {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The operating system does not allow it.
    #[error(
        "cannot serve admin requests at {address}: not allowed; ports below 1024 need privileges, change admin.listen"
    )]
    NotAllowed {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot serve admin requests at {address}: {error}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address },
            _ => Self::Other { address, error },
        }
    }
}

/// The server, bound and not yet answering. Binding first lets a node find a taken port before it opens its data.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Takes the port; port 0 takes a free one.
    ///
    /// # Errors
    /// If the port cannot be had; the error names it and says what to do.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |error| BindError::new(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` completes and the requests under way are done.
    ///
    /// # Errors
    /// If the operating system takes the socket away.
    pub async fn serve(
        self,
        probe: Arc<dyn Probe>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        tracing::debug!(address = %self.address, "admin server answers");
        axum::serve(LimitedListener::new(self.listener), router(probe))
            .with_graceful_shutdown(stop)
            .await
    }
}

fn router(probe: Arc<dyn Probe>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/conflicts", get(conflicts).fallback(read_only))
        .route("/conflicts/hot", get(hot_conflicts))
        .route(
            "/conflicts/{what}",
            get(conflicts_about).fallback(read_only),
        )
        .fallback(|| async { (StatusCode::NOT_FOUND, format!("no such path\n\n{INDEX}")) })
        .with_state(probe)
}

async fn metrics(State(probe): State<Arc<dyn Probe>>) -> Response {
    match ask(probe, |probe| probe.metrics()).await {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(failed) => failed,
    }
}

async fn ready(State(probe): State<Arc<dyn Probe>>) -> Response {
    match ask(probe, |probe| probe.ready()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(reason)) => not_ready(&reason),
        Err(failed) => failed,
    }
}

fn not_ready(reason: &str) -> Response {
    let text = format!("not ready: {reason}\n");
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn status(State(probe): State<Arc<dyn Probe>>) -> Response {
    json(ask(probe, |probe| probe.status()).await)
}

async fn conflicts(State(probe): State<Arc<dyn Probe>>, RawQuery(query): RawQuery) -> Response {
    answer_about_conflicts(probe, vec![b"LIST".to_vec()], query).await
}

async fn conflicts_about(
    State(probe): State<Arc<dyn Probe>>,
    Path(what): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let question = match what.as_str() {
        "follow" | "replay" | "stats" => vec![what.to_ascii_uppercase().into()],
        _ => vec![b"SHOW".to_vec(), what.into()],
    };
    answer_about_conflicts(probe, question, query).await
}

async fn answer_about_conflicts(
    probe: Arc<dyn Probe>,
    mut question: Vec<Vec<u8>>,
    query: Option<String>,
) -> Response {
    match query::parse(query.as_deref().unwrap_or_default()) {
        Ok(parameters) => question.extend(parameters),
        Err(why) => return bad_request(&why),
    }
    match ask(probe, move |probe| probe.conflicts(&question)).await {
        Ok(Ok(content)) => axum::Json(content).into_response(),
        Ok(Err(ConflictsError::NotReady(reason))) => not_ready(&reason),
        Ok(Err(ConflictsError::Question(why))) => bad_request(&why),
        Ok(Err(ConflictsError::NotFound(why))) => {
            (StatusCode::NOT_FOUND, format!("{why}\n")).into_response()
        }
        Err(failed) => failed,
    }
}

/// Whoever reaches this port may read, and a web page can have a browser post here: there is nothing to tell an operator
/// by. Writes go through the Redis port.
async fn read_only() -> Response {
    let text = "conflicts can only be read here: this port has no passwords, so it writes nothing; \
                use `isles conflicts restore` or `isles conflicts resolve`, or ISLES.CONFLICTS on the Redis port\n";
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}

fn bad_request(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

async fn hot_conflicts(State(probe): State<Arc<dyn Probe>>, RawQuery(query): RawQuery) -> Response {
    match count_of(query.as_deref().unwrap_or_default()) {
        Ok(count) => json(ask(probe, move |probe| probe.hot_conflicts(count)).await),
        Err(why) => bad_request(&why),
    }
}

/// How many are asked for, the only thing that can be.
fn count_of(query: &str) -> Result<Option<usize>, String> {
    let words = query::parse(query)?;
    let [name, value] = &words[..] else {
        return match words.is_empty() {
            true => Ok(None),
            false => Err("there is one parameter, count".to_owned()),
        };
    };
    let (name, value) = (
        String::from_utf8_lossy(name),
        String::from_utf8_lossy(value),
    );
    if name != "COUNT" {
        return Err(format!("there is no parameter '{name}', but count"));
    }
    let count = value.parse().map(Some);
    count.map_err(|_| format!("count is a number from 0 up, and no '{value}'"))
}

fn json<T: serde::Serialize>(answer: Result<Result<T, String>, Response>) -> Response {
    match answer {
        Ok(Ok(content)) => axum::Json(content).into_response(),
        Ok(Err(reason)) => not_ready(&reason),
        Err(failed) => failed,
    }
}

/// Asks on a thread that may block; a probe that panics costs its own request only.
async fn ask<T: Send + 'static>(
    probe: Arc<dyn Probe>,
    question: impl FnOnce(&dyn Probe) -> T + Send + 'static,
) -> Result<T, Response> {
    let answer = tokio::task::spawn_blocking(move || question(&*probe)).await;
    answer.map_err(|error| {
        tracing::error!(%error, "an admin request failed");
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the node could not answer; its log says why\n",
        )
            .into_response()
    })
}
