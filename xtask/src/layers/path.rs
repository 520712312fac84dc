//! Paths in Rust source, from its tokens.

use std::str::FromStr as _;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path in a source, with `use` trees split into their leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) line: usize,
    pub(super) names: Vec<String>,
    /// The name that a `pub use`, of any visibility, gives it.
    pub(super) exported_as: Option<String>,
}

/// All paths outside comments, strings and `#[cfg(test)]`.
///
/// # Errors
/// The text is not Rust.
pub(super) fn paths(text: &str) -> Result<Vec<Path>> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("not Rust: {error}"))?;
    let mut found = Vec::new();
    walk(tokens, &mut found);
    Ok(found)
}

fn walk(tokens: TokenStream, found: &mut Vec<Path>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = after_item(&tokens, at + 2);
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "use" => {
                let end = (at..tokens.len()).find(|i| is_punct(&tokens[*i], ';'));
                let end = end.unwrap_or(tokens.len());
                split_use(&tokens[at + 1..end], &[], is_public(&tokens[..at]), found);
                at = end;
            }
            TokenTree::Ident(ident) if !follows_colons(&tokens, at) => {
                let line = ident.span().start().line;
                let mut names = vec![ident.to_string()];
                while is_colons(&tokens, at + 1) {
                    let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                    names.push(next.to_string());
                    at += 3;
                }
                if names.len() > 1 || is_colons(&tokens, at + 1) {
                    found.push(Path { line, names, exported_as: None });
                }
            }
            TokenTree::Group(group) => walk(group.stream(), found),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

/// Splits the tree of a `use` into one path per leaf.
fn split_use(tokens: &[TokenTree], prefix: &[String], public: bool, found: &mut Vec<Path>) {
    for branch in tokens.split(|token| is_punct(token, ',')) {
        let mut names = prefix.to_vec();
        let mut line = None;
        let mut alias = None;
        let mut nested = false;
        let mut at = 0;
        while at < branch.len() {
            match &branch[at] {
                TokenTree::Ident(ident) if ident == "as" => {
                    alias = branch.get(at + 1).map(ToString::to_string);
                    break;
                }
                TokenTree::Ident(ident) => {
                    line = line.or(Some(ident.span().start().line));
                    names.push(ident.to_string());
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    split_use(&inner, &names, public, found);
                    nested = true;
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    line = line.or(Some(punct.span().start().line));
                }
                TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
        if let Some(line) = line
            && !nested
        {
            let name = alias.or_else(|| names.iter().rfind(|name| *name != "self").cloned());
            found.push(Path { line, names, exported_as: name.filter(|_| public) });
        }
    }
}

/// Whether the tokens end with `pub` or `pub(…)`.
fn is_public(tokens: &[TokenTree]) -> bool {
    let is_pub = |token: &TokenTree| matches!(token, TokenTree::Ident(ident) if ident == "pub");
    match tokens {
        [.., token, TokenTree::Group(_)] => is_pub(token),
        [.., token] => is_pub(token),
        [] => false,
    }
}

/// Whether `#[cfg(test)]` or `#[cfg(all(test, …))]` starts here.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(group), ..] = tokens else { return false };
    if !is_punct(hash, '#') || group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text: String = group.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The position after the item that starts at `at`.
fn after_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while at < tokens.len() {
        let ends = match &tokens[at] {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        at += 1;
        if ends {
            break;
        }
    }
    at
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at..at + 2), Some([a, b]) if is_punct(a, ':') && is_punct(b, ':'))
}

/// Whether the name at `at` continues a path. After a leading `::` it starts one.
fn follows_colons(tokens: &[TokenTree], at: usize) -> bool {
    at >= 3
        && is_colons(tokens, at - 2)
        && match &tokens[at - 3] {
            TokenTree::Ident(_) => true,
            TokenTree::Punct(punct) => punct.as_char() == '>',
            TokenTree::Group(_) | TokenTree::Literal(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_split_and_exports_have_names() {
        let text = "pub use self::{a::A, b::{self as c, B as D}};\npub(crate) use e::E;\n\
                    use f::F;\nfn g() { h::i() }\n#[cfg(test)] use j::J;";
        let found: Vec<_> = paths(text)
            .expect("Rust")
            .into_iter()
            .map(|path| (path.line, path.names.join("::"), path.exported_as.unwrap_or_default()))
            .collect();
        let expected = [
            (1, "self::a::A", "A"),
            (1, "self::b::self", "c"),
            (1, "self::b::B", "D"),
            (2, "e::E", "E"),
            (3, "f::F", ""),
            (4, "h::i", ""),
        ];
        let expected = expected.map(|(line, path, name)| (line, path.to_owned(), name.to_owned()));
        assert_eq!(found, expected);
    }
}
