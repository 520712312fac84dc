//! Files of systemd-networkd, as systemd.network(5) has them.

use std::path::PathBuf;

/// The file that systemd-networkd applies to a WireGuard interface: of those that match, the first
/// by name, unless it leaves the interface alone. Files are given by falling precedence of their
/// directories, each with its text.
pub fn first_match(files: &[(PathBuf, String)], interface: &str) -> Option<PathBuf> {
    let mut first: Option<&(PathBuf, String)> = None;
    for file in files {
        let name = file.0.file_name();
        // Of two with one name the first masks the second.
        let is_masked = files.iter().find(|other| other.0.file_name() == name) != Some(file);
        let is_before = first.is_none_or(|(path, _)| name < path.file_name());
        if !is_masked && is_before && matches(&file.1, interface) {
            first = Some(file);
        }
    }
    let (path, text) = first?;
    let is_unmanaged = section(text, "[Link]")
        .any(|(key, value)| key == "Unmanaged" && ["yes", "true", "1", "on"].contains(&value));
    (!is_unmanaged).then(|| path.clone())
}

/// Whether the interface meets all conditions of `[Match]`.
fn matches(text: &str, interface: &str) -> bool {
    let mut asks = section(text, "[Match]").peekable();
    asks.peek().is_some()
        && asks.all(|(key, value)| {
            let (is_inverted, patterns) =
                value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
            let any = |is: &dyn Fn(&str) -> bool| patterns.split_whitespace().any(is);
            match key {
                "Name" => any(&|pattern| glob(pattern, interface)) != is_inverted,
                "Type" | "Kind" => any(&|pattern| glob(pattern, "wireguard")) != is_inverted,
                // A WireGuard interface has no address, path or driver. Conditions on the host are not
                // evaluated.
                _ => false,
            }
        })
}

fn section<'a>(text: &'a str, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = text.lines().map(str::trim).skip_while(move |line| *line != name).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
}

/// `*` and `?` of fnmatch(3); a class in brackets matches any one character.
fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            text.char_indices().any(|(at, _)| glob(rest, &text[at..])) || glob(rest, "")
        }
        Some(one) => {
            let behind = match (one, rest.as_str().split_once(']')) {
                ('[', Some((_class, behind))) => behind,
                _ => rest.as_str(),
            };
            let mut text = text.chars();
            text.next().is_some_and(|first| {
                (one == '?' || one == '[' || one == first) && glob(behind, text.as_str())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "/etc/systemd/network/50-all.network";

    #[test]
    fn the_first_file_that_matches_decides() {
        let alone = "[Match]\nName=relay0\n[Link]\nUnmanaged=yes\n";
        let all = file(ALL, "[Match]\nName=*\n[Network]\nDHCP=yes\n");
        assert_eq!(of(std::slice::from_ref(&all)), Some(ALL.into()));
        for (path, text, claims) in [
            ("/etc/systemd/network/10-r.network", alone, false),
            ("/run/systemd/network/90-r.network", alone, true),
            ("/run/systemd/network/50-all.network", alone, true),
            ("/etc/systemd/network/10-r.network", "[Match]\nName=eth* en?\n", true),
        ] {
            assert_eq!(of(&[all.clone(), file(path, text)]).is_some(), claims, "{path} {text}");
        }
    }

    #[test]
    fn a_file_matches_by_all_that_it_asks_for() {
        for (text, claims) in [
            ("[Match]\nName=eth* relay[0-9]\n", true),
            ("[Match]\nName=!eth*\n", true),
            ("[Match]\nName=!relay*\n", false),
            ("[Match]\nType=ether\nName=*\n", false),
            ("[Match]\nKind=wireguard\n", true),
            ("[Match]\n# Name=eth0\nName = rel?y0\n", true),
            ("[Match]\nMACAddress=00:11:22:33:44:55\n", false),
            ("[Network]\nDHCP=yes\n", false),
        ] {
            assert_eq!(of(&[file(ALL, text)]).is_some(), claims, "{text}");
        }
    }

    fn of(files: &[(PathBuf, String)]) -> Option<PathBuf> {
        first_match(files, "relay0")
    }

    fn file(path: &str, text: &str) -> (PathBuf, String) {
        (path.into(), text.to_owned())
    }
}
