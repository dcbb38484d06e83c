//! `GET /conversations/{id}` returns a conversation with its calls, `GET /conversations` lists of conversations, and
//! `GET /decisions` what a call meets. `GET /conversations/{id}/texts` lists the texts of a conversation, `GET /conversations/{id}/recordings` its recordings, and
//! `GET /conversations/{id}/recordings/{recording}` and `GET /recordings/{token}` lead to the file of one. `GET /cards/{card}` returns a
//! contact card to whoever has its link.

mod card;
mod decision;
mod list;
mod page;
mod recordings;
mod texts;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::domain::call::calls;
use shared::domain::card_link::{CardKey, CardLinks};
use shared::domain::channel::{BrandSenders, Sender};
use shared::domain::conversation::ConversationId;
use shared::domain::decision::Decision;
use shared::domain::listing::ListKey;
use shared::domain::phone::Reveal;
use shared::domain::side::Side;
use shared::domain::support::SupportPhone;
use shared::domain::words::Words;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, NumberReaders, Problem, TenantClaim};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::recording_files::RecordingAddresses;
use shared::store::{CallsQuery, Store};

use crate::decision::{DecisionQuery, DecisionView};
use crate::page::{CallsParameters, ListQuery};

/// Number of texts in an answer.
const TEXTS: u16 = 50;

/// The function that returns conversations.
pub struct GetConversation {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    readers: NumberReaders,
    store: Store,
    addresses: Option<RecordingAddresses>,
    words: Words,
    support: Option<SupportPhone>,
    /// True if callers who are not known are asked for a PIN.
    has_pins: bool,
    /// True if the backend decides about strangers and late callers.
    asks_about_strangers: bool,
    card_key: CardKey,
    /// Finds the lists without a phone, if the deployment has them.
    lists: Option<ListKey>,
    public_url: Option<String>,
    /// The deployment's senders on channels.
    senders: BrandSenders,
    clock: SharedClock,
}

impl HttpFunction for GetConversation {
    const NAME: &'static str = "get-conversation";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let (store, addresses) = (Store::connect(env)?, RecordingAddresses::from_environment(env)?);
        let (support, has_pins) = (env.support_phone()?, env.has_pins()?);
        let asks_about_strangers = env.asks_about_strangers()?;
        Ok(Self {
            tenant_claim: TenantClaim::from_environment(env),
            readers: NumberReaders::from_environment(env)?,
            store,
            addresses,
            words: env.words()?,
            support,
            has_pins,
            asks_about_strangers,
            card_key: CardKey::new(&env.hash_key()?.0),
            lists: env.list_key()?,
            public_url: env.public_url()?,
            senders: env.brand_senders()?,
            clock,
        })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        // This function has permission to read conversations only. No conversation has this id.
        let now = self.clock.now();
        let nothing = CallsQuery { limit: 1, after: None };
        let _ = self.store.conversation_with_calls(ConversationId::generate(now), nothing, now).await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let reveal = self.readers.reveal_to(&request);
        if request.uri().path().ends_with("/decisions") {
            let now = self.clock.now();
            let query = DecisionQuery::read(&request, now)?;
            let mut explanation = query.explain(&self.store, now).await?;
            let asks_first = self.asks_about_strangers && query.asks_about_stranger(&explanation, now);
            query.take_other_ways(&mut explanation, self.support.as_ref(), self.has_pins, now);
            log.outcome = "decision explained";
            log.conversation = explanation.decision.as_ref().and_then(Decision::conversation);
            let speech = query.speech(&self.words, &explanation);
            return Ok(http::json(
                StatusCode::OK,
                &DecisionView::new(&explanation, &query.dialled, &speech, asks_first, reveal),
            ));
        }
        let (now, addresses) = (self.clock.now(), self.addresses.as_ref());
        let named = |name: &str| request.path_parameters_ref().and_then(|parameters| parameters.first(name));
        if let Some(card) = named("card") {
            return card::answer(&self.store, &self.card_key, card, now, log).await;
        }
        if let Some(token) = named("token") {
            return recordings::linked(&self.store, addresses, token, now, log).await;
        }
        if named("recording").is_some() {
            return recordings::file(&self.store, addresses, &request, now, log).await;
        }
        if request.uri().path().ends_with("/recordings") {
            return recordings::list(&self.store, &request, now, log).await;
        }
        if request.uri().path().ends_with("/texts") {
            return texts::list(&self.store, &request, now, log).await;
        }
        if named("id").is_none() {
            log.outcome = "listed";
            let query = ListQuery::read(&request, self.lists.as_ref())?;
            return list::answer(&self.store, http::scope(&request)?, &query, reveal, now).await;
        }
        let id = http::conversation_of(&request, &self.store).await?;
        (log.outcome, log.conversation) = ("read", Some(id));
        let parameters = CallsParameters::read(&request)?;
        let links = http::card_links(self.public_url.as_deref(), &request, &self.card_key);
        self.show(id, parameters.query(), links.as_ref(), reveal).await
    }
}

impl GetConversation {
    async fn show(
        &self,
        id: ConversationId,
        query: CallsQuery<'_>,
        links: Option<&CardLinks>,
        reveal: Reveal,
    ) -> Result<Response<Body>, Problem> {
        let now = self.clock.now();
        let is_first_page = query.after.is_none();
        let texts = async { if is_first_page { self.store.texts(id, None, TEXTS).await.map(Some) } else { Ok(None) } };
        let (found, texts) = tokio::try_join!(self.store.conversation_with_calls(id, query, now), texts)?;
        let found = found.ok_or_else(http::no_conversation)?;
        let (conversation, [a, b]) = (&found.conversation, &found.conversation.participants);
        let calls = calls(found.legs, found.conversation.handling.guard);
        let view = ConversationView::new(conversation, reveal, now).with_usage(&found.usage, now);
        let view = view.with_card_links(conversation, links);
        let view = view.with_calls(conversation, &calls, found.next.as_deref());
        let view = match &texts {
            Some(latest) => view.with_texts(&latest.texts, latest.next.is_some(), now),
            None => view,
        };
        // Nobody dials the numbers of one that is over.
        let is_active = conversation.is_active(now);
        if !is_active {
            return Ok(http::with_revision(http::json(StatusCode::OK, &view), conversation));
        }
        // What texts a phone: the number that it sees, and the senders on channels.
        let channels = self.senders.channels();
        let mut pairs = Vec::new();
        for phone in Side::BOTH.into_iter().flat_map(|side| conversation.phones(side)) {
            let senders = channels.clone().map(Sender::from).chain([phone.sees.into()]);
            pairs.extend(senders.map(|sender| (phone.number, sender)));
        }
        let (losses, opted_out) = self.store.losses_and_opt_outs([&a.sees, &b.sees], &pairs).await?;
        let first = |of_phone: &[Option<Timestamp>]| of_phone.iter().flatten().min().copied();
        let opted_out: Vec<_> = opted_out.chunks(channels.count() + 1).map(first).collect();
        let (of_a, of_b) = opted_out.split_at(conversation.phones(Side::A).count());
        let view = view.with_opt_outs(Side::A, of_a.iter().copied()).with_opt_outs(Side::B, of_b.iter().copied());
        Ok(http::with_revision(http::json(StatusCode::OK, &view.with_losses(losses)), conversation))
    }
}
