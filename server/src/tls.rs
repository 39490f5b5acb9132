//! TLS of the public address: the certificate and the key that the operator's files have.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};
use tokio_rustls::{Accept, TlsAcceptor};

use crate::options::Options;

/// What clients choose from, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate and the key of a server.
pub(crate) struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads the files of the options; `None` where the operator wants no TLS.
    ///
    /// # Errors
    /// A sentence that names the file and its option.
    pub(crate) fn of(options: &Options) -> Result<Option<Self>, String> {
        let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) else {
            return Ok(None);
        };
        read(certificate, key).map(Self).map(Some)
    }

    /// Begins a connection.
    pub(crate) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        TlsAcceptor::from(Arc::clone(&self.0)).accept(stream)
    }
}

/// What the server's cryptography is done by.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let provider = provider();
    let key = read_key(key, &provider, certificate)?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

/// The certificates of a file in PEM, of which there is at least one.
///
/// # Errors
/// A sentence that names the file and its option.
fn certificates(path: &Path, option: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = contents(path, option)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("{} of {option} is damaged: {error}", path.display()))?;
    if found.is_empty() {
        return Err(format!("{} of {option} has no certificate: PEM with CERTIFICATE is wanted", path.display()));
    }
    Ok(found)
}

/// The key and the certificates that belong to it.
fn read_key(path: &Path, provider: &CryptoProvider, certificate: &Path) -> Result<CertifiedKey, String> {
    const CERTIFICATE: &str = "--tls-cert";
    const KEY: &str = "--tls-key";

    let chain = certificates(certificate, CERTIFICATE)?;
    let der = PrivateKeyDer::from_pem_slice(&contents(path, KEY)?).map_err(|error| match error {
        pem::Error::NoItemsFound => format!(
            "{} of {KEY} has no private key: PEM with PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY is wanted, without a \
             passphrase",
            path.display()
        ),
        error => format!("{} of {KEY} is damaged: {error}", path.display()),
    })?;
    let key = provider.key_provider.load_private_key(der);
    let key = key.map_err(|error| format!("the key in {} of {KEY} cannot be used: {error}", path.display()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(format!(
            "the key in {} of {KEY} is not that of the first certificate in {} of {CERTIFICATE}",
            path.display(),
            certificate.display()
        )),
        Err(error) => {
            Err(format!("the first certificate in {} of {CERTIFICATE} cannot be used: {error}", certificate.display()))
        }
    }
}

fn contents(path: &Path, option: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {} of {option}: {error}", path.display()))
}
