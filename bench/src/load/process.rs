//! A server's memory and processor time, from Linux's /proc (proc(5)).

use std::fs;

use serde::Serialize;

/// `USER_HZ`, in which /proc counts time; 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process at one moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Usage {
    /// Resident memory in MiB.
    pub rss_mib: f64,
    /// User and system time since its start, in seconds.
    pub cpu_s: f64,
    /// Threads now.
    pub threads: u64,
}

impl Usage {
    /// Reads it; None when there is no such process.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, field 2, may contain anything, also blanks and brackets.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok());
        Some(Self {
            rss_mib: field("VmRSS:")? / 1024.0,
            cpu_s: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
            threads: fields.get(17)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_has_memory_and_threads() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_mib > 0.5 && usage.threads >= 1);
    }
}
