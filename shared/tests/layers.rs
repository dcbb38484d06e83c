//! The modules of `shared` form layers, and no module depends on itself through others.
//!
//! Reads the paths in the source (`crate::…`, `super::…`, and submodules by name), without `#[cfg(test)] mod tests`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Top-level modules, the lowest layer first. A module uses only layers below its own.
const LAYERS: [&[&str]; 7] = [
    &["domain"],
    &["clock", "config", "retry", "xray"],
    &["store", "vonage"],
    &["aws_request", "standard_webhooks"],
    &["backend", "delivery_queue", "event_archive", "event_bus", "event_receiver", "invoke", "recording_files"],
    &["service"],
    &["edge"],
];

/// Crates that `domain` does not use: it knows neither AWS nor HTTP, and waits for nothing.
const NOT_IN_DOMAIN: [&str; 4] = ["aws_", "lambda_http", "reqwest", "tokio"];

/// A module's path, such as `["domain", "phone", "parse"]`.
type Module = Vec<String>;

#[test]
fn modules_use_only_lower_layers() {
    let uses = uses(&sources());
    let rooms: BTreeSet<&str> = uses.keys().filter_map(|module| Some(module.first()?.as_str())).collect();
    let arrows: BTreeSet<(&str, &str)> = uses
        .iter()
        .flat_map(|(from, used)| used.iter().map(move |to| (from, to)))
        .filter_map(|(from, to)| Some((from.first()?.as_str(), to.first()?.as_str())))
        .filter(|(from, to)| from != to)
        .collect();
    println!("{} top-level modules, {} arrows between them", rooms.len(), arrows.len());
    let layer = |room: &str| {
        let layer = LAYERS.iter().position(|layer| layer.contains(&room));
        layer.unwrap_or_else(|| panic!("{room} has no layer in {}", file!()))
    };
    let upward: Vec<_> = arrows.iter().filter(|(from, to)| layer(from) <= layer(to)).collect();
    assert!(upward.is_empty(), "these use a higher layer, or their own: {upward:?}");
}

#[test]
fn no_module_uses_itself_through_others() {
    let mut uses = uses(&sources());
    // A module in a circle uses another one in it and is used by one. Removing all others leaves the circles.
    loop {
        let used: BTreeSet<Module> = uses.values().flatten().cloned().collect();
        let left: BTreeSet<Module> = uses.keys().filter(|module| used.contains(*module)).cloned().collect();
        let before = uses.len();
        uses.retain(|module, _| left.contains(module));
        uses.values_mut().for_each(|used| used.retain(|other| left.contains(other)));
        uses.retain(|_, used| !used.is_empty());
        if uses.len() == before {
            break;
        }
    }
    println!("{} modules in circles", uses.len());
    let arrows = uses.iter().flat_map(|(from, used)| used.iter().map(move |to| (from, to)));
    let arrows: Vec<String> = arrows.map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::"))).collect();
    assert!(arrows.is_empty(), "these form circles:\n{}", arrows.join("\n"));
}

#[test]
fn domain_knows_neither_aws_nor_http() {
    for (module, source) in sources().iter().filter(|(module, _)| module.first().is_some_and(|room| room == "domain")) {
        for name in NOT_IN_DOMAIN {
            assert!(!source.contains(name), "{} names {name}", module.join("::"));
        }
    }
}

/// Returns the source of each module but the root, without its comments and tests.
fn sources() -> BTreeMap<Module, String> {
    let mut sources = BTreeMap::new();
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut sources);
    sources.retain(|module, _| !module.is_empty());
    sources
}

fn read_folder(folder: &Path, module: &[String], sources: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut own = module.to_vec();
        if !["mod", "lib"].contains(&name.as_str()) {
            own.push(name);
        }
        if path.is_dir() {
            read_folder(&path, &own, sources);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            sources.insert(own, lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Returns the modules that each module uses.
fn uses(sources: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let uses_of = |module: &Module, source: &str| {
        let parent = &module[..module.len() - 1];
        let mut starts = vec![("crate".to_owned(), Vec::new()), ("super".to_owned(), parent.to_vec())];
        let children = sources.keys().filter(|child| child.len() == module.len() + 1 && child.starts_with(module));
        starts.extend(children.map(|child| (child[module.len()].clone(), child.clone())));
        let mut used = BTreeSet::new();
        for (word, base) in starts {
            for (index, _) in source.match_indices(&format!("{word}::")) {
                let before = source[..index].chars().next_back().unwrap_or(' ');
                // A re-export is no use: whoever imports it is a user of this module.
                let is_export = source[..index].ends_with("pub use ");
                if !before.is_alphanumeric() && !"_:".contains(before) && !is_export {
                    expand(&base, &source[index + word.len()..], &mut used);
                }
            }
        }
        // The longest part of a path that is a module; the rest names an item in it.
        let known = |path: &Module| {
            (1..=path.len()).rev().map(|end| path[..end].to_vec()).find(|end| sources.contains_key(end))
        };
        used.iter().filter_map(known).filter(|other| other != module).collect()
    };
    sources.iter().map(|(module, source)| (module.clone(), uses_of(module, source))).collect()
}

/// Adds the paths of a use tree that begins with `::`, such as `::store::{Store, item::Key}`. Returns the text after it.
fn expand<'t>(base: &[String], tree: &'t str, paths: &mut BTreeSet<Module>) -> &'t str {
    let Some(tree) = tree.strip_prefix("::") else {
        paths.insert(base.to_vec());
        return tree;
    };
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = expand_name(base, rest.trim_start(), paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    expand_name(base, tree, paths)
}

fn expand_name<'t>(base: &[String], tree: &'t str, paths: &mut BTreeSet<Module>) -> &'t str {
    let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    let mut path = base.to_vec();
    match &tree[..end] {
        "super" => drop(path.pop()),
        name => path.push(name.to_owned()),
    }
    expand(&path, &tree[end..], paths)
}
