use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::schema;

/// Private keys of the relay and of a peer (RFC 7748, section 6.1).
pub(crate) const PRIVATE: [&str; 2] = [
    "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
    "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=",
];
/// Their public keys.
pub(crate) const PUBLIC: [&str; 2] = [
    "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
];
pub(crate) const PRESHARED: &str = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
/// Arbitrary public keys.
pub(crate) const OTHERS: [&str; 3] = [
    "1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=",
    "bZ2dcK55rLIRrWwkeuzr/MnjxYPbm2QohxAQAOGichQ=",
    "i6JdWpzseo7IhbqJihZqhHfySQH+TNBhV4hWKFAJ6W8=",
];

/// A configuration in a directory of its own, removed on drop.
pub(crate) struct Site(tempfile::TempDir);

/// The result of a run of relay.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    directory: PathBuf,
}

impl Site {
    /// An administrator `a` with a preshared key and a node `b`, which list each other, in a file with
    /// comments and a custom layout.
    pub(crate) fn new() -> Self {
        let text = format!(
            "# Site: Berlin\n[relay]\naddress = [\"10.3.2.1/24\", \"fd00::3:2:1/120\"] # both\n\
             endpoint='vpn.example.org:51820'\nprivate_key_file = \"private.key\"\n\n\
             # The administrator.\n[[peer]]\n  name = \"a\"   # nobody else\n  \
             public_key = '{}'\n  address = [\n    \"10.3.2.2\", # v4\n    \"fd00::3:2:2\",\n  ]\n  \
             allowed_ips = [\"10.3.2.3\"]\n  preshared_key_file = \"psk\"\n\n\
             # Nodes follow.\n\n# In the cellar.\n[[peer]]\nname=\"b\"\npublic_key = \"{}\"\n\
             address = [\"10.3.2.3\"]\nallowed_ips = [\"10.3.2.2\"]\n# End of b.\n\n# The end.\n",
            PUBLIC[1], OTHERS[0]
        );
        let site = Self::with(&text);
        site.write("private.key", PRIVATE[0], 0o600);
        site.write("a.key", PRIVATE[1], 0o600);
        site.write("psk", PRESHARED, 0o600);
        site
    }

    /// With this `relay.toml`.
    pub(crate) fn with(text: &str) -> Self {
        let site = Self(tempfile::tempdir().expect("a directory"));
        site.write("relay.toml", text, 0o640);
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a text")
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).expect("a file").mode() & 0o7777
    }

    /// Runs `relay` with these arguments in the directory.
    pub(crate) fn relay(&self, words: &str) -> Run {
        self.relay_with(words, "")
    }

    pub(crate) fn relay_with(&self, words: &str, input: &str) -> Run {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("relay runs");
        // A command that reads no input may have exited.
        drop(child.stdin.take().expect("a pipe").write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("relay ends");
        Run {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
            directory: self.0.path().to_owned(),
        }
    }

    /// The command `relay` with these arguments in the directory.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
        command
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .env_clear()
            .env("RELAY_CONFIG", self.path("relay.toml"))
            .env("RELAY_STATE", self.path("state"))
            .env("TZ", "UTC0");
        command
    }

    /// All files with mode and content.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        collect(self.0.path(), &mut files);
        files
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let metadata = fs::metadata(&path).expect("metadata");
        if metadata.is_dir() {
            files.insert(path.clone(), (metadata.mode(), Vec::new()));
            collect(&path, files);
        } else {
            files.insert(path.clone(), (metadata.mode(), fs::read(&path).expect("bytes")));
        }
    }
}

impl Run {
    /// Checks the exit code.
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Its output, validated by `docs/NAME.schema.json`.
    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        schema::parse(name, &self.out)
    }
}

/// The output with the directory replaced by `/etc/relay`.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}{}exit code {}", self.err, self.out, self.code);
        f.write_str(&text.replace(&self.directory.display().to_string(), "/etc/relay"))
    }
}
