//! TLS by rustls: TLS 1.2 and 1.3, the cryptography of `ring`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
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
    /// A certificate of X.509 before version 3, which has no extensions.
    #[error(
        "{}: a certificate of X.509 version 1; make one of version 3, as openssl req -x509 ... \
         -addext subjectAltName=IP:ADDRESS does",
        path.display()
    )]
    OldVersion {
        /// The certificates.
        path: PathBuf,
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
    let config = config.map_err(|reason| match format!("{reason:?}") {
        words if words.contains("UnsupportedCertVersion") => {
            TlsError::OldVersion { path: certificates.to_owned() }
        }
        _ => unusable(certificates)(reason),
    });
    Ok(Arc::new(config?))
}

/// What is wrong with a certificate of [`is_authority`], and what to do about it.
pub const AUTHORITY: &str = "this certificate is one of an authority (CA:TRUE), which many clients do \
     not take from a server; make it with openssl req -x509 ... \
     -addext basicConstraints=critical,CA:FALSE";

/// Whether the first of these certificates is one of an authority. Clients on rustls, as `ota-sim
/// call` is, take none such from a server. What `openssl req -x509` makes is one unless told
/// otherwise.
pub fn is_authority(certificates: &Path) -> bool {
    fault(certificates).is_some_and(|fault| fault.contains("CaUsedAsEndEntity"))
}

/// Whether nobody but itself vouches for the first of these certificates, so that clients have to be
/// given it.
pub fn is_self_signed(certificates: &Path) -> bool {
    fault(certificates).is_none_or(|fault| fault.contains("CaUsedAsEndEntity"))
}

/// What a client has to say against the first of these certificates who trusts that one alone. None:
/// nothing.
fn fault(certificates: &Path) -> Option<String> {
    let own = read_certificates(certificates).ok()?.into_iter().next()?;
    let mut roots = RootCertStore::empty();
    let checked = roots.add(own.clone()).and_then(|()| {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(&own)?,
            &roots,
            &[],
            UnixTime::now(),
            provider().signature_verification_algorithms.all,
        )
    });
    checked.err().map(|error| format!("{error:?}"))
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

    /// A certificate as `openssl req -x509` makes it, and one as it should be.
    #[test]
    fn certificates_of_authorities_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        for (is_ca, expected) in [(authority, true), (rcgen::IsCa::ExplicitNoCa, false)] {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.is_ca = is_ca;
            std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
            assert_eq!(is_authority(&path), expected);
            assert!(is_self_signed(&path));
        }
    }

    #[test]
    fn an_old_certificate_is_named_so() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("v1.pem"), V1).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let error = server(&at("v1.pem"), &at("key.pem")).unwrap_err().to_string();
        assert!(error.contains("X.509 version 1; make one of version 3"), "{error}");
    }

    /// By `openssl x509 -req -in ... -signkey ...`, without extensions.
    const V1: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBIzCBywIUVtdp/2tfxl36HfCYVRd4mwHa+C4wCgYIKoZIzj0EAwIwFDESMBAG\n\
        A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA4NDgxOFoYDzIxMjYxMDI4MDg0ODE4\n\
        WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
        AATijDMlh0Mf0JS8HEDvBfzd9B6Rb0SQpfF07zAGTntT7DkvPvJbKSsfGe7ybwaf\n\
        9dwIZHHMkov2O4MM7zNRBnO2MAoGCCqGSM49BAMCA0cAMEQCIAFnOceQJYIVdzST\n\
        Pp63UYTsTHqDMoiyPxs5K+CQl4prAiBCBVNN3cpC8J1JKJjsxb4/kqEHUWS9C2VD\n\
        g2Fvg34Bdg==\n\
        -----END CERTIFICATE-----\n";
}
