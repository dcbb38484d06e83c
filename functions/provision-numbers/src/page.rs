//! The pages of `GET /numbers`.

use std::fmt;

use lambda_http::Request;
use shared::domain::country::Country;
use shared::domain::phone::{PhoneNumber, VirtualNumber};
use shared::domain::pool::{NumberCounts, NumberState};
use shared::domain::tenant::Pool;
use shared::edge::http::{Problem, Query};
use shared::store::{NumbersPage, Store, StoreError};

/// Largest number of numbers in an answer, and the number if none is asked for.
const MAX_LIMIT: u16 = 1000;

/// Largest number of concurrent conversations in a forecast.
const MAX_CONCURRENT: usize = 100_000;

/// The page that a request asks for.
pub(crate) struct PageQuery {
    /// The only country to show; all if `None`.
    pub(crate) country: Option<Country>,
    /// Number of numbers, of all countries together.
    pub(crate) limit: u16,
    /// The only state to show; all if `None`. The ready numbers are not listed apart from the others.
    state: Option<NumberState>,
    after: Option<Cursor>,
    /// Number of concurrent conversations of one phone for which the numbers are forecast.
    pub(crate) concurrent: Option<usize>,
}

/// The place of a page: behind a number of a country, or before all of its numbers.
pub(crate) struct Cursor {
    pub(crate) country: Country,
    pub(crate) number: Option<VirtualNumber>,
}

impl Cursor {
    /// Returns the place before all numbers of a country.
    pub(crate) fn before(country: Country) -> Self {
        Self { country, number: None }
    }

    fn read(text: &str) -> Option<Self> {
        let (country, digits) = text.split_once('-').unwrap_or((text, ""));
        let number = match digits {
            "" => None,
            digits => Some(PhoneNumber::try_from(digits).ok()?.into()),
        };
        Some(Self { country: Country::try_from(country).ok()?, number })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.number {
            Some(number) => write!(f, "{}-{number}", self.country),
            None => write!(f, "{}", self.country),
        }
    }
}

impl PageQuery {
    /// Reads the parameters `country`, `state`, `limit`, `after` and `concurrent`.
    pub(crate) fn read(request: &Request) -> Result<Self, Problem> {
        let query = Query::read(request, &["country", "state", "limit", "after", "concurrent"])?;
        let parameter = |name| query.value(name);
        let country = parameter("country").map(Country::try_from).transpose();
        let country = country.map_err(|error| Problem::invalid("country", format!("Is {error}.")))?;
        let limit = parameter("limit").map_or(Some(MAX_LIMIT), |limit| limit.parse().ok());
        let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
        let limit = limit.ok_or_else(|| Problem::invalid("limit", format!("Must be from 1 to {MAX_LIMIT}.")))?;
        let wrong = || Problem::invalid("after", "Must be the `next` of an answer.");
        let after = parameter("after").map(|text| Cursor::read(text).ok_or_else(wrong)).transpose()?;
        let state = parameter("state").map(|text| state(text).ok_or(text)).transpose();
        let state = state.map_err(|_| {
            Problem::invalid("state", "Must be renting, linking, draining, lost, setting_aside or standing.")
        })?;
        let concurrent = parameter("concurrent").map(|count| count.parse().ok());
        let concurrent = match concurrent {
            None => None,
            Some(Some(count)) if (1..=MAX_CONCURRENT).contains(&count) => Some(count),
            Some(_) => return Err(Problem::invalid("concurrent", format!("Must be from 1 to {MAX_CONCURRENT}."))),
        };
        Ok(Self { country, limit, state, after, concurrent })
    }

    /// Reads a page of up to `limit` numbers of a pool, of which there are so many.
    pub(crate) async fn numbers(
        &self,
        store: &Store,
        pool: Pool,
        counts: NumberCounts,
        limit: u16,
    ) -> Result<NumbersPage, StoreError> {
        let country = pool.country;
        let after = self.after.as_ref().filter(|after| after.country == country);
        let mut after = after.and_then(|after| after.number.clone());
        let count = self.state.map_or(counts.all(), |state| counts.of(state));
        if count == 0 || self.after.as_ref().is_some_and(|after| country < after.country) {
            return Ok(NumbersPage::default());
        }
        let Some((state, work)) = self.state.and_then(|state| Some((state, state.work()?))) else {
            return store.numbers_page(pool, "", after.as_ref(), limit).await;
        };
        let mut page = NumbersPage::default();
        while page.numbers.len() < usize::from(limit) {
            let left = limit.saturating_sub(u16::try_from(page.numbers.len()).unwrap_or(limit));
            let more = store.numbers_with_work(pool, work, after.as_ref(), left).await?;
            page.numbers.extend(more.numbers.into_iter().filter(|number| number.state == state));
            page.next = more.next;
            match &page.next {
                Some(next) => after = Some(next.clone()),
                None => break,
            }
        }
        Ok(page)
    }
}

/// Reads a state whose numbers are listed apart from the others.
fn state(text: &str) -> Option<NumberState> {
    match text {
        "renting" => Some(NumberState::Renting),
        "linking" => Some(NumberState::Linking),
        "draining" => Some(NumberState::Draining),
        "lost" => Some(NumberState::Lost),
        "setting_aside" => Some(NumberState::SettingAside),
        "standing" => Some(NumberState::Standing),
        _ => None,
    }
}
