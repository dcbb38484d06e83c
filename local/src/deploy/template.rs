//! The template that is deployed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tools::Lack;

/// The template, and what can be said about it before it is deployed.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) file: PathBuf,
    /// The names of its parameters.
    pub(super) parameters: BTreeSet<String>,
}

impl Template {
    /// Finds it: the one that is named, that of the archives, or `template.yaml` of `folder` or of one above.
    pub(super) fn find(named: Option<&Path>, archives: Option<&Path>, folder: &Path) -> Result<Self, Lack> {
        let file = match (named, archives) {
            (Some(file), _) => Some(file.to_owned()),
            (None, Some(archives)) => Some(archives.join("template.yaml")),
            (None, None) => folder.ancestors().map(|folder| folder.join("template.yaml")).find(|file| file.exists()),
        };
        let todo = "Run it in Maskline's repository, or name its template by --template or its archives by --archives.";
        let lack = |says: String| Lack::new("template", says, todo);
        let file = file.ok_or_else(|| lack("there is no template.yaml in this folder or above".to_owned()))?;
        let read = |file: &Path| Ok((file.canonicalize()?, std::fs::read_to_string(file)?));
        let read: Result<_, std::io::Error> = read(&file);
        let (file, text) = read.map_err(|error| lack(format!("{}: {error}", file.display())))?;
        let parameters = parameters(&text).ok_or_else(|| lack(format!("{} is none of Maskline", file.display())))?;
        Ok(Self { file, parameters })
    }

    /// The folder in which `sam` runs.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

/// Returns the names of the parameters of Maskline's template; `None` if it is another one.
fn parameters(text: &str) -> Option<BTreeSet<String>> {
    let template: Value = serde_saphyr::from_str(text).ok()?;
    let names: BTreeSet<String> = template["Parameters"].as_object()?.keys().cloned().collect();
    names.contains("VonageApplicationId").then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

    #[test]
    fn template_of_the_repository_is_found_from_below() {
        let below = Path::new(REPOSITORY).join("local/src");
        let found = Template::find(None, None, &below.canonicalize().unwrap()).unwrap();
        assert_eq!(found.folder(), Path::new(REPOSITORY).canonicalize().unwrap());
        assert!(found.parameters.contains("MonthlyBudgetEur") && !found.parameters.contains("Api"));
    }

    #[test]
    fn other_file_is_no_template_of_maskline() {
        let manifest = Path::new(REPOSITORY).join("docs/openapi.yaml");
        let refused = Template::find(Some(&manifest), None, Path::new("/")).unwrap_err().to_string();
        assert!(refused.contains("none of Maskline") && refused.contains("--template"), "{refused}");
        let missing = Template::find(None, Some(Path::new("/no/archives")), Path::new("/")).unwrap_err().to_string();
        assert!(missing.contains("/no/archives/template.yaml"), "{missing}");
    }
}
