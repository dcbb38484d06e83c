//! Makes the answers out of the files of words, so that nothing is read or parsed when a call comes.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value, json};

/// Folder of the files of words.
const WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/words");

/// Key of the sentence.
const SENTENCE: &str = "fallback.problem";

fn main() {
    println!("cargo::rerun-if-changed={WORDS}");
    let files = fs::read_dir(WORDS).expect("the folder of words is readable").map(|file| file.expect("a file").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    let mut code = format!("[(&str, &str); {}] = [", files.len());
    for file in files {
        let tag = file.file_stem().and_then(|stem| stem.to_str()).expect("a language tag").to_owned();
        writeln!(code, "({tag:?}, {:?}),", ncco(&file)).expect("a string takes any text");
    }
    let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("answers.rs");
    fs::write(target, format!("/// The NCCO of each language, by its tag.\nconst NCCOS: {code}];\n"))
        .expect("the folder is writable");
}

/// Returns the NCCO of a language.
fn ncco(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("the file is readable");
    let words: Map<String, Value> = serde_json::from_str(&text).expect("the file is a JSON object");
    let mut talk = json!({"action": "talk", "text": words[SENTENCE]});
    for (name, value) in words["voice"].as_object().expect("each language has a voice") {
        talk[name] = value.clone();
    }
    json!([talk]).to_string()
}
