use std::{
    ffi::OsStr,
    fs,
    path::{self, Path, PathBuf},
};

use super::{
    change::Edit,
    entry::Entry,
    new_peer::{NewPeer, add, table},
};
use crate::{
    config::read::{Loaded, Options, Problems, Source, judge, read_sources},
    model::{PeerName, PublicKey},
};

/// Edits up to which a name is called the nearest.
const NEAR_MAX: usize = 3;

/// The files of a configuration, read in order to change one of them.
#[derive(Debug)]
pub struct Draft {
    main: PathBuf,
    sources: Vec<Source>,
}

/// Why a file cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// No file has such a peer.
    #[error("no peer is named {name}; {}", nearest_or_list(.nearest.as_ref()))]
    NoPeer {
        /// What was asked for.
        name: PeerName,
        /// The name that is most like it.
        nearest: Option<PeerName>,
    },
    /// A peer has that name already.
    #[error("a peer is named {name} already ({}); choose another name", .file.display())]
    Taken {
        /// Which name.
        name: PeerName,
        /// Where it stands.
        file: PathBuf,
    },
    /// A file that is no part of the configuration.
    #[error(
        "{} is no part of the configuration; name {} or a *.toml in {}",
        .file.display(), .main.display(), .main.with_extension("d").display()
    )]
    NotRead {
        /// What was asked for.
        file: PathBuf,
        /// The main file.
        main: PathBuf,
    },
    /// The file of a new fragment is there.
    #[error("{path} exists already; add to it with --file {path}", path = .0.display())]
    FragmentExists(PathBuf),
    /// A form of TOML that is not edited.
    #[error("{} lists its peers inline (peer = [{{ … }}]); write a [[peer]] table for each", .0.display())]
    Inline(PathBuf),
}

fn nearest_or_list(nearest: Option<&PeerName>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "`relay peer list` shows all".to_owned(),
    }
}

impl Draft {
    /// Reads the main file at `path` and the fragments beside it.
    pub fn read(path: &Path) -> Self {
        Self { main: path.to_owned(), sources: read_sources(path) }
    }

    /// Takes `text` for that of `file`, a part of the configuration or a fragment to be. What is
    /// wrong in it is reported with `file`'s name.
    ///
    /// # Errors
    /// `file` is no part of the configuration.
    pub fn put(&mut self, file: &Path, text: String) -> Result<(), EditError> {
        let path = self.part(file)?;
        put(&mut self.sources, Source { path, text: Ok(text) });
        Ok(())
    }

    /// The configuration as it is.
    ///
    /// # Errors
    /// Every problem in every file.
    pub fn load(&self, options: Options) -> Result<Loaded, Problems> {
        judge(&self.sources, options)
    }

    /// The configuration as it is after `edit`; no file is written.
    ///
    /// # Errors
    /// Every problem in every file.
    pub fn load_with(&self, edit: &Edit, options: Options) -> Result<Loaded, Problems> {
        let mut sources = self.sources.clone();
        match &edit.after {
            Some(after) => {
                put(&mut sources, Source { path: edit.path.clone(), text: Ok(after.clone()) });
            }
            None => sources.retain(|source| source.path != edit.path),
        }
        judge(&sources, options)
    }

    /// Adds a peer: to `file`, or as a fragment of its own.
    ///
    /// # Errors
    /// The name is taken, or the file cannot be added to.
    pub fn add(&self, peer: &NewPeer, file: Option<&Path>) -> Result<Edit, EditError> {
        if let Some((source, _)) = self.find(&peer.name) {
            return Err(EditError::Taken { name: peer.name.clone(), file: source.path.clone() });
        }
        let directory = self.main.with_extension("d");
        let path = match file {
            Some(file) => self.part(file)?,
            None => directory.join(format!("{}.toml", peer.name)),
        };
        let source = self.sources.iter().find(|source| source.path == path);
        match source.map(|source| source.text.as_deref().unwrap_or_default()) {
            Some(_) if file.is_none() => Err(EditError::FragmentExists(path)),
            Some(text) => match add(text, peer) {
                Some(after) => Ok(self.edit(path, Some(text.to_owned()), Some(after))),
                None => Err(EditError::Inline(path)),
            },
            None => Ok(self.edit(path, None, Some(table(peer)))),
        }
    }

    /// Removes a peer. A fragment in which nothing else stands goes.
    ///
    /// # Errors
    /// There is no such peer, or it stands inline.
    pub fn remove(&self, name: &PeerName) -> Result<Edit, EditError> {
        let (source, entry) = self.require(name)?;
        let text = source.text.as_deref().unwrap_or_default();
        let Some(after) = entry.remove(text) else {
            return Err(EditError::Inline(source.path.clone()));
        };
        let goes = after.trim().is_empty() && source.path != self.main;
        Ok(self.edit(source.path.clone(), Some(text.to_owned()), (!goes).then_some(after)))
    }

    /// Gives a peer another name.
    ///
    /// # Errors
    /// There is no such peer, or the other name is taken.
    pub fn rename(&self, name: &PeerName, new: &PeerName) -> Result<Edit, EditError> {
        let (source, entry) = self.require(name)?;
        if let Some((source, _)) = self.find(new) {
            return Err(EditError::Taken { name: new.clone(), file: source.path.clone() });
        }
        let text = source.text.as_deref().unwrap_or_default();
        let after = entry.rename(text, new);
        Ok(self.edit(source.path.clone(), Some(text.to_owned()), Some(after)))
    }

    /// Gives a peer another public key.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn rekey(&self, name: &PeerName, key: &PublicKey) -> Result<Edit, EditError> {
        let (source, entry) = self.require(name)?;
        let text = source.text.as_deref().unwrap_or_default();
        let after = entry.rekey(text, key);
        Ok(self.edit(
            source.path.clone(),
            Some(text.to_owned()),
            after.or(source.text.clone().ok()),
        ))
    }

    /// Switches a peer on or off. An edit that changes nothing when it is so already.
    ///
    /// # Errors
    /// There is no such peer, or it stands inline.
    pub fn switch(&self, name: &PeerName, enabled: bool) -> Result<Edit, EditError> {
        let (source, entry) = self.require(name)?;
        let text = source.text.as_deref().unwrap_or_default();
        let after = if enabled { Some(entry.enable(text)) } else { entry.disable(text) };
        let Some(after) = after else {
            return Err(EditError::Inline(source.path.clone()));
        };
        Ok(self.edit(source.path.clone(), Some(text.to_owned()), Some(after)))
    }

    fn edit(&self, path: PathBuf, before: Option<String>, after: Option<String>) -> Edit {
        Edit { path, before, after, main: self.main.clone() }
    }

    fn find(&self, name: &PeerName) -> Option<(&Source, Entry)> {
        self.sources.iter().find_map(|source| {
            let entry = Entry::find(source.text.as_deref().ok()?, name)?;
            Some((source, entry))
        })
    }

    fn require(&self, name: &PeerName) -> Result<(&Source, Entry), EditError> {
        self.find(name).ok_or_else(|| self.no_peer(name))
    }

    /// The error for a name that no peer has.
    pub fn no_peer(&self, name: &PeerName) -> EditError {
        let loaded = self.load(Options { allow_empty: true });
        let peers = loaded.map(|loaded| loaded.relay.peers).unwrap_or_default();
        let names = peers.into_iter().map(|peer| peer.name);
        let near = names.map(|known| (strsim::levenshtein(known.as_str(), name.as_str()), known));
        let nearest = near.min_by_key(|(distance, _)| *distance);
        let near_max = NEAR_MAX.min(name.as_str().len() / 2);
        let nearest = nearest.filter(|(distance, _)| *distance <= near_max).map(|(_, name)| name);
        EditError::NoPeer { name: name.clone(), nearest }
    }

    /// The configuration's own name for `file`: that of a part of it, or of a fragment to be.
    fn part(&self, file: &Path) -> Result<PathBuf, EditError> {
        if let Some(source) = self.sources.iter().find(|source| is_same(&source.path, file)) {
            return Ok(source.path.clone());
        }
        let directory = self.main.with_extension("d");
        let is_fragment = file.extension() == Some(OsStr::new("toml"))
            && file.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
            && !file.exists();
        let beside = file.parent().is_some_and(|parent| is_same(parent, &directory));
        match (is_fragment && beside, file.file_name()) {
            (true, Some(name)) => Ok(directory.join(name)),
            (true, None) | (false, _) => {
                Err(EditError::NotRead { file: file.to_owned(), main: self.main.clone() })
            }
        }
    }
}

/// Whether two paths lead to one file or directory, which need not be there.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => match (path::absolute(one), path::absolute(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Err(_), _) | (_, Err(_)) => false,
        },
    }
}

/// In the place of the source of its name, or as one more fragment.
fn put(sources: &mut Vec<Source>, source: Source) {
    match sources.iter_mut().find(|there| there.path == source.path) {
        Some(there) => *there = source,
        None => {
            sources.push(source);
            // The main file stays first, fragments come in the order of their names.
            sources[1..].sort_by(|a, b| a.path.cmp(&b.path));
        }
    }
}
