//! `cargo xtask fuzz`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::fuzz;

/// Look for inputs that make relay do what it must not
///
/// Targets are the directories in tests/fuzz/corpus; without a name, all take their turn. inner,
/// outer and http need root. Inputs that are found are kept in target/fuzz, and the next run begins
/// with them. Exits with 1 after a crash, and says how to run its input again.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Targets, such as config or inner
    targets: Vec<String>,
    /// Time for each target, such as 90s, 5m or 2h
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = parse_time)]
    time: Duration,
    /// Put what was found and takes new ways into tests/fuzz/corpus
    #[arg(long)]
    keep: bool,
    /// Only run this input, of the one target
    #[arg(long, value_name = "FILE", conflicts_with_all = ["time", "keep"])]
    input: Option<PathBuf>,
}

/// # Errors
/// There is no such target, the build failed, or the fuzzer does not start.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { targets, time, keep, input } = arguments;
    let fuzzer = fuzz::Fuzzer::build(targets)?;
    if let Some(input) = input {
        return Ok(if fuzzer.repeat(input)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let report = fuzzer.run(*time, *keep)?;
    print!("\n{}", report.render());
    Ok(if report.crashes() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 90s, 5m or 2h, found {text:?}");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let count: u32 =
        text[..text.len() - unit.len_utf8()].parse().map_err(|_not_a_number| wrong())?;
    let time = Duration::from_secs(u64::from(count) * seconds);
    if time.is_zero() { Err(wrong()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200)] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "m", "-5m", "1.5m", "5d", "0s", "5ä"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
