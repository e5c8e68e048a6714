//! TLS of the gRPC listener.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::StartError;
use crate::config::GrpcConfig;

/// What accepts connections over TLS, where the settings ask for it: with the server's certificate, and with an authority for clients none without a certificate of it.
pub(super) fn acceptor(config: &GrpcConfig) -> Result<Option<TlsAcceptor>, StartError> {
    let (Some(certificate), Some(key)) = (&config.tls_cert, &config.tls_key) else {
        return Ok(None);
    };
    let broken = |error: &dyn std::fmt::Display| StartError::Installation(format!("TLS: {error}"));
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?;
    let builder = match &config.tls_client_ca {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(authority)? {
                roots.add(root).map_err(|error| of(authority, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| of(authority, &error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| of(key, &error))?;
    let chain = certificates(certificate)?;
    let mut tls = builder.with_single_cert(chain, key).map_err(|error| broken(&error))?;
    tls.alpn_protocols.push(b"h2".to_vec());
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(of(file, &"there is no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(of(file, &error)),
    }
}

fn of(file: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError::Installation(format!("{}: {error}", file.display()))
}
