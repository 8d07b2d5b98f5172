//! The process's own figures, under the names that every Prometheus client uses.

use rustix::param::{clock_ticks_per_second, page_size};

use super::metrics::{Reading, Value};

/// Reads /proc; a figure that can't be read is left out.
pub fn readings() -> Vec<Reading> {
    let mut all = Vec::new();
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
        all.extend(of_stat(&stat));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the reading itself.
        let open = files.count().saturating_sub(1);
        all.push(reading("process_open_fds", "Open files", Value::Gauge(open as f64)));
    }
    if let Some(max) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        all.push(reading("process_max_fds", "Files that may be open", Value::Gauge(max as f64)));
    }
    all
}

/// The fields of proc_pid_stat(5) after the command's name, which is in brackets and may hold anything.
fn of_stat(stat: &str) -> Vec<Reading> {
    let Some((_, fields)) = stat.rsplit_once(')') else { return Vec::new() };
    let fields: Vec<f64> = fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    // Counted from the third field, the state.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let cpu = (field(14) + field(15)) / clock_ticks_per_second() as f64;
    let resident = field(24) * page_size() as f64;
    vec![
        reading("process_cpu_seconds", "User and system time", Value::Counter(cpu)),
        reading("process_resident_memory_bytes", "Resident memory", Value::Gauge(resident)),
        reading("process_virtual_memory_bytes", "Virtual memory", Value::Gauge(field(23))),
        reading("process_threads", "Threads", Value::Gauge(field(20))),
    ]
}

fn reading(name: &str, help: &'static str, value: Value) -> Reading {
    Reading { name: name.to_owned(), help, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process_make_sense() {
        let readings = readings();
        let value = |name: &str| {
            let reading = readings.iter().find(|reading| reading.name == name).unwrap();
            match reading.value {
                Value::Counter(value) | Value::Gauge(value) => value,
            }
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!((1.0..1e6).contains(&value("process_threads")));
        assert!((3.0..1e6).contains(&value("process_open_fds")));
        assert!(value("process_max_fds") >= value("process_open_fds"));
    }

    #[test]
    fn a_bracket_in_the_name_does_not_shift_the_fields() {
        let mut fields = vec!["0"; 50];
        fields[11] = "100";
        fields[12] = "100";
        let stat = format!("1 (a) b) S {}", fields[1..].join(" "));
        let cpu = &of_stat(&stat)[0];
        assert_eq!(cpu.value, Value::Counter(200.0 / clock_ticks_per_second() as f64));
    }
}
