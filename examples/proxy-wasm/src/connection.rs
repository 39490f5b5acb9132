//! Connections: how many there are, and the end of those whose clients let them wait.
//!
//! What a filter or a server is waited for has its own time. A client has one for its next request, and for
//! taking a whole response.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

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
    pub(crate) async fn accept(&self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit, Arc<Activity>) {
        loop {
            match self.try_accept(listener).await {
                Ok(accepted) => return accepted,
                // The process has mostly used up its descriptors.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn try_accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, OwnedSemaphorePermit, Arc<Activity>)> {
        let permit = Arc::clone(&self.limit).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let state = Mutex::new((0, Instant::now()));
        Ok((stream, permit, Arc::new(Activity { client_time: self.client_time, state })))
    }
}

/// What speaks HTTP/1 and 2, and gives a client some time for the head of a request.
pub(crate) fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(64);
    builder
}

/// What a connection does for its client.
pub(crate) struct Activity {
    client_time: Duration,
    /// Requests that are being answered, and when the last one was.
    state: Mutex<(usize, Instant)>,
}

/// A request that is being answered.
struct Request(Arc<Activity>);

impl Activity {
    fn state(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request, which the client waits for meanwhile.
    pub(crate) fn answering<F: Future>(self: &Arc<Self>, answer: F) -> impl Future<Output = F::Output> + use<F> {
        self.state().0 += 1;
        let request = Request(Arc::clone(self));
        async move {
            let answer = answer.await;
            drop(request);
            answer
        }
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
