//! Connections that a request handler can cut, so that a client sees its connection closed without an answer.
//!
//! A handler cannot do this through hyper: whatever it returns becomes a response. It therefore marks its connection
//! as cut, and from then on every write to the socket fails, which makes hyper drop the connection before the first
//! byte of a response has left.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Serves `router` on connections that its handlers can cut, until `stop` resolves; requests that are then still open are
/// cut short.
///
/// # Errors
/// If the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let router = router.layer(middleware::from_fn_with_state(stopped, until_stopped));
    let stop = async move {
        stop.await;
        stopping.send_replace(true);
    };
    axum::serve(Connections { listener }, router.into_make_service_with_connect_info::<Connection>())
        .with_graceful_shutdown(stop)
        .await
}

/// Ends a request that is still open when its server stops: one that hangs on purpose would delay the stop.
async fn until_stopped(State(mut stopped): State<watch::Receiver<bool>>, request: Request, next: Next) -> Response {
    tokio::select! {
        response = next.run(request) => response,
        _ = stopped.wait_for(|stopped| *stopped) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The handle of one client connection, for `ConnectInfo`.
#[derive(Clone, Default)]
pub(crate) struct Connection {
    cut: Arc<AtomicBool>,
}

impl Connection {
    /// Closes the connection instead of sending the response that the handler returns next.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

impl Connected<IncomingStream<'_, Connections>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().connection.clone()
    }
}

/// A TCP listener whose connections can be cut.
struct Connections {
    listener: TcpListener,
}

impl Listener for Connections {
    type Io = CuttableStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // HTTP/2 writes an answer in several pieces; without this, the last one waits until the first is acknowledged.
        // An error here means that the connection is closed, which the next read reports.
        let _ = stream.set_nodelay(true);
        let connection = Connection::default();
        (CuttableStream { stream, connection }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A TCP stream that refuses to write once it is cut.
struct CuttableStream {
    stream: TcpStream,
    connection: Connection,
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.connection.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
