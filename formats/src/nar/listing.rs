//! Listings: what is in a NAR and where, as Nix writes it to `<hash>.ls`.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

use super::Event;

/// A NAR's table of contents, version 1 of Nix's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What the NAR is an archive of.
    pub root: Node,
}

/// A file, symbolic link or directory in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Node {
    /// A file.
    #[serde(rename_all = "camelCase")]
    Regular {
        /// Whether it can be run.
        #[serde(default)]
        executable: bool,
        /// Where its contents begin in the uncompressed NAR.
        nar_offset: u64,
        /// The length of its contents.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: String,
    },
    /// A directory.
    Directory {
        /// Its entries, by name.
        entries: BTreeMap<String, Node>,
    },
}

impl Listing {
    /// The JSON text as newer versions of Nix write it: keys sorted, no white space.
    pub fn render(&self) -> String {
        serde_json::to_string(self).expect("maps of strings and numbers always serialise")
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("root", &self.root)?;
        map.serialize_entry("version", &1)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Listing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            root: Node,
            version: u64,
        }

        let Wire { root, version } = Wire::deserialize(deserializer)?;
        if version != 1 {
            return Err(serde::de::Error::custom("the listing's version is not 1"));
        }
        Ok(Self { root })
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Regular { executable, nar_offset, size } => {
                if *executable {
                    map.serialize_entry("executable", &true)?;
                }
                map.serialize_entry("narOffset", nar_offset)?;
                map.serialize_entry("size", size)?;
                map.serialize_entry("type", "regular")?;
            }
            Self::Symlink { target } => {
                map.serialize_entry("target", target)?;
                map.serialize_entry("type", "symlink")?;
            }
            Self::Directory { entries } => {
                map.serialize_entry("entries", entries)?;
                map.serialize_entry("type", "directory")?;
            }
        }
        map.end()
    }
}

/// Builds a listing from the events of a [`Reader`](super::Reader).
#[derive(Debug, Default)]
pub struct ListingBuilder {
    /// The directories that are still open, outermost first.
    open: Vec<OpenDirectory>,
    root: Option<Node>,
    not_utf8: bool,
}

#[derive(Debug, Default)]
struct OpenDirectory {
    entries: BTreeMap<String, Node>,
    /// The entry that is being described.
    name: String,
}

impl ListingBuilder {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event.
    pub fn push(&mut self, event: Event<'_>) {
        if self.not_utf8 {
            return;
        }
        match event {
            Event::Directory => self.open.push(OpenDirectory::default()),
            Event::Entry { name } => {
                if let (Some(name), Some(directory)) = (self.text(name), self.open.last_mut()) {
                    directory.name = name;
                }
            }
            Event::EndDirectory => {
                if let Some(OpenDirectory { entries, .. }) = self.open.pop() {
                    self.add(Node::Directory { entries });
                }
            }
            Event::Regular { executable, size, offset } => {
                self.add(Node::Regular { executable, nar_offset: offset, size });
            }
            Event::Contents(_) | Event::EndRegular => {}
            Event::Symlink { target } => {
                if let Some(target) = self.text(target) {
                    self.add(Node::Symlink { target });
                }
            }
        }
    }

    /// The listing; `None` if the NAR is not finished, or if JSON cannot carry one of its names or targets.
    pub fn finish(self) -> Option<Listing> {
        if self.not_utf8 || !self.open.is_empty() {
            return None;
        }
        self.root.map(|root| Listing { root })
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(directory) => {
                directory.entries.insert(std::mem::take(&mut directory.name), node);
            }
            None => self.root = Some(node),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Option<String> {
        let text = String::from_utf8(bytes.to_vec()).ok();
        if text.is_none() {
            *self = Self { not_utf8: true, ..Self::default() };
        }
        text
    }
}
