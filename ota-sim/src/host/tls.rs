//! TLS by rustls: TLS 1.2 and 1.3, the cryptography of `ring`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has nothing of what is needed in it.
    #[error("{}: {reason}; give PEM text with a {wanted}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// What is wrong.
        reason: pem::Error,
    },
    /// A certificate cannot be used, or the key is not that of the certificate.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The certificates.
        path: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
}

/// A server that shows these certificates, its own first; both files are PEM.
///
/// # Errors
/// [`TlsError`].
pub fn server(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = read_certificates(certificates)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(file(key, "private key"))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    Ok(Arc::new(config.map_err(unusable(certificates))?))
}

/// A client that trusts the authorities in a PEM file; without one, those that browsers trust.
///
/// # Errors
/// [`TlsError`].
pub fn client(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in read_certificates(path)? {
                roots.add(certificate).map_err(unusable(path))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable(authorities.unwrap_or(Path::new("TLS"))))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// [`TlsError::File`].
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wanted = "certificate";
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read.map_err(file(path, wanted))? {
        found if found.is_empty() => Err(file(path, wanted)(pem::Error::NoItemsFound)),
        found => Ok(found),
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn file(path: &Path, wanted: &'static str) -> impl FnOnce(pem::Error) -> TlsError {
    move |reason| TlsError::File { path: path.to_owned(), wanted, reason }
}

fn unusable(path: &Path) -> impl Fn(rustls::Error) -> TlsError {
    move |reason| TlsError::Unusable { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_and_keys_are_read_and_mistakes_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(at("other.pem"), other.signing_key.serialize_pem()).unwrap();
        std::fs::write(at("text.pem"), "no PEM").unwrap();

        server(&at("cert.pem"), &at("key.pem")).unwrap();
        client(Some(&at("cert.pem"))).unwrap();
        client(None).unwrap();
        for (cert, key, words) in [
            ("none.pem", "key.pem", "give PEM text with a certificate"),
            ("text.pem", "key.pem", "give PEM text with a certificate"),
            ("cert.pem", "text.pem", "give PEM text with a private key"),
            ("cert.pem", "other.pem", "keys may not be consistent"),
        ] {
            let error = server(&at(cert), &at(key)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
