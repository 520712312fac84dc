//! The Debian package. relay/Cargo.toml lists its files, for cargo-deb.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use relay_vm::{Architecture, process, workspace};

use super::released_at;

/// As in relay/Cargo.toml.
pub(super) const MAINTAINER: &str = "The relay authors <relay-wg@users.noreply.github.com>";

/// Packs the contents built before.
pub(super) fn pack(version: &str, architecture: Architecture, output: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    let mut command = workspace::cargo();
    command.args(["deb", "--no-build", "--no-strip", "--quiet", "--package", "relay"]);
    command.args(["--target", &architecture.target(), "--deb-version", version, "--output"]);
    command.arg(output);
    command.env("SOURCE_DATE_EPOCH", released_at()?.to_string());
    let output = process::read(command.current_dir(workspace::root()))?;
    match output.lines().last() {
        Some(path) if Path::new(path).is_file() => Ok(PathBuf::from(path)),
        Some(_) | None => {
            bail!("`cargo deb` succeeded but printed no path of a package: {output:?}")
        }
    }
}

/// Errors and warnings of lintian, without those that the package overrides.
pub(super) fn complaints(package: &Path) -> Result<String> {
    let mut command = Command::new("lintian");
    command.args(["--no-cfg", "--tag-display-limit", "0", "--color", "never", "--allow-root"]);
    let output = command
        .args(["--fail-on", "error,warning"])
        .arg(package)
        .output()
        .context("cannot start `lintian`")?;
    if output.status.success() {
        return Ok(String::new());
    }
    let output = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maintainer_is_the_same_everywhere() {
        let manifest = std::fs::read_to_string(workspace::root().join("relay/Cargo.toml"))
            .expect("relay's manifest");
        assert!(manifest.contains(&format!("maintainer = {MAINTAINER:?}")), "{MAINTAINER}");
    }

    #[test]
    fn the_package_has_what_its_readme_links_to() {
        let root = workspace::root();
        let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
        let (manifest, readme) = (read("relay/Cargo.toml"), read("README.md"));
        let links = readme.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let missing: Vec<_> = links
            .filter(|link| !link.is_empty() && !link.contains("://"))
            // Debian has licences and the changelog in places of their own.
            .filter(|link| !link.starts_with("LICENSE-") && *link != "CHANGELOG.md")
            .filter(|link| {
                let asset = match link.rsplit_once('/') {
                    Some((directory, _)) if directory.starts_with("docs") => {
                        format!("\"../{directory}/*\"")
                    }
                    Some(("examples", _)) => "\"../examples/*.toml\"".to_owned(),
                    _ => format!("\"../{link}\""),
                };
                !manifest.contains(&asset)
            })
            .collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn the_units_differ_in_the_configuration_alone() {
        for (one, template) in [
            ("relay.service", "relay@.service"),
            ("relay-follow.service", "relay-follow@.service"),
            ("relay-mesh.service", "relay-mesh@.service"),
            ("relay-quota.service", "relay-quota@.service"),
            ("relay-quota.timer", "relay-quota@.timer"),
            ("relay-serve.service", "relay-serve@.service"),
        ] {
            let one = unit(one);
            assert!(one.contains("/etc/relay/relay.toml"));
            let one = one.replace("=relay-quota.timer", "=relay-quota@%i.timer");
            let one = one
                .replace("/etc/relay/relay.toml", "/etc/relay/%i.toml")
                .replace("=relay.service", "=relay@%i.service")
                .replace("=relay-follow.service", "=relay-follow@%i.service");
            assert_eq!(one, unit(template));
        }
    }

    #[test]
    fn no_other_unit_with_capabilities_may_do_more_than_the_relay() {
        let sandbox = |name: &str| {
            let text = unit(name);
            let lines = text.lines().skip_while(|line| !line.starts_with("CapabilityBoundingSet"));
            let lines = lines.take_while(|line| *line != "[Install]");
            let lines = lines.filter(|line| line.contains('=') && !line.starts_with('#'));
            lines.collect::<Vec<_>>().join("\n").replace(" -/etc/relay\n", "\n")
        };
        assert_eq!(sandbox("relay.service"), sandbox("relay-follow.service"));
        for other in ["relay-quota.service", "relay-mesh.service"] {
            assert_eq!(sandbox(other), sandbox("relay-follow.service"), "{other}");
        }
    }

    #[test]
    fn what_is_served_is_read_by_a_user_of_its_own_who_writes_nothing_but_the_history() {
        let unit = unit("relay-serve.service");
        let lines: Vec<_> = unit.lines().collect();
        for line in ["DynamicUser=yes", "ProtectSystem=strict", "IPAddressDeny=any"] {
            assert!(lines.contains(&line), "{line}");
        }
        let writable = ["ReadWritePaths", "StateDirectory=", "RuntimeDirectory", "LogsDirectory"];
        let is_writable = |line: &&&str| writable.iter().any(|key| line.starts_with(key));
        let found: Vec<_> = lines.iter().filter(is_writable).collect();
        assert_eq!(found, [&"StateDirectory=relay/history"]);
    }

    /// The unit without the comment at its top.
    fn unit(name: &str) -> String {
        let path = workspace::root().join("deploy/systemd").join(name);
        let text = std::fs::read_to_string(path).expect("a unit");
        text.split_once("[Unit]").expect("a section").1.to_owned()
    }
}
