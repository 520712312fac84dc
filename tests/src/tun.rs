//! A TUN interface: writing makes it receive a packet, reading returns a packet that it sent. Like a
//! WireGuard interface it has no link-layer header.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    fs::OFlags,
    ioctl::{Setter, ioctl, opcode},
};

use crate::Namespace;

/// `TUNSETIFF`, `IFF_TUN` and `IFF_NO_PI` of include/uapi/linux/if_tun.h.
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);
const IFF_TUN: i16 = 1;
const IFF_NO_PI: i16 = 0x1000;

/// Length of the longest packet.
const MAX_LEN: usize = 65_535;

/// A TUN interface, deleted on drop.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

/// The part of `struct ifreq` (include/uapi/linux/if.h) that TUN reads.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

impl Tun {
    /// A new interface in a namespace, down.
    pub fn create(namespace: &Namespace, name: &str) -> Result<Self> {
        let mut request = Request { name: [0; 16], flags: IFF_TUN | IFF_NO_PI, rest: [0; 22] };
        ensure!(
            name.len() < request.name.len(),
            "{name}: found {} bytes, expected at most 15",
            name.len()
        );
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        let made = namespace.enter(|| -> Result<File> {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open("/dev/net/tun")
                .context("open /dev/net/tun")?;
            // SAFETY: TUNSETIFF reads a struct ifreq, which Request is.
            unsafe { ioctl(&file, Setter::<TUNSETIFF, Request>::new(request)) }
                .with_context(|| format!("TUNSETIFF {name}"))?;
            Ok(file)
        })?;
        Ok(Self { file: made? })
    }

    /// Makes it receive a packet.
    pub fn write(&self, packet: &[u8]) -> Result<()> {
        let written = (&self.file).write(packet).context("write to TUN")?;
        ensure!(written == packet.len(), "{written} of {} bytes written to TUN", packet.len());
        Ok(())
    }

    /// The next packet that it sent, if any.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        let mut packet = vec![0; MAX_LEN];
        match (&self.file).read(&mut packet) {
            Ok(len) => {
                packet.truncate(len);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("read from TUN"),
        }
    }
}
