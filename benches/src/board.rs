//! The figures of several caches side by side.

use crate::{
    subject::Subject,
    table::{Samples, Table},
};

/// What is measured, and of each cache its samples.
#[derive(Debug, Default)]
pub struct Board {
    rows: Vec<(String, usize, Vec<Samples>)>,
}

impl Board {
    /// Adds a figure of the cache at `subject`; `digits` behind the point are shown.
    pub fn add(&mut self, measure: &str, digits: usize, subject: usize, value: f64) {
        let at = self.rows.iter().position(|(name, ..)| name == measure).unwrap_or_else(|| {
            self.rows.push((measure.to_owned(), digits, Vec::new()));
            self.rows.len() - 1
        });
        let samples = &mut self.rows[at].2;
        samples.resize_with(samples.len().max(subject + 1), Samples::default);
        samples[subject].add(value);
    }

    /// One column for each cache, and how many times the first has what each of the others has.
    #[must_use]
    pub fn table(&self, subjects: &[Subject]) -> Table {
        let ratios = subjects.iter().skip(1).map(|subject| format!("ours / {}", subject.name));
        let columns: Vec<String> =
            ["".to_owned()].into_iter().chain(subjects.iter().map(|s| s.name.clone())).chain(ratios).collect();
        let mut table = Table::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
        for (measure, digits, samples) in &self.rows {
            let shown =
                |at: usize| samples.get(at).filter(|s| !s.is_empty()).map_or_else(String::new, |s| s.show(*digits));
            let ours = samples.first().map_or(0.0, Samples::median);
            let ratio = |at: usize| match samples.get(at).filter(|s| !s.is_empty()) {
                Some(theirs) if theirs.median() > 0.0 => format!("{:.2}", ours / theirs.median()),
                _ => String::new(),
            };
            let cells = (0..subjects.len()).map(shown).chain((1..subjects.len()).map(ratio));
            table.row([measure.clone()].into_iter().chain(cells).collect());
        }
        table
    }
}
