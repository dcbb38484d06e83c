//! TLS in front of the laptop's services, with a certificate authority made for the run. TLS is the largest part of a cold
//! start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::BenchError;

/// A certificate authority for `localhost`, made for this run.
pub struct Authority {
    certificate: PathBuf,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes the authority, and writes its certificate into a file that lives as long as the authority.
    pub fn new() -> Result<Self, BenchError> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        own.distinguished_name.push(DnType::CommonName, "Maskline bench");
        let authority = CertifiedIssuer::self_signed(own, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let certificate = std::env::temp_dir().join(format!("maskline-bench-{process}-{number}.pem"));
        std::fs::write(&certificate, authority.pem())?;
        let server = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        Ok(Self { certificate, server: Arc::new(server) })
    }

    /// Returns the file with its certificate.
    pub fn certificate(&self) -> String {
        self.certificate.to_string_lossy().into_owned()
    }

    /// Serves `target`, an `http://` URL, over TLS with these ALPN protocols.
    pub async fn front(&self, target: &str, protocols: &[&str]) -> Result<TlsFront, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let target = target.trim_start_matches("http://").parse().map_err(|_| BenchError::Url(target.to_owned()))?;
        let mut config = ServerConfig::clone(&self.server);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let connections = Arc::new(AtomicUsize::new(0));
        let server = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), target, connections.clone()));
        Ok(TlsFront { url, connections, server })
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // The system cleans up a file that cannot be removed.
        let _ = std::fs::remove_file(&self.certificate);
    }
}

/// TLS in front of a service. Dropping it closes it.
pub struct TlsFront {
    /// `https://localhost:…`.
    pub url: String,
    /// Returns the number of accepted connections.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the tests ask"))]
    connections: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, target: SocketAddr, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let acceptor = acceptor.clone();
        // The function notices a broken connection itself.
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut outside = acceptor.accept(stream).await?;
            let mut inside = TcpStream::connect(target).await?;
            inside.set_nodelay(true)?;
            copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}

#[cfg(test)]
mod tests {
    use local::stack::{Options, Stack};
    use shared::config::VonageConfig;
    use shared::domain::phone::PhoneNumber;
    use shared::vonage::Vonage;
    use shared::vonage::number_insight::NumberInsight;
    use shared::vonage::number_lookup::NumberLookup;

    use super::*;

    /// Returns the number of connections of two parallel lookups after a warm-up.
    async fn connections(protocols: &[&str]) -> usize {
        let authority = Authority::new().unwrap();
        let stack = Stack::start(Options::default()).await.unwrap();
        let front = authority.front(&stack.vonage_url, protocols).await.unwrap();
        let differing = [("VONAGE_API_URL", front.url.clone()), ("SSL_CERT_FILE", authority.certificate())];
        let environment = stack.environment.clone().with(differing.map(|(name, value)| (name.to_owned(), value)));
        let lookup = NumberInsight(Vonage::new(VonageConfig::from_environment(&environment).unwrap()));
        lookup.warm_up().await;
        let numbers = ["447700900001", "447700900002"].map(|digits| PhoneNumber::try_from(digits).unwrap());
        let (a, b) = tokio::join!(lookup.look_up(&numbers[0]), lookup.look_up(&numbers[1]));
        assert!(a.unwrap().is_some() && b.unwrap().is_some());
        stack.stop().await;
        front.connections.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn parallel_lookups_share_the_warm_http2_connection() {
        assert_eq!(connections(&["h2", "http/1.1"]).await, 1);
    }

    #[tokio::test]
    async fn lookups_side_by_side_work_where_vonage_has_http_1_only() {
        for protocols in [&["http/1.1"] as &[&str], &[]] {
            // The second lookup waits for the first one's connection or makes its own, whichever is ready first.
            assert!((1..=2).contains(&connections(protocols).await));
        }
    }

    #[tokio::test]
    async fn nobody_is_trusted_whom_neither_the_list_nor_the_file_names() {
        let authority = Authority::new().unwrap();
        let stack = Stack::start(Options::default()).await.unwrap();
        let front = authority.front(&stack.vonage_url, &[]).await.unwrap();
        let environment = stack.environment.clone().with([("VONAGE_API_URL".to_owned(), front.url.clone())]);
        let lookup = NumberInsight(Vonage::new(VonageConfig::from_environment(&environment).unwrap()));
        let refused = lookup.look_up(&PhoneNumber::try_from("447700900001").unwrap()).await;
        assert!(matches!(refused, Err(shared::vonage::VonageError::Unreachable(_))), "{refused:?}");
        stack.stop().await;
    }
}
