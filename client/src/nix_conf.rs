//! Edits nix.conf without disturbing what else is in it.

/// What Nix shall be told about a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheSettings<'a> {
    /// Where Nix substitutes from.
    pub(crate) substituter: &'a str,
    /// The key to trust, `name:base64`.
    pub(crate) public_key: Option<&'a str>,
    /// The netrc that has the cache's token.
    pub(crate) netrc_file: Option<&'a str>,
}

/// An edited nix.conf.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    /// The whole file.
    pub(crate) text: String,
    /// Keys that were trusted under the same name and are no longer: Nix heeds only one key of a name.
    pub(crate) replaced_keys: Vec<String>,
}

/// Makes `text` say what `settings` ask for; what says it already stays as it is.
pub(crate) fn edit(text: &str, settings: CacheSettings<'_>) -> Edited {
    let mut lines = Lines(text.lines().map(str::to_owned).collect());
    let mut replaced_keys = Vec::new();
    lines.add("extra-substituters", "substituters", settings.substituter, |listed| {
        listed.trim_end_matches('/') == settings.substituter.trim_end_matches('/')
    });
    if let Some(key) = settings.public_key {
        let name = key.split(':').next().unwrap_or(key);
        for line in ["trusted-public-keys", "extra-trusted-public-keys"] {
            replaced_keys.extend(lines.remove(line, |listed| listed != key && listed.split(':').next() == Some(name)));
        }
        lines.add("extra-trusted-public-keys", "trusted-public-keys", key, |listed| listed == key);
    }
    if let Some(path) = settings.netrc_file {
        lines.set("netrc-file", path);
    }
    let mut text = lines.0.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    Edited { text, replaced_keys }
}

/// The value of a setting: its last line counts, as in Nix.
pub(crate) fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().rev().find_map(|line| value_of(line, key))
}

struct Lines(Vec<String>);

impl Lines {
    /// Adds `value` to the list `key`, unless it is in that list or in `base`, which `key` extends.
    fn add(&mut self, key: &str, base: &str, value: &str, is_same: impl Fn(&str) -> bool) {
        let lists = |line: &String| {
            let listed = value_of(line, key).or_else(|| value_of(line, base))?;
            listed.split_ascii_whitespace().any(&is_same).then_some(())
        };
        if self.0.iter().any(|line| lists(line).is_some()) {
            return;
        }
        match self.last(key) {
            // An emptied list keeps its line; a comment at its end stays at the end.
            Some(line) => {
                let (settings, comment) = line.split_once('#').map_or((line.as_str(), None), |(s, c)| (s, Some(c)));
                let comment = comment.map_or(String::new(), |comment| format!(" #{comment}"));
                *line = format!("{} {value}{comment}", settings.trim_end());
            }
            None => self.0.push(format!("{key} = {value}")),
        }
    }

    /// Takes words out of a list, and gives them.
    fn remove(&mut self, key: &str, unwanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut removed = Vec::new();
        for line in &mut self.0 {
            let Some(listed) = value_of(line, key) else { continue };
            let (out, kept): (Vec<&str>, Vec<&str>) = listed.split_ascii_whitespace().partition(|word| unwanted(word));
            if out.is_empty() {
                continue;
            }
            removed.extend(out.into_iter().map(str::to_owned));
            let comment = line.split_once('#').map_or(String::new(), |(_, comment)| format!(" #{comment}"));
            *line = format!("{key} = {}{comment}", kept.join(" "));
        }
        removed
    }

    fn set(&mut self, key: &str, value: &str) {
        match self.last(key) {
            Some(line) if value_of(line, key) == Some(value) => {}
            Some(line) => *line = format!("{key} = {value}"),
            None => self.0.push(format!("{key} = {value}")),
        }
    }

    fn last(&mut self, key: &str) -> Option<&mut String> {
        self.0.iter_mut().rev().find(|line| value_of(line, key).is_some())
    }
}

/// What a line sets `key` to, if it is about it.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split('#').next()?.split_once('=')?;
    (name.trim() == key).then_some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: CacheSettings<'_> =
        CacheSettings { substituter: "http://h:8080/main", public_key: Some("main:KEY="), netrc_file: None };

    #[test]
    fn an_empty_file_gets_what_is_asked_for_once() {
        let edited = edit("", MAIN);
        assert_eq!(edited.text, "extra-substituters = http://h:8080/main\nextra-trusted-public-keys = main:KEY=\n");
        assert_eq!(edit(&edited.text, MAIN), edited);
    }

    #[test]
    fn lists_grow_and_everything_else_stays() {
        let before = "# mine\nextra-substituters = https://a # first\n\nsandbox = true\nextra-trusted-public-keys=a:K=";
        let edited = edit(before, CacheSettings { netrc_file: Some("/home/me/netrc"), ..MAIN });
        let expected = "# mine\nextra-substituters = https://a http://h:8080/main # first\n\nsandbox = true\n\
                        extra-trusted-public-keys=a:K= main:KEY=\nnetrc-file = /home/me/netrc\n";
        assert_eq!(edited.text, expected);
        assert!(edited.replaced_keys.is_empty());
        assert_eq!(get(&edited.text, "netrc-file"), Some("/home/me/netrc"));
        assert_eq!(get(&edited.text, "absent"), None);
    }

    #[test]
    fn what_the_plain_settings_say_is_not_said_again() {
        let before = "substituters = https://x http://h:8080/main/\ntrusted-public-keys = main:KEY=\n";
        assert_eq!(edit(before, MAIN).text, before);
        let commented = "# extra-substituters = http://h:8080/main\n";
        assert!(edit(commented, MAIN).text.contains("\nextra-substituters = http://h:8080/main\n"));
    }

    #[test]
    fn a_new_key_replaces_that_of_the_same_name() {
        let before = "substituters = http://h:8080/main\ntrusted-public-keys = x:1= main:OLD= # keys\n";
        let edited = edit(before, MAIN);
        let expected = "substituters = http://h:8080/main\ntrusted-public-keys = x:1= # keys\nextra-trusted-public-keys = main:KEY=\n";
        assert_eq!((edited.text.as_str(), edited.replaced_keys), (expected, vec!["main:OLD=".to_owned()]));
    }
}
