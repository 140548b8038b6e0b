use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

fn source() -> HubSource {
    HubSource { repo: "org/name".to_owned(), revision: None }
}

fn put(path: &Path) {
    critic_types::atomic_file::write(path, b"x").unwrap();
}

/// A hub on this machine with one repository; it answers until the test program ends.
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
    let (status, headers, body) = if path == "/api/models/org/name/revision/main" {
        let siblings: Vec<_> =
            files.keys().map(|file| serde_json::json!({"rfilename": file})).collect();
        let body =
            serde_json::json!({"sha": "c0ffee", "siblings": siblings}).to_string().into_bytes();
        ("200 OK", "Content-Type: application/json\r\n".to_owned(), body)
    } else if let Some(file) =
        path.strip_prefix("/org/name/resolve/main/").and_then(|file| files.get(file))
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

fn repository() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("config.json", b"config".to_vec()),
        ("tokenizer.json", b"tokenizer".to_vec()),
        ("tokenizer_config.json", b"settings".to_vec()),
        ("README.md", b"not wanted".to_vec()),
        ("model.safetensors", vec![7; 100_000]),
    ])
}

fn fetch_from(endpoint: &str, cache: &Cache) -> Result<PathBuf, ModelError> {
    download(&source(), cache, endpoint, None, PATIENCE, &mut |_| {})
}

#[test]
fn a_repository_is_fetched_whole_and_then_found() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let mut seen = Vec::new();
    let endpoint = serve(repository());
    let fetched = download(&source(), &cache, &endpoint, None, PATIENCE, &mut |progress| {
        seen.push((progress.label.to_owned(), progress.done, progress.total));
    });
    let fetched = fetched.unwrap();
    assert_eq!(cached(&source(), &cache), Some(fetched.clone()));
    assert_eq!(
        fs::read(fetched.join("model.safetensors")).unwrap(),
        repository()["model.safetensors"]
    );
    assert!(!fetched.join("README.md").exists());
    assert!(
        seen.contains(&("model.safetensors".to_owned(), 100_000, Some(100_000))),
        "{:?}",
        seen.last()
    );
}

#[test]
fn a_download_that_was_cut_off_goes_on() {
    for already in [50_000, 100_000] {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let etag =
            format!("{:x}", "/org/name/resolve/main/model.safetensors".len() * 1000 + 100_000);
        let part =
            cache.hub_folder().join("models--org--name/blobs").join(etag).with_extension("part");
        critic_types::atomic_file::write(&part, &vec![7; already]).unwrap();
        let fetched = fetch_from(&serve(repository()), &cache).unwrap();
        assert_eq!(
            fs::read(fetched.join("model.safetensors")).unwrap(),
            repository()["model.safetensors"]
        );
    }
}

#[test]
fn shards_are_fetched_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = repository();
    files.remove(WEIGHTS);
    files.insert("a.safetensors", b"a".to_vec());
    files.insert(INDEX, br#"{"weight_map": {"w": "a.safetensors"}}"#.to_vec());
    let fetched = fetch_from(&serve(files), &Cache::at(folder.path())).unwrap();
    assert!(fetched.join("a.safetensors").is_file());
}

#[test]
fn a_repository_that_lacks_a_file_says_which() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", WEIGHTS] {
        let mut files = repository();
        files.remove(file);
        let message = fetch_from(&serve(files), &Cache::at(folder.path())).unwrap_err().to_string();
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn an_unknown_repository_gives_the_hubs_answer() {
    let folder = tempfile::tempdir().unwrap();
    let other = HubSource { repo: "org/other".to_owned(), revision: None };
    let error = download(
        &other,
        &Cache::at(folder.path()),
        &serve(repository()),
        None,
        PATIENCE,
        &mut |_| {},
    );
    let message = error.unwrap_err().to_string();
    assert!(message.contains("404") && message.contains("HF_TOKEN"), "{message}");
}

#[test]
fn a_refused_connection_is_an_error_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{address}");
    let message = fetch_from(&endpoint, &Cache::at(folder.path())).unwrap_err().to_string();
    assert!(
        message.contains("org/name")
            && message.contains(&endpoint)
            && message.contains("HF_ENDPOINT"),
        "{message}"
    );
}

#[test]
fn a_hub_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let patience = Duration::from_millis(100);
    let error =
        download(&source(), &Cache::at(folder.path()), &endpoint, None, patience, &mut |_| {});
    let message = error.unwrap_err().to_string();
    assert!(message.contains("no answer in 0.1 seconds"), "{message}");
}

#[test]
fn a_repository_counts_as_cached_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let repo = cache.hub_folder().join("models--org--name");
    let snapshot = repo.join("snapshots/c0ffee");
    critic_types::atomic_file::write(&repo.join("refs/main"), b"c0ffee").unwrap();
    for file in NEEDED {
        assert_eq!(cached(&source(), &cache), None);
        put(&snapshot.join(file));
    }
    assert_eq!(cached(&source(), &cache), None);
    put(&snapshot.join("a.safetensors"));
    let index = br#"{"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}"#;
    critic_types::atomic_file::write(&snapshot.join(INDEX), index).unwrap();
    assert_eq!(cached(&source(), &cache), None);
    put(&snapshot.join("b.safetensors"));
    assert_eq!(cached(&source(), &cache), Some(snapshot.clone()));
    let commit = HubSource { revision: Some("c0ffee".to_owned()), ..source() };
    assert_eq!(cached(&commit, &cache), Some(snapshot));
    assert_eq!(fetch(&source(), &cache, &mut |_| {}).ok(), cached(&source(), &cache));
}

#[cfg(unix)]
#[test]
fn a_blob_that_is_not_what_it_is_called_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let sum = "0".repeat(64);
    let blob = folder.path().join("blobs").join(&sum);
    put(&blob);
    let pointer = folder.path().join("model.safetensors");
    std::os::unix::fs::symlink(&blob, &pointer).unwrap();
    check_blob(&pointer, &sum).unwrap();
    let found = digest::sha256(&pointer).unwrap();
    let message = check_blob(&pointer, &found).unwrap_err().to_string();
    assert!(message.contains(&found) && message.contains(&sum) && !blob.exists(), "{message}");
}

#[test]
fn an_ordinary_file_is_not_held_to_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    put(&path);
    check_blob(&path, "another").unwrap();
}
