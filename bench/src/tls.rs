//! TLS in front of the laptop's services, with a certificate authority made for the run: without TLS the largest part of
//! a cold start would not show.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::BenchError;

/// A certificate authority for `localhost`, which nobody else has.
pub struct Authority {
    certificate: PathBuf,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes the authority and writes its certificate into `folder`.
    pub fn new(folder: &Path) -> Result<Self, BenchError> {
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        own.distinguished_name.push(DnType::CommonName, "Maskline bench");
        let authority = CertifiedIssuer::self_signed(own, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
        let certificate = folder.join("authority.pem");
        std::fs::write(&certificate, authority.pem())?;
        let server = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        Ok(Self { certificate, server: Arc::new(server) })
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> String {
        self.certificate.to_string_lossy().into_owned()
    }

    /// Lets `target`, an `http://` URL, be reached over TLS.
    pub async fn front(&self, target: &str) -> Result<TlsFront, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let target = target.trim_start_matches("http://").parse().map_err(|_| BenchError::Url(target.to_owned()))?;
        let server = tokio::spawn(serve(listener, TlsAcceptor::from(self.server.clone()), target));
        Ok(TlsFront { url, server })
    }
}

/// TLS in front of a service. Dropping it closes it.
pub struct TlsFront {
    /// `https://localhost:…`.
    pub url: String,
    server: JoinHandle<()>,
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, target: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        // A connection that breaks is the function's to notice.
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut outside = acceptor.accept(stream).await?;
            let mut inside = TcpStream::connect(target).await?;
            inside.set_nodelay(true)?;
            copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
