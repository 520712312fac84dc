/// UFW, enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ufw {
    /// Whether a rule lets the UDP port in; `None` when its rules cannot be read.
    pub lets_port_in: Option<bool>,
}

impl Ufw {
    /// UFW by the text of its `user.rules`, which are rules of iptables-restore.
    pub fn of(rules: Option<&str>, port: u16) -> Self {
        Self { lets_port_in: rules.map(|rules| rules.lines().any(|rule| lets_in(rule, port))) }
    }
}

fn lets_in(rule: &str, port: u16) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |option: &str| {
        words.iter().zip(words.iter().skip(1)).find(|(word, _)| **word == option).map(|(_, v)| *v)
    };
    let holds = |ports: &str| {
        ports.split(',').any(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let ends = (first.parse::<u16>(), last.parse::<u16>());
            matches!(ends, (Ok(first), Ok(last)) if (first..=last).contains(&port))
        })
    };
    // A rule for some sources or addresses counts as intended.
    after("-A") == Some("ufw-user-input")
        && after("-j") == Some("ACCEPT")
        && after("-p").is_none_or(|protocol| protocol == "udp")
        && after("--dport").or(after("--dports")).is_none_or(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_lets_the_port_in_by_itself_in_a_list_or_in_a_range() {
        for (rule, expected) in [
            ("-A ufw-user-input -p udp --dport 51820 -j ACCEPT", true),
            ("-A ufw-user-input -p udp -m multiport --dports 53,51800:51900 -j ACCEPT", true),
            ("-A ufw-user-input -p tcp --dport 51820 -j ACCEPT", false),
            ("-A ufw-user-input -p udp --dport 5182 -j ACCEPT", false),
            ("-A ufw-user-input -p udp --dport 51820 -j DROP", false),
            ("-A ufw-user-forward -p udp --dport 51820 -j ACCEPT", false),
            ("### tuple ### allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in", false),
        ] {
            assert_eq!(Ufw::of(Some(rule), 51820).lets_port_in, Some(expected), "{rule}");
        }
        assert_eq!(Ufw::of(None, 51820).lets_port_in, None);
    }
}
