//! `maskline conversations`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::api::{Api, Call};
use super::table::{Table, cell, number};
use super::{CommandError, confirm, fields, printed};

/// A command for conversations. Each is one request to the API, whose fields `docs/api.md` explains.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pair two people. Both get a text message with the number to call
    Create(Create),
    /// Show a conversation with its calls and texts
    Get {
        /// Id of the conversation
        id: String,
        /// Cursor of the next page of calls
        #[arg(long, value_name = "CURSOR")]
        calls_cursor: Option<String>,
    },
    /// List conversations, the newest first: those of a phone, and with LIST_CONVERSATIONS=on also without one
    List(List),
    /// Change a conversation
    Update(Update),
    /// End a conversation: the numbers lead nowhere for these two
    End {
        /// Id of the conversation
        id: String,
        /// End its running calls too
        #[arg(long)]
        hang_up: bool,
    },
    /// End and erase a conversation, at the carrier too. This cannot be undone
    Erase {
        /// Id of the conversation
        id: String,
        /// End its running calls too
        #[arg(long)]
        hang_up: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Ring one person, and connect the other one
    Call {
        /// Id of the conversation
        id: String,
        /// The person who is rung first
        #[arg(long, value_enum)]
        from: Side,
        #[command(flatten)]
        once: Once,
    },
    /// Write a text to one person, from the number that this person dials
    Text {
        /// Id of the conversation
        id: String,
        /// The person who gets the text
        #[arg(long, value_enum)]
        to: Side,
        /// The text, at most 1,600 characters
        text: String,
        #[command(flatten)]
        once: Once,
    },
    /// List the texts of a conversation, the latest first
    Texts {
        /// Id of the conversation
        id: String,
        /// Most texts, 1 to 100
        #[arg(long)]
        limit: Option<u8>,
        /// Cursor of the next page
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Text the number to dial to those who did not get it
    Notify {
        /// Id of the conversation
        id: String,
        /// Only this person, whose phones that were not texted yet get it too, such as a new one
        #[arg(long, value_enum)]
        to: Option<Side>,
    },
    /// List the recordings of a conversation
    Recordings {
        /// Id of the conversation
        id: String,
    },
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline conversations create '+44 7700 900001' '+44 7700 900002' --labels 'your rider' 'your driver' --expires-in 2h
  maskline conversations list +447700900001
  maskline conversations list --reference ride-42
  maskline conversations list --masked-by +447451000001 --state active --created-from 24h
  maskline conversations update 01M8… --block a
  maskline conversations notify 01M8… --to b
  maskline conversations get 01M8… --json | jq '.calls[].duration'
  maskline conversations end 01M8… --profile production";

/// A participant: `a` is the first one, and `b` the second one.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[allow(missing_docs)]
pub enum Side {
    A,
    B,
}

impl Side {
    fn letter(self) -> &'static str {
        match self {
            Side::A => "a",
            Side::B => "b",
        }
    }
}

/// The participants whose calls are not connected.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[allow(missing_docs)]
pub enum Blocked {
    A,
    B,
    Both,
    None,
}

/// The protection against carrying out a request twice.
#[derive(Debug, Args)]
pub struct Once {
    /// Key that makes the same request once only, however often it is sent; by default a new one
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Once {
    fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string())
    }
}

/// The options of `create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Phones of the two people, as +44… or in national form with --country
    #[arg(num_args = 2, value_names = ["FIRST", "SECOND"], required_unless_present = "body")]
    numbers: Vec<String>,
    /// Country of national forms, such as GB
    #[arg(long)]
    country: Option<String>,
    /// Names of the first and of the second one in the other one's text message
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    labels: Vec<String>,
    /// Languages of the first and of the second one, such as en-GB
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    languages: Vec<String>,
    /// Lifetime, such as 90m or 1h30m; the API's default is a day
    #[arg(long, value_name = "TIME", value_parser = fields::seconds)]
    expires_in: Option<i64>,
    /// Your own name for the conversation
    #[arg(long)]
    reference: Option<String>,
    /// Send no text messages
    #[arg(long)]
    no_notify: bool,
    /// Only tell which numbers the two would get, or why they would get none
    #[arg(long)]
    dry_run: bool,
    /// Any other field of the request, whose value is JSON or text; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = fields::field, action = ArgAction::Append)]
    fields: Vec<(String, Value)>,
    /// File with the whole request in JSON, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["numbers", "country", "labels", "languages"])]
    body: Option<PathBuf>,
    #[command(flatten)]
    once: Once,
}

/// The options of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this phone, as +44… or in national form with --country
    number: Option<String>,
    /// Country of a national form
    #[arg(long, requires = "number")]
    country: Option<String>,
    /// Only those with this reference
    #[arg(long)]
    reference: Option<String>,
    /// Only those in which this virtual number masks or masked one of the two
    #[arg(long, value_name = "NUMBER")]
    masked_by: Option<String>,
    /// Only those in this state: active, ended or expired
    #[arg(long)]
    state: Option<String>,
    /// Only those created from this time on: 2026-11-25T20:00:00Z, or a length such as 24h, which means a day ago
    #[arg(long, value_name = "TIME", value_parser = fields::time)]
    created_from: Option<Timestamp>,
    /// Only those created before this time
    #[arg(long, value_name = "TIME", value_parser = fields::time)]
    created_until: Option<Timestamp>,
    /// Most conversations that are looked at, 1 to 100
    #[arg(long)]
    limit: Option<u8>,
    /// Cursor of the next page
    #[arg(long)]
    cursor: Option<String>,
}

impl List {
    fn call(&self) -> Call<'_> {
        Call::new(Method::GET, &["conversations"])
            .query("number", self.number.as_ref())
            .query("country", self.country.as_ref())
            .query("reference", self.reference.as_ref())
            .query("masked_by", self.masked_by.as_ref())
            .query("state", self.state.as_ref())
            .query("created_from", self.created_from)
            .query("created_until", self.created_until)
            .query("limit", self.limit)
            .query("cursor", self.cursor.as_ref())
    }
}

/// The options of `update`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["expires_in", "block", "fields"]))]
pub struct Update {
    /// Id of the conversation
    id: String,
    /// New lifetime from now on, such as 2h
    #[arg(long, value_name = "TIME", value_parser = fields::seconds)]
    expires_in: Option<i64>,
    /// Whose calls are not connected from now on
    #[arg(long, value_enum)]
    block: Option<Blocked>,
    /// Any other field of the request, whose value is JSON or text; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = fields::field, action = ArgAction::Append)]
    fields: Vec<(String, Value)>,
}

impl Create {
    fn request(&self) -> Result<Value, CommandError> {
        let mut body = match &self.body {
            Some(file) => fields::body(file)?,
            None => json!({"participants": self.participants()}),
        };
        let given = [
            ("expires_in", self.expires_in.map(|seconds| json!(seconds))),
            ("reference", self.reference.as_ref().map(|reference| json!(reference))),
            ("notify", self.no_notify.then_some(json!(false))),
            ("dry_run", self.dry_run.then_some(json!(true))),
        ];
        for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))) {
            body[name] = value;
        }
        for (name, value) in &self.fields {
            body[name] = value.clone();
        }
        Ok(body)
    }

    fn participants(&self) -> Vec<Value> {
        let participant = |(side, number): (usize, &String)| {
            let mut fields = Map::from_iter([("number".to_owned(), json!(number))]);
            let given = [
                ("country", self.country.as_ref()),
                ("label", self.labels.get(side)),
                ("language", self.languages.get(side)),
            ];
            fields.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
            Value::Object(fields)
        };
        self.numbers.iter().enumerate().map(participant).collect()
    }
}

impl Update {
    fn request(&self) -> Value {
        let mut body = Map::from_iter(self.fields.iter().cloned());
        if let Some(seconds) = self.expires_in {
            body.insert("expires_in".to_owned(), json!(seconds));
        }
        if let Some(block) = self.block {
            let sides = match block {
                Blocked::A => json!("a"),
                Blocked::B => json!("b"),
                Blocked::Both => json!("both"),
                Blocked::None => Value::Null,
            };
            body.insert("blocked".to_owned(), sides);
        }
        Value::Object(body)
    }
}

pub(super) async fn run(command: &Command, api: &Api, as_json: bool) -> Result<String, CommandError> {
    let of = |id, method| Call::new(method, &["conversations", id]);
    match command {
        Command::Create(options) => {
            let (body, key) = (options.request()?, options.once.key());
            let call = Call::new(Method::POST, &["conversations"]).body(&body).idempotency_key(&key);
            Ok(printed(&api.send(call).await?, as_json, one))
        }
        Command::Get { id, calls_cursor } => {
            let call = of(id, Method::GET).query("calls_cursor", calls_cursor.as_ref());
            Ok(printed(&api.send(call).await?, as_json, with_calls))
        }
        Command::List(options) => Ok(printed(&api.send(options.call()).await?, as_json, list)),
        Command::Update(options) => {
            let body = options.request();
            Ok(printed(&api.send(of(&options.id, Method::PATCH).body(&body)).await?, as_json, one))
        }
        Command::End { id, hang_up } => {
            let call = of(id, Method::DELETE).query("hang_up", hang_up.then_some(true));
            Ok(printed(&api.send(call).await?, as_json, one))
        }
        Command::Erase { id, hang_up, yes } => {
            confirm(&format!("Erase the conversation {id} and all of its calls and texts?"), *yes)?;
            let call = of(id, Method::DELETE).query("erase", Some(true)).query("hang_up", hang_up.then_some(true));
            api.send(call).await?;
            Ok(printed(&json!({"id": id, "erased": true}), as_json, |_| format!("{id} is erased.\n")))
        }
        Command::Call { id, from, once } => {
            let (body, key) = (json!({"from": from.letter()}), once.key());
            let call = Call::new(Method::POST, &["conversations", id, "calls"]).body(&body).idempotency_key(&key);
            let said =
                |call: &Value| format!("The phone of {} rings: {}\n", from.letter(), cell(&call["conversation_uuid"]));
            Ok(printed(&api.send(call).await?, as_json, said))
        }
        Command::Text { id, to, text, once } => {
            let (body, key) = (json!({"to": to.letter(), "text": text}), once.key());
            let call = Call::new(Method::POST, &["conversations", id, "texts"]).body(&body).idempotency_key(&key);
            let said = |text: &Value| format!("The text {} is {}.\n", cell(&text["id"]), cell(&text["state"]));
            Ok(printed(&api.send(call).await?, as_json, said))
        }
        Command::Texts { id, limit, cursor } => {
            let call = Call::new(Method::GET, &["conversations", id, "texts"]);
            let call = call.query("limit", *limit).query("cursor", cursor.as_ref());
            Ok(printed(&api.send(call).await?, as_json, texts))
        }
        Command::Notify { id, to } => {
            let body = to.map_or(json!({}), |to| json!({"to": to.letter()}));
            let call = Call::new(Method::POST, &["conversations", id, "notifications"]).body(&body);
            Ok(printed(&api.send(call).await?, as_json, one))
        }
        Command::Recordings { id } => {
            let call = Call::new(Method::GET, &["conversations", id, "recordings"]);
            Ok(printed(&api.send(call).await?, as_json, recordings))
        }
    }
}

fn participants(conversation: &Value) -> impl Iterator<Item = &Value> {
    conversation["participants"].as_array().into_iter().flatten()
}

/// Returns a conversation with its two sides.
pub(crate) fn one(conversation: &Value) -> String {
    let mut text = match conversation["dry_run"].as_bool() {
        Some(_) => format!("Nothing is created. It would last until {}", cell(&conversation["expires_at"])),
        None => {
            let end = if conversation["ended_at"].is_null() { ("until", "expires_at") } else { ("since", "ended_at") };
            let [id, state, end_at] = ["id", "state", end.1].map(|name| cell(&conversation[name]));
            format!("Conversation {id} is {state} {} {end_at}", end.0)
        }
    };
    for (name, said) in [("reference", "reference"), ("blocked", "blocked"), ("limit_reached_at", "limit reached at")] {
        if !conversation[name].is_null() {
            let _ = write!(text, ", {said} {}", cell(&conversation[name]));
        }
    }
    let mut table = Table::new(&["side", "phone", "dials", "is seen as", "label", "language", "text message"]);
    for (side, participant) in ["a", "b"].into_iter().zip(participants(conversation)) {
        let [phone, dials, mask] = ["number", "dials", "masked_by"].map(|name| number(&participant[name]));
        let [label, language, notification] =
            ["label", "language", "notification"].map(|name| cell(&participant[name]));
        table.row([side.to_owned(), phone, dials, mask, label, language, notification]);
    }
    format!("{text}\n\n{table}")
}

fn with_calls(conversation: &Value) -> String {
    let mut text = one(conversation);
    let mut calls = Table::new(&["call", "from", "to", "connected", "seconds", "price"]);
    for call in conversation["calls"].as_array().into_iter().flatten() {
        let [caller, callee] = ["caller", "callee"].map(|name| number(&call[name]));
        let [started, connected, seconds] = ["started_at", "connected_at", "duration"].map(|name| cell(&call[name]));
        let price = [cell(&call["price"]), cell(&call["currency"])].join(" ");
        let connected = if connected.is_empty() { "no".to_owned() } else { connected };
        calls.row([started, caller, callee, connected, seconds, price.trim().to_owned()]);
    }
    if !calls.is_empty() {
        let _ = write!(text, "\n{calls}");
    }
    if let Some(next) = conversation["calls_next"].as_str() {
        let _ = writeln!(text, "There are more: --calls-cursor {next}");
    }
    let texts = table_of_texts(conversation);
    if !texts.is_empty() {
        let _ = write!(text, "\n{texts}");
    }
    if conversation["texts_cut"] == true {
        let _ = writeln!(text, "There are more: maskline conversations texts {}", cell(&conversation["id"]));
    }
    text
}

fn table_of_texts(answer: &Value) -> Table {
    let mut table = Table::new(&["text", "from", "to", "state", "parts", "reason"]);
    for sent in answer["texts"].as_array().into_iter().flatten() {
        table.row(["received_at", "from", "to", "state", "segments", "reason"].map(|name| cell(&sent[name])));
    }
    table
}

fn texts(answer: &Value) -> String {
    let table = table_of_texts(answer);
    let next = answer["next"].as_str().map(|next| format!("There are more: --cursor {next}\n")).unwrap_or_default();
    if table.is_empty() { format!("No text.\n{next}") } else { format!("{table}{next}") }
}

fn list(answer: &Value) -> String {
    let mut table = Table::new(&["conversation", "state", "created", "ends", "reference", "phones"]);
    for conversation in answer["conversations"].as_array().into_iter().flatten() {
        let end = if conversation["ended_at"].is_null() { "expires_at" } else { "ended_at" };
        let phones: Vec<String> =
            participants(conversation).map(|participant| number(&participant["number"])).collect();
        let [id, state, created, reference] =
            ["id", "state", "created_at", "reference"].map(|name| cell(&conversation[name]));
        table.row([id, state, created, cell(&conversation[end]), reference, phones.join(" ")]);
    }
    let next = answer["next"].as_str().map(|next| format!("There are more: --cursor {next}\n")).unwrap_or_default();
    if table.is_empty() { format!("No conversation.\n{next}") } else { format!("{table}{next}") }
}

fn recordings(answer: &Value) -> String {
    let mut table = Table::new(&["recording", "kind", "state", "called by", "made", "seconds", "kept until"]);
    for recording in answer["recordings"].as_array().into_iter().flatten() {
        let columns = ["id", "kind", "state", "called_by", "made_at", "duration", "kept_until"];
        table.row(columns.map(|name| cell(&recording[name])));
    }
    if table.is_empty() { "No recording.\n".to_owned() } else { table.to_string() }
}
