use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

/// A hub on this machine with one data set; it answers until the test program ends.
fn serve(files: BTreeMap<&'static str, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        listener.incoming().for_each(|stream| answer(&mut stream.unwrap(), &files));
    });
    endpoint
}

fn answer(stream: &mut TcpStream, files: &BTreeMap<&'static str, Vec<u8>>) {
    let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let (status, headers, body) = if path == "/api/datasets/org/name/revision/main" {
        let siblings: Vec<_> =
            files.keys().map(|file| serde_json::json!({"rfilename": file})).collect();
        let body = serde_json::json!({"sha": "c0ffee", "siblings": siblings}).to_string();
        ("200 OK", "Content-Type: application/json\r\n".to_owned(), body.into_bytes())
    } else if let Some(file) =
        path.strip_prefix("/datasets/org/name/resolve/main/").and_then(|file| files.get(file))
    {
        let range = lines
            .iter()
            .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned))
            .unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let to = to.parse().map_or(file.len(), |to: usize| (to + 1).min(file.len()));
        let part = file.get(from.parse().unwrap()..to).unwrap_or_default();
        let etag = format!("{:x}", path.len() * 1000 + file.len());
        let headers = format!(
            "ETag: \"{etag}\"\r\nX-Repo-Commit: c0ffee\r\nContent-Range: bytes {from}-{}/{}\r\n",
            to.max(1) - 1,
            file.len()
        );
        ("206 Partial Content", headers, part.to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that has seen enough may be gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn set(text: &str) -> HubDataSet {
    text.parse().unwrap()
}

#[test]
fn a_name_has_a_repository_a_split_and_a_revision() {
    let full = set("org/name:helpful-base/test@refs/convert/parquet");
    assert_eq!(full.split.as_deref(), Some("helpful-base/test"));
    assert_eq!(full.revision.as_deref(), Some("refs/convert/parquet"));
    assert_eq!(full.to_string(), "org/name:helpful-base/test@refs/convert/parquet");
    assert_eq!(set("org/name").split, None);
    for bad in ["name", "org/", "org/name:", "org/name@", "a/b/c", "../x", "org/na me"] {
        assert!(bad.parse::<HubDataSet>().is_err(), "{bad}");
    }
}

#[test]
fn a_split_is_known_by_folder_or_name() {
    let published: Vec<String> = [
        "README.md",
        "dataset_infos.json",
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "data/test_prefs-00000-of-00001.parquet",
        "helpful-base/train.jsonl.gz",
        "helpful-base/test.jsonl.gz",
        "trainer_notes.json",
    ]
    .map(str::to_owned)
    .to_vec();
    let chosen = |text: &str| set(text).choose(&published);
    assert_eq!(chosen("o/n").len(), 3);
    assert_eq!(chosen("o/n:test_prefs"), ["data/test_prefs-00000-of-00001.parquet"]);
    assert_eq!(chosen("o/n:helpful-base/test"), ["helpful-base/test.jsonl.gz"]);
    assert_eq!(chosen("o/n:helpful-base").len(), 2);
    assert!(chosen("o/n:validation").is_empty());
}

#[test]
fn a_data_set_is_fetched_once_and_then_read_without_the_hub() {
    let rows = br#"{"prompt":"p","chosen":"a","rejected":"b"}"#.to_vec();
    let endpoint = serve(BTreeMap::from([
        ("README.md", b"no rows".to_vec()),
        ("data/train.jsonl", rows.clone()),
        ("data/test.jsonl", b"{}".to_vec()),
    ]));
    let folder = tempfile::tempdir().unwrap();
    let train = set("org/name:train");
    assert_eq!(cached(&train, folder.path()), None);
    let files = download(&train, folder.path(), &endpoint, None, PATIENCE).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(fs::read(&files[0]).unwrap(), rows);
    assert_eq!(cached(&train, folder.path()), Some(files));
    assert_eq!(cached(&set("org/name:test"), folder.path()), None);
    let missing = set("org/name:validation");
    let error = download(&missing, folder.path(), &endpoint, None, PATIENCE).unwrap_err();
    assert!(error.to_string().contains("split `validation`; it has README.md"), "{error}");
}

#[test]
fn a_hub_that_does_not_answer_is_an_error_that_names_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let wait = Duration::from_millis(200);
    let error = download(&set("org/name"), folder.path(), &endpoint, None, wait).unwrap_err();
    assert!(error.to_string().contains("no answer in 0.2 seconds"), "{error}");
}
