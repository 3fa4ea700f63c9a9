//! Moments of the wall clock as text.

/// A moment of the wall clock as RFC 3339 with milliseconds, in UTC:
/// `2026-01-31T23:59:59.999Z`. Written anew only where it has changed.
pub struct Stamp {
    text: [u8; 24],
    millis: u64,
    day: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Stamp { text: *b"1970-01-01T00:00:00.000Z", millis: 0, day: 0 }
    }
}

impl Stamp {
    /// The stamp of this moment: seconds and nanoseconds since 1970.
    pub fn of((seconds, nanos): (i64, u32)) -> Self {
        let mut stamp = Stamp::default();
        stamp.set((seconds, nanos));
        stamp
    }

    /// Its 24 characters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Seconds and nanoseconds since 1970; before it is it.
    pub fn set(&mut self, (seconds, nanos): (i64, u32)) {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let millis = seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000));
        if millis == self.millis {
            return;
        }
        self.millis = millis;
        let day = millis / 86_400_000;
        if day != self.day {
            self.day = day;
            let (year, month, day) = date(day);
            digits(&mut self.text[0..4], year);
            digits(&mut self.text[5..7], month);
            digits(&mut self.text[8..10], day);
        }
        digits(&mut self.text[11..13], millis / 3_600_000 % 24);
        digits(&mut self.text[14..16], millis / 60_000 % 60);
        digits(&mut self.text[17..19], millis / 1000 % 60);
        digits(&mut self.text[20..23], millis % 1000);
    }
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of the month, so many days after 1970-01-01. Asked once a day.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years are always 146,097 days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(millis: u64) -> String {
        let stamp = Stamp::of(((millis / 1000) as i64, (millis % 1000) as u32 * 1_000_000));
        String::from_utf8(stamp.text.to_vec()).unwrap()
    }

    #[test]
    fn stamps_agree_with_date_1() {
        // date -u -d @N +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_199_297, "2026-11-20T18:28:17.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (13_574_563_200, "2400-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(stamp(seconds * 1000), text);
        }
        assert_eq!(stamp(1_795_199_297_042), "2026-11-20T18:28:17.042Z");
    }
}
