use std::{
    ffi::OsStr,
    fs,
    path::{self, Path, PathBuf},
};

use super::{
    change::{Edit, FileEdit},
    entry::Entry,
    loan::NewLoan,
    mention::{mentions, renamed, taken_out},
    new_peer::{NewPeer, add, table},
};
use crate::{
    config::read::{Loaded, Options, Problems, Source, judge, read_sources},
    model::{PeerName, PublicKey, RuleName},
};

/// Edits up to which a name is suggested.
const NEAR_MAX: usize = 3;

/// The files of a configuration, read to change one of them.
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
        /// The name.
        name: PeerName,
        /// The most similar name of a peer.
        nearest: Option<PeerName>,
    },
    /// A peer already has the name.
    #[error("a peer named {name} already exists ({}); choose another name", .file.display())]
    Taken {
        /// The name.
        name: PeerName,
        /// The file with that peer.
        file: PathBuf,
    },
    /// A file that is not part of the configuration.
    #[error(
        "{} is not part of the configuration; name {} or a *.toml in {}",
        .file.display(), .main.display(), .main.with_extension("d").display()
    )]
    NotRead {
        /// The file.
        file: PathBuf,
        /// The main file.
        main: PathBuf,
    },
    /// The file of a new fragment exists.
    #[error("{path} already exists; add to it with --file {path}", path = .0.display())]
    FragmentExists(PathBuf),
    /// Rules or tests are about the peer alone.
    #[error("{name} is alone in {}; remove these first, or name another peer there", .by.join(", "))]
    Needed {
        /// The peer.
        name: PeerName,
        /// What is about it, each with its place.
        by: Vec<String>,
    },
    /// Names of rules and fragments use up all that could be given.
    #[error("{} has no name left for another fragment of `relay lend`; revoke some", .0.display())]
    NoNameFree(PathBuf),
    /// TOML that relay does not edit.
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
    /// Reads the main file at `path` and its fragments.
    pub fn read(path: &Path) -> Self {
        Self { main: path.to_owned(), sources: read_sources(path) }
    }

    /// The main file and its fragments.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| source.path.as_path())
    }

    /// Replaces the text of `file`, which is part of the configuration or a new fragment.
    ///
    /// # Errors
    /// `file` is not part of the configuration.
    pub fn put(&mut self, file: &Path, text: String) -> Result<(), EditError> {
        let path = self.part(file)?;
        put(&mut self.sources, Source { path, text: Ok(text) });
        Ok(())
    }

    /// Parses the files.
    ///
    /// # Errors
    /// Every problem in every file.
    pub fn load(&self, options: Options) -> Result<Loaded, Problems> {
        judge(&self.sources, options)
    }

    /// Parses the files as they are after `edit`, without writing any.
    ///
    /// # Errors
    /// Every problem in every file.
    pub fn load_with(&self, edit: &Edit, options: Options) -> Result<Loaded, Problems> {
        let mut sources = self.sources.clone();
        for FileEdit { path, after, .. } in &edit.files {
            match after {
                Some(after) => {
                    put(&mut sources, Source { path: path.clone(), text: Ok(after.clone()) });
                }
                None => sources.retain(|source| source.path != *path),
            }
        }
        judge(&sources, options)
    }

    /// Adds a peer to `file`, or as a fragment of its own.
    ///
    /// # Errors
    /// The name is taken, or the peer cannot be added to the file.
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

    /// Removes a peer, from groups and rules too, and its fragment if that becomes empty.
    ///
    /// # Errors
    /// There is no such peer, it is inline, or a rule or a test is about it alone.
    pub fn remove(&self, name: &PeerName) -> Result<Edit, EditError> {
        let (own, _) = self.require(name)?;
        let mut needed_by = Vec::new();
        let mut files = self.each_naming(name, own, |path, text| {
            let mentions = mentions(text, name);
            let needing = mentions.iter().filter_map(|mention| {
                let needing = mention.needed_by.as_ref()?;
                Some(format!("{needing} ({}:{})", path.display(), mention.line(text)))
            });
            needed_by.extend(needing);
            taken_out(text, &mentions)
        });
        if !needed_by.is_empty() {
            return Err(EditError::Needed { name: name.clone(), by: needed_by });
        }
        // The last one is the peer's own.
        if let Some(file) = files.last_mut() {
            let text = file.after.take().unwrap_or_default();
            let after = Entry::find(&text, name).and_then(|entry| entry.remove(&text));
            let Some(after) = after else { return Err(EditError::Inline(own.path.clone())) };
            let goes = after.trim().is_empty() && own.path != self.main;
            file.after = (!goes).then_some(after);
        }
        Ok(Edit { files, main: self.main.clone() })
    }

    /// Renames a peer, in groups, rules and tests too.
    ///
    /// # Errors
    /// There is no such peer, or the new name is taken.
    pub fn rename(&self, name: &PeerName, new: &PeerName) -> Result<Edit, EditError> {
        let (own, _) = self.require(name)?;
        if let Some((source, _)) = self.find(new) {
            return Err(EditError::Taken { name: new.clone(), file: source.path.clone() });
        }
        let mut files =
            self.each_naming(name, own, |_, text| renamed(text, &mentions(text, name), new));
        if let Some(file) = files.last_mut()
            && let Some(text) = &mut file.after
            && let Some(entry) = Entry::find(text, name)
        {
            *text = entry.rename(text, new);
        }
        Ok(Edit { files, main: self.main.clone() })
    }

    /// Replaces the public key of a peer.
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

    /// Enables or disables a peer. Gives an empty edit if it already is so.
    ///
    /// # Errors
    /// There is no such peer, or it is inline.
    pub fn switch(&self, name: &PeerName, enabled: bool) -> Result<Edit, EditError> {
        let (source, entry) = self.require(name)?;
        let text = source.text.as_deref().unwrap_or_default();
        let after = if enabled { Some(entry.enable(text)) } else { entry.disable(text) };
        let Some(after) = after else {
            return Err(EditError::Inline(source.path.clone()));
        };
        Ok(self.edit(source.path.clone(), Some(text.to_owned()), Some(after)))
    }

    /// Adds a fragment with a rule, and gives its name. `loaded` is what the files say.
    ///
    /// # Errors
    /// No name is free.
    pub fn lend(&self, loaded: &Loaded, loan: &NewLoan) -> Result<(RuleName, Edit), EditError> {
        let directory = self.main.with_extension("d");
        let fragment = |name: &RuleName| directory.join(format!("{name}.toml"));
        let is_taken = |name: &RuleName| {
            let mut rules = loaded.relay.rules.iter();
            rules.any(|rule| rule.name == *name) || fs::symlink_metadata(fragment(name)).is_ok()
        };
        let name = loan.name(is_taken).ok_or_else(|| EditError::NoNameFree(directory.clone()))?;
        let edit = self.edit(fragment(&name), None, Some(loan.text(&name)));
        Ok((name, edit))
    }

    /// Removes fragments.
    pub fn without<'p>(&self, fragments: impl IntoIterator<Item = &'p Path>) -> Edit {
        let source = |path: &Path| self.sources.iter().find(|source| source.path == path);
        let files = fragments.into_iter().filter_map(|path| {
            let before = source(path)?.text.clone().ok()?;
            Some(FileEdit { path: path.to_owned(), before: Some(before), after: None })
        });
        Edit { files: files.collect(), main: self.main.clone() }
    }

    fn edit(&self, path: PathBuf, before: Option<String>, after: Option<String>) -> Edit {
        Edit { files: vec![FileEdit { path, before, after }], main: self.main.clone() }
    }

    /// Changes of each file that may name a peer, that with the peer itself last.
    fn each_naming(
        &self,
        name: &PeerName,
        own: &Source,
        mut change: impl FnMut(&Path, &str) -> String,
    ) -> Vec<FileEdit> {
        let has_name =
            |source: &&Source| source.text.as_ref().is_ok_and(|text| text.contains(name.as_str()));
        let others = self.sources.iter().filter(|source| source.path != own.path);
        let naming = others.filter(has_name).chain([own]);
        let edits = naming.filter_map(|source| {
            let text = source.text.as_ref().ok()?;
            let after = Some(change(&source.path, text));
            Some(FileEdit { path: source.path.clone(), before: Some(text.clone()), after })
        });
        edits.collect()
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

    /// The error for an unknown name.
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

    /// The path of `file` as the configuration names it. It is a part of it or a new fragment.
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

/// Whether two paths name one file or directory, which need not exist.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => match (path::absolute(one), path::absolute(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Err(_), _) | (_, Err(_)) => false,
        },
    }
}

/// Replaces the source with the same path, or adds a fragment.
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
