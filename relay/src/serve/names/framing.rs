//! Messages in a stream, each behind its length in two bytes (RFC 1035, section 4.2.2).

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Reads a message of at most `max` bytes.
pub(super) async fn read(stream: &mut TcpStream, max: usize) -> io::Result<Vec<u8>> {
    let len = usize::from(stream.read_u16().await?);
    if len > max {
        return Err(io::Error::other(format!("a message of {len} bytes, expected at most {max}")));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Sends a message.
pub(super) async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let len = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), message].concat()).await
}
