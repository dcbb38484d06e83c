//! The files in `metadata` are what this test makes of the metadata of libphonenumber, which the crate `rlibphonenumber`
//! contains. So a build needs neither that crate nor what it is built with. `MASKLINE_WRITE_METADATA=1` writes them anew.
#![allow(clippy::expect_used, reason = "a test that misses a value fails")]

use std::collections::BTreeMap;
use std::path::Path;

use rlibphonenumber::interfaces::AsOriginal;
use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

#[test]
fn metadata_is_that_of_libphonenumber() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("metadata");
    let [plans, dialling] = generate();
    for (name, expected) in [("plans.rs", plans), ("dialling.rs", dialling)] {
        let file = folder.join(name);
        if std::env::var_os("MASKLINE_WRITE_METADATA").is_some() {
            std::fs::write(&file, &expected).expect("the folder is writable");
        }
        let written = std::fs::read_to_string(&file).expect("the file is there");
        assert!(written == expected, "{name} is of another version: run this test with MASKLINE_WRITE_METADATA=1");
    }
}

/// Returns the content of both files.
fn generate() -> [String; 2] {
    let mut codes: Vec<i32> = PHONE_NUMBER_UTIL.get_supported_calling_codes().collect();
    codes.sort_unstable();
    let (mut plans, mut dialling, mut sharing) = (String::new(), String::new(), String::new());
    let mut countries = BTreeMap::new();
    for code in codes {
        let regions = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code).into_iter().flatten();
        let mut lines = Vec::new();
        sharing += &code.to_string();
        for region in regions {
            lines.push(plan_line(code, region));
            countries.insert(region.to_string(), code);
            // All networks without a country share the region "001".
            if region.to_string() != "001" {
                sharing += &format!(" {region}");
            }
        }
        plans += &format!("    ({code}, {:?}),\n", lines.join("\n"));
        dialling += &dialling_line(code);
        sharing.push('\n');
    }
    countries.remove("001");
    let countries: String = countries.iter().map(|(country, code)| format!("    (*b{country:?}, {code}),\n")).collect();
    let zeros: Vec<char> = ('0'..=char::MAX).filter(|c| c.is_numeric() && is_zero(*c)).collect();
    let source = format!(
        "static PLANS: &[(u16, &str)] = &[\n{plans}];\n\
         static COUNTRIES: &[([u8; 2], u16)] = &[\n{countries}];\n\
         static ZEROS: &[char] = &{zeros:?};\n"
    );
    let dialling =
        format!("static CODES: &[(u16, u32, &str)] = &[\n{dialling}];\nstatic SHARING: &str = {sharing:?};\n");
    [source, dialling].map(|source| format!("// Written by tests/metadata.rs.\n{source}"))
}

/// Returns how the numbers of a calling code are dialled, by the metadata of its main region.
fn dialling_line(code: i32) -> String {
    let mut regions = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code).into_iter().flatten();
    let region = regions.next().expect("every calling code has a region");
    let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region_or_calling_code(code, region);
    let metadata = metadata.expect("every listed region has metadata");
    let lengths = lengths(&metadata.general_desc.original.possible_length);
    format!("    ({code}, {lengths}, {:?}),\n", metadata.original.national_prefix())
}

/// Returns the plan of one region as a line of fields separated by tabs. `Plan::from_line` reads it.
fn plan_line(code: i32, region: Region) -> String {
    let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region_or_calling_code(code, region);
    let metadata = metadata.expect("every listed region has metadata");
    let mut fields = vec![
        region.to_string(),
        pattern(metadata.international_prefix().pattern_base.as_deref()),
        pattern(metadata.national_prefix_for_parsing().pattern_base.as_deref()),
        metadata.original.national_prefix_transform_rule().to_owned(),
        pattern(metadata.leading_digits().pattern_base.as_deref()),
        lengths(&metadata.general_desc.original.possible_length_local_only),
    ];
    // Same order as in libphonenumber's GetNumberTypeHelper: the first match decides.
    for (kind, numbers) in [
        ("general", &metadata.general_desc),
        ("premium-rate", &metadata.premium_rate),
        ("ordinary", &metadata.toll_free),
        ("shared-cost", &metadata.shared_cost),
        ("ordinary", &metadata.voip),
        ("personal", &metadata.personal_number),
        ("ordinary", &metadata.pager),
        ("ordinary", &metadata.uan),
        ("ordinary", &metadata.voicemail),
        ("ordinary", &metadata.fixed_line),
        ("ordinary", &metadata.mobile),
    ] {
        let pattern = pattern(numbers.national_number_pattern().pattern_base.as_deref());
        if !pattern.is_empty() {
            fields.extend([kind.to_owned(), lengths(&numbers.original.possible_length), pattern]);
        }
    }
    fields.join("\t")
}

/// Returns the pattern without the anchors around it; empty if there is no pattern.
fn pattern(anchored: Option<&str>) -> String {
    let Some(anchored) = anchored else { return String::new() };
    let pattern = anchored.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$"));
    pattern.filter(|pattern| !pattern.is_empty()).expect("a pattern is anchored and not empty").to_owned()
}

/// Returns a bit set of lengths, written in decimal.
fn lengths(lengths: &[i32]) -> String {
    let lengths = lengths.iter().filter(|length| **length >= 0);
    lengths.fold(0_u32, |bits, length| bits | 1 << length).to_string()
}

/// True if `c` is the digit 0 of some script. The digits 1 to 9 follow it in Unicode.
fn is_zero(c: char) -> bool {
    PHONE_NUMBER_UTIL.normalize_digits_only(c.to_string()) == "0"
}
