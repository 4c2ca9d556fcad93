//! What was looked at, and what was found.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{Finding, Weight};

/// The most findings that a report holds; it counts all.
const MAX_FINDINGS: usize = 10_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// What was looked at.
    pub examined: Examined,
    /// How often each kind of finding was met.
    pub counts: BTreeMap<&'static str, u64>,
    /// How many findings are damage.
    pub damage: u64,
    /// What was told to the index.
    pub marked: Marked,
    /// The findings, as far as a report holds them.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub left_out: u64,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Examined {
    /// Packs that the index has.
    pub packs: u64,
    /// Frames that were read.
    pub frames: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Objects that have records only.
    pub record_objects: u64,
    /// NARs.
    pub nars: u64,
    /// Paths.
    pub paths: u64,
    /// Paths with everything that they refer to, and what that refers to, and so on.
    pub whole_closures: u64,
    /// Paths of which something is absent from their cache.
    pub open_closures: u64,
    /// Documents.
    pub documents: u64,
}

/// What was told to the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Marked {
    /// Chunks that were taken out of deduplication.
    pub chunks: u64,
    /// NARs that were quarantined.
    pub nars: u64,
    /// Listings that were dropped.
    pub listings: u64,
}

impl Report {
    /// Takes in what was found.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            *self.counts.entry(finding.kind()).or_default() += 1;
            self.damage += u64::from(finding.weight() == Weight::Damage);
            if self.findings.len() < MAX_FINDINGS {
                self.findings.push(finding);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// Takes in the findings of another report.
    pub(super) fn merge(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.damage += other.damage;
        let room = MAX_FINDINGS.saturating_sub(self.findings.len());
        self.left_out += other.left_out + other.findings.len().saturating_sub(room) as u64;
        self.findings.extend(other.findings.into_iter().take(room));
    }

    /// Whether nothing that matters is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.damage == 0
    }

    /// Writes the report for people: a line for each finding, the worst first, and what was looked at.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut findings: Vec<&Finding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
        for finding in findings {
            let weight = match finding.weight() {
                Weight::Damage => "damage",
                Weight::Waste => "waste",
                Weight::Note => "note",
            };
            writeln!(out, "{weight}: {finding}")?;
        }
        if self.left_out > 0 {
            writeln!(out, "… and {} more", self.left_out)?;
        }
        let Examined { packs, frames, bytes, record_objects, nars, paths, whole_closures, open_closures, documents } =
            self.examined;
        writeln!(
            out,
            "looked at {packs} packs, {record_objects} objects of records, {frames} frames, {bytes} bytes, {nars} NARs, {paths} paths, {documents} documents"
        )?;
        writeln!(out, "closures: {whole_closures} whole, {open_closures} not")?;
        let Marked { chunks, nars, listings } = self.marked;
        if self.marked != Marked::default() {
            writeln!(out, "marked: {chunks} chunks damaged, {nars} NARs in quarantine, {listings} listings dropped")?;
        }
        match self.damage {
            0 => writeln!(out, "nothing is damaged"),
            count => writeln!(out, "damaged: {count}"),
        }
    }
}
