//! `GET|POST /webhooks/message` receives texts of phones to virtual numbers and passes them on, and
//! `GET|POST /webhooks/message-status` receives the receipts of texts. Both may come twice, late and out of order.
//!
//! `POST /conversations/{id}/texts` writes a text to a participant. It is here because this function has the account's secret and
//! the permissions for texts already, and no other one needs them for that.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::part_fate::PartFate;
use shared::domain::pin::PinKey;
use shared::domain::quiet_hours::UsualQuietHours;
use shared::domain::receipt::ReceiptOf;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, MessageVerifier, Problem, RequestHasher, TenantClaim};
use shared::edge::request_log::{Carried, News, RequestLog};
use shared::event_bus::EventBus;
use shared::service::pool_cache::PoolCache;
use shared::service::relay_texts::TextRelay;
use shared::service::slide_end::EndSlider;
use shared::service::text_events::{Occasion, TextEvents};
use shared::store::Store;
use shared::vonage::message_event::{Fields, InboundText, NotAMessage, charged_country, opt_out, receipt};
use shared::vonage::texts::TextsOnDemand;

mod write;

/// The message webhook.
pub struct MessageWebhook {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    relay: TextRelay,
    verifier: MessageVerifier,
    hasher: RequestHasher,
    quiet_hours: Option<UsualQuietHours>,
    clock: SharedClock,
}

impl HttpFunction for MessageWebhook {
    const NAME: &'static str = "message-webhook";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let store = Store::connect(env)?.with_journal(env)?;
        let relay = TextRelay {
            slider: EndSlider { store: store.clone(), clock: clock.clone(), cache: PoolCache::default() },
            store,
            texts: TextsOnDemand::from_environment(env, clock.clone())?,
            senders: env.brand_senders()?,
            events: TextEvents { bus: EventBus::from_environment(env)? },
            keeps_words: env.keeps_texts()?,
            words: env.words()?,
            key: PinKey::new(&env.hash_key()?.0),
            clock: clock.clone(),
        };
        let verifier = MessageVerifier::new(&SignatureConfig::from_environment(env)?);
        let hasher = RequestHasher::new(&env.hash_key()?);
        Ok(Self {
            tenant_claim: TenantClaim::from_environment(env),
            relay,
            verifier,
            hasher,
            quiet_hours: env.quiet_hours()?,
            clock,
        })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        self.relay.store.warm_up().await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        // Only the route of the backend, which API Gateway lets nobody else use, has parameters in its path.
        if request.path_parameters_ref().is_some_and(|parameters| parameters.first("id").is_some()) {
            return write::write(&self.relay, self.quiet_hours.as_ref(), &self.hasher, &request, log).await;
        }
        let done = Ok(http::empty(StatusCode::OK));
        let Some(fields) = self.verifier.signed_fields(&request, self.clock.now())? else {
            log.outcome = "nothing in it";
            return done;
        };
        if request.uri().path().ends_with("/message-status") {
            self.record_receipt(&fields, log).await?;
        } else {
            let inbound = InboundText::parse(&fields, &self.relay.senders).map_err(not_a_message)?;
            let (relayed, conversation) = self.relay.handle(inbound).await?;
            (log.outcome, log.conversation) = (relayed.outcome(), conversation);
        }
        done
    }
}

impl MessageWebhook {
    /// Adds a receipt to its text. One that tells of an opt-out is followed, whatever text message it is of.
    async fn record_receipt(&self, fields: &Fields, log: &mut RequestLog) -> Result<(), Problem> {
        if let Some(news) = opt_out(fields) {
            self.relay.follow_news(&news).await?;
        }
        let Some(receipt) = receipt(fields).map_err(not_a_message)? else {
            log.outcome = "receipt of another text";
            return Ok(());
        };
        log.conversation = Some(receipt.of.conversation());
        let carried = |country| Carried { country: Some(country), news: News::Text { cost: receipt.price } };
        log.carried = charged_country(fields, &receipt).map(carried);
        let (TextRelay { store, events, .. }, now) = (&self.relay, self.clock.now());
        let is_there = match &receipt.of {
            ReceiptOf::Text(text) => {
                let is_there = store.record_receipt(*text, &receipt, now).await?;
                if is_there && receipt.fate != PartFate::Accepted {
                    events.tell(store, *text, Occasion::Receipt, now).await?;
                }
                is_there
            }
            // The pipe tells of it, as of every change of a conversation.
            ReceiptOf::Invitation(invitation) => store.record_invitation_receipt(invitation, &receipt, now).await?,
        };
        log.outcome = if is_there { "receipt recorded" } else { "receipt of an unknown text" };
        Ok(())
    }
}

fn not_a_message(error: NotAMessage) -> Problem {
    Problem::malformed(format!("This is no webhook of Vonage: {error}."))
}
