//! What is asked of other processes.

use std::fs;

use protocol::Timestamp;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::output::{ExitStatus, Failure};

/// Linux counts time in these everywhere that programs can see.
const TICKS_PER_SECOND: i64 = 100;

/// Tells whether there is such a process.
pub(in crate::commands) fn exists(pid: u32) -> bool {
    // Not being allowed to signal it says that it is there.
    parse(pid).is_some_and(|pid| test_kill_process(pid).is_ok_and(|()| true) || is_foreign(pid))
}

fn is_foreign(pid: Pid) -> bool {
    test_kill_process(pid) == Err(rustix::io::Errno::PERM)
}

/// Asks a process to stop.
pub(in crate::commands) fn signal_stop(pid: u32) -> Result<(), Failure> {
    let cannot = |why: String| Failure::new(ExitStatus::Failed, format!("cannot stop process {pid}: {why}"));
    let pid = parse(pid).ok_or_else(|| cannot("that is no process".to_owned()))?;
    match kill_process(pid, Signal::TERM) {
        // It has ended by itself.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(cannot(error.to_string())),
    }
}

/// When a process began, to the second.
pub(in crate::commands) fn process_start(pid: u32) -> Result<Timestamp, Failure> {
    let unknown =
        || Failure::usage(format!("it is not known when process {pid} began")).hint("name a time with --since");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|_| unknown())?;
    let boot = fs::read_to_string("/proc/stat").map_err(|_| unknown())?;
    start(&stat, &boot).ok_or_else(unknown)
}

fn start(stat: &str, boot: &str) -> Option<Timestamp> {
    // The name, in parentheses, may hold anything; the 20th word after it is the start in ticks since boot.
    let ticks: i64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let boot: i64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Timestamp(boot + ticks / TICKS_PER_SECOND))
}

fn parse(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use protocol::{Clock, SystemClock};

    use super::*;

    #[test]
    fn a_process_began_in_the_past() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4200 9 9";
        assert_eq!(start(stat, "cpu 1\nbtime 1000\n"), Some(Timestamp(1042)));
        assert_eq!(start("7 (a) S", "btime 1000\n"), None);
        let own = process_start(std::process::id()).unwrap();
        assert!(own <= SystemClock.now().plus(std::time::Duration::from_secs(2)) && own.0 > 1_000_000_000);
        assert!(process_start(u32::MAX).is_err());
    }

    #[test]
    fn processes_come_and_go() {
        assert!(exists(std::process::id()) && exists(1));
        assert!(!exists(0) && !exists(u32::MAX));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!exists(child.id()));
        signal_stop(child.id()).unwrap();
    }
}
