//! Writes `numbering_plans.rs` for `numbering_plan`: what that module asks of libphonenumber's metadata, which comes with the
//! crate `rlibphonenumber`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    numbering_plans::write();
}
mod numbering_plans {
    use std::collections::BTreeMap;
    use std::path::Path;

    use rlibphonenumber::interfaces::AsOriginal;
    use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

    pub fn write() {
        let mut codes: Vec<i32> = PHONE_NUMBER_UTIL.get_supported_calling_codes().collect();
        codes.sort_unstable();
        let mut plans = String::new();
        let mut countries = BTreeMap::new();
        for code in codes {
            let regions = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code).into_iter().flatten();
            let mut sharing = Vec::new();
            for region in regions {
                sharing.push(plan(code, region));
                countries.insert(region.to_string(), code);
            }
            plans += &format!("    ({code}, {:?}),\n", sharing.join("\n"));
        }
        // Networks of no country, which share a region.
        countries.remove("001");
        let countries: String =
            countries.iter().map(|(country, code)| format!("    (*b{country:?}, {code}),\n")).collect();
        let zeros: Vec<char> = ('0'..=char::MAX).filter(|c| c.is_numeric() && is_zero(*c)).collect();
        let source = format!(
            "static PLANS: &[(u16, &str)] = &[\n{plans}];\n\
             static COUNTRIES: &[([u8; 2], u16)] = &[\n{countries}];\n\
             static ZEROS: &[char] = &{zeros:?};\n"
        );
        let directory = std::env::var_os("OUT_DIR").expect("Cargo names OUT_DIR");
        std::fs::write(Path::new(&directory).join("numbering_plans.rs"), source).expect("OUT_DIR can be written");
    }

    /// One line; `Plan::read` is its reader.
    fn plan(code: i32, region: Region) -> String {
        let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region_or_calling_code(code, region);
        let metadata = metadata.expect("a region that is listed has metadata");
        let mut fields = vec![
            region.to_string(),
            pattern(metadata.international_prefix().pattern_base.as_deref()),
            pattern(metadata.national_prefix_for_parsing().pattern_base.as_deref()),
            metadata.original.national_prefix_transform_rule().to_owned(),
            pattern(metadata.leading_digits().pattern_base.as_deref()),
            lengths(&metadata.general_desc.original.possible_length_local_only),
        ];
        // In the order in which libphonenumber asks, for the first that fits decides.
        for (kind, numbers) in [
            ("general", &metadata.general_desc),
            ("premium-rate", &metadata.premium_rate),
            ("other", &metadata.toll_free),
            ("shared-cost", &metadata.shared_cost),
            ("other", &metadata.voip),
            ("personal", &metadata.personal_number),
            ("other", &metadata.pager),
            ("other", &metadata.uan),
            ("other", &metadata.voicemail),
            ("other", &metadata.fixed_line),
            ("other", &metadata.mobile),
        ] {
            let pattern = pattern(numbers.national_number_pattern().pattern_base.as_deref());
            if !pattern.is_empty() {
                fields.extend([kind.to_owned(), lengths(&numbers.original.possible_length), pattern]);
            }
        }
        fields.join("\t")
    }

    /// Without the anchors that are around each of them; empty if there is none.
    fn pattern(anchored: Option<&str>) -> String {
        let Some(anchored) = anchored else { return String::new() };
        let pattern = anchored.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$"));
        pattern.filter(|pattern| !pattern.is_empty()).expect("a pattern is anchored and says something").to_owned()
    }

    /// A bit for each length.
    fn lengths(lengths: &[i32]) -> String {
        let lengths = lengths.iter().filter(|length| **length >= 0);
        lengths.fold(0_u32, |bits, length| bits | 1 << length).to_string()
    }

    /// Whether it is the 0 of a script's decimal digits, after which the others follow.
    fn is_zero(c: char) -> bool {
        PHONE_NUMBER_UTIL.normalize_digits_only(c.to_string()) == "0"
    }
}
