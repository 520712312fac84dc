//! Numbers as `wg(8)` prints them.

/// Bytes, in the largest binary unit of which there is at least one.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut shown = format!("{count} B");
    let mut scale = 1u64;
    for unit in UNITS {
        scale *= 1024;
        if count < scale {
            break;
        }
        let hundredths = u128::from(count) * 100 / u128::from(scale);
        shown = format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100);
    }
    shown
}

/// Packets, with the noun.
pub(crate) fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

/// How long ago, in words.
pub(crate) fn ago(seconds: u64) -> String {
    if seconds == 0 { "now".to_owned() } else { format!("{} ago", span(seconds)) }
}

/// Seconds, in words.
pub(crate) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, name) in UNITS {
        let count = left / size;
        left %= size;
        if count > 0 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_wg_shows_them() {
        assert_eq!([bytes(0), bytes(1023), bytes(1024)], ["0 B", "1023 B", "1.00 KiB"]);
        assert_eq!(bytes(1024 * 1024 * 3 / 2), "1.50 MiB");
        assert_eq!(
            [ago(0), ago(1), ago(3_661)],
            ["now", "1 second ago", "1 hour, 1 minute, 1 second ago"]
        );
    }
}
