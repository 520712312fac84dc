//! The log of a generation that traces every packet.

use std::net::IpAddr;

use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use relay_common::{Reason, names::TRACE};

use super::{DatapathError, generation::Loaded};
use crate::policy::Compiled;

/// The log of one generation.
pub struct Trace {
    logger: EbpfLogger<Lines>,
}

/// Passes each line to a function, as text.
struct Lines {
    write: Box<dyn Fn(&str) + Send + Sync>,
}

/// The policy with programs that log every packet.
pub fn traced(compiled: &Compiled) -> Compiled {
    Compiled { features: compiled.features | TRACE, ..compiled.clone() }
}

impl Trace {
    /// The log of a generation; `write` gets each line.
    pub(super) fn of(
        loaded: &mut Loaded,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, DatapathError> {
        let lines = Lines { write: Box::new(write) };
        EbpfLogger::init_with_logger(loaded.ebpf(), lines)
            .map(|logger| Self { logger })
            .map_err(|error| DatapathError::Log(Box::new(error)))
    }

    /// Writes the lines since the last call.
    pub fn flush(&mut self) {
        self.logger.flush();
    }
}

impl Log for Lines {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        (self.write)(&in_words(&text).unwrap_or(text));
    }

    fn flush(&self) {}
}

/// `10.3.2.2 10.3.2.3 17 84 -2` → `10.3.2.2 → 10.3.2.3  UDP 84 bytes  relayed`.
fn in_words(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split(' ').collect();
    let [from, to, protocol, bytes, outcome] = fields.try_into().ok()?;
    let protocol = match protocol {
        "1" => "ICMP".to_owned(),
        "6" => "TCP".to_owned(),
        "17" => "UDP".to_owned(),
        "58" => "ICMPv6".to_owned(),
        number => format!("protocol {number}"),
    };
    let outcome = match outcome.parse::<i32>().ok()? {
        -2 => "relayed".to_owned(),
        -1 => "passed to the host".to_owned(),
        index => format!("dropped: {}", Reason::from_index(index.try_into().ok()?)?.label()),
    };
    let short = |address: &str| {
        address.parse::<IpAddr>().map_or_else(|_none| address.to_owned(), |ip| ip.to_string())
    };
    Some(format!("{} → {}  {protocol} {bytes} bytes  {outcome}", short(from), short(to)))
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_line_has_addresses_protocol_and_outcome() {
        let line = |text| in_words(text).expect("five fields");
        assert_eq!(
            line("10.3.2.2 10.3.2.3 17 84 -2"),
            "10.3.2.2 → 10.3.2.3  UDP 84 bytes  relayed"
        );
        assert_eq!(
            line("fd00:0:0:0:0:3:2:3 fd00::3:2:4 58 104 0"),
            "fd00::3:2:3 → fd00::3:2:4  ICMPv6 104 bytes  dropped: not_in_either_list"
        );
        assert_eq!(in_words("something else"), None);
    }
}
