//! Files to model, in the order of the flow:
//!
//! - `source`: the main file and its fragments, as text; `regular`: files of a bounded size;
//! - `keys`: every table and key, with type, default and documentation;
//! - `table`, `tables`: what the TOML says under these keys; `value`, `prefix`, `endpoint`, `url`,
//!   `dns`, `selector`, `services`, `instant`: one value of it;
//! - `names`: which peers and groups are meant;
//! - `check`, `mesh`, `rules`, `zone`: errors that only several values together show;
//! - `build`: the model, with defaults filled in;
//! - `covered`: whom rules and tests are about, if anybody; `needless`: rules that add nothing;
//! - `reach`: warnings about whom the lists cover, by the prefixes of `owned` and what rules have
//!   `opened`;
//! - `findings`, `place`, `fault`, `problem`: what is wrong, where, and what to write instead;
//!   `shown`, `unknown`: how that is put;
//! - `secrets`: key files that the configuration names; `writers`: who else can change any file;
//! - `stamp`: whether the files changed.
//!
//! [`load`] and [`Secrets`] touch files; `parse`, which does the rest, is pure. All problems of all
//! files are reported at once.

mod build;
mod check;
mod covered;
mod dns;
mod endpoint;
mod fault;
mod findings;
mod instant;
mod keys;
mod limit;
mod loaded;
mod mesh;
mod names;
mod needless;
mod opened;
mod owned;
mod parse;
mod place;
mod prefix;
mod problem;
mod reach;
mod regular;
mod rules;
mod secrets;
mod selector;
mod services;
mod shown;
mod source;
mod stamp;
mod table;
mod tables;
#[cfg(test)]
pub(super) mod tests;
mod unknown;
mod url;
mod value;
mod writers;
mod zone;

pub use fault::Fault;
pub use instant::instant as parse_instant;
pub use keys::{Absent, Key, Kind, TABLES, Table};
pub use loaded::{Asked, Loaded, Options};
pub use prefix::{address as parse_address, network as parse_network};
pub use problem::{Problem, Problems};
pub use reach::one_sided;
pub use regular::{is_stream, read as read_regular, read_stream};
pub use secrets::{
    MeshKey, Secrets, read_mesh_key, read_private_key, read_signing_secret, require_signing_secrets,
};
pub use selector::{Named, named as parse_named};
pub use services::{service as parse_service, services as parse_services};
pub use stamp::Stamp;
pub use value::{
    description as parse_description, group_name as parse_group_name, peer_name as parse_peer_name,
    public_key as parse_public_key, relay_name as parse_relay_name, rule_name as parse_rule_name,
    webhook_name as parse_webhook_name,
};
pub use writers::require_trusted;

pub(super) use endpoint::{endpoint, endpoint_address};
pub(super) use keys::{MTU_MAX, MTU_MIN, MTU_MIN_V6};
pub(super) use prefix::{overlay_address, short, taken_by_network};
pub(super) use shown::{looks_secret, shown, shown_key};
pub(super) use source::{Source, read as read_sources};
pub(super) use value::DESCRIPTION_MAX;

use std::path::{Path, PathBuf};

/// Reads the main file at `path` and its fragments: `relay.d/*.toml` for `relay.toml`, in the order of
/// their names. Relative paths of key files start at the main file's directory.
///
/// # Errors
/// Every problem in every file.
pub fn load(path: &Path, options: Options) -> Result<Loaded, Problems> {
    judge(&read_sources(path), options)
}

/// Reads the files of a configuration again, and parses them if anything in them has changed.
///
/// # Errors
/// Every problem in every file.
pub fn load_again(loaded: Loaded, path: &Path, options: Options) -> Result<Loaded, Problems> {
    let sources = read_sources(path);
    let texts =
        sources.iter().map(|Source { path, text }| Some((path.as_path(), text.as_deref().ok()?)));
    let known = loaded.texts().map(|(path, text)| Some((path, text)));
    if texts.eq(known) { Ok(loaded) } else { judge(&sources, options) }
}

/// Reads what [`Loaded::texts`] gave, whatever the files have become.
///
/// # Errors
/// Every problem in every text.
pub fn load_texts(
    texts: impl IntoIterator<Item = (PathBuf, String)>,
    options: Options,
) -> Result<Loaded, Problems> {
    let sources: Vec<_> =
        texts.into_iter().map(|(path, text)| Source { path, text: Ok(text) }).collect();
    parse::parse(&sources, options)
}

/// Parses the sources, the main file first, and adds warnings about files that others can read or
/// write.
///
/// # Errors
/// Every problem in every source.
pub(super) fn judge(sources: &[Source], options: Options) -> Result<Loaded, Problems> {
    let mut loaded = parse::parse(sources, options)?;
    let exposed = secrets::exposed_key_files(&loaded);
    loaded.warnings.extend(exposed);
    let exposed = writers::exposed(&loaded);
    loaded.warnings.extend(exposed);
    Ok(loaded)
}
