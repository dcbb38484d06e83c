//! Checks of the repository as a whole.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::repository::root;

/// Returns the folders of the workspace's packages.
fn packages() -> Vec<PathBuf> {
    let root = root();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members = [")).unwrap();
    let members = members.split('"').skip(1).step_by(2);
    members
        .flat_map(|member| match member.strip_suffix("/*") {
            Some(folder) => entries(&root.join(folder)),
            None => vec![root.join(member)],
        })
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Adds all Rust files below `folder` to `found`.
fn rust_files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in entries(folder) {
        if entry.is_dir() {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.insert(entry);
        }
    }
}

/// True if Cargo compiles `file` of `package` as the root of a crate.
fn is_crate_root(package: &Path, manifest: &str, file: &Path) -> bool {
    let path = file.strip_prefix(package).unwrap().to_str().unwrap();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] | ["tests", _] => true,
        ["src", "bin", _, "main.rs"] | ["tests", _, "main.rs"] => true,
        _ => manifest.contains(&format!("path = \"{path}\"")),
    }
}

/// Returns the names of the modules that `source` declares without a body.
fn declared_modules(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let (before, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then_some(name)
    })
}

/// Removes `file` and all modules that it declares, directly or not, from `orphans`.
fn remove_reachable(file: &Path, is_root: bool, orphans: &mut BTreeSet<PathBuf>) {
    if !orphans.remove(file) {
        return;
    }
    let is_folder = is_root || file.ends_with("mod.rs");
    let folder = if is_folder { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    for name in declared_modules(&fs::read_to_string(file).unwrap()) {
        remove_reachable(&folder.join(format!("{name}.rs")), false, orphans);
        remove_reachable(&folder.join(name).join("mod.rs"), false, orphans);
    }
}

/// Rust has no warning for a file that no module declares: its code and its tests never run.
#[test]
fn every_rust_file_is_declared_by_a_module() {
    let mut orphans = BTreeSet::new();
    for package in packages() {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        let mut files = BTreeSet::new();
        ["src", "tests"].iter().for_each(|folder| rust_files(&package.join(folder), &mut files));
        assert!(!files.is_empty(), "{package:?} has no Rust files");
        let roots: Vec<_> = files.iter().filter(|file| is_crate_root(&package, &manifest, file)).cloned().collect();
        roots.iter().for_each(|root| remove_reachable(root, true, &mut files));
        orphans.append(&mut files);
    }
    assert_eq!(orphans, BTreeSet::new());
}
