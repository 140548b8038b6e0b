/// The most memory that this process has had resident so far, in bytes; absent where the system does not
/// tell.
///
/// `VmHWM` of `/proc/self/status` on Linux; loading the model is in it.
pub(crate) fn peak_bytes() -> Option<u64> {
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(1024 * kilobytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "Name:\tcritic-rm\nVmPeak:\t  9000 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(high_water_mark(status), Some(2 * 1024 * 1024));
        assert_eq!(high_water_mark("Name:\tcritic-rm\n"), None);
    }
}
