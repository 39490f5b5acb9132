//! Requests by https: whose certificates are trusted, the handshake, and what a guest learns where the handshake fails.

// ---------------------------------------------------------------------------------------------------------------
// Security: the certificate of a host is for the name or the address in the guest's request, and leads to an authority that the
// operator or the system trusts. Nothing turns this off.
// ---------------------------------------------------------------------------------------------------------------

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::host::Host;
use super::values::ErrorCode;
use crate::stream::Stream;
use crate::{note, tls};

/// The authorities that certificates of other hosts have to lead to.
#[derive(Debug)]
pub(super) struct Trust {
    /// Those of the operator; otherwise, those of the system.
    roots: Option<RootCertStore>,
    config: OnceLock<Option<Arc<ClientConfig>>>,
}

impl Trust {
    pub(super) fn new(roots: Option<RootCertStore>) -> Self {
        Self { roots, config: OnceLock::new() }
    }

    /// Returns what handshakes need; `None` where nobody is trusted. The first call reads the authorities of the system, and
    /// waits for that.
    pub(super) fn config(&self) -> Option<Arc<ClientConfig>> {
        self.config.get_or_init(|| self.roots.clone().or_else(of_system).and_then(config)).clone()
    }
}

/// The authorities that the system trusts, or those in the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
fn of_system() -> Option<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some authorities have certificates that are too old to be read: nothing leads to those.
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Some(roots);
    }
    note(format_args!("no certificates of authorities are found, so requests by https are refused: give --tls-roots"));
    for error in found.errors {
        note(format_args!("  {error}"));
    }
    None
}

fn config(roots: RootCertStore) -> Option<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

/// What the handshake with a host needs.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// Whom the host's certificate has to be for.
    pub(super) name: ServerName<'static>,
}

/// Returns whom the certificate of a host has to be for; `None` for a name that no certificate can have.
pub(super) fn name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Address(address) => Some((*address).into()),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}

/// Makes a handshake with a host, which has to prove that it is the one of the name or address.
pub(super) async fn handshake(tls: Tls, stream: TcpStream) -> std::result::Result<Stream, ErrorCode> {
    let made = TlsConnector::from(tls.config).connect(tls.name, stream).await;
    let made = made.map_err(|error| code_of(&error).unwrap_or(ErrorCode::ConnectionTerminated))?;
    Ok(Stream::Secret(Box::new(made.into())))
}

/// What a guest learns of an error, where TLS is the reason for the error: a host may refuse also after the handshake.
pub(super) fn code_of(error: &(dyn Error + 'static)) -> Option<ErrorCode> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(match error {
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                    ErrorCode::TlsCertificate
                }
                rustls::Error::AlertReceived(alert) => ErrorCode::TlsAlertReceived((*alert).into()),
                _ => ErrorCode::TlsProtocol,
            });
        }
        next = error.source();
    }
    None
}
