//! The small languages inside values: durations, sizes, switches, conditions.
//!
//! Pure functions from text to meaning. What is wrong comes back as words that continue
//! "KEY must be …" sentences; places and notes are the callers' part.

pub use crate::core::time::duration_text;
use std::time::Duration;

/// The longest duration that is accepted: a year. Longer ones are typing errors.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `250ms`, `10s`, `5m`, `1h30m`, `2d`, `1.5s`, and `0`. The parts go from large to small.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || r#"a duration such as "250ms", "10s", "5m" or "1h30m""#.to_owned();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!(r#"a duration with its unit: "{text}s" or "{text}ms""#));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number = &rest[..digits];
        let letters = rest[digits..].find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len() - digits);
        let nanos: u64 = match &rest[digits..digits + letters] {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(wrong()),
        };
        if nanos >= last || number.is_empty() {
            return Err(wrong());
        }
        last = nanos;
        let part = match number.parse::<u64>() {
            Ok(whole) => whole.checked_mul(nanos).map(Duration::from_nanos),
            Err(_) => number
                .parse::<f64>()
                .ok()
                .and_then(|n| Duration::try_from_secs_f64(n * nanos as f64 / 1e9).ok()),
        };
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = rest[digits + letters..].trim_start();
    }
    match total {
        _ if text.is_empty() => Err(wrong()),
        total if total > LONGEST => Err("a duration of at most a year (366d)".into()),
        total => Ok(total),
    }
}

/// `64KiB`, `10MB`, `1GiB`, `512`: bytes. KB, MB, GB are powers of ten.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || r#"a size such as "64KiB", "10MB" or a number of bytes"#.to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        "tib" | "ti" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// A switch as environment variables spell it.
pub fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" | "" => Some(false),
        _ => None,
    }
}

/// Names of capabilities in the order of their numbers (capabilities(7), Linux 6).
pub const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The number of a capability, with or without `cap_`, in any case.
pub fn capability(text: &str) -> Option<u8> {
    let lower = text.trim().to_ascii_lowercase();
    let name = lower.strip_prefix("cap_").unwrap_or(&lower);
    CAPABILITIES.iter().position(|c| *c == name).map(|n| n as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let cases = [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("1m 30s", 90_000),
            ("0", 0),
            ("0s", 0),
            ("2d", 172_800_000),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_duration() {
        let wrong =
            ["", "10", "s", "-1s", "1s1m", "1s1s", "10 parsecs", "1.2.3s", "99999999999999999999s", "999d"];
        for text in wrong {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("10").unwrap_err().contains("\"10s\""));
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["1h30m", "250ms", "0s", "1s500ms", "2d"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("64KiB", 65_536), ("10MB", 10_000_000), ("512", 512), ("1 GiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "1XB", "99999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn capabilities_have_their_kernel_numbers() {
        assert_eq!(capability("net_bind_service"), Some(10));
        assert_eq!(capability("CAP_SYS_ADMIN"), Some(21));
        assert_eq!(capability("cap_checkpoint_restore"), Some(40));
        assert_eq!(capability("everything"), None);
    }
}
