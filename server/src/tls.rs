//! Certificates and keys of the operator's files: those of the server, and those of authorities.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use tokio_rustls::{Accept, TlsAcceptor};

use crate::note;
use crate::options::Options;

/// What clients choose from, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate and the key of a server, and the files that they come from.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files of the options; `None` where the operator wants no TLS.
    ///
    /// # Errors
    /// A sentence that names the file and its option.
    pub(crate) fn of(options: &Options) -> Result<Option<Self>, String> {
        let (Some(certificate), Some(key)) = (options.tls_cert.clone(), options.tls_key.clone()) else {
            return Ok(None);
        };
        let config = RwLock::new(read(&certificate, &key)?);
        Ok(Some(Self { certificate, key, config }))
    }

    /// Reads the files again, and waits for that. Files that cannot be used change nothing.
    fn renew(&self) {
        match read(&self.certificate, &self.key) {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                note(format_args!("the certificate in {} is used from now on", self.certificate.display()));
            }
            Err(error) => note(format_args!("the certificate from before stays in use: {error}")),
        }
    }

    /// Begins a connection.
    pub(crate) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream)
    }
}

/// Renews the certificate whenever the operator says so by a signal, which ends no server without a certificate either.
pub(crate) async fn renew(tls: Option<Arc<Tls>>, mut signal: Signal) {
    while signal.recv().await.is_some() {
        let Some(tls) = tls.clone() else {
            note(format_args!("SIGHUP changes nothing: the server has no certificate"));
            continue;
        };
        // Files may be slow, and requests do not wait for them.
        let _ = tokio::task::spawn_blocking(move || tls.renew()).await;
    }
}

/// What the server's cryptography is done by.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let provider = provider();
    let key = certified(certificate, key, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

/// The authorities of a file, for an option of the command line.
///
/// # Errors
/// A sentence that says what the file lacks.
pub(crate) fn roots(path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = certificates(Path::new(path)).map_err(|error| format!("the file {error}"))?;
    // Collections have some that are too old to be read: nothing leads to those.
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err("the file has no certificate that can be used".to_owned()),
        _ => Ok(roots),
    }
}

/// The certificates of a file in PEM, of which there is at least one; or what is to be said of the file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = contents(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("is damaged: {error}"))?;
    if found.is_empty() {
        return Err("has no certificate: PEM with CERTIFICATE is wanted".to_owned());
    }
    Ok(found)
}

/// The private key of a file in PEM; or what is to be said of the file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&contents(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            "has no private key: PEM with PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY is wanted, without a passphrase"
                .to_owned()
        }
        error => format!("is damaged: {error}"),
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// The key and the certificates that belong to it.
fn certified(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let [certificate_file, key_file] = [(certificate, "--tls-cert"), (key, "--tls-key")]
        .map(|(path, option)| format!("{} of {option}", path.display()));
    let chain = certificates(certificate).map_err(|error| format!("{certificate_file} {error}"))?;
    let key = private_key(key).map_err(|error| format!("{key_file} {error}"))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| format!("{key_file} has a key that cannot be used: {error}"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            Err(format!("{key_file} is not the key of the first certificate in {certificate_file}"))
        }
        Err(error) => Err(format!("{certificate_file} has a certificate that cannot be used: {error}")),
    }
}
