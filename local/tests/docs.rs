//! Checks the Markdown pages: links, anchors, file names and the size of the README.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use testkit::repository::root;

/// Folders whose paths the pages may name in backticks.
const FOLDERS: [&str; 11] = [
    ".ci/",
    ".github/",
    "bench/",
    "docs/",
    "events/",
    "functions/",
    "fuzz/",
    "local/",
    "numbering-plan/",
    "shared/",
    "testkit/",
];

const MAX_README_BYTES: usize = 8 * 1024;

/// A Markdown page.
struct Page {
    /// Path below the root of the repository.
    path: PathBuf,
    /// Lines outside of fenced code blocks.
    lines: Vec<String>,
    /// Lines of fenced code blocks.
    code: Vec<String>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let (mut lines, mut code, mut in_code) = (Vec::new(), Vec::new(), false);
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            } else if in_code {
                code.push(line.to_owned());
            } else {
                lines.push(line.to_owned());
            }
        }
        Self { path: path.to_owned(), lines, code }
    }

    /// Returns the targets of all links.
    fn links(&self) -> Vec<&str> {
        let targets = self.lines.iter().flat_map(|line| line.split("](").skip(1));
        targets.filter_map(|rest| rest.split(')').next()).collect()
    }

    /// Returns the anchors of all headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.lines.iter().filter(|line| line.starts_with('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
    }

    /// Returns the text of all inline code.
    fn inline_code(&self) -> Vec<&str> {
        self.lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char.to_ascii_lowercase() }).collect()
}

/// Returns the pages at the top and in `docs/`.
fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for folder in ["", "docs"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(Page::read(&path));
            }
        }
    }
    pages
}

/// Returns the paths of all Rust files below the root.
fn rust_files() -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            let name = name.to_string_lossy();
            if path.is_dir() {
                if !["target", "node_modules"].contains(&name.as_ref()) && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[test]
fn links_lead_to_existing_files_and_headings() {
    let mut dead = Vec::new();
    for page in pages() {
        for link in page.links() {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let exists = root().join(&target).exists();
            if !exists || !heading.is_empty() && !Page::read(&target).anchors().contains(heading) {
                dead.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn file_names_in_the_pages_exist() {
    let rust_files = rust_files();
    let mut missing = Vec::new();
    for page in pages().iter().filter(|page| !page.path.ends_with("CHANGELOG.md")) {
        for code in page.inline_code() {
            let is_path = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
            let exists = match code {
                // Made by fuzzing, and not in the repository.
                _ if !is_path || code.starts_with("fuzz/artifacts") || code.starts_with("fuzz/corpus") => true,
                _ if FOLDERS.iter().any(|folder| code.starts_with(folder)) => root().join(code).exists(),
                _ if code.ends_with(".rs") => rust_files.iter().any(|file| file.ends_with(&format!("/{code}"))),
                _ => true,
            };
            if !exists {
                missing.push(format!("{}: {code}", page.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no such files:\n{}", missing.join("\n"));
}

#[test]
fn test_commands_in_the_pages_name_existing_suites() {
    for page in pages() {
        let commands = page.code.iter().map(String::as_str).chain(page.inline_code());
        for command in commands.filter(|command| command.contains("cargo test -p ")) {
            let mut words = command.split_whitespace();
            let (mut package, mut suites) = ("", Vec::new());
            while let Some(word) = words.next() {
                match word {
                    "-p" => package = words.next().unwrap(),
                    "--test" => suites.push(words.next().unwrap()),
                    _ => {}
                }
            }
            for suite in suites {
                let tests = root().join(package).join("tests");
                let exists = tests.join(format!("{suite}.rs")).exists() || tests.join(suite).join("main.rs").exists();
                assert!(exists, "{}: no suite {suite} in {package}", page.path.display());
            }
        }
    }
}

#[test]
fn readme_is_short_and_links_every_page() {
    let readme = Page::read(Path::new("README.md"));
    let bytes = std::fs::metadata(root().join("README.md")).unwrap().len();
    assert!(bytes <= MAX_README_BYTES as u64, "README.md has {bytes} bytes");
    let links: BTreeSet<&str> = readme.links().into_iter().collect();
    for page in pages().iter().filter(|page| page.path.starts_with("docs")) {
        assert!(links.contains(page.path.to_str().unwrap()), "README.md does not link {}", page.path.display());
    }
}

#[test]
fn just_recipes_in_the_pages_exist() {
    let justfile = std::fs::read_to_string(root().join("justfile")).unwrap();
    let is_recipe = |name: &str| justfile.lines().any(|line| line.split([' ', ':']).next() == Some(name));
    let workflow = std::fs::read_to_string(root().join(".github/workflows/ci.yml")).unwrap();
    let jobs = workflow.lines().filter_map(|line| line.trim().strip_prefix("- recipe: "));
    for recipe in jobs {
        assert!(is_recipe(recipe.split(' ').next().unwrap()), "ci.yml: no recipe {recipe}");
    }
    for page in pages() {
        let commands = page.code.iter().map(String::as_str).chain(page.inline_code());
        for command in commands.filter_map(|command| command.strip_prefix("just ")) {
            let recipe = command.split(' ').next().unwrap();
            assert!(recipe.starts_with('-') || is_recipe(recipe), "{}: no recipe {recipe}", page.path.display());
        }
    }
}
