//! TCP connections between namespaces.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use socket2::{SockAddr, Socket, Type};

use crate::{Family, Namespace, Peer, deadline};

/// Both ends of an established connection.
#[derive(Debug)]
pub struct Connection {
    /// The end that connected.
    pub client: TcpStream,
    /// The end that accepted.
    pub server: TcpStream,
}

/// A connection attempt.
#[derive(Debug)]
pub struct Attempt {
    client: Socket,
    listener: TcpListener,
}

/// The server of an abandoned attempt.
#[derive(Debug)]
pub struct Listening(TcpListener);

impl Connection {
    /// Connects from `source` in `from` to a free port of `target` in `to`.
    pub fn open(from: &Namespace, source: IpAddr, to: &Namespace, target: IpAddr) -> Result<Self> {
        Self::open_port(from, source, to, SocketAddr::new(target, 0))
    }

    /// The same between two peers.
    pub fn between(from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        Self::open(from.namespace(), from.address(family), to.namespace(), to.address(family))
    }

    /// The same to this port.
    pub fn open_port(
        from: &Namespace,
        source: IpAddr,
        to: &Namespace,
        target: SocketAddr,
    ) -> Result<Self> {
        let attempt = Attempt::start_port(from, source, to, target)?;
        deadline::until(&format!("a TCP connection {source} -> {target}"), || attempt.accepted())
            .and_then(|server| {
                let client = TcpStream::from(attempt.client);
                for end in [&client, &server] {
                    end.set_nonblocking(false)?;
                    end.set_read_timeout(Some(deadline::PATIENCE))?;
                    end.set_write_timeout(Some(deadline::PATIENCE))?;
                }
                Ok(Self { client, server })
            })
    }

    /// Sends `bytes` in each direction in turn, compares what arrives, and closes.
    pub fn exchange(self, bytes: usize) -> Result<()> {
        let Self { client, server } = self;
        transfer(&client, &server, bytes).context("client to server")?;
        transfer(&server, &client, bytes).context("server to client")?;
        // One FIN after the other, so that both ends have sent everything when this returns: the
        // second FIN acknowledges the first, and the kernel answers it before it wakes the reader.
        for (from, mut to) in [(&client, &server), (&server, &client)] {
            from.shutdown(Shutdown::Write)?;
            ensure!(to.read(&mut [0; 1])? == 0, "bytes after the end");
        }
        Ok(())
    }
}

impl Attempt {
    /// Starts to connect, without waiting.
    pub fn start(from: &Namespace, source: IpAddr, to: &Namespace, target: IpAddr) -> Result<Self> {
        Self::start_port(from, source, to, SocketAddr::new(target, 0))
    }

    fn start_port(
        from: &Namespace,
        source: IpAddr,
        to: &Namespace,
        target: SocketAddr,
    ) -> Result<Self> {
        let listener = to
            .enter(|| TcpListener::bind(target))?
            .with_context(|| format!("listen on {target} in {}", to.name()))?;
        listener.set_nonblocking(true)?;
        let client = dial(from, source, listener.local_addr()?)?;
        Ok(Self { client, listener })
    }

    /// The server's end, if the connection is established.
    pub fn accepted(&self) -> Result<Option<TcpStream>> {
        accept(&self.listener)
    }

    /// Abandons the attempt: the SYN is not sent again.
    pub fn abandon(self) -> Listening {
        Listening(self.listener)
    }
}

impl Listening {
    /// The server's end, if the connection was established after all.
    pub fn accepted(&self) -> Result<Option<TcpStream>> {
        accept(&self.0)
    }
}

fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((server, _client)) => Ok(Some(server)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("accept"),
    }
}

/// A client socket that is connecting from `source` in `from`.
pub fn dial(from: &Namespace, source: IpAddr, target: SocketAddr) -> Result<Socket> {
    from.enter(|| -> Result<Socket> {
        let client = Socket::new(Family::of(source).domain(), Type::STREAM, None)?;
        client.set_nonblocking(true)?;
        client.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
        match client.connect(&SockAddr::from(target)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(in_progress()) => {}
            Err(error) => bail!("connect {source} -> {target}: {error}"),
        }
        Ok(client)
    })?
}

fn in_progress() -> i32 {
    rustix::io::Errno::INPROGRESS.raw_os_error()
}

fn transfer(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) -> Result<()> {
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(bytes).collect();
    let mut received = vec![0; bytes];
    thread::scope(|scope| {
        let sender = scope.spawn(|| from.write_all(&sent));
        to.read_exact(&mut received).context("receive")?;
        match sender.join() {
            Ok(written) => written.context("send"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    ensure!(sent == received, "other bytes arrived than were sent");
    Ok(())
}
