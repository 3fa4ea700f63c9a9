//! Numbers of bytes, for people.

/// `512 B`, `1.4 MB`, `41 MB`: powers of ten, two digits are enough.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.6 would be shown as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_size_has_two_digits_or_three() {
        let sizes = [0, 999, 1000, 1449, 9_960, 999_499, 999_500, 167_000_000, u64::MAX];
        let words = sizes.map(super::size_text);
        assert_eq!(
            words,
            ["0 B", "999 B", "1.0 kB", "1.4 kB", "10 kB", "999 kB", "1.0 MB", "167 MB", "18447 PB"]
        );
    }
}
