use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{self, Path, PathBuf},
};

use super::{
    Loaded, Options, Problems, Source,
    edit::{Entry, NewPeer, add, table},
    judge,
    source::read,
    staged::{Staged, WriteError, clean, failed, remove},
};
use crate::model::{PeerName, PublicKey};

/// Edits up to which a name is called the nearest.
const NEAR_MAX: usize = 3;
/// Of a file whose main file's mode cannot be read, which reading it has reported.
const FRAGMENT_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The files of a configuration, read in order to change one of them.
#[derive(Debug)]
pub struct Draft {
    main: PathBuf,
    sources: Vec<Source>,
}

/// A change of one file that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    path: PathBuf,
    /// Its text now; `None` when it is not there.
    before: Option<String>,
    /// Its text then; `None` when it goes.
    after: Option<String>,
    main: PathBuf,
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
        Self { main: path.to_owned(), sources: read(path) }
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

impl Edit {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file stays as it is.
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Renders the lines that go and those that come.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn render_into(&self, out: &mut impl Write) -> io::Result<()> {
        let lines = |text: &Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
        };
        let (before, after) = (lines(&self.before), lines(&self.after));
        let pairs = before.iter().zip(&after);
        let start = pairs.take_while(|(one, other)| one == other).count();
        let pairs = before[start..].iter().rev().zip(after[start..].iter().rev());
        let end = pairs.take_while(|(one, other)| one == other).count();
        let verb = match (&self.before, &self.after) {
            (None, _) => "new file",
            (Some(_), None) => "remove",
            (Some(_), Some(_)) => "change",
        };
        writeln!(out, "{verb} {}", self.path.display())?;
        for line in &before[start..before.len() - end] {
            writeln!(out, "- {line}")?;
        }
        for line in &after[start..after.len() - end] {
            writeln!(out, "+ {line}")?;
        }
        Ok(())
    }

    /// Writes the change beside the file.
    ///
    /// # Errors
    /// It could not be written; nothing is changed.
    pub fn stage(&self) -> Result<StagedEdit<'_>, WriteError> {
        // The other places that changes go to; its own is cleaned anyway.
        let fragments = self.main.with_extension("d");
        for directory in [self.main.parent(), Some(fragments.as_path())].into_iter().flatten() {
            clean(directory);
        }
        let staged = match (&self.before, &self.after) {
            (_, None) => None,
            (Some(_), Some(after)) => Some(Staged::replace(&self.path, after.as_bytes())?),
            (None, Some(after)) => {
                // A fragment is as open as the main file, and its directory as that one's.
                let main = fs::metadata(&self.main).map(|main| main.mode() & 0o777);
                let directory = self.main.parent().filter(|parent| *parent != Path::new(""));
                let directory = fs::metadata(directory.unwrap_or(Path::new(".")));
                let directory = directory.map(|directory| directory.mode() & 0o777);
                Some(Staged::create(
                    &self.path,
                    after.as_bytes(),
                    main.unwrap_or(FRAGMENT_MODE),
                    directory.unwrap_or(DIRECTORY_MODE),
                )?)
            }
        };
        Ok(StagedEdit { edit: self, staged })
    }
}

/// An [`Edit`] that only needs to be put in its place.
#[derive(Debug)]
pub struct StagedEdit<'e> {
    edit: &'e Edit,
    staged: Option<Staged>,
}

impl StagedEdit<'_> {
    /// Puts the change in its place.
    ///
    /// # Errors
    /// The file is no longer what was read, or the system refused.
    pub fn commit(self) -> Result<(), WriteError> {
        let Edit { path, before, .. } = self.edit;
        if let Some(before) = before {
            let now = fs::read(path).map_err(failed("read", path))?;
            if now != before.as_bytes() {
                return Err(WriteError::Changed(path.clone()));
            }
        }
        match self.staged {
            Some(staged) => staged.commit(),
            None => remove(path),
        }
    }
}
