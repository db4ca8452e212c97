//! An HTTP server in a thread of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::runtime;
use tokio::sync::watch;

/// How long requests under way may take when the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// A running server. It stops when this is dropped.
pub struct Server {
    address: SocketAddr,
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

    /// Serves `router`. Handlers may ask for the peer by `ConnectInfo<SocketAddr>`.
    ///
    /// # Errors
    /// The system gives no thread or no timer.
    pub fn serve(self, router: Router) -> io::Result<Server> {
        let Self(listener) = self;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(serve(listener, router, stopped)) {
                tracing::error!("HTTP server: {error}");
            }
        })?;
        Ok(Server { address, stop, thread: Some(thread) })
    }
}

impl Server {
    /// Takes `address` and serves `router` there, at once.
    ///
    /// # Errors
    /// As [`Bound::new`] and [`Bound::serve`].
    pub fn start(address: SocketAddr, router: Router) -> io::Result<Self> {
        Bound::new(address)?.serve(router)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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

async fn serve(
    listener: TcpListener,
    router: Router,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop(stopped.clone()));
    let overdue = async {
        stop(stopped).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served,
        () = overdue => Ok(()),
    }
}

async fn stop(mut stopped: watch::Receiver<bool>) {
    // An error is a sender that is gone, which means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
