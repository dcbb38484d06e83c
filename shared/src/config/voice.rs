//! Configuration of the requests about calls.

use super::{ConfigError, Environment, base_url, is_base_url};

/// Hosts of Vonage's regions, by the name of the region in the settings of an application.
///
/// Source: Vonage Application API 2, `capabilities.voice.region`.
const REGIONS: [(&str, &str); 6] = [
    ("na-east", "https://api-us-3.vonage.com"),
    ("na-west", "https://api-us-4.vonage.com"),
    ("eu-east", "https://api-eu-4.vonage.com"),
    ("eu-west", "https://api-eu-3.vonage.com"),
    ("apac-sng", "https://api-ap-3.vonage.com"),
    ("apac-australia", "https://api-ap-4.vonage.com"),
];

/// The places that are asked about calls. No other host ever gets a token of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceConfig {
    /// URLs without a slash at the end, in the order in which they are asked.
    pub urls: Vec<String>,
}

impl VoiceConfig {
    /// Reads `VONAGE_REGION`, `VONAGE_API_URL` and `VONAGE_VOICE_URLS`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let own = match env.optional("VONAGE_REGION") {
            Some(name) => Some(host_of(&name)?),
            None => None,
        };
        let others = listed(&env.required("VONAGE_VOICE_URLS")?)?;
        // On the laptop and in tests the list is given, and no host of Vonage is asked.
        let own = own.map(str::to_owned).filter(|own| others.contains(own));
        let mut urls: Vec<String> = Vec::new();
        for url in own.into_iter().chain([base_url(env, "VONAGE_API_URL")?]).chain(others) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        Ok(Self { urls })
    }
}

impl Environment {
    /// Reads `VONAGE_REGION`.
    pub fn vonage_region(&self) -> Result<Option<String>, ConfigError> {
        let region = self.optional("VONAGE_REGION");
        region.as_deref().map(host_of).transpose()?;
        Ok(region)
    }
}

fn host_of(region: &str) -> Result<&'static str, ConfigError> {
    let found = REGIONS.iter().find(|(name, _)| *name == region).map(|(_, url)| *url);
    found.ok_or_else(|| {
        let names: Vec<_> = REGIONS.iter().map(|(name, _)| *name).collect();
        ConfigError::Malformed { name: "VONAGE_REGION", expected: format!("must be one of {}", names.join(", ")) }
    })
}

fn listed(list: &str) -> Result<Vec<String>, ConfigError> {
    let urls = list.split(',').map(|url| url.trim().trim_end_matches('/').to_owned());
    let urls: Vec<_> = urls.filter(|url| !url.is_empty()).collect();
    if urls.iter().all(|url| is_base_url(url)) {
        return Ok(urls);
    }
    let expected = "must be URLs that begin with https:// or http://".to_owned();
    Err(ConfigError::Malformed { name: "VONAGE_VOICE_URLS", expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let env: Environment = variables.iter().copied().collect();
        VoiceConfig::from_environment(&env).map(|config| config.urls).map_err(|error| error.to_string())
    }

    #[test]
    fn own_region_is_asked_first_and_each_one_once() {
        let all = urls(&[("VONAGE_REGION", "eu-west")]).unwrap();
        assert_eq!(all[..2], ["https://api-eu-3.vonage.com", "https://api.nexmo.com"]);
        assert_eq!(all.len(), 7, "{all:?}");
        assert_eq!(urls(&[]).unwrap()[..2], ["https://api.nexmo.com", "https://api-us-3.vonage.com"]);
        assert!(urls(&[("VONAGE_REGION", "moon")]).unwrap_err().contains("VONAGE_REGION"));
    }

    #[test]
    fn given_urls_replace_the_hosts_of_vonage() {
        let here = [
            ("VONAGE_API_URL", "http://here"),
            ("VONAGE_VOICE_URLS", "http://here, http://there/"),
            ("VONAGE_REGION", "eu-west"),
        ];
        assert_eq!(urls(&here).unwrap(), ["http://here", "http://there"]);
        assert!(urls(&[("VONAGE_VOICE_URLS", "there")]).unwrap_err().contains("VONAGE_VOICE_URLS"));
    }
}
