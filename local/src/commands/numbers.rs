//! `maskline numbers`.

use std::fmt::Write;

use clap::{ArgAction, Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, Call};
use super::table::{Table, cell, number};
use super::{CommandError, confirm, printed};

/// A command for the pool of virtual numbers. Each is one request to the API, whose fields `docs/api.md` explains.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a country's pool hold at least so many ready numbers: rents what is missing
    Order(Order),
    /// List the numbers of the pool, with the load of each country
    List {
        /// Only this country
        #[arg(long)]
        country: Option<String>,
        /// Only numbers in this state: renting, linking, draining or lost
        #[arg(long)]
        state: Option<String>,
        /// Most numbers, 1 to 1000
        #[arg(long)]
        limit: Option<u16>,
        /// The `next` of the page before
        #[arg(long)]
        after: Option<String>,
    },
    /// Show one number
    Get {
        /// The number
        number: String,
    },
    /// Tell how many numbers are needed if one caller has so many conversations at once
    Forecast {
        /// Conversations of one caller at once
        concurrent: u32,
        /// Only this country
        #[arg(long)]
        country: Option<String>,
    },
    /// Tell what numbers of a country cost, and what has to be done before they are ordered. Buys nothing
    Requirements(Wanted),
    /// Take a draining number back: it is ready again, and stays with you
    TakeBack {
        /// The number
        number: String,
    },
    /// Release a number after its last conversation. Until then it can be taken back
    Release {
        /// The number
        number: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Move the conversations of a number to others, with text messages to both people, and then release it
    Rotate {
        /// The number
        number: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline numbers order GB 2 --dry-run
  maskline numbers order GB 2
  maskline numbers forecast 25
  maskline numbers take-back +447451000001
  maskline numbers list --country GB --json | jq -r '.countries[].numbers[].number'";

/// The numbers that somebody wants.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Country, such as GB
    country: String,
    /// Ready numbers that the country is to have
    #[arg(default_value_t = 1)]
    count: u32,
    /// Features that the numbers must have: VOICE, SMS, MMS
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// mobile-lvn, landline or landline-toll-free
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
}

/// The options of `order`.
#[derive(Debug, Args)]
pub struct Order {
    #[command(flatten)]
    wanted: Wanted,
    /// Area code with which the numbers begin; may be given several times, the best first
    #[arg(long, value_name = "CODE", action = ArgAction::Append, conflicts_with = "pattern")]
    area_code: Vec<String>,
    /// Digits that the numbers contain
    #[arg(long, value_name = "DIGITS")]
    pattern: Option<String>,
    /// Take any number if there is none left with these digits
    #[arg(long)]
    or_any: bool,
    /// Tell what the order would take back and rent, and for how much, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Order {
    fn request(&self) -> Value {
        let Wanted { country, count, features, kind } = &self.wanted;
        let given = [
            ("country", Some(json!(country))),
            ("count", Some(json!(count))),
            ("features", (!features.is_empty()).then(|| json!(features))),
            ("type", kind.as_ref().map(|kind| json!(kind))),
            ("area_codes", (!self.area_code.is_empty()).then(|| json!(self.area_code))),
            ("pattern", self.pattern.as_ref().map(|digits| json!(digits))),
            ("required", self.or_any.then_some(json!(false))),
            ("dry_run", self.dry_run.then_some(json!(true))),
        ];
        Value::Object(Map::from_iter(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))))
    }
}

pub(super) async fn run(command: &Command, api: &Api, as_json: bool) -> Result<String, CommandError> {
    match command {
        Command::Requirements(wanted) => needed(wanted, api, as_json).await,
        Command::Order(order) => {
            let body = order.request();
            let answer = api.send(Call::new(Method::POST, &["numbers"]).body(&body)).await?;
            Ok(printed(&answer, as_json, if order.dry_run { planned } else { ordered }))
        }
        Command::List { country, state, limit, after } => {
            let call = Call::new(Method::GET, &["numbers"]).query("country", country.as_ref());
            let call = call.query("state", state.as_ref()).query("limit", *limit).query("after", after.as_ref());
            Ok(printed(&api.send(call).await?, as_json, pool))
        }
        Command::Forecast { concurrent, country } => {
            let call =
                Call::new(Method::GET, &["numbers"]).query("concurrent", Some(concurrent)).query("limit", Some(1));
            let call = call.query("country", country.as_ref());
            Ok(printed(&api.send(call).await?, as_json, forecast))
        }
        Command::Get { number } => {
            let answer = api.send(of(number, Method::GET)).await?;
            Ok(printed(&answer, as_json, members))
        }
        Command::TakeBack { number } => {
            let body = json!({"state": "ready"});
            Ok(printed(&api.send(of(number, Method::PATCH).body(&body)).await?, as_json, members))
        }
        Command::Release { number, yes } => {
            confirm(&format!("Give {number} back to the carrier after its last conversation?"), *yes)?;
            Ok(printed(&api.send(of(number, Method::DELETE)).await?, as_json, members))
        }
        Command::Rotate { number, yes } => {
            confirm(&format!("Move the conversations of {number} to other numbers, and give it back?"), *yes)?;
            let call = Call::new(Method::POST, &["numbers", digits(number), "rotate"]);
            Ok(printed(&api.send(call).await?, as_json, members))
        }
    }
}

/// Returns the number as it stands in paths.
fn digits(number: &str) -> &str {
    number.trim_start_matches('+')
}

fn of(number: &str, method: Method) -> Call<'_> {
    Call::new(method, &["numbers", digits(number)])
}

async fn needed(wanted: &Wanted, api: &Api, as_json: bool) -> Result<String, CommandError> {
    let features = (!wanted.features.is_empty()).then(|| wanted.features.join(","));
    let call = Call::new(Method::GET, &["numbers", "requirements"]).query("country", Some(&wanted.country));
    let call = call.query("count", Some(wanted.count)).query("features", features).query("type", wanted.kind.as_ref());
    Ok(printed(&api.send(call).await?, as_json, requirements))
}

/// Returns what an order would do.
pub(crate) fn planned(answer: &Value) -> String {
    let [country, ready, asked, rented] = ["country", "ready", "ordered", "rented"].map(|name| cell(&answer[name]));
    let mut text = format!("{country} has {ready} of {asked} ordered numbers ready. The order would rent {rented}");
    if answer["rented"] != 0 {
        let _ = write!(text, ", for {} a month", price(&answer["monthly_cost"], &cell(&answer["currency"])));
    }
    text.push_str(".\n");
    for taken in answer["taken_back"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  would take back {}", number(taken));
    }
    for reason in answer["shortfall"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  would miss: {}", cell(&reason["detail"]));
    }
    text + "Nothing was bought.\n"
}

/// Returns a price that may be a range.
pub(crate) fn price(range: &Value, currency: &str) -> String {
    match [cell(&range["from"]), cell(&range["to"])] {
        [from, to] if from == to => format!("{from} {currency}"),
        [from, to] => format!("{from} to {to} {currency}"),
    }
}

/// Returns what an order has done.
pub(crate) fn ordered(answer: &Value) -> String {
    let [country, ready, asked] = ["country", "ready", "ordered"].map(|name| cell(&answer[name]));
    let mut text = format!("{country} has {ready} of {asked} ordered numbers ready.\n");
    for added in answer["added"].as_array().into_iter().flatten() {
        let cost = format!("{} {} a month", cell(&added["monthly_cost"]), cell(&answer["currency"]));
        let _ = writeln!(text, "  rented {}, {}, {cost}", number(&added["number"]), cell(&added["features"]));
    }
    for reason in answer["shortfall"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  missing: {}", cell(&reason["detail"]));
    }
    if answer["order"].is_object() {
        let _ = writeln!(
            text,
            "The order stays open, and the schedule goes on with it: maskline numbers list --country {country}"
        );
    }
    text
}

fn pool(answer: &Value) -> String {
    let countries: Vec<&Value> = answer["countries"].as_array().into_iter().flatten().collect();
    let mut load = Table::new(&["country", "ready", "most in use", "headroom", "draining", "lost", "a month"]);
    let mut numbers = Table::new(&["number", "country", "type", "features", "state", "since", "a month"]);
    for country in countries {
        let [name, ready, peak, headroom] =
            ["country", "ready", "high_water", "headroom"].map(|key| cell(&country[key]));
        let [draining, lost, cost, currency] =
            ["draining", "lost", "monthly_cost", "currency"].map(|key| cell(&country[key]));
        load.row([name.clone(), ready, peak, headroom, draining, lost, format!("{cost} {currency}")]);
        for listed in country["numbers"].as_array().into_iter().flatten() {
            let [kind, features, state, added, cost] =
                ["type", "features", "state", "added_at", "monthly_cost"].map(|key| cell(&listed[key]));
            numbers.row([number(&listed["number"]), name.clone(), kind, features, state, added, cost]);
        }
    }
    if load.is_empty() {
        return "The pool is empty. Order numbers: maskline numbers order GB 2\n".to_owned();
    }
    let next = answer["next"].as_str().map(|next| format!("There are more: --after {next}\n")).unwrap_or_default();
    if numbers.is_empty() { format!("{load}{next}") } else { format!("{load}\n{numbers}{next}") }
}

fn forecast(answer: &Value) -> String {
    let mut table = Table::new(&["country", "conversations at once", "needed", "ready", "missing"]);
    for country in answer["countries"].as_array().into_iter().flatten() {
        let [concurrent, needed, missing] =
            ["concurrent", "needed", "missing"].map(|key| cell(&country["forecast"][key]));
        table.row([cell(&country["country"]), concurrent, needed, cell(&country["ready"]), missing]);
    }
    if table.is_empty() { "The pool is empty.\n".to_owned() } else { table.to_string() }
}

fn requirements(answer: &Value) -> String {
    let (offers, [country, count]) = (&answer["offers"], ["country", "count"].map(|key| cell(&answer[key])));
    let currency = cell(&offers["currency"]);
    let mut text = format!("{country}: {} fitting numbers are offered", cell(&offers["fitting"]));
    if offers["monthly_cost"].is_object() {
        let _ = write!(text, ", each for {} a month", price(&offers["monthly_cost"], &currency));
    }
    text.push_str(".\n");
    if offers["monthly_cost_of_all"].is_object() {
        let _ = writeln!(text, "{count} cost {} a month.", price(&offers["monthly_cost_of_all"], &currency));
    }
    for needed in answer["requirements"].as_array().into_iter().flatten() {
        let by_hand = if needed["by_hand"] == true { ", by hand" } else { "" };
        let [about, is_needed, says] = ["about", "needed", "says"].map(|key| cell(&needed[key]));
        let _ = writeln!(text, "  {about} (needed: {is_needed}{by_hand}): {says}");
    }
    let _ = writeln!(text, "As of {}. Nothing was bought.", cell(&answer["checked_at"]));
    text
}

/// Returns all members of an object, one on a line.
fn members(object: &Value) -> String {
    let mut text = String::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = if name == "number" { number(value) } else { cell(value) };
        let _ = writeln!(text, "{:<22}{value}", name.replace('_', " "));
    }
    text
}
