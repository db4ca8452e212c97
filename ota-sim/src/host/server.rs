//! An HTTP server in a thread of its own, with or without TLS.
//!
//! What a client may take up is limited: connections, the time for a handshake, the time between
//! two requests and for the head of one, its length, the time in which nothing of a response is read.
//! When all connections are taken, the one that was silent for the longest is closed for a new one,
//! if possible one that waits for no response.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::guests::{Guests, LastSeen, Watched};
use super::tcp::WRITE_TIME;

/// How long requests under way may take when the server stops.
const GRACE: Duration = Duration::from_millis(500);
/// Connections at once.
pub const MAX_CONNECTIONS: usize = 64;
/// The longest head of a request, in bytes: arguments in a target as long as a request may be, and
/// headers. A connection has so much room for what it reads, and for what it writes.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long the handshake of TLS may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a connection may take to send the head of its next request.
pub const IDLE_TIME: Duration = Duration::from_secs(60);

/// A running server. It stops when this is dropped.
pub struct Server {
    address: SocketAddr,
    is_tls: bool,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// An address that is taken, and not yet served: whoever connects has to wait.
pub struct Bound(TcpListener);

impl Bound {
    /// Takes `address`; with port 0 the system picks one.
    ///
    /// # Errors
    /// The address is in use, or not one of this computer.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Serves `router`, with TLS if there is a configuration for it. Handlers may ask for the peer by
    /// `ConnectInfo<SocketAddr>`.
    ///
    /// # Errors
    /// The system gives no thread or no timer.
    pub fn serve(self, router: Router, tls: Option<Arc<ServerConfig>>) -> io::Result<Server> {
        let Self(listener) = self;
        let address = listener.local_addr()?;
        let is_tls = tls.is_some();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let site = Site { router, tls: tls.map(TlsAcceptor::from), idle: IDLE_TIME, stopped };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(serve(listener, site)) {
                tracing::error!("HTTP server: {error}");
            }
        })?;
        Ok(Server { address, is_tls, stop, thread: Some(thread) })
    }
}

impl Server {
    /// Takes `address` and serves `router` there, at once, without TLS.
    ///
    /// # Errors
    /// As [`Bound::new`] and [`Bound::serve`].
    pub fn start(address: SocketAddr, router: Router) -> io::Result<Self> {
        Bound::new(address)?.serve(router, None)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` or `https://`, and its address.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody listens to it if the server has ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A transport other than HTTP, in a thread of its own. It stops when this is dropped.
pub struct Transport {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Transport {
    /// Runs what `serve` makes, until it fails.
    ///
    /// # Errors
    /// The system gives no thread or no timer.
    pub fn start<F>(
        name: &'static str,
        serve: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = io::Result<()>>,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = serve() => if let Err(error) = served {
                        tracing::error!("{name}: {error}");
                    },
                    () = self::stop(stopped) => {}
                }
            });
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // Nobody listens to it if it has ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What connections are served with.
#[derive(Clone)]
struct Site {
    router: Router,
    tls: Option<TlsAcceptor>,
    idle: Duration,
    stopped: watch::Receiver<bool>,
}

async fn serve(listener: TcpListener, site: Site) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    let mut guests = Guests::new(MAX_CONNECTIONS);
    let mut stopped = pin!(stop(site.stopped.clone()));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => {
                // An error is of one connection, or of too many files open: others may end.
                let Ok((stream, peer)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                guests.make_room();
                let seen = guests.clock();
                let task = accept(stream, peer, Arc::clone(&seen), site.clone());
                guests.add(connections.spawn(task), seen);
            }
            Some(ended) = connections.join_next_with_id() => {
                guests.remove(ended.as_ref().map_or_else(|error| error.id(), |(id, ())| *id));
            }
        }
    }
    let rest = async { while connections.join_next().await.is_some() {} };
    // What is not done then is dropped with the runtime.
    let _ = tokio::time::timeout(GRACE, rest).await;
    Ok(())
}

async fn accept(stream: TcpStream, peer: SocketAddr, seen: Arc<LastSeen>, site: Site) {
    let stream = Watched::new(stream, Arc::clone(&seen), WRITE_TIME);
    let Some(tls) = site.tls.clone() else { return connection(stream, peer, seen, site).await };
    match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, seen, site).await,
        Ok(Err(error)) => tracing::debug!("TLS with {peer}: {error}"),
        Err(_) => tracing::debug!("TLS with {peer}: the handshake takes too long"),
    }
}

async fn connection<S>(stream: S, peer: SocketAddr, seen: Arc<LastSeen>, site: Site)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Site { router, idle, stopped, .. } = site;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let waiting = seen.waits();
        // A router is always ready.
        let response = router.clone().call(request.map(Body::new));
        async move {
            let response = response.await;
            drop(waiting);
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop(stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("HTTP connection of {peer}: {error}");
    }
}

async fn stop(mut stopped: watch::Receiver<bool>) {
    // An error is a sender that is gone, which means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
