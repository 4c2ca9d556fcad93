//! Edits a netrc: one machine's entry, the rest untouched.

use std::ops::Range;

/// Makes `text` give `token` as the password for `host`.
///
/// An entry for the host is replaced; a new one goes in front of `default`, after which nothing is looked at.
pub(crate) fn edit(text: &str, host: &str, token: &str) -> String {
    // With a name, too: some readers pass over entries that lack one. Servers look at the password only.
    let entry = format!("machine {host}\nlogin token\npassword {token}\n");
    let (range, end) = place_of(text, host);
    let (before, after) = (&text[..range.start], &text[range.end..]);
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    if end == End::Text && !after.trim().is_empty() && !after.starts_with('\n') {
        return format!("{before}{gap}{entry}{}", after.trim_start());
    }
    format!("{before}{gap}{entry}{after}")
}

#[derive(PartialEq, Eq)]
enum End {
    /// Another entry follows.
    Text,
    /// Nothing follows.
    Nothing,
}

/// Where the entry of `host` is, or where it should go.
fn place_of(text: &str, host: &str) -> (Range<usize>, End) {
    let mut words = Words { text, at: 0 };
    let mut start = None;
    while let Some(word) = words.next() {
        let keyword = &text[word.clone()];
        if !matches!(keyword, "machine" | "default" | "macdef") {
            // A value may be spelled like a keyword.
            if matches!(keyword, "login" | "password" | "account") {
                words.next();
            }
            continue;
        }
        if let Some(start) = start {
            return (start..word.start, End::Text);
        }
        match keyword {
            "machine" if words.next().is_some_and(|name| text[name].trim_matches('"') == host) => {
                start = Some(word.start);
            }
            "default" => return (word.start..word.start, End::Text),
            "macdef" => words.skip_macro(),
            _ => {}
        }
    }
    (start.unwrap_or(text.len())..text.len(), End::Nothing)
}

/// The words of a netrc, by place; comments are passed over, quotes hold words together.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let rest = &self.text[self.at..];
            let start = self.at + rest.len() - rest.trim_start().len();
            let rest = &self.text[start..];
            if rest.starts_with('#') {
                self.at = start + rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            if rest.is_empty() {
                return None;
            }
            let length = match rest.strip_prefix('"').and_then(|quoted| quoted.find('"')) {
                Some(closing) => closing + 2,
                None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            };
            self.at = start + length;
            return Some(start..self.at);
        }
    }

    /// A macro goes on to the next empty line.
    fn skip_macro(&mut self) {
        self.at = self.text[self.at..].find("\n\n").map_or(self.text.len(), |at| self.at + at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "machine h\nlogin token\npassword T\n";

    #[test]
    fn a_new_machine_goes_to_the_end_and_only_once() {
        assert_eq!(edit("", "h", "T"), ENTRY);
        assert_eq!(edit(ENTRY, "h", "T"), ENTRY);
        assert_eq!(edit("machine a login x password y", "h", "T"), format!("machine a login x password y\n{ENTRY}"));
    }

    #[test]
    fn an_entry_is_replaced_where_it_is() {
        let before = "# mine\nmachine a login h password machine\nmachine h password OLD\nmachine b\n  password z\n";
        let after = format!("# mine\nmachine a login h password machine\n{ENTRY}machine b\n  password z\n");
        assert_eq!(edit(before, "h", "T"), after);
        assert_eq!(edit(&after, "h", "T"), after);
        assert_eq!(
            edit("machine h password OLD machine b password z", "h", "T"),
            format!("{ENTRY}machine b password z")
        );
        assert_eq!(edit("machine \"h\" password \"a b\"\n", "h", "T"), ENTRY);
    }

    #[test]
    fn default_stays_last_and_macros_stay_whole() {
        assert_eq!(edit("default login anonymous\n", "h", "T"), format!("{ENTRY}default login anonymous\n"));
        let before = "macdef init\nmachine h\nbin\n\nmachine a password b\n";
        assert_eq!(edit(before, "h", "T"), format!("{before}{ENTRY}"));
        assert_eq!(edit("# machine h\n", "h", "T"), format!("# machine h\n{ENTRY}"));
    }
}
