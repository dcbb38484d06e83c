//! Languages by their BCP 47 tag.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::country::Country;

/// A language tag of BCP 47: a language, and optionally a script and a region, such as `en`, `pt-BR` or `zh-Hant-TW`. It is
/// stored and shown in the case that BCP 47 recommends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(Box<str>);

/// The text is not a [`Language`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag such as en or pt-BR (BCP 47)")]
pub struct NotALanguage;

/// The language that most people of a country read, for the countries where it is not English: a line for each language, with
/// its countries. It is one text, because a table of texts takes five times the space in a binary.
///
/// Source: the likely subtags of Unicode CLDR 49 for a country alone (`und-DE` is `de`).
const OF_COUNTRIES: &str = "\
    af NA\n\
    ak GH\n\
    am ET\n\
    ar AE BH DZ EG EH IQ JO KM KW LB LY MA MR OM PS QA SA SD SS SY TD TN YE\n\
    az AZ\n\
    bg BG\n\
    bi VU\n\
    bm ML\n\
    bn BD\n\
    bs BA\n\
    ca AD\n\
    cs CZ\n\
    da DK\n\
    de AT CH DE LI\n\
    dv MV\n\
    dz BT\n\
    el CY GR\n\
    es AR BO CL CO CR CU DO EC ES GQ GT HN MX NI PA PE PR SV UY VE\n\
    et EE\n\
    fa AF IR\n\
    fi FI\n\
    fil PH\n\
    fo FO\n\
    fr BF BJ BL CD CG CI CM DJ FR GA GF GN GP LU MC MF MQ MU NC PF PM RE SC TG WF YT\n\
    gn PY\n\
    ha NE\n\
    he IL\n\
    hi IN\n\
    hr HR\n\
    ht HT\n\
    hu HU\n\
    hy AM\n\
    id ID\n\
    is IS\n\
    it IT SM VA\n\
    ja JP\n\
    ka GE\n\
    kl GL\n\
    km KH\n\
    ko KP KR\n\
    ky KG\n\
    lo LA\n\
    lt LT\n\
    lv LV\n\
    mg MG\n\
    mk MK\n\
    mn MN\n\
    ms BN CC MY\n\
    mt MT\n\
    my MM\n\
    nb NO SJ\n\
    ne NP\n\
    nl AW BE NL SR\n\
    pap BQ CW\n\
    pau PW\n\
    pl PL\n\
    pt AO BR CV GW MZ PT ST TL\n\
    rn BI\n\
    ro MD RO\n\
    ru BY KZ RU\n\
    rw RW\n\
    sg CF\n\
    si LK\n\
    sk SK\n\
    sl SI\n\
    sm AS WS\n\
    sn ZW\n\
    so SO\n\
    sq AL XK\n\
    sr ME RS\n\
    st LS\n\
    sv AX SE\n\
    sw KE TZ UG\n\
    tg TJ\n\
    th TH\n\
    ti ER\n\
    tk TM\n\
    tkl TK\n\
    to TO\n\
    tpi PG\n\
    tr TR\n\
    tvl TV\n\
    uk UA\n\
    ur PK\n\
    uz UZ\n\
    vi VN\n\
    wo SN\n\
    zh CN HK MO TW\n\
";

/// The language of what has no other one.
const ENGLISH: &str = "en";

impl Language {
    /// Returns English.
    pub fn english() -> Self {
        Self(ENGLISH.into())
    }

    /// Returns the language that most people of a country read, with the country as its region: `de-AT`.
    pub fn of_country(country: Country) -> Self {
        Self(format!("{}-{country}", most_read_in(country)).into())
    }

    /// Returns the language of the phones of a calling code that has several countries, if most people read the same one in
    /// all of them. The region is that of the first, which is the main one.
    pub fn of_countries(mut countries: impl Iterator<Item = Country>) -> Option<Self> {
        let main = countries.next()?;
        countries.all(|other| most_read_in(other) == most_read_in(main)).then(|| Self::of_country(main))
    }

    /// Returns the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the region, such as `BR`.
    pub fn region(&self) -> Option<&str> {
        self.0.split('-').skip(1).find(|part| is_region(part))
    }

    /// Returns the tags under which its words may be found, the most exact first: itself, and then without its region and its
    /// script. Source: RFC 4647, section 3.4 (lookup).
    pub fn lookup(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |tag| tag.rsplit_once('-').map(|(shorter, _)| shorter))
    }
}

fn most_read_in(country: Country) -> &'static str {
    let mut languages = OF_COUNTRIES.lines().filter_map(|line| line.split_once(' '));
    let found = languages.find(|(_, countries)| countries.split(' ').any(|code| code == country.as_str()));
    found.map_or(ENGLISH, |(language, _)| language)
}

fn is_region(part: &str) -> bool {
    part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_alphabetic())
        || part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_script(part: &str) -> bool {
    part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_alphabetic())
}

impl TryFrom<&str> for Language {
    type Error = NotALanguage;

    fn try_from(tag: &str) -> Result<Self, NotALanguage> {
        let mut parts = tag.split('-').peekable();
        let language = parts
            .next()
            .filter(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let mut tag = language.ok_or(NotALanguage)?.to_ascii_lowercase();
        if let Some(script) = parts.next_if(|part| is_script(part)) {
            tag = format!("{tag}-{}{}", script[..1].to_ascii_uppercase(), script[1..].to_ascii_lowercase());
        }
        if let Some(region) = parts.next_if(|part| is_region(part)) {
            tag = format!("{tag}-{}", region.to_ascii_uppercase());
        }
        if parts.next().is_some() { Err(NotALanguage) } else { Ok(Self(tag.into())) }
    }
}

impl TryFrom<String> for Language {
    type Error = NotALanguage;

    fn try_from(tag: String) -> Result<Self, NotALanguage> {
        Self::try_from(tag.as_str())
    }
}

impl std::str::FromStr for Language {
    type Err = NotALanguage;

    fn from_str(tag: &str) -> Result<Self, NotALanguage> {
        Self::try_from(tag)
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0.into()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn language(tag: &str) -> Language {
        Language::try_from(tag).unwrap()
    }

    #[test]
    fn tag_is_language_script_and_region_in_their_case() {
        for (written, tag) in [
            ("en", "en"),
            ("EN-gb", "en-GB"),
            ("pt-BR", "pt-BR"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("fil", "fil"),
        ] {
            assert_eq!(language(written).as_str(), tag);
        }
        for wrong in ["", "e", "engl", "en_GB", "en-", "-GB", "en-GB-WLS", "en-GB-GB", "e1", "en GB", "日本", "en-é1"]
        {
            assert_eq!(Language::try_from(wrong), Err(NotALanguage), "{wrong}");
        }
    }

    #[test]
    fn lookup_goes_from_exact_to_general() {
        assert_eq!(language("zh-Hant-TW").lookup().collect::<Vec<_>>(), ["zh-Hant-TW", "zh-Hant", "zh"]);
        assert_eq!(language("de").lookup().collect::<Vec<_>>(), ["de"]);
        assert_eq!((language("pt-BR").region(), language("zh-Hant").region()), (Some("BR"), None));
    }

    #[test]
    fn countries_of_the_table_exist_and_come_once() {
        let mut seen = BTreeSet::new();
        for line in OF_COUNTRIES.lines() {
            let (tag, countries) = line.split_once(' ').unwrap();
            assert_eq!(language(tag).as_str(), tag);
            for code in countries.split(' ') {
                let country = Country::try_from(code).unwrap();
                assert!(seen.insert(code), "{code} comes twice");
                assert_eq!(Language::of_country(country).as_str(), format!("{tag}-{code}"));
            }
        }
        assert_eq!(Language::of_country(Country::try_from("GB").unwrap()).as_str(), "en-GB");
    }

    #[test]
    fn several_countries_have_a_language_if_it_is_the_same() {
        let of = |codes: &[&str]| Language::of_countries(codes.iter().map(|code| Country::try_from(*code).unwrap()));
        assert_eq!(of(&["GB", "GG", "IM", "JE"]), Some(language("en-GB")));
        assert_eq!(of(&["DE"]), Some(language("de-DE")));
        assert_eq!(of(&["US", "CA", "PR"]), None);
        assert_eq!(of(&[]), None);
    }
}
