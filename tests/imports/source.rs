//! Reads the files of the program, and which paths they use.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether something stands before the `::` in front of this word: `foo::word`, and not `-> ::word`.
pub(super) fn is_within_path(words: &[(&str, usize)], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).map_or("", |(word, _)| *word);
    let is_name = |word: &str| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    before(1) == "::" && (is_name(before(2)) || before(2) == ">" && before(3) != "-")
}

/// The paths of a file that begin at the root or at a module over it, from the root, with their lines.
pub(super) fn paths_used<'a>(words: &[(&'a str, usize)], module: &[&'a str]) -> Vec<(Vec<&'a str>, usize)> {
    let word = |at: usize| words.get(at).map_or("", |(word, _)| *word);
    let mut used = Vec::new();
    // The modules that are written out in the file, with the depth of braces in which each stands.
    let (mut inner, mut depth): (Vec<(&str, usize)>, usize) = (Vec::new(), 0);
    for at in 0..words.len() {
        match word(at) {
            "mod" if word(at + 2) == "{" => inner.push((word(at + 1), depth)),
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inner.retain(|(_, outer)| *outer < depth);
            }
            _ => {}
        }
        if !matches!(word(at), "crate" | "super" | "self") || word(at + 1) != "::" || is_within_path(words, at) {
            continue;
        }
        let mut from = match word(at) {
            "crate" => Vec::new(),
            _ => module.iter().copied().chain(inner.iter().map(|(name, _)| *name)).collect(),
        };
        let mut rest = at;
        while matches!(word(rest), "crate" | "super" | "self") && word(rest + 1) == "::" {
            if word(rest) == "super" {
                from.pop();
            }
            rest += 2;
        }
        expand(words, rest, &from, &mut used);
    }
    used
}

/// The paths that are written from here on, those of a group one by one: `a::{b, c::d}` is `a::b` and `a::c::d`. Answers with the place behind them.
pub(super) fn expand<'a>(
    words: &[(&'a str, usize)],
    start: usize,
    from: &[&'a str],
    found: &mut Vec<(Vec<&'a str>, usize)>,
) -> usize {
    let word = |at: usize| words.get(at).map_or("", |(word, _)| *word);
    let (mut path, mut at) = (from.to_vec(), start);
    while word(at + 1) == "::" {
        path.push(word(at));
        at += 2;
    }
    if word(at) != "{" {
        path.push(word(at));
        found.push((path, words.get(at).map_or(0, |(_, line)| *line)));
        return at + 1;
    }
    at += 1;
    while !matches!(word(at), "}" | "") {
        at = match word(at) {
            // What an import is called here is no path.
            "as" => at + 2,
            "," => at + 1,
            _ => expand(words, at, &path, found),
        };
    }
    at + 1
}

/// The words and signs of the source with their lines; comments, texts and characters are left out.
pub(super) fn words_of(source: &str) -> Vec<(String, usize)> {
    let mut words = Vec::new();
    flatten(source.parse().unwrap(), &mut words);
    words
}

fn flatten(tokens: TokenStream, words: &mut Vec<(String, usize)>) {
    let mut half = false;
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                words.push((open.to_owned(), line));
                flatten(group.stream(), words);
                words.push((close.to_owned(), group.span_close().start().line));
            }
            TokenTree::Ident(name) => words.push((name.to_string(), line)),
            TokenTree::Punct(sign) if sign.as_char() == ':' => {
                if half {
                    words.push(("::".to_owned(), line));
                }
                half = !half && sign.spacing() == Spacing::Joint;
            }
            TokenTree::Punct(sign) => words.push((sign.to_string(), line)),
            TokenTree::Literal(_) => {}
        }
    }
}

/// The module of a file, from the root: `src/store/users.rs` is `store::users`, `src/store.rs` is `store`.
pub(super) fn module_of(path: &str) -> Vec<&str> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').filter(|name| !matches!(*name, "lib" | "main")).collect()
}
