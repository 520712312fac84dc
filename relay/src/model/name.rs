use std::{fmt, net::IpAddr, str::FromStr};

/// Name of a network interface: 1 to 15 bytes of `[A-Za-z0-9_-]`, a letter first, and not
/// reserved.
///
/// Stricter than `dev_valid_name()` (net/core/dev.c): the name is part of a pin path, where bpffs
/// rejects dots, and of the name of an nftables table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

/// Name of a peer: `[a-z0-9][a-z0-9_.-]{0,62}`, not an address, and not `any`, which
/// rules use for everybody. Used in terminals, labels and file names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(String);

/// Name of a group: `[a-z0-9][a-z0-9_.-]{0,62}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

/// Name of a webhook: `[a-z0-9][a-z0-9_.-]{0,62}`. A label of metrics.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookName(String);

/// Name of a rule: `[a-z0-9][a-z0-9_.-]{0,31}`. Counters are kept by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName(String);

/// Name of a relay of a mesh: `[a-z0-9][a-z0-9-]{0,12}`. Part of an interface's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayName(String);

/// Why a name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty.
    #[error("is empty")]
    Empty,
    /// Longer than the given number of bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// An invalid character, or one that must not be first.
    #[error("contains {0:?}")]
    Character(char),
    /// It could be mistaken for an address.
    #[error("is an address")]
    Address,
    /// It has a meaning of its own.
    #[error("means something else ({0})")]
    Reserved(&'static str),
}

/// Names with a meaning of their own in the kernel or to tools.
const RESERVED: [(&str, &str); 6] = [
    ("all", "every interface, below /proc/sys/net and to wg(8)"),
    ("any", "every interface, to tcpdump(8)"),
    ("bonding_masters", "a file in /sys/class/net"),
    ("default", "every interface to come, below /proc/sys/net"),
    ("interfaces", "the list of interfaces, to wg(8)"),
    ("lo", "the loopback interface"),
];

impl InterfaceName {
    /// The kernel's IFNAMSIZ (16) without the NUL.
    pub const MAX_LEN: usize = 15;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PeerName {
    /// Longest name, bytes.
    pub const MAX_LEN: usize = 63;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// Longest name, bytes.
    pub const MAX_LEN: usize = 63;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WebhookName {
    /// Longest name, bytes.
    pub const MAX_LEN: usize = 63;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RuleName {
    /// Longest name, bytes: the size of a key in the kernel.
    pub const MAX_LEN: usize = 32;
    /// How names of rules that `relay lend` writes begin.
    pub const LENT: &str = "lent-";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of something lent.
    pub fn is_lent(&self) -> bool {
        self.0.starts_with(Self::LENT)
    }
}

impl RelayName {
    /// Longest name, bytes: of an interface's name, one for the relay's own and one for the hyphen.
    pub const MAX_LEN: usize = InterfaceName::MAX_LEN - 2;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_LEN, is_plain)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for WebhookName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_LEN, is_plain)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RuleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_LEN, is_plain)?;
        Ok(Self(text.to_owned()))
    }
}

impl From<&RelayName> for PeerName {
    fn from(name: &RelayName) -> Self {
        // A relay's name has fewer characters.
        Self(name.0.clone())
    }
}

impl FromStr for RelayName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_LEN, |index, c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || (index > 0 && c == '-')
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_LEN, |index, c| {
            c.is_ascii_alphabetic() || (index > 0 && (c.is_ascii_digit() || c == '_' || c == '-'))
        })?;
        match RESERVED.iter().find(|(name, _)| *name == text) {
            Some((_, what)) => Err(NameError::Reserved(what)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for PeerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::MAX_LEN, is_plain)?;
        if text.parse::<IpAddr>().is_ok() {
            return Err(NameError::Address);
        }
        if text == "any" {
            return Err(NameError::Reserved("everybody, in rules"));
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_plain(index: usize, c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || (index > 0 && "_.-".contains(c))
}

fn check(text: &str, max: usize, allowed: impl Fn(usize, char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    match text.chars().enumerate().find(|&(index, c)| !allowed(index, c)) {
        Some((_, c)) => Err(NameError::Character(c)),
        None if text.len() > max => Err(NameError::TooLong(max)),
        None => Ok(()),
    }
}

macro_rules! shown_as_text {
    ($($Name:ident),+) => {$(
        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

shown_as_text!(InterfaceName, PeerName, GroupName, RuleName, WebhookName, RelayName);
