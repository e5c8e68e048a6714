//! What processes have used of the processor, as the operating system counts it.

use std::fs;

/// Microseconds of one tick of `/proc`.
const TICK: f64 = 10_000.0;

/// The fields of `/proc/PID/stat` behind the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = text.rsplit_once(')')?.1;
    Some(fields.split_whitespace().map(ToOwned::to_owned).collect())
}

/// Microseconds that a process has used, and those of its children that have ended.
pub(crate) fn used(pid: u32) -> f64 {
    let ticks = |fields: Vec<String>| fields[11..15].iter().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    stat(pid).map_or(0.0, ticks) * TICK
}

/// The processes of PostgreSQL that were started from here.
pub(crate) fn postgres() -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres");
    pids.filter(named).filter(|pid| descends(*pid)).collect()
}

fn descends(pid: u32) -> bool {
    let (own, mut pid) = (std::process::id(), pid);
    while pid > 1 {
        if pid == own {
            return true;
        }
        pid = stat(pid).and_then(|fields| fields[1].parse().ok()).unwrap_or(0);
    }
    false
}
