//! What a process takes of the machine.

use std::{
    fs,
    process::{Child, Command, ExitStatus},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};

/// The unit in which Linux tells CPU time to programs, whatever the kernel counts in.
const TICK_MILLISECONDS: u64 = 10;

/// What a program took from its start to its end.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Seconds.
    pub wall: f64,
    /// CPU seconds of the program itself, without the programs that it started.
    pub cpu: f64,
    /// The most memory that it had, in bytes.
    pub rss: u64,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or the kernel does not tell.
pub fn measure(command: &mut Command) -> anyhow::Result<Usage> {
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let id = child.id();
    let mut rss = 0;
    let pid = Pid::from_child(&child);
    loop {
        // Seen as ended but not reaped, so that the kernel still knows what it took.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if waitid(WaitId::Pid(pid), options)?.is_some() {
            break;
        }
        rss = rss.max(rss_peak(id).unwrap_or(0));
        sleep(Duration::from_millis(2));
    }
    let wall = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(id)?;
    Ok(Usage { wall, cpu, rss, status: child.wait()? })
}

/// The CPU seconds that a process has taken so far, without those of its children.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th fields behind it.
    let (_, fields) = stat.rsplit_once(')').context("no stat line")?;
    let ticks: u64 = fields.split_ascii_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * TICK_MILLISECONDS).as_secs_f64())
}

/// The same in nanoseconds' steps, of the threads that there are now.
///
/// # Errors
/// There is no such process.
pub fn threads_cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that has just ended tells nothing.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().context("no schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// The most memory that a process has had so far, in bytes.
///
/// # Errors
/// It has ended.
pub fn rss_peak(pid: u32) -> anyhow::Result<u64> {
    of_status(pid, "VmHWM:")
}

/// Has the kernel forget the peak so far, so that [`rss_peak`] tells of what comes from now on.
///
/// # Errors
/// It is somebody else's process.
pub fn forget_rss_peak(pid: u32) -> anyhow::Result<()> {
    // proc(5): resets the high water mark.
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// The memory that a process has now, in bytes.
///
/// # Errors
/// It has ended.
pub fn rss_now(pid: u32) -> anyhow::Result<u64> {
    of_status(pid, "VmRSS:")
}

fn of_status(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// The CPU seconds of the calling thread, in nanoseconds' steps.
///
/// # Errors
/// A kernel without scheduler statistics.
pub fn thread_cpu_seconds() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().context("no schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// Raises the number of files that this process may have open as far as it goes.
///
/// # Errors
/// The system refuses.
pub fn as_many_files_as_allowed() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// A child that is killed when it is dropped.
#[derive(Debug)]
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
