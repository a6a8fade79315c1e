//! What the process uses, under the names Prometheus' libraries give it. Told where there is `/proc`, and else nothing.

use std::fmt::Write;

/// How many ticks the kernel counts a second, whatever its own clock does.
const TICKS: f64 = 100.0;

/// The figures in Prometheus' text format.
pub(super) fn figures() -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{name}"));
    let (Ok(stat), Ok(system)) = (read("self/stat"), read("stat")) else { return String::new() };
    let Some(mut figures) = of_stat(&stat, boot_time(&system)) else { return String::new() };
    // In pages, whose size differs between machines, the kernel tells it elsewhere.
    if let Some(resident) = read("self/status").ok().and_then(|status| resident(&status)) {
        figures.push(("process_resident_memory_bytes", "Resident memory size in bytes", "gauge", resident));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        figures.push(("process_open_fds", "Number of open file descriptors", "gauge", files.count() as f64));
    }
    let mut text = String::new();
    for (name, help, kind, value) in figures {
        // Writing into a string cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

type Figure = (&'static str, &'static str, &'static str, f64);

/// The figures in the kernel's line about a process, which names the program in parentheses first.
fn of_stat(stat: &str, booted: Option<f64>) -> Option<Vec<Figure>> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let cpu = (number(11)? + number(12)?) / TICKS;
    let mut figures = vec![
        ("process_cpu_seconds_total", "User and system CPU time spent in seconds", "counter", cpu),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes", "gauge", number(20)?),
    ];
    if let Some(booted) = booted {
        let started = booted + number(19)? / TICKS;
        figures.push(("process_start_time_seconds", "Start of the process in seconds since 1970", "gauge", started));
    }
    Some(figures)
}

/// When the kernel began, in seconds since 1970.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The bytes of memory that are resident, in the kernel's account of a process.
fn resident(status: &str) -> Option<f64> {
    let told = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(told.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_behind_the_name_of_the_program() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1000 4096000 10 18446744073709551615";
        let figures = of_stat(stat, boot_time("cpu 1\nbtime 1700000000\n")).expect("a line of the kernel");
        let values: Vec<f64> = figures.iter().map(|(_, _, _, value)| *value).collect();
        assert_eq!(values, [3.0, 4_096_000.0, 1_700_000_010.0]);
        assert!(of_stat("nothing", None).is_none());
        assert_eq!(resident("VmHWM:\t    20 kB\nVmRSS:\t    12 kB\n"), Some(12_288.0));
        assert_eq!(resident("VmHWM:\t    20 kB\n"), None);
    }
}
