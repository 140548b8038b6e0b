use crate::RemoteError;
use std::path::{Path, PathBuf};
use std::{env, fs};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// The certificates of `ca_file`, or of the file that the environment's `SSL_CERT_FILE` names; nothing
/// where neither names one.
pub(crate) fn root_certs(ca_file: &Path) -> Result<Option<RootCerts>, RemoteError> {
    let path = match ca_file.as_os_str().is_empty() {
        false => ca_file.to_owned(),
        true => match env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => return Ok(None),
        },
    };
    let bad = |reason: String| RemoteError::CaFile { path: path.clone(), reason };
    let pem = fs::read(&path).map_err(|error| bad(error.to_string()))?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    Ok(Some(RootCerts::new_with_certs(&certificates)))
}
