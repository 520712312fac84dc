use std::path::Path;

use zeroize::Zeroizing;

use super::staged::{Staged, WriteError};
use crate::model::PrivateKey;

/// Creates a private key file with mode 0600, and its directory with mode 0700 if missing. The file
/// appears whole and synced, or not at all.
///
/// # Errors
/// It exists, or could not be written.
pub fn create_private_key(path: &Path, key: &PrivateKey) -> Result<(), WriteError> {
    stage_key(path, &key.to_base64())?.commit()
}

/// Stages a key file as [`create_private_key`] writes it.
pub(in crate::config) fn stage_key(path: &Path, base64: &str) -> Result<Staged, WriteError> {
    let mut line = Zeroizing::new(Vec::with_capacity(base64.len() + 1));
    line.extend_from_slice(base64.as_bytes());
    line.push(b'\n');
    Staged::create(path, &line, 0o600, 0o700)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_private_key_is_made_once_and_never_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("relay/private.key");
        let key = PrivateKey::generate().expect("random bytes");
        create_private_key(&path, &key).expect("made");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().expect("a parent"))), (0o600, 0o700));
        let text = fs::read_to_string(&path).expect("a file");
        assert_eq!(text, format!("{}\n", key.to_base64().as_str()));

        let again = create_private_key(&path, &key).expect_err("it is there");
        assert!(matches!(again, WriteError::Exists(at) if at == path));
        assert_eq!(fs::read_to_string(&path).expect("a file"), text);
        let files = fs::read_dir(path.parent().expect("a parent")).expect("a directory");
        assert_eq!(files.count(), 1, "nothing is left over");
    }

    #[test]
    fn a_private_key_needs_its_directorys_parent() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("no/such/private.key");
        let key = PrivateKey::generate().expect("random bytes");
        let error = create_private_key(&path, &key).expect_err("no directory").to_string();
        let directory = directory.path().display();
        assert_eq!(error, format!("cannot create the directory {directory}/no/such"));
    }
}
