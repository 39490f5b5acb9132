//! Connections: how many there are, and the end of those whose clients let them wait.
//!
//! What a filter or a server is waited for has its own time. A client has one for its next request, and for taking a response.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// The connections that may be open.
pub(crate) struct Connections {
    limit: Arc<Semaphore>,
    client_time: Duration,
}

impl Connections {
    pub(crate) fn new(limit: u16, client_time: Duration) -> Self {
        Self { limit: Arc::new(Semaphore::new(limit.into())), client_time }
    }

    /// Waits until there may be one more, and then for that: the client's time begins when it is there. It counts until the
    /// permit is dropped.
    pub(crate) async fn admit<T>(
        &self,
        accept: impl Future<Output = io::Result<T>>,
    ) -> io::Result<(T, OwnedSemaphorePermit, Arc<Activity>)> {
        let permit = Arc::clone(&self.limit).acquire_owned().await.map_err(io::Error::other)?;
        let accepted = accept.await?;
        let state = Mutex::new((0, Instant::now()));
        Ok((accepted, permit, Arc::new(Activity { client_time: self.client_time, state })))
    }
}

/// What a connection does for its client.
pub(crate) struct Activity {
    client_time: Duration,
    /// Requests that are being answered, and when the last one was.
    state: Mutex<(usize, Instant)>,
}

/// A request that is being answered.
pub(crate) struct Request(Arc<Activity>);

impl Activity {
    fn state(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Request {
        self.state().0 += 1;
        Request(Arc::clone(self))
    }

    /// Waits until the client has let the connection wait for too long.
    pub(crate) async fn is_over(&self) {
        loop {
            let (count, last) = *self.state();
            let from = if count > 0 { Instant::now() } else { last };
            let until = from + self.client_time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.0.state();
        *state = (state.0 - 1, Instant::now());
    }
}
