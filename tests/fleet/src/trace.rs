//! What a machine has of relay.

use anyhow::{Result, bail};

use crate::machine::Machine;

/// All files of the configuration, with mode, time and hash.
pub(super) fn files(machine: &Machine) -> Result<String> {
    machine.run(
        "find /etc/relay -printf '%p %m %y %u:%g ' -a \\( -type f -printf '%T@\\n' -o -printf '\\n' \\) \
         | sort; find /etc/relay -type f -exec sha256sum {} + | sort; ls -A /var/lib/relay 2>/dev/null || true",
    )
}

pub(super) fn require_same(before: &str, after: &str) -> Result<()> {
    if before != after {
        bail!("expected no change from:\n{}\nfound:\n{}", before.trim_end(), after.trim_end());
    }
    Ok(())
}

/// Checks that a machine has no trace of relay.
pub(super) fn require_nothing_left(machine: &Machine) -> Result<()> {
    // man caches pages.
    let left = machine.run(
        "find / -xdev -name '*relay*' -not -path '/var/log/*' -not -path '/var/cache/man/*'\n\
         find /sys/fs/bpf -mindepth 1\n\
         ip -o link show type wireguard\n\
         ip -o link show eth0 | grep xdp || true\n\
         nft list ruleset\n\
         systemctl list-units --all --plain --no-legend 'relay*'\n\
         dpkg-query -W -f '${Status}\\n' relay 2>/dev/null | grep -v not-installed || true",
    )?;
    if !left.trim().is_empty() {
        bail!("{} still has:\n{}", machine.name, left.trim_end());
    }
    Ok(())
}
