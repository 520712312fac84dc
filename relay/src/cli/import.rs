use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use zeroize::Zeroizing;

use super::{exit::UsageError, output};
use crate::{
    config::{self, ImportError, Remark, Secrets},
    engine::{self, Error, ErrorContext as _, Result},
    model::InterfaceName,
};

/// `relay import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Comments become names of peers. Lines that are not converted are reported \
    on standard error. Keys are never printed.\n\nExamples:\n  \
    relay import /etc/wireguard/wg0.conf                                    print the configuration\n  \
    relay import /etc/wireguard/wg0.conf --output /etc/relay/relay.toml     write it, and files for the keys\n  \
    ssh hub sudo cat /etc/wireguard/wg0.conf | relay import -               from another host"
)]
pub(super) struct Import {
    /// The hub's wg-quick file; `-` reads standard input.
    file: PathBuf,
    /// Write the configuration to FILE, and its keys to files of mode 0600 beside it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(&self) -> Result<()> {
        let file = self.shown();
        let bytes =
            config::read_stream(&self.file).with_context(|| format!("cannot read {file}"))?;
        let bytes = Zeroizing::new(bytes);
        // wg-quick names the interface after the file.
        let has_name = !config::is_stream(&self.file);
        let stem = self.file.file_stem().filter(|_| has_name).map(|stem| stem.to_string_lossy());
        let interface: Option<InterfaceName> = stem.and_then(|stem| stem.parse().ok());
        let output = self.output.as_deref().unwrap_or(Path::new("relay.toml"));
        let import = config::Import::parse(&bytes, interface.as_ref(), output);
        let import = import.map_err(|error| match error {
            ImportError::Lines(lines) => {
                let lines: Vec<_> = lines.iter().map(|line| self.located(line)).collect();
                Error::from(UsageError::Request(lines.join("\n")))
            }
            problems @ ImportError::Problems(_) => problems.into(),
        })?;
        let loaded = import.load(output)?;
        engine::compile(&loaded)?;
        let remarks: Vec<_> = import.remarks().iter().map(|line| self.located(line)).collect();
        output::warn(&remarks);
        if interface.is_none() {
            let own = &loaded.relay.interface;
            let why = match has_name {
                true => "the file name is not an interface name, so the interface is named",
                false => "there is no file name, so the interface is named",
            };
            output::warn(&[format!("{file}: {why} {own}")]);
        }
        let peers = loaded.relay.peers.len();
        let mut err = output::Stderr;
        match &self.output {
            Some(path) => {
                let remedy = "nothing was written; name another file with --output, or move the \
                              existing one";
                import.write(path).context(remedy)?;
                Secrets::read(&loaded)?;
                let keys = import.key_files().len();
                writeln!(
                    err,
                    "{}: {} with {peers} peers; {keys} keys in files of mode 0600 beside it",
                    path.display(),
                    loaded.relay.interface,
                )?;
            }
            None => {
                let mut out = output::stdout();
                out.write_all(import.text().as_bytes())?;
                out.flush()?;
                let files = import.key_files();
                if !files.is_empty() {
                    let files: Vec<_> = files.iter().map(|it| it.display().to_string()).collect();
                    writeln!(
                        err,
                        "warning: keys are not printed; use --output to write them to files, or create \
                         these files of mode 0600 beside the configuration: {}",
                        files.join(", ")
                    )?;
                }
            }
        }
        writeln!(
            err,
            "warning: EVERY PEER MAY TALK TO EVERY OTHER in the overlay, as on the hub, whose file \
             cannot restrict them. Restrict each peer in allowed_ips, then run `relay check` and \
             `relay up --dry-run`"
        )?;
        let interface = &loaded.relay.interface;
        let handover = engine::wg_quick_warning(interface).unwrap_or_else(|| {
            format!(
                "if wg-quick@{interface} brought {interface} up, run `systemctl disable \
                 wg-quick@{interface}`, without --now, which would delete {interface}"
            )
        });
        writeln!(err, "warning: {handover}")?;
        Ok(())
    }

    fn located(&self, Remark { line, text }: &Remark) -> String {
        match line {
            0 => format!("{}: {text}", self.shown()),
            line => format!("{}:{line}: {text}", self.shown()),
        }
    }

    /// The name of the input in messages.
    fn shown(&self) -> String {
        match self.file.as_os_str().as_encoded_bytes() {
            b"-" => "standard input".to_owned(),
            _ => self.file.display().to_string(),
        }
    }
}
