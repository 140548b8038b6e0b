//! How numbers are written, the same in HTML, Markdown and plots.

use critic_stats::Interval;

/// What stands where nothing was measured.
pub(crate) const ABSENT: &str = "–";

/// A number that cannot be written, such as a NaN of a broken record, is shown as absent.
fn written(value: f64, text: String) -> String {
    if value.is_finite() { text } else { ABSENT.to_owned() }
}

/// `1234567` → `1,234,567`.
pub(crate) fn count(n: impl Into<u128>) -> String {
    let digits = n.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things in memory.
pub(crate) fn size(n: usize) -> String {
    count(n as u64)
}

/// `0.6321` → `63.2 %`.
pub(crate) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    written(value, format!("{value:.1}\u{a0}%"))
}

/// The two ends, `60.1 – 66.1 %`.
pub(crate) fn percent_interval(interval: &Interval) -> String {
    let (low, high) = (100.0 * interval.low, 100.0 * interval.high);
    written(low + high, format!("{low:.1}\u{a0}–\u{a0}{high:.1}\u{a0}%"))
}

/// A difference of shares in percentage points, signed: `+4.2`.
pub(crate) fn points(difference: f64) -> String {
    signed(100.0 * difference, 1)
}

/// The two ends in percentage points, `+0.4 to +8.1`.
pub(crate) fn points_interval(interval: &Interval) -> String {
    format!("{} to {}", points(interval.low), points(interval.high))
}

/// With its sign and a true minus; what rounds to zero has none.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let is_zero = digits.chars().all(|c| c == '0' || c == '.');
    let sign = if is_zero {
        ""
    } else if value < 0.0 {
        "\u{2212}"
    } else {
        "+"
    };
    written(value, format!("{sign}{digits}"))
}

/// Three decimals, or two digits and an exponent where they would say nothing.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let text = if value != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{value:.1e}")
    } else {
        format!("{value:.3}")
    };
    written(value, text.replace('-', "\u{2212}"))
}

/// A value that may be absent.
pub(crate) fn optional(value: Option<f64>, write: impl FnOnce(f64) -> String) -> String {
    value.map_or_else(|| ABSENT.to_owned(), write)
}

/// A p-value; below a thousandth only that.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { written(p, format!("{p:.3}")) }
}

/// `3 min 12 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let text = match whole {
        0..60 => format!("{seconds:.1}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min\u{a0}{:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h\u{a0}{:02}\u{a0}min", count(whole / 3600), whole % 3600 / 60),
    };
    written(seconds, text)
}

/// `134515008` → `134.5 M`.
pub(crate) fn parameters(n: u64) -> String {
    let value = n as f64;
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}\u{a0}k", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}\u{a0}M", value / 1e6),
        _ => format!("{:.2}\u{a0}B", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(
            [size(0), size(999), size(1000), size(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn signs_are_shown_unless_the_number_rounds_to_zero() {
        assert_eq!([points(0.042), points(-0.5), points(0.0004)], ["+4.2", "\u{2212}50.0", "0.0"]);
        assert_eq!(signed(-0.0, 2), "0.00");
    }

    #[test]
    fn small_and_large_numbers_keep_their_digits() {
        assert_eq!([number(0.5), number(2e-5), number(0.0)], ["0.500", "2.0e\u{2212}5", "0.000"]);
        assert_eq!([p_value(0.0004), p_value(0.0312)], ["< 0.001", "0.031"]);
        assert_eq!(parameters(134_515_008), "134.5\u{a0}M");
    }

    #[test]
    fn time_is_told_in_its_own_unit() {
        let plain = |seconds| duration(seconds).replace('\u{a0}', " ");
        assert_eq!(
            [plain(0.84), plain(192.0), plain(3900.0)],
            ["0.8 s", "3 min 12 s", "1 h 05 min"]
        );
        assert_eq!(plain(59.7), "1 min 00 s");
    }

    #[test]
    fn what_is_not_a_number_is_absent() {
        let shown =
            [percent(f64::NAN), number(f64::INFINITY), duration(f64::NAN), p_value(f64::NAN)];
        assert!(shown.iter().all(|text| text == ABSENT), "{shown:?}");
        assert_eq!([percent(-1e307), points(1e307)], [ABSENT; 2]);
    }
}
