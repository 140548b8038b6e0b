//! Certificates of one's own: a TLS server that only a named file vouches for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use critic_engine::{EngineErrorKind, GenerateRequest, Generator, Sampling, collect};
use critic_remote::{RemoteEngine, RemoteError, RemoteSettings};
use critic_types::{Conversation, SeedTree};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// A server of one answer; gives its address and its certificate.
fn serve() -> (String, String) {
    let names = ["127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            thread::spawn(move || {
                let (mut line, mut length) = (String::new(), 0);
                while line != "\r\n" {
                    line.clear();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let body = r#"{"choices": [{"message": {"content": "Good."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}"#;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = reader.get_mut().write_all(format!("{head}{body}").as_bytes());
                let _ = reader.get_mut().flush();
            });
        }
    });
    (url, cert.pem())
}

fn outcome(url: &str, ca_file: &Path) -> Result<String, EngineErrorKind> {
    let settings = RemoteSettings {
        endpoints: vec![url.to_owned()],
        model: "m".to_owned(),
        retries: 0,
        ca_file: ca_file.to_owned(),
        ..RemoteSettings::default()
    };
    let mut engine = RemoteEngine::new(settings, None, None).unwrap();
    let conversation = Conversation::from_user("Hi");
    let request = GenerateRequest::new("a", conversation, Sampling::greedy(8), SeedTree::new(0));
    let mut results = collect(1, |sink| engine.generate(&[request], sink));
    let result = results.remove(0).unwrap();
    result.map(|mut answers| answers.remove(0).text).map_err(|error| error.kind)
}

#[test]
fn a_server_is_trusted_by_the_named_file_alone() {
    let (url, certificate) = serve();
    let (_, other) = serve();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        critic_types::atomic_file::write(&path, text.as_bytes()).unwrap();
        path
    };
    let trusted = file("trusted.pem", &format!("{other}{certificate}"));
    assert_eq!(outcome(&url, &trusted), Ok("Good.".to_owned()));
    let error = outcome(&url, &file("other.pem", &other)).unwrap_err();
    assert!(matches!(error, EngineErrorKind::RemoteRefused { .. }), "{error}");
    assert!(error.to_string().contains("critic.ca_file"), "{error}");
    let empty = RemoteSettings {
        endpoints: vec![url],
        model: "m".to_owned(),
        ca_file: file("empty.pem", "no certificate"),
        ..RemoteSettings::default()
    };
    let error = RemoteEngine::new(empty, None, None).unwrap_err();
    assert!(matches!(error, RemoteError::CaFile { .. }), "{error}");
}
