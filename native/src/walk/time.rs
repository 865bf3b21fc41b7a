//! Dates without a year: ISO 8583 sends MMDD, so the year is the one that lies nearest to our own clock.

/// Days since 1970-01-01 of a proleptic Gregorian date. A day past the end of its month counts on into the next.
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year in which a Unix time lies.
const fn year_of(unix_s: i64) -> i64 {
    // Off by at most one at the turn of a year; corrected below.
    let guess = 1970 + unix_s.div_euclid(31_556_952);
    if days_of(guess, 1, 1) * 86_400 > unix_s {
        guess - 1
    } else if days_of(guess + 1, 1, 1) * 86_400 <= unix_s {
        guess + 1
    } else {
        guess
    }
}

fn two(digits: &[u8], at: usize) -> Option<i64> {
    match digits.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    }
}

/// The year for which `MMDD…` lies nearest to `now_s` (Unix seconds); None when it is no month and day.
pub fn year_near(digits: &[u8], now_s: i64) -> Option<i64> {
    let (month, day) = (two(digits, 0)?, two(digits, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let this = year_of(now_s);
    (this - 1..=this + 1).min_by_key(|year| (days_of(*year, month, day) * 86_400 - now_s).abs())
}

/// Unix seconds of `MMDDhhmmss` in UTC, in the year nearest to `now_s`.
pub fn unix_near(digits: &[u8], now_s: i64) -> Option<i64> {
    let year = year_near(digits, now_s)?;
    let days = days_of(year, two(digits, 0)?, two(digits, 2)?);
    let (hour, minute, second) = (two(digits, 4)?, two(digits, 6)?, two(digits, 8)?);
    (hour < 24 && minute < 60 && second < 61)
        .then(|| days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-23 16:00:00 UTC, from `date -u +%s`.
    const NOW: i64 = 1_795_449_600;

    #[test]
    fn nearest_year_turns_with_the_calendar() {
        assert_eq!(year_near(b"1123160000", NOW), Some(2026));
        assert_eq!(year_near(b"0102", NOW), Some(2027));
        assert_eq!(year_near(b"0601", NOW), Some(2026));
        // 2027-01-01 00:00:30 UTC: a message of last year's last minute.
        assert_eq!(year_near(b"1231235959", 1_798_761_630), Some(2026));
        assert_eq!(year_near(b"0101000001", 1_798_761_599), Some(2027));
    }

    #[test]
    fn what_is_no_date_has_no_year() {
        for wrong in [&b"1323"[..], b"0023", b"1100", b"1132", b"11", b"1x23", b""] {
            assert_eq!(year_near(wrong, NOW), None);
        }
        assert_eq!(unix_near(b"1123246000", NOW), None);
        assert_eq!(unix_near(b"1123", NOW), None);
    }

    #[test]
    fn seconds_agree_with_the_calendar() {
        assert_eq!(unix_near(b"1123160000", NOW), Some(NOW));
        assert_eq!(unix_near(b"0229000000", 1_835_395_200), Some(1_835_395_200)); // 2028-02-29
        assert_eq!(days_of(1970, 1, 1), 0);
        assert_eq!(days_of(2000, 3, 1), 11_017);
    }

    proptest! {
        #[test]
        fn years_begin_where_they_should(year in 1971i64..2200) {
            let start = days_of(year, 1, 1) * 86_400;
            prop_assert_eq!(year_of(start), year);
            prop_assert_eq!(year_of(start - 1), year - 1);
        }

        #[test]
        fn a_day_keeps_its_year_for_five_months(now in 1_000_000_000i64..4_000_000_000, drift in -150i64..150) {
            let day = now.div_euclid(86_400);
            let (mut month, mut dom) = (1, 1);
            'search: for m in 1..=12 {
                for d in 1..=31 {
                    if days_of(year_of(now), m, d) == day {
                        (month, dom) = (m, d);
                        break 'search;
                    }
                }
            }
            let text = format!("{month:02}{dom:02}");
            prop_assert_eq!(year_near(text.as_bytes(), now + drift * 86_400), Some(year_of(now)));
        }
    }
}
