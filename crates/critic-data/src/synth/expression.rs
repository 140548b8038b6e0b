//! Arithmetic as it stands in solutions: `+ - * / // ^ ( )`, decimals, thousands separators, one-letter
//! variables, and the LaTeX of fractions, roots and products.

/// How deep parentheses may go.
const MAX_DEPTH: usize = 64;

/// The value of an arithmetic expression without variables; `None` when it is none, or has no finite value.
pub fn evaluate(text: &str) -> Option<f64> {
    evaluate_at(text, &|_| None)
}

/// The value of an expression whose variables have the values that `variable` gives.
pub(super) fn evaluate_at(text: &str, variable: &dyn Fn(char) -> Option<f64>) -> Option<f64> {
    let plain = plain(text);
    let mut parser = Parser { rest: plain.as_bytes(), variable, depth: 0 };
    let value = parser.sum()?;
    (parser.rest.is_empty() && value.is_finite()).then_some(value)
}

/// LaTeX and typographic signs as plain ones, without white space and currency.
pub(super) fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    for (from, to) in [
        ("\\dfrac", "\\frac"),
        ("\\tfrac", "\\frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("\\cdot", "*"),
        ("\\times", "*"),
        ("\\div", "/"),
        ("\\$", ""),
        ("\\%", "%"),
        ("\\,", ""),
        ("\\!", ""),
        ("$", ""),
        ("×", "*"),
        ("÷", "/"),
        ("−", "-"),
        ("·", "*"),
        ("√", "\\sqrt"),
        ("**", "^"),
    ] {
        plain = plain.replace(from, to);
    }
    while let Some(rewritten) = without_fraction(&plain) {
        plain = rewritten;
    }
    plain
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| {
            if c == '{' {
                '('
            } else if c == '}' {
                ')'
            } else {
                c
            }
        })
        .collect()
}

/// The text with its last `\frac{a}{b}` as `((a)/(b))`: the last one holds no other.
fn without_fraction(text: &str) -> Option<String> {
    let at = text.rfind("\\frac")?;
    let (top, after) = braced(&text[at + 5..])?;
    let (bottom, after) = braced(after)?;
    Some(format!("{}(({top})/({bottom})){after}", &text[..at]))
}

fn braced(text: &str) -> Option<(&str, &str)> {
    let inner = text.trim_start().strip_prefix('{')?;
    let mut depth = 1;
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

struct Parser<'a> {
    rest: &'a [u8],
    variable: &'a dyn Fn(char) -> Option<f64>,
    depth: usize,
}

impl Parser<'_> {
    fn eat(&mut self, sign: u8) -> bool {
        let found = self.rest.first() == Some(&sign);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        loop {
            if self.eat(b'+') {
                value += self.product()?;
            } else if self.eat(b'-') {
                value -= self.product()?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.signed()?;
        loop {
            if self.eat(b'*') {
                value *= self.signed()?;
            } else if self.eat(b'/') {
                let is_floor = self.eat(b'/');
                value /= self.signed()?;
                value = if is_floor { value.floor() } else { value };
            } else if matches!(self.rest.first(), Some(b'(' | b'\\' | b'a'..=b'z')) {
                value *= self.power()?;
            } else {
                return Some(value);
            }
        }
    }

    fn signed(&mut self) -> Option<f64> {
        let mut sign = 1.0;
        while let Some(b'-' | b'+') = self.rest.first() {
            if self.eat(b'-') {
                sign = -sign;
            } else {
                self.eat(b'+');
            }
        }
        self.power().map(|value| sign * value)
    }

    fn power(&mut self) -> Option<f64> {
        let base = self.atom()?;
        if !self.eat(b'^') {
            return Some(base);
        }
        self.nested(Self::signed).map(|exponent| base.powf(exponent))
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<f64>) -> Option<f64> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn atom(&mut self) -> Option<f64> {
        if self.eat(b'(') {
            let value = self.nested(Self::sum)?;
            return self.eat(b')').then_some(value).and_then(|value| self.percent(value));
        }
        if let Some(rest) = self.rest.strip_prefix(b"\\sqrt") {
            self.rest = rest;
            return self.nested(Self::atom).map(f64::sqrt);
        }
        if let Some(rest) = self.rest.strip_prefix(b"\\pi") {
            self.rest = rest;
            return Some(std::f64::consts::PI);
        }
        match self.rest.first() {
            Some(letter @ b'a'..=b'z') => {
                self.rest = &self.rest[1..];
                (self.variable)(char::from(*letter))
            }
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<f64> {
        let is_part = |at: usize, byte: u8| match byte {
            b'0'..=b'9' | b'.' => true,
            // A separator stands before exactly three digits.
            b',' => {
                let next = self.rest.get(at + 1..at + 4);
                next.is_some_and(|next| next.iter().all(u8::is_ascii_digit))
                    && !self.rest.get(at + 4).is_some_and(u8::is_ascii_digit)
            }
            _ => false,
        };
        let n = self.rest.iter().enumerate().take_while(|(at, byte)| is_part(*at, **byte)).count();
        let (digits, rest) = self.rest.split_at(n);
        let digits: String =
            digits.iter().filter(|b| **b != b',').map(|b| char::from(*b)).collect();
        let value = digits.parse().ok()?;
        self.rest = rest;
        self.percent(value)
    }

    fn percent(&mut self, value: f64) -> Option<f64> {
        Some(if self.eat(b'%') { value / 100.0 } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arithmetic_has_its_value() {
        for (text, value) in [
            ("48/2", 24.0),
            ("2+3*4", 14.0),
            ("(2+3)*4", 20.0),
            ("-3--4", 1.0),
            ("2^3^2", 512.0),
            (".5*10", 5.0),
            ("1,234.5+1", 1235.5),
            ("50%*80", 40.0),
            ("10-4-3", 3.0),
            ("8/4/2", 1.0),
            ("\\frac{1}{\\frac{1}{2}}", 2.0),
            ("3 \\cdot \\sqrt{16}", 12.0),
            ("2(3+4)", 14.0),
            ("$3 × 4$", 12.0),
            ("2**3", 8.0),
            ("7//2", 3.0),
        ] {
            assert_eq!(evaluate(text), Some(value), "{text}");
        }
        for text in ["", "1/0", "2+", "(1", "1)", "x", "1 apple", "1..2", "√-1", "1,23"] {
            assert_eq!(evaluate(text), None, "{text}");
        }
        assert_eq!(evaluate(&"(".repeat(100_000)), None);
        assert_eq!(evaluate(&"2^".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+*/^()0-9.,%a-c\\\\{}$frcsqt ]{0,40}|\\PC{0,20}") {
            let _ = evaluate(&text);
        }

        #[test]
        fn printed_numbers_are_read_back(a in 0u32..1_000_000, b in 1u32..1000) {
            let expected = f64::from(a) * 2.0 - f64::from(b) / 4.0;
            prop_assert_eq!(evaluate(&format!("{a} * 2 - ({b}/4)")), Some(expected));
        }
    }
}
