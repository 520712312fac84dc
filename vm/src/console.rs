//! The guest's serial lines: the command's output with two marks in it, and kernel messages.

/// Starts what init.sh writes among the command's output.
const MARK: char = '\u{1e}';

#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A line of the command's output.
    Line(String),
    /// The guest has booted and starts the command.
    Ready,
    /// The command's exit code.
    Exit(i32),
}

/// Parses one line.
pub fn parse(raw: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim_end_matches(['\r', '\n']);
    let Some((before, mark)) = text.rsplit_once(MARK) else {
        return vec![Event::Line(text.to_owned())];
    };
    let event = match mark.strip_prefix("relay-vm: ") {
        Some("ready") => Some(Event::Ready),
        Some(rest) => rest.strip_prefix("exit ").and_then(|c| c.parse().ok()).map(Event::Exit),
        None => None,
    };
    match event {
        // The command's last line may have no newline.
        Some(event) if before.is_empty() => vec![event],
        Some(event) => vec![Event::Line(before.to_owned()), event],
        None => vec![Event::Line(text.to_owned())],
    }
}

/// Kernel messages that fail a run.
const ALARMS: &[&str] = &[
    "BUG:",
    "WARNING:",
    "Call Trace",
    "Oops:",
    "Kernel panic",
    "general protection fault",
    "refcount_t:",
    "UBSAN:",
    "unregister_netdevice: waiting for",
];

/// The first such message with the twenty lines after it.
pub fn alarm(kernel_log: &str) -> Option<String> {
    let start = kernel_log.lines().position(|line| ALARMS.iter().any(|a| line.contains(a)))?;
    Some(kernel_log.lines().skip(start).take(21).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_passed_on_without_carriage_returns() {
        assert_eq!(
            parse(b"64 bytes from 10.3.2.3\r"),
            [Event::Line("64 bytes from 10.3.2.3".into())]
        );
    }

    #[test]
    fn marks_are_told_from_output() {
        assert_eq!(parse(b"\x1erelay-vm: ready"), [Event::Ready]);
        assert_eq!(
            parse(b"no newline\x1erelay-vm: exit 7"),
            [Event::Line("no newline".into()), Event::Exit(7)]
        );
        assert_eq!(parse(b"relay-vm: exit 7"), [Event::Line("relay-vm: exit 7".into())]);
    }

    #[test]
    fn a_broken_kernel_is_noticed() {
        let log = "[    1.0] wireguard: loaded\n[    2.0] BUG: unable to handle page fault\n[    2.1] x\n";
        let alarm = alarm(log).expect("an alarm");
        assert!(alarm.starts_with("[    2.0] BUG:") && alarm.ends_with("[    2.1] x"));
        assert_eq!(super::alarm("[    1.0] wireguard: loaded\n"), None);
    }
}
