use crate::TextError;
use minijinja::{Error, ErrorKind};
use std::fmt;

/// The date that a template is told when it asks for today's, at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TemplateDate {
    year: u16,
    month: u8,
    day: u8,
}

impl Default for TemplateDate {
    /// 2024-07-26, the date that Llama 3's templates write when they have no clock.
    fn default() -> Self {
        Self { year: 2024, month: 7, day: 26 }
    }
}

impl fmt::Display for TemplateDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl TemplateDate {
    /// A day of the Gregorian calendar, year 1–9999, month 1–12, day from 1.
    ///
    /// # Errors
    /// [`TextError::BadDate`] when the calendar has no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, TextError> {
        let date = Self { year, month, day };
        let known = (1..=9999).contains(&year) && (1..=12).contains(&month);
        if known && (1..=date.days_in_month(month)).contains(&day) {
            Ok(date)
        } else {
            Err(TextError::BadDate { year, month, day })
        }
    }

    fn days_in_month(self, month: u8) -> u8 {
        let year = self.year;
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        }
    }

    /// Day of the year, from 1.
    fn ordinal(self) -> u16 {
        let before: u16 = (1..self.month).map(|month| u16::from(self.days_in_month(month))).sum();
        before + u16::from(self.day)
    }

    /// 0 is Sunday. January 1 of year 1 was a Monday.
    fn weekday(self) -> usize {
        let years = usize::from(self.year) - 1;
        (years * 365 + years / 4 - years / 100 + years / 400 + usize::from(self.ordinal())) % 7
    }

    /// Python's `datetime.strftime` in the C locale, for the fields of a date at midnight.
    pub(super) fn strftime(self, format: &str) -> Result<String, Error> {
        let month = MONTHS[usize::from(self.month) - 1];
        let weekday = WEEKDAYS[self.weekday()];
        let mut out = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            let mut field = characters.next();
            let unpadded = field == Some('-');
            if unpadded {
                field = characters.next();
            }
            let number = |value: u16, width: usize| match unpadded {
                true => value.to_string(),
                false => format!("{value:0width$}"),
            };
            let text = match field {
                Some('Y') => format!("{:04}", self.year),
                Some('y') => number(self.year % 100, 2),
                Some('m') => number(u16::from(self.month), 2),
                Some('d') => number(u16::from(self.day), 2),
                Some('e') => format!("{:2}", self.day),
                Some('j') => number(self.ordinal(), 3),
                Some('B') => month.to_owned(),
                Some('b' | 'h') => month[..3].to_owned(),
                Some('A') => weekday.to_owned(),
                Some('a') => weekday[..3].to_owned(),
                Some('w') => self.weekday().to_string(),
                Some('F') => self.to_string(),
                Some('H' | 'M' | 'S') => number(0, 2),
                Some('I') => number(12, 2),
                Some('p') => "AM".to_owned(),
                Some('T') => "00:00:00".to_owned(),
                Some('%') => "%".to_owned(),
                _ => {
                    let detail = format!("strftime_now does not know the format `{format}`");
                    return Err(Error::new(ErrorKind::InvalidOperation, detail));
                }
            };
            out.push_str(&text);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_python() {
        // datetime(2024, 7, 26).strftime("%d %b %Y|%A|%j|%y-%m|%B %-d, %H:%M|%w|%I %p|%F %T|%%")
        let text = TemplateDate::default()
            .strftime("%d %b %Y|%A|%j|%y-%m|%B %-d, %H:%M|%w|%I %p|%F %T|%%")
            .unwrap();
        let expected = "26 Jul 2024|Friday|208|24-07|July 26, 00:00|5|12 AM|2024-07-26 00:00:00|%";
        assert_eq!(text, expected);
        let leap = TemplateDate::new(2000, 2, 29).unwrap();
        assert_eq!(leap.strftime("%a %-j %-m %e").unwrap(), "Tue 60 2 29");
        assert_eq!(TemplateDate::new(1, 1, 1).unwrap().strftime("%Y %a").unwrap(), "0001 Mon");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 4, 31), (0, 1, 1)]
        {
            assert!(TemplateDate::new(year, month, day).is_err(), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn unknown_fields_are_an_error() {
        assert!(TemplateDate::default().strftime("%Q").is_err());
        assert!(TemplateDate::default().strftime("100%").is_err());
    }
}
