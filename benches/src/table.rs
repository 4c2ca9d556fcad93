//! Figures of several runs, as a table for people and as CSV for programs.

use std::fmt::Write as _;

/// What was measured again and again.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle one; of an even number the lower of the two; zero of none.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    }

    /// Each of them so many times, for another unit.
    #[must_use]
    pub fn scaled(&self, by: f64) -> Self {
        Self(self.0.iter().map(|value| value * by).collect())
    }

    /// The median, and the least and the greatest if they differ from it in `digits`.
    #[must_use]
    pub fn show(&self, digits: usize) -> String {
        let number = |value: f64| format!("{value:.digits$}");
        let ends = self.0.first().zip(self.0.last()).map(|(least, greatest)| (number(*least), number(*greatest)));
        match ends {
            Some((least, greatest)) if least != greatest => {
                format!("{} ({least}–{greatest})", number(self.median()))
            }
            _ => number(self.median()),
        }
    }
}

/// A table whose first row has the names of the columns.
#[derive(Debug, Clone, Default)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        Self(vec![columns.iter().map(|&name| name.to_owned()).collect()])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    /// As Markdown has it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (at, row) in self.0.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if at == 0 {
                let _ = writeln!(text, "|{}", " --- |".repeat(row.len()));
            }
        }
        text
    }

    /// As CSV (RFC 4180).
    #[must_use]
    pub fn csv(&self) -> String {
        let quoted = |cell: &String| match cell.contains([',', '"', '\n']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        self.0.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        let mut samples = Samples::default();
        for value in [3.0, 1.0, 2.0] {
            samples.add(value);
        }
        assert_eq!(samples.show(1), "2.0 (1.0–3.0)");
        let mut same = Samples::default();
        [1.01, 1.02].into_iter().for_each(|value| same.add(value));
        assert_eq!((same.show(1), Samples::default().show(0)), ("1.0".to_owned(), "0".to_owned()));
        let mut table = Table::new(&["a", "b"]);
        table.row(vec!["1".to_owned(), same.show(2)]);
        assert_eq!(table.markdown(), "| a | b |\n| --- | --- |\n| 1 | 1.01 (1.01–1.02) |\n");
        table.row(vec!["a, \"b\"".to_owned(), String::new()]);
        assert_eq!(table.csv(), "a,b\n1,1.01 (1.01–1.02)\n\"a, \"\"b\"\"\",\n");
    }
}
