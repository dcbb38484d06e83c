//! `maskline words FILE` checks a deployment's own file of words.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value};
use shared::config::Environment;
use shared::domain::language::Language;
use shared::domain::words::check::usual_parts;
use shared::domain::words::file::{NotWords, WordsFile};
use shared::domain::words::own::OwnWords;
use shared::domain::words::sentence::Text;
use shared::domain::words::voice;

/// Codes of the languages that Vonage speaks. Source: Vonage Voice API 1.10.0 (OpenAPI), schema `language`.
const SPOKEN: &str = "ar ca-ES cmn-CN cmn-TW cs-CZ cy-GB da-DK de-DE el-GR en-AU en-GB en-GB-WLS en-IN en-US en-ZA es-ES es-MX es-US \
                      eu-ES fi-FI fil-PH fr-CA fr-FR he-IL hi-IN hu-HU id-ID is-IS it-IT ja-JP ko-KR nb-NO nl-NL no-NO pl-PL pt-BR \
                      pt-PT ro-RO ru-RU sk-SK sv-SE th-TH tr-TR uk-UA vi-VN yue-CN";

/// Checks a file as a function does when it starts with the `BRAND` of this environment. Returns what is in it.
///
/// # Errors
/// Returns all faults, one on a line, each with the file, the language and the key.
pub fn check(file: &Path, environment: &Environment) -> Result<String, String> {
    let name = file.display();
    let json = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
    let file = WordsFile::read(&json, environment.optional("BRAND").is_some()).map_err(|error| match error {
        NotWords::Faults(faults) => {
            faults.iter().map(|fault| format!("{name}: {fault}")).collect::<Vec<_>>().join("\n")
        }
        NotWords::NotJson(_) => format!("{name}: {error}"),
    })?;
    let mut report = String::new();
    describe(&file.own, "", &mut report);
    for (tenant, words) in &file.tenants {
        let brand = words.brand.as_ref().map(|brand| format!(", brand {}", brand.as_str())).unwrap_or_default();
        let language =
            words.default_language.as_ref().map(|language| format!(", default language {}", language.as_str()));
        let _ = writeln!(report, "tenant {tenant}{brand}{}", language.unwrap_or_default());
        describe(&words.own, "  ", &mut report);
    }
    Ok(report)
}

/// Adds what is in the words of one, with that of the deployment for a tenant, on lines with this indentation.
fn describe(own: &OwnWords, indent: &str, report: &mut String) {
    for (tag, entries) in own.languages() {
        let _ = writeln!(report, "{indent}{tag}: {}", contents(entries));
        for text in Text::ALL {
            if let Some(sentence) = entries.get(text.key()).and_then(Value::as_str) {
                let _ = writeln!(report, "{indent}  {}: {}", text.key(), counted(usual_parts(sentence), "part"));
            }
        }
        let missing = Language::try_from(tag).map(|language| own.missing(&language)).unwrap_or_default();
        if !missing.is_empty() {
            let _ = writeln!(report, "{indent}  in another language, because it lacks them: {}", missing.join(", "));
        }
        let voices =
            entries.iter().filter(|(key, _)| voice::is_key(key)).filter_map(|(_, own)| own["language"].as_str());
        for code in voices.filter(|code| !SPOKEN.split(' ').any(|spoken| spoken == *code)) {
            let _ = writeln!(
                report,
                "{indent}  {code} is not in Vonage's description of its API: let it speak before you deploy it"
            );
        }
    }
}

fn contents(entries: &Map<String, Value>) -> String {
    let voices = entries.keys().filter(|key| voice::is_key(key)).count();
    format!("{}, {}", counted(entries.len() - voices, "sentence"), counted(voices, "voice"))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
