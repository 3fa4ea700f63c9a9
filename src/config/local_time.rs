//! A moment as the clocks of a time zone show it, for croner to search over.
//!
//! croner can do so with jiff's own type, too; but the calendar is croner's, and of jiff it needs the zone alone. What
//! jiff would bring along for its own calendar is a hundred kinds of errors that cannot come up here: 125 kB.

use croner::errors::CronError;
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use std::cmp::Ordering;

/// A moment, to the second, in a zone.
#[derive(Clone, Copy)]
pub struct LocalTime<'a> {
    at: Timestamp,
    zone: &'a TimeZone,
}

impl<'a> LocalTime<'a> {
    /// So many seconds after 1970 in UTC; `None`: beyond the year 9999.
    pub fn new(seconds: i64, zone: &'a TimeZone) -> Option<LocalTime<'a>> {
        Some(LocalTime { at: Timestamp::from_second(seconds).ok()?, zone })
    }

    /// Seconds since 1970 in UTC.
    pub fn seconds(self) -> i64 {
        self.at.as_second()
    }

    fn shown(self) -> DateTime {
        self.zone.to_datetime(self.at)
    }

    /// When clocks that are set like this show that.
    fn when(self, shown: DateTime, offset: Offset) -> Result<LocalTime<'a>, CronError> {
        let at = offset.to_timestamp(shown).map_err(|_| CronError::InvalidTime)?;
        Ok(LocalTime { at, ..self })
    }
}

impl CronDateTime for LocalTime<'_> {
    fn to_civil(&self) -> CivilDateTime {
        let shown = self.shown();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(shown.year().into(), shown.month() as u32, shown.day() as u32),
            CivilTime::from_parts_unchecked(
                shown.hour() as u32,
                shown.minute() as u32,
                shown.second() as u32,
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(self.shown().weekday().to_sunday_zero_offset() as u32)
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let [month, day, hour, minute, second] =
            [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()].map(|part| part as i8);
        let shown =
            DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| CronError::InvalidDate)?;
        Ok(match self.zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => Resolution::Single(self.when(shown, offset)?),
            AmbiguousOffset::Fold { before, after } => {
                Resolution::Ambiguous(self.when(shown, before)?, self.when(shown, after)?)
            }
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        LocalTime::new(self.seconds().checked_add(seconds)?, self.zone)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
