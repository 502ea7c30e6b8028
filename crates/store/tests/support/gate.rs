//! An object store that answers nobody while its gate is closed.

use std::fmt;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use isles_store::object_store::path::Path;
use isles_store::object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;

/// Closed or open, and how many have asked since it was closed.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_closed: bool,
    waiting: usize,
}

#[derive(Debug)]
pub struct Gate<S> {
    store: S,
    state: watch::Sender<State>,
}

impl<S: ObjectStore> Gate<S> {
    /// A store whose gate is open.
    pub fn new(store: S) -> Self {
        Gate {
            store,
            state: watch::Sender::default(),
        }
    }

    /// From now on nobody is answered.
    pub fn close(&self) {
        self.state.send_modify(|state| {
            *state = State {
                is_closed: true,
                waiting: 0,
            };
        });
    }

    /// Everybody is answered, those who wait too.
    pub fn open(&self) {
        self.state.send_modify(|state| state.is_closed = false);
    }

    /// Blocks until somebody waits at the gate.
    pub fn wait_until_asked(&self) {
        let mut state = self.state.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let asked = async { state.wait_for(|state| state.waiting > 0).await.map(drop) };
        runtime.unwrap().block_on(asked).unwrap();
    }

    async fn pass(&self) {
        let mut state = self.state.subscribe();
        if !state.borrow().is_closed {
            return;
        }
        self.state.send_modify(|state| state.waiting += 1);
        let open = state.wait_for(|state| !state.is_closed).await;
        open.expect("the gate lives as long as its store");
    }
}

impl<S: fmt::Display> fmt::Display for Gate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind a gate", self.store)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Gate<S> {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.pass().await;
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.pass().await;
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.pass().await;
        self.store.get_opts(path, options).await
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.pass().await;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.pass().await;
        self.store.copy_opts(from, to, options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(paths)
    }
}
