use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    str::FromStr,
};

use zeroize::Zeroizing;

use super::{
    fault::Fault,
    loaded::Loaded,
    place::Location,
    problem::{Problem, Problems},
    regular,
};
use crate::model::{Peer, PresharedKey, PrivateKey, PublicKey, SigningSecret};

/// Largest key file, bytes. A key takes 44 and a newline.
const KEY_FILE_MAX: u64 = 4096;
/// What belongs into a key file.
const KEY: &str = "write one key into it, as `wg genkey` or `wg genpsk` prints it";
/// Mode bits of group and others.
const OTHERS: u32 = 0o077;

/// The keys in the key files of a configuration. Redacted `Debug`; wiped on drop.
#[derive(Default)]
pub struct Secrets {
    private_key: Option<PrivateKey>,
    mesh: Option<MeshKey>,
    preshared_keys: HashMap<PublicKey, PresharedKey>,
}

/// The key of a relay in the transit tunnels of its site.
#[derive(Clone)]
pub struct MeshKey {
    /// The private key.
    pub private_key: PrivateKey,
    /// Place in the site's list of the relay that has it: this one.
    pub place: usize,
}

impl Secrets {
    /// Reads the key files that `loaded` names. An absent private key is not an error: `relay up`
    /// creates it.
    ///
    /// # Errors
    /// A preshared key or that of the transit tunnels is absent, a file contains no key, a peer has the
    /// relay's own key, or no relay of the site has the key of the transit tunnels. Each problem points
    /// to the line with the file name or the public key.
    pub fn read(loaded: &Loaded) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let path = &loaded.relay.private_key_file;
        let private_key = read_key::<PrivateKey>(path, KEY).unwrap_or_else(|fault| {
            problems.push(loaded.private_key_file.problem("relay.private_key_file", fault));
            None
        });
        let own = private_key.as_ref().map(PrivateKey::public_key);
        let mesh = mesh_key(loaded, private_key.as_ref()).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let mut preshared_keys = HashMap::new();
        for (peer, locations) in loaded.relay.peers.iter().zip(&loaded.peers) {
            if own == Some(peer.public_key) {
                let fault = Fault::new(
                    "is the relay's own key",
                    "write what `wg pubkey` gives for the peer's private key",
                );
                let key = format!("{}.public_key", peer.name);
                problems.push(locations.public_key.problem(key, fault));
            }
            if let (Some(path), Some(at)) =
                (&peer.preshared_key_file, &locations.preshared_key_file)
            {
                match read_preshared_key(path) {
                    Ok(preshared_key) => {
                        preshared_keys.insert(peer.public_key, preshared_key);
                    }
                    Err(fault) => {
                        let key = format!("{}.preshared_key_file", peer.name);
                        problems.push(at.problem(key, fault));
                    }
                }
            }
        }
        if problems.is_empty() {
            Ok(Self { private_key, mesh, preshared_keys })
        } else {
            Err(Problems::new(problems))
        }
    }

    /// The relay's private key; `None` if its file does not exist.
    pub const fn private_key(&self) -> Option<&PrivateKey> {
        self.private_key.as_ref()
    }

    /// This relay's key in the transit tunnels; `None` without a mesh.
    pub const fn mesh(&self) -> Option<&MeshKey> {
        self.mesh.as_ref()
    }

    /// The key shared with `peer`; `None` if it names no file.
    pub fn preshared_key(&self, peer: &Peer) -> Option<&PresharedKey> {
        self.preshared_keys.get(&peer.public_key)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Reads this relay's key in the transit tunnels, and no other; `None` without a mesh.
///
/// # Errors
/// It is absent, its file contains no key, or no relay of the site has it. The problem points to the
/// line with the file name.
pub fn read_mesh_key(loaded: &Loaded) -> Result<Option<MeshKey>, Problems> {
    mesh_key(loaded, None).map_err(|problem| Problems::new(vec![problem]))
}

fn mesh_key(loaded: &Loaded, own: Option<&PrivateKey>) -> Result<Option<MeshKey>, Problem> {
    let (Some(mesh), Some(at)) = (&loaded.relay.mesh, &loaded.mesh) else { return Ok(None) };
    let shown = mesh.private_key_file.display();
    let problem = |fault| at.problem("mesh.private_key_file", fault);
    let private_key = read_key::<PrivateKey>(&mesh.private_key_file, KEY).map_err(problem)?;
    let private_key = private_key.ok_or_else(|| {
        let remedy = format!("create it with (umask 077; relay genkey > {shown})");
        problem(Fault::new(format!("{shown} does not exist"), remedy))
    })?;
    let public_key = private_key.public_key();
    if own.is_some_and(|own| own.public_key() == public_key) {
        let fault = Fault::new(
            format!("{shown} holds the relay's own key, which all relays of the site have"),
            format!("give each relay a key of its own: (umask 077; relay genkey > {shown})"),
        );
        return Err(problem(fault));
    }
    let Some(place) = mesh.place_of(&public_key) else {
        let fault = Fault::new(
            format!("{shown} holds the key with public key {public_key}, which no relay has"),
            "write this public key into the [[mesh.relay]] of this host",
        );
        return Err(problem(fault));
    };
    let name = &mesh.relays[place].name;
    if let Some(written) = mesh.name.as_ref().filter(|written| *written != name) {
        let fault = Fault::new(
            format!("{shown} holds the key of {name}, but name is {written}"),
            format!("write name = \"{name}\", leave it out, or install the key of {written}"),
        );
        return Err(problem(fault));
    }
    Ok(Some(MeshKey { private_key, place }))
}

/// Reads a private key from its file.
///
/// # Errors
/// The file does not exist, or contains no key.
pub fn read_private_key(path: &Path) -> Result<PrivateKey, Fault> {
    read_key(path, KEY)?.ok_or_else(|| {
        let remedy = "name the file that holds the peer's private key";
        Fault::new(format!("{} does not exist", path.display()), remedy)
    })
}

/// Reads the secret of a webhook from its file.
///
/// # Errors
/// The file does not exist, or contains no secret.
pub fn read_signing_secret(path: &Path) -> Result<SigningSecret, Fault> {
    let shown = path.display();
    let make = format!("(umask 077; echo whsec_$(openssl rand -base64 32) > {shown})");
    read_key(path, &format!("make one with {make}"))?.ok_or_else(|| {
        Fault::new(format!("{shown} does not exist"), format!("create it with {make}"))
    })
}

/// Checks that each webhook has a secret.
///
/// # Errors
/// A secret is absent, or a file contains none. Each problem points to the line with the file name.
pub fn require_signing_secrets(loaded: &Loaded) -> Result<(), Problems> {
    let webhooks = loaded.relay.webhooks.iter().zip(&loaded.webhooks);
    let problems = webhooks.filter_map(|(webhook, at)| {
        let fault = read_signing_secret(&webhook.secret_file).err()?;
        Some(at.problem(format!("webhook.{}.secret_file", webhook.name), fault))
    });
    let problems: Vec<_> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems::new(problems)) }
}

/// Warnings about key files that others than their owner can read or write.
pub(super) fn exposed_key_files(loaded: &Loaded) -> Vec<Problem> {
    key_files(loaded)
        .filter_map(|(path, at, key)| {
            // A file that does not exist is not exposed; `Secrets::read` reports the rest.
            let mode = fs::metadata(path).ok()?.mode() & 0o7777;
            let problem =
                format!("{} has mode {mode:04o}, which lets others use it", path.display());
            let remedy = format!("chmod 0600 {}", path.display());
            (mode & OTHERS != 0).then(|| at.problem(key, Fault::new(problem, remedy)))
        })
        .collect()
}

/// Every key file, with place and key of its name.
pub(super) fn key_files(loaded: &Loaded) -> impl Iterator<Item = (&Path, &Location, String)> {
    let relay = &loaded.relay;
    let own = relay.private_key_file.as_path();
    let own = (own, &loaded.private_key_file, "relay.private_key_file".to_owned());
    let peers = relay.peers.iter().zip(&loaded.peers).filter_map(|(peer, locations)| {
        let at = locations.preshared_key_file.as_ref()?;
        let key = format!("{}.preshared_key_file", peer.name);
        Some((peer.preshared_key_file.as_deref()?, at, key))
    });
    let webhooks = relay.webhooks.iter().zip(&loaded.webhooks).map(|(webhook, at)| {
        (webhook.secret_file.as_path(), at, format!("webhook.{}.secret_file", webhook.name))
    });
    let mesh = relay.mesh.as_ref().zip(loaded.mesh.as_ref()).map(|(mesh, at)| {
        (mesh.private_key_file.as_path(), at, "mesh.private_key_file".to_owned())
    });
    std::iter::once(own).chain(mesh).chain(peers).chain(webhooks)
}

fn read_preshared_key(path: &Path) -> Result<PresharedKey, Fault> {
    read_key(path, KEY)?.ok_or_else(|| {
        let remedy = format!("create it with (umask 077; wg genpsk > {})", path.display());
        Fault::new(format!("{} does not exist", path.display()), remedy)
    })
}

/// The key in a file; `None` if the file does not exist. Messages never contain its content.
fn read_key<K>(path: &Path, remedy: &str) -> Result<Option<K>, Fault>
where
    K: FromStr<Err: fmt::Display>,
{
    let shown = path.display();
    let bytes = match read_small(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let remedy = "name a regular file with a key in base64";
            return Err(Fault::unread(&format!("{shown} "), &error, remedy));
        }
    };
    let text = str::from_utf8(&bytes).unwrap_or_default().trim();
    let fault =
        |error: K::Err| Fault::new(format!("the content of {shown} {error}"), remedy.to_owned());
    text.parse().map(Some).map_err(fault)
}

fn read_small(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = regular::open(path, KEY_FILE_MAX)?;
    // A buffer that never grows leaves no copy of the key behind. A file that grew is not a key.
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(KEY_FILE_MAX).unwrap_or(0)]);
    let mut len = 0;
    loop {
        match file.read(&mut bytes[len..])? {
            0 => break,
            read => len += read,
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}
