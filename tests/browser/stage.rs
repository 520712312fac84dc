//! A relay in a virtual machine, served over TLS to this host's loopback.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use relay_tests::relay_host;
use relay_vm::{Kernel, Machine, Series};
use serde_json::Value;
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Where the relay is served, and where the program in the machine is told what to do, in the machine.
const PAGE: u16 = 9586;
const CONTROL: u16 = 9587;

/// Where the certificate, its key and the token are in the machine.
const CREDENTIALS: &str = "/served";

/// Time limits of the machine to boot and the relay to be served, of an answer, and of the whole.
const START: Duration = Duration::from_secs(300);
const ANSWER: Duration = Duration::from_secs(120);
const WHOLE: Duration = Duration::from_secs(1200);

/// The machine.
pub(crate) struct Stage {
    /// `https://127.0.0.1:PORT`.
    pub(crate) origin: String,
    pub(crate) token: String,
    agent: Agent,
    control: RefCell<BufReader<TcpStream>>,
    machine: JoinHandle<Result<i32>>,
    directory: TempDir,
}

impl Stage {
    /// Boots, and waits until the relay is served.
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("relay-browser-").tempdir()?;
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let token = random_token()?;
        let files = [
            ("certificate", made.cert.pem()),
            ("key", made.signing_key.serialize_pem()),
            ("token", token.clone()),
        ];
        for (name, text) in files {
            fs::write(directory.path().join(name), text)?;
        }
        let [page, control] = free_ports()?;
        let (running, machine) = boot(directory.path(), page, control)?;
        if !is_served(&running)? {
            // It says why itself.
            bail!("the machine has stopped: {:?}", machine.join());
        }

        let control = TcpStream::connect(("127.0.0.1", control))?;
        control.set_read_timeout(Some(ANSWER))?;
        let root = Certificate::from_pem(made.cert.pem().as_bytes())?;
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        let config =
            Agent::config_builder().tls_config(tls).proxy(None).http_status_as_error(false);
        Ok(Self {
            origin: format!("https://127.0.0.1:{page}"),
            token,
            agent: config.timeout_global(Some(ANSWER)).build().into(),
            control: RefCell::new(BufReader::new(control)),
            machine,
            directory,
        })
    }

    /// The certificate, PEM.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate")
    }

    /// Tells the program in the machine what to do, and returns what it says.
    pub(crate) fn tell(&self, what: &str) -> Result<String> {
        let mut control = self.control.borrow_mut();
        writeln!(control.get_mut(), "{what}")?;
        let mut line = String::new();
        control.read_line(&mut line).with_context(|| format!("{what}: no answer"))?;
        let line = line.trim_end();
        ensure!(!line.is_empty() && !line.starts_with("error: "), "{what}: {line:?}");
        Ok(line.to_owned())
    }

    /// What `relay stats --json` prints in the machine: read from the kernel, not from the server.
    pub(crate) fn counters(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.tell("stats")?)?)
    }

    /// The status and the text of an answer of the server, asked with a token or without.
    pub(crate) fn ask(&self, path: &str, token: Option<&str>) -> Result<(u16, String)> {
        let mut request = self.agent.get(format!("{}{path}", self.origin));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().with_context(|| path.to_owned())?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Ends the machine.
    ///
    /// # Errors
    /// What ran in it failed, or its kernel has logged a warning.
    pub(crate) fn end(self) -> Result<()> {
        self.tell("end")?;
        match self.machine.join() {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(code)) => bail!("the program in the machine ended with {code}"),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow!("the thread of the machine panicked")),
        }
    }
}

/// As `openssl rand -hex 32` makes one.
fn random_token() -> Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Starts the machine on a thread, which says when the relay is served.
fn boot(
    directory: &Path,
    page: u16,
    control: u16,
) -> Result<(Receiver<String>, JoinHandle<Result<i32>>)> {
    let mut machine = Machine::new(Kernel::fetch(Series::V6_12)?);
    machine.forwarded = vec![(page, PAGE), (control, CONTROL)];
    let relay = relay_host::binary()?;
    machine.files = vec![
        (PathBuf::from(env!("CARGO_BIN_EXE_served")), PathBuf::from("/bin/served")),
        (relay, PathBuf::from("/bin/relay")),
        (directory.to_owned(), PathBuf::from(CREDENTIALS)),
    ];
    machine.environment.insert(relay_host::BINARY.to_owned(), "/bin/relay".to_owned());
    let address = Machine::ADDRESS;
    let script = format!("exec /bin/served {address}:{PAGE} {address}:{CONTROL} {CREDENTIALS}");
    let (sender, lines) = mpsc::channel();
    let worker = thread::spawn(move || {
        machine.run(&script, WHOLE, &mut |line| {
            eprintln!("machine: {line}");
            // Nobody listens once it is served.
            drop(sender.send(line.to_owned()));
        })
    });
    Ok((lines, worker))
}

/// Waits until the relay is served; `false` if the machine stops before.
fn is_served(lines: &Receiver<String>) -> Result<bool> {
    loop {
        match lines.recv_timeout(START) {
            Ok(line) if line == "served" => return Ok(true),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => bail!("no relay within {} s", START.as_secs()),
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
    }
}

/// Two ports of 127.0.0.1 that nobody listens on. They are free again when QEMU takes them; it fails
/// if another process is faster.
fn free_ports() -> Result<[u16; 2]> {
    let [page, control] = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([page.local_addr()?.port(), control.local_addr()?.port()])
}
