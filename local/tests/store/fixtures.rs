//! Items as each release has stored them, in `fixtures`: a folder for each release, a file for each kind of item. Every later
//! release reads them.
//!
//! `MASKLINE_WRITE_FIXTURES=0.2` writes the folder of a release whose stored form differs from the one before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use local::dynamodb::Dynamodb;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::domain::call::{Direction, LegFacts, Status};
use shared::domain::call_limits::CallLimits;
use shared::domain::carrier_record::{CarrierRecord, Product};
use shared::domain::channel::{Channel, Chat, Sender};
use shared::domain::conversation::{Conversation, ConversationId, State};
use shared::domain::invitation::{InvitationReceipts, SentInvitation};
use shared::domain::judge::{Judge, LookedUp};
use shared::domain::language::Language;
use shared::domain::listing::ListKey;
use shared::domain::number_erasure::{ErasureId, NumberErasure};
use shared::domain::number_settings::NumberSettings;
use shared::domain::order::{Ordered, WantedDigits};
use shared::domain::pace::{Pace, Turn};
use shared::domain::part_fate::PartFate;
use shared::domain::peak_usage::Mark;
use shared::domain::phone::RealNumber;
use shared::domain::pin::Allowance;
use shared::domain::pool::{Feature, NumberState};
use shared::domain::receipt::{InvitationReference, Receipt, ReceiptOf};
use shared::domain::recording::{Recording, RecordingKind, RecordingState};
use shared::domain::recording_work::{RecordingTask, RecordingWork};
use shared::domain::relayed_text::{AcceptedPart, AcceptedText, RelayedText, TextReference};
use shared::domain::route::{Callee, Destination, KeyOwner, Route};
use shared::domain::route_keys::{RouteKey, Tenure};
use shared::domain::side::{Side, WhoDials};
use shared::domain::standing::StandingMask;
use shared::domain::support::SupportPhone;
use shared::domain::tenant::{Owner, Pool, Tenant};
use shared::domain::tenant_cost::{Month, Spent};
use shared::domain::tenant_settings::TenantSettings;
use shared::domain::text::Reference;
use shared::domain::text_message::TextSize;
use shared::domain::usage::{MaxCount, MaxSpend, Usage, UsageLimits};
use shared::store::{
    AccountWalk, CallsPage, Counted, Departure, IdempotentRequest, ItemKind, Keeping, LegIds, LegNumbers, LegPhone,
    Line, Loss, Offer, RecordedDemand, RecordedStanding, Recount, RetentionPass, RouteScan, ScanPurpose, Store,
    TextClaim, TextOutcome, TriesOf, WantedList, WantedPage, Warning, Wish, WishOutcome,
};

use crate::{
    DRIVER, RIDER, after, calls_of, conversation_at, event, gb, now, number, phone, route_of, table_at, virtual_number,
};

/// Items of one release, by kind.
type Fixtures = BTreeMap<String, Vec<Value>>;

async fn embedded() -> (Store, Dynamodb) {
    let database = Dynamodb::open(None).unwrap();
    let (listener, url) = testkit::listen().await;
    tokio::spawn(database.clone().serve(listener, std::future::pending()));
    (table_at(&url, "maskline").await, database)
}

fn id(last: char) -> ConversationId {
    ConversationId::try_from(format!("01M81PZXZPCX9PBRT5SWKY25Z{last}")).unwrap()
}

/// The conversations of the story: one with a request, one that ended, one that was erased, one in which only one side calls,
/// one on the numbers of an earlier one, and one with limits.
fn live() -> Conversation {
    Conversation { id: id('1'), ..conversation_at(now(), [1, 2]) }
}

/// The first one's invitation to side A, of which there is a receipt.
fn invited() -> SentInvitation {
    SentInvitation { invitation: live().invitation(Side::A.into()), product: Product::Sms, channel: None, receipts: 1 }
}

/// The first one with that receipt.
fn told() -> Conversation {
    let mut told = live();
    told.invitation_receipts.extend([InvitationReceipts::entry(&invited(), "part-3", &PartFate::Delivered)]);
    told
}

fn ended() -> Conversation {
    Conversation { id: id('2'), ..conversation_at(now(), [3, 4]) }
}

fn erased() -> Conversation {
    Conversation { id: id('3'), ..conversation_at(now(), [5, 6]) }
}

fn one_way() -> Conversation {
    Conversation { id: id('4'), direction: WhoDials::AToB, ..conversation_at(now(), [7, 8]) }
}

fn earlier() -> Conversation {
    Conversation { id: id('5'), ..conversation_at(after(-1000), [9, 10]) }
}

fn again() -> Conversation {
    Conversation { id: id('6'), ..conversation_at(now(), [9, 10]) }
}

/// One whose only call reaches its limits.
fn limited() -> Conversation {
    let limits = json!({"max_calls": 1, "max_minutes": 30, "max_spend": "2.50"});
    let usage_limits = serde_json::from_value(limits).unwrap();
    Conversation { id: id('7'), usage_limits, ..conversation_at(now(), [11, 12]) }
}

/// One whose first participant has a PIN, and that is in the lists.
fn with_pin() -> Conversation {
    let listed = Some(list_key().listed(Some(&reference())));
    let in_lists = Conversation { reference: Some(reference()), listed, ..conversation_at(now(), [13, 14]) };
    let mut conversation = Conversation { id: id('8'), ..in_lists };
    conversation.participants[0].pin = serde_json::from_value(json!({"digits": "123456", "hash": "89ab"})).unwrap();
    conversation
}

/// One of a tenant, with people of its own.
fn of_tenant() -> Conversation {
    let mut conversation = Conversation {
        id: id('9'),
        owner: Owner::Tenant(Tenant::try_from("acme").unwrap()),
        ..conversation_at(now(), [15, 16])
    };
    for (participant, digits) in conversation.participants.iter_mut().zip(["447700900301", "447700900302"]) {
        participant.number = phone(digits);
    }
    conversation
}

/// The costs of that tenant: of a leg to the callee and an invitation, and of two parts of an earlier text.
fn spent() -> [(Month, Spent); 2] {
    let [call_cost, text_cost, of_invitation] = ["0.05", "0.0666", "0.0333"].map(|amount| amount.parse().unwrap());
    let now = Spent { calls: 0, seconds: 30, call_cost, texts: 1, text_cost: of_invitation };
    let of_text = Spent { texts: 1, text_cost, ..Spent::default() };
    [(Month::of(after(32)), now), (Month::of(text_of_tenant().id.time()), of_text)]
}

fn list_key() -> ListKey {
    ListKey::new("secret")
}

fn reference() -> Reference {
    Reference::try_from("ride-42".to_owned()).unwrap()
}

/// Returns the conversations of a list.
async fn listed(store: &Store, list: &WantedList) -> Vec<ConversationId> {
    let found = store.listed_conversations(Owner::Deployment, list, WantedPage::first(100), after(50)).await.unwrap();
    assert_eq!(found.next, None);
    found.conversations.iter().map(|conversation| conversation.id).collect()
}

fn tries() -> Vec<TriesOf> {
    vec![TriesOf { by: "ALL".to_owned(), allowance: Allowance::OF_NUMBER }]
}

fn request() -> IdempotentRequest {
    IdempotentRequest { key_hash: "0123abcd".to_owned(), fingerprint: "4567ef".to_owned() }
}

fn looked_up() -> LookedUp {
    LookedUp { at: now(), by: Judge::IdentityInsights, country: gb(), carrier: None }
}

fn ordered() -> Ordered {
    Ordered {
        owner: Owner::Deployment,
        country: gb(),
        count: 9,
        features: vec![Feature::Voice],
        number_type: None,
        digits: WantedDigits { pattern: Some("55".to_owned()), ..WantedDigits::default() },
    }
}

fn walk() -> AccountWalk {
    let narrowed = vec![("447".to_owned(), "4474".to_owned())];
    let recount = Some(Recount::default());
    AccountWalk { prefix: "4474".to_owned(), narrowed, after: Some((Pool::own(gb()), virtual_number(21))), recount }
}

fn facts() -> LegFacts {
    LegFacts { duration: Some(30), price: "0.05".parse().ok(), ..LegFacts::default() }
}

/// The progress of a pass that has read the whole table.
async fn retention_pass(store: &Store) -> RetentionPass {
    let (over, pass) = store.next_past_retention(&RetentionPass::new(now()), after(50)).await.unwrap();
    assert!(over.is_empty() && pass.is_complete, "{over:?} {pass:?}");
    pass
}

fn losses() -> Vec<Loss> {
    vec![Loss { side: Side::B, since: after(5), is_rotation: false }]
}

/// Stores items of every kind by the functions that the product uses.
async fn tell_story(store: &Store) {
    let routes = |conversation: &Conversation| -> Vec<Route> {
        conversation.direction.sides().map(|side| Route::new(conversation, side)).collect()
    };
    store.create_conversation(&live(), &routes(&live()), Some(&request())).await.unwrap();
    for conversation in [ended(), erased(), earlier(), limited(), with_pin()] {
        store.create_conversation(&conversation, &routes(&conversation), None).await.unwrap();
    }
    let continued = |route| Route { history: vec![id('5')], looked_up: Some(looked_up()), ..route };
    let on_the_same: Vec<_> = routes(&again()).into_iter().map(continued).collect();
    store.create_conversation(&again(), &on_the_same, None).await.unwrap();
    let held_until =
        store.hold((&phone(DRIVER), &virtual_number(8)), Owner::Deployment, after(160), now()).await.unwrap().unwrap();
    let line = Line { number: virtual_number(8), held_until, looked_up: Some(looked_up()) };
    store.remember_line(&phone(DRIVER), &line).await.unwrap();
    store.create_conversation(&one_way(), &routes(&one_way()), None).await.unwrap();
    for conversation in [live(), erased()] {
        let owner = LegPhone::from(&Route::new(&conversation, Side::A));
        for (status, second) in [(Status::Answered, 2), (Status::Completed, 32)] {
            store.merge_leg(&owner, Direction::Inbound, &event("leg-1", status, second, facts())).await.unwrap();
        }
    }
    let (phone, virtual_number) = (&phone(DRIVER), &virtual_number(12));
    let callee = LegNumbers { phone, virtual_number, direction: Direction::Outbound, named: None };
    store
        .record_leg_event(callee, &event("leg-2", Status::Completed, 32, facts()), after(32), after(32))
        .await
        .unwrap();
    store.end_conversation(id('2'), after(10)).await.unwrap();
    assert!(store.erase_conversation(id('3'), after(40)).await.unwrap());
    for erasure in [running(), finished()] {
        store.begin_number_erasure(&erasure).await.unwrap();
    }
    store.note_failed_erasures(running().id, 2).await.unwrap();
    store.finish_number_erasure(finished().id, after(45)).await.unwrap().unwrap();
    assert!(store.claim_journal(now()).await.unwrap());
    tell_story_of_recordings(store).await;
    tell_story_of_pool(store).await;
    tell_story_of_pin(store).await;
    tell_story_of_texts(store).await;
    store.put_tenant_settings(&settings_of_tenant()).await.unwrap();
    tell_story_of_tenant(store).await;
}

/// A call, a text and an invitation of a tenant, all of which are paid for.
async fn tell_story_of_tenant(store: &Store) {
    let conversation = of_tenant();
    let routes = [Side::A, Side::B].map(|side| Route::new(&conversation, side));
    store.create_conversation(&conversation, &routes, None).await.unwrap();
    let (phone, virtual_number) = (&conversation.participants[1].number, &virtual_number(16));
    let callee = LegNumbers { phone, virtual_number, direction: Direction::Outbound, named: None };
    let end = event("leg-4", Status::Completed, 32, facts());
    store.record_leg_event(callee, &end, after(32), after(32)).await.unwrap();
    let (text, id) = (text_of_tenant(), conversation.id);
    let mask = self::virtual_number(15);
    let to = Some((&[Sender::from(&mask)][..], phone));
    assert_eq!(store.claim_text(id, &text, after(160), to).await.unwrap(), TextClaim::Claimed);
    let accepted = AcceptedText { parts: accepted(), by_number: false };
    store.record_text_outcome(id, &text, &TextOutcome::Accepted(accepted), after(6)).await.unwrap();
    let invitation = InvitationReference { conversation: id, sent: invited() };
    let (of, part, price) = (ReceiptOf::Invitation(invitation), "part-5".to_owned(), "0.0333".parse().ok());
    let receipt = Receipt { of, part, fate: PartFate::Delivered, price, by_number: false };
    assert!(store.record_invitation_receipt(&invitation, &receipt, after(8)).await.unwrap());
}

fn text_of_tenant() -> RelayedText {
    let id = "01M81PZXZPCX9PBRT5SWKY25T2".to_owned().try_into().unwrap();
    let inbound = relayed().inbound.map(|record| CarrierRecord { id: "in-2".to_owned(), ..record });
    RelayedText { id, owner: of_tenant().owner, inbound, ..relayed() }
}

async fn check_tenant(store: &Store) {
    let tenant = Tenant::try_from("acme").unwrap();
    let months = spent().map(|(month, _)| month);
    assert_eq!(store.tenant_costs(tenant, &months).await.unwrap(), spent());
    // The story told again counts nothing twice.
    let reference = TextReference { conversation: of_tenant().id, text: text_of_tenant().id };
    let of = ReceiptOf::Text(reference);
    let price = "0.0333".parse().ok();
    let receipt = Receipt { of, part: "part-1".to_owned(), fate: PartFate::Delivered, price, by_number: false };
    assert!(store.record_receipt(reference, &receipt, after(50)).await.unwrap());
    assert_eq!(store.tenant_costs(tenant, &months).await.unwrap(), spent());
}

/// A text of two parts, of which one is on the phone, and one that the network held back.
fn relayed() -> RelayedText {
    let inbound = CarrierRecord {
        id: "in-1".to_owned(),
        product: Product::Messages,
        direction: Direction::Inbound,
        channel: None,
    };
    let id = "01M81PZXZPCX9PBRT5SWKY25T1".to_owned().try_into().unwrap();
    RelayedText { id, ..RelayedText::claimed(Side::A, TextSize { segments: 2, messages: None }, inbound, after(5)) }
}

fn accepted() -> Vec<AcceptedPart> {
    ["part-1", "part-2"].map(|id| AcceptedPart { id: id.to_owned(), price: Some("0.0333".to_owned()) }).into()
}

async fn tell_story_of_texts(store: &Store) {
    let (text, reference) = (relayed(), TextReference { conversation: id('1'), text: relayed().id });
    assert_eq!(
        store
            .claim_text(id('1'), &text, after(160), Some((&[(&virtual_number(11)).into()], &phone(DRIVER))))
            .await
            .unwrap(),
        TextClaim::Claimed
    );
    store
        .record_text_outcome(
            id('1'),
            &text,
            &TextOutcome::Accepted(AcceptedText { parts: accepted(), by_number: false }),
            after(6),
        )
        .await
        .unwrap();
    for (part, fate) in [("part-1", PartFate::Delivered), ("part-2", PartFate::Undelivered("held back".to_owned()))] {
        let receipt =
            Receipt { of: ReceiptOf::Text(reference), part: part.to_owned(), fate, price: None, by_number: false };
        assert!(store.record_receipt(reference, &receipt, after(7)).await.unwrap());
    }
    let invitation = InvitationReference { conversation: id('1'), sent: invited() };
    let (of, part) = (ReceiptOf::Invitation(invitation), "part-3".to_owned());
    let receipt = Receipt { of, part, fate: PartFate::Delivered, price: None, by_number: false };
    assert!(store.record_invitation_receipt(&invitation, &receipt, after(8)).await.unwrap());
    assert!(store.claim_explanation(&(&virtual_number(21)).into(), &phone(DRIVER), "0123abcd", now()).await.unwrap());
    let driver = phone(DRIVER);
    store.note_chat(&driver, chat()).await.unwrap();
    for (nth, stops, second) in [(22, true, 5), (23, true, 5), (23, false, 6)] {
        let sender = virtual_number(nth).into();
        let wish = wish(&driver, &sender, stops, after(second));
        assert_eq!(store.follow_wish(wish, after(second)).await.unwrap(), WishOutcome::Changed);
    }
}

/// A wish of this phone, by a key word of its own.
fn wish<'a>(person: &'a RealNumber, sender: &'a Sender<'a>, stops: bool, at: Timestamp) -> Wish<'a> {
    let keyword = (*sender == virtual_number(23).into()).then_some(if stops { "stop-1" } else { "start-1" });
    Wish { person, sender, stops, at, keyword, conversations: &[] }
}

/// A phone's last message on WhatsApp.
fn chat() -> Chat {
    Chat { channel: Channel::WhatsApp, wrote_at: after(8) }
}

async fn check_texts(store: &Store) {
    assert_eq!(store.chat(&phone(DRIVER)).await.unwrap(), Some(chat()));
    let latest = store.texts(id('1'), None, 10).await.unwrap();
    let ids = |id: &str| [id.to_owned()].into();
    let expected = RelayedText {
        sent_at: Some(after(6)),
        parts: accepted(),
        delivered: ids("part-1"),
        undelivered: ids("part-2"),
        delivered_at: Some(after(7)),
        undelivered_because: Some("held back".to_owned()),
        ..relayed()
    };
    assert_eq!((latest.texts, latest.next), (vec![expected.clone()], None));
    let again = store.claim_text(id('2'), &relayed(), after(160), None).await.unwrap();
    assert_eq!(again, TextClaim::Known(Some(Box::new(expected))));
    assert!(
        !store.claim_explanation(&(&virtual_number(21)).into(), &phone(DRIVER), "0123abcd", after(50)).await.unwrap()
    );
    let (driver, numbers) = (phone(DRIVER), [22, 23].map(virtual_number));
    let opted_out = store.opted_out(&numbers.each_ref().map(|number| (&driver, number))).await.unwrap();
    assert_eq!(opted_out, [Some(after(5)), None]);
    let sender = (&numbers[1]).into();
    let late = wish(&driver, &sender, true, after(7));
    assert_eq!(store.follow_wish(late, after(50)).await.unwrap(), WishOutcome::Known);
    let mut recorded = store.recorded_opt_outs(None).await.unwrap().found;
    recorded.sort_by_key(|one| one.sender.as_str().to_owned());
    let lifted: Vec<_> = recorded.iter().map(|one| (one.person.clone(), one.opt_out.lifted_at)).collect();
    assert_eq!(lifted, [(driver.clone(), None), (driver, Some(after(6)))]);
}

/// A call whose caller types a wrong PIN and then the right one.
async fn tell_story_of_pin(store: &Store) {
    let number = virtual_number(13);
    for nth in [1, 2] {
        let counted = store.count_pin_try("CON-2", nth, (&number, &tries()), after(3)).await.unwrap();
        assert_eq!(counted, Counted::Now);
    }
    let owner = store.pin_owner(&number, "89ab", after(3)).await.unwrap().unwrap();
    let leg = LegIds { call: "CON-2".to_owned(), leg: "leg-3".to_owned() };
    assert!(store.accept_pin(&owner, &leg, 2, &tries(), after(3)).await.unwrap());
}

/// A message that is still to be fetched.
fn message(id: &str) -> Recording {
    Recording {
        conversation: live().id,
        id: id.try_into().unwrap(),
        kind: RecordingKind::Voicemail,
        state: RecordingState::Waiting,
        caller: Side::A,
        call: Some("CON-1".to_owned()),
        url: "https://api.nexmo.com/v1/files/1".to_owned(),
        size: Some(1000),
        duration: Some(12),
        made_at: after(20),
        kept_until: None,
    }
}

/// The work on it.
fn work(message: &Recording) -> RecordingWork {
    RecordingWork::fetch(live().id, message.id.clone(), Some("https://here".to_owned()), after(21))
}

/// A message that is kept, and told of by text but not yet by an event.
fn kept() -> Recording {
    Recording { state: RecordingState::Kept, size: Some(1001), kept_until: Some(after(90)), ..message("aaaaaaaa-2") }
}

async fn tell_story_of_recordings(store: &Store) {
    for message in [message("aaaaaaaa-1"), message("aaaaaaaa-2")] {
        assert!(store.note_recording(&live(), &message, &work(&message)).await.unwrap());
    }
    let conversation = &store.conversation(live().id, after(22)).await.unwrap().unwrap();
    let offer = Offer { conversation, token_hash: "0123abcd", until: after(80) };
    assert_eq!(store.keep_recording(&kept(), Some(offer), after(22)).await.unwrap(), Keeping::Kept);
}

async fn check_recordings(store: &Store) {
    let page = store.recordings(live().id, None, 100).await.unwrap();
    assert_eq!((page.recordings, page.next), (vec![message("aaaaaaaa-1"), kept()], None));
    assert_eq!(store.linked_recording("0123abcd", after(50)).await.unwrap(), Some(kept()));
    assert_eq!(store.linked_recording("0123abcd", after(80)).await.unwrap(), None, "the link is over");
    let due = store.due_recordings(after(50), None).await.unwrap().work;
    assert_eq!((due.len(), &due[0].recording, due[0].task), (1, &kept().id, RecordingTask::Announce));
    let waiting = message("aaaaaaaa-1");
    assert_eq!(store.recording_work(waiting.conversation, &waiting.id).await.unwrap(), Some(work(&waiting)));
}

fn warning() -> Warning {
    Warning { conversation: id('1'), call: "CON-1".to_owned(), due_at: after(60), left_seconds: 60 }
}

fn pace() -> Pace {
    Pace::of(2).unwrap()
}

/// A request to place a call, and what it placed.
fn call_request() -> IdempotentRequest {
    IdempotentRequest { key_hash: "89abcdef".to_owned(), fingerprint: "0123ab".to_owned() }
}

fn placed() -> LegIds {
    LegIds { call: "CON-2".to_owned(), leg: "leg-3".to_owned() }
}

/// An erasure by number that is running.
fn settings_of_tenant() -> TenantSettings {
    TenantSettings {
        monthly_budget: MaxSpend::try_from(Decimal::new(250, 2)).ok(),
        max_numbers: Some(9),
        usage_limits: UsageLimits { max_calls: MaxCount::try_from(2).ok(), ..UsageLimits::default() },
        late_words: Some(serde_json::from_value(json!({"en": "Goodbye."})).unwrap()),
        support_phone: Some(phone(DRIVER)),
        ..TenantSettings::none(Tenant::try_from("acme").unwrap())
    }
}

fn running() -> NumberErasure {
    let id = ErasureId::try_from("01M81PZXZPCX9PBRT5SWKY25Y1").unwrap();
    NumberErasure { id, ..NumberErasure::new(&phone(DRIVER), now()) }
}

/// One that is done.
fn finished() -> NumberErasure {
    let id = ErasureId::try_from("01M81PZXZPCX9PBRT5SWKY25Y2").unwrap();
    NumberErasure { id, conversations_erased: 3, ..running() }
}

/// The settings of a number.
fn settings() -> NumberSettings {
    let limits = CallLimits::with_max_call(600);
    NumberSettings {
        revision: 1,
        owner: Owner::Deployment,
        words: Some(serde_json::from_value(json!({"en": "This is the office."})).unwrap()),
        support: Some(SupportPhone { phone: phone(DRIVER), for_hidden: true, limits }),
        standing: Some(StandingMask {
            is_open: false,
            phones: vec![Callee { number: phone(DRIVER), phone: 0, hours: None }],
            blocked: [phone(RIDER)].into(),
            blocks_hidden: true,
            language: Language::try_from("de".to_owned()).ok(),
            limits,
        }),
    }
}

async fn tell_story_of_pool(store: &Store) {
    for index in 21..=24 {
        store.begin_renting(&number(index), &store.ledger().await.unwrap(), None).await.unwrap();
        if index > 21 {
            store.note_bought(&number(index)).await.unwrap();
            assert!(store.make_ready(&number(index)).await.unwrap());
        }
    }
    let pooled = async |index| store.pool_number(&virtual_number(index)).await.unwrap().unwrap();
    assert!(store.begin_draining(&pooled(23).await, after(5)).await.unwrap());
    assert!(store.lose(&pooled(24).await, after(5)).await.unwrap());
    let change = [&NumberSettings::default(), &settings()];
    assert!(store.change_number_settings(&pooled(22).await, change, after(5)).await.unwrap());
    assert!(store.open_standing(&pooled(22).await).await.unwrap());
    store.place_order(&ordered(), now()).await.unwrap();
    assert_eq!(store.record_demand(gb(), 3, now()).await.unwrap(), RecordedDemand::New);
    store.raise_peak_usage(Mark { country: gb(), until: Date::constant(2027, 1, 20), routes: 2 }).await.unwrap();
    store.save_account_walk(&walk()).await.unwrap();
    for purpose in [ScanPurpose::Draining, ScanPurpose::Healing] {
        store.save_route_scan(purpose, &RouteScan::new(vec![virtual_number(23)], now())).await.unwrap();
    }
    store.save_retention_pass(&retention_pass(store).await).await.unwrap();
    store.plan_warning(&warning()).await.unwrap();
    assert!(store.take_share(0, after(600), now()).await.unwrap());
    assert_eq!(store.take_turn(pace(), None, now()).await.unwrap(), Turn::At(now()));
    assert!(store.claim_call(&call_request(), id('1'), now()).await.unwrap());
    store.note_placed_call(&call_request().key_hash, &placed()).await.unwrap();
    store.list_heals(&[id('1')], now()).await.unwrap();
    let mut heal = store.heal(id('1')).await.unwrap().unwrap();
    (heal.healed, heal.reported, heal.tries) = (vec![Side::A], losses(), 1);
    assert!(store.save_heal(&heal).await.unwrap());
}

/// Reads all that the story stored, by the functions that the product uses.
async fn check_story(store: &Store) {
    let found = async |id| store.conversation(id, after(50)).await.unwrap();
    for conversation in [told(), one_way(), earlier(), again(), with_pin()] {
        assert_eq!(found(conversation.id).await, Some(conversation));
    }
    let ended = found(id('2')).await.unwrap();
    assert_eq!((ended.state(after(50)), ended.ended_at, ended.revision), (State::Ended, Some(after(10)), 1));
    assert_eq!(found(id('3')).await, None, "it was erased");
    assert!(store.erase_conversation(id('3'), after(50)).await.unwrap(), "which is known");
    let legs = calls_of(store, id('1'), after(50)).await.legs;
    assert_eq!((legs.len(), &legs[0].facts, legs[0].statuses[&Status::Answered]), (1, &facts(), Some(after(2))));
    let CallsPage { conversation: limited, usage, .. } = calls_of(store, id('7'), after(50)).await;
    let Conversation { limit_reached_at, revision, usage_limits, .. } = limited;
    assert_eq!((limit_reached_at, revision, usage_limits), (Some(after(32)), 1, self::limited().usage_limits));
    assert_eq!(usage.sum, Usage { calls: 1, seconds: 30, spend: "0.05".parse().unwrap() });
    let remembered = store.remembered_request("0123abcd", now()).await.unwrap().unwrap();
    assert_eq!((remembered.conversation, remembered.fingerprint.as_str()), (id('1'), "4567ef"));
    let all = ['8', '7', '6', '5', '4', '2', '1'].map(id);
    assert_eq!(listed(store, &WantedList::Phone(phone(RIDER))).await, all);
    // The others were created without the lists.
    let reference = list_key().hash(&reference());
    for list in [WantedList::All, WantedList::Reference(reference), WantedList::MaskedBy(virtual_number(14))] {
        assert_eq!(listed(store, &list).await, [id('8')], "{list:?}");
    }
    let running = NumberErasure { conversations_failed: 2, ..running() };
    assert_eq!(store.number_erasures().await.unwrap(), [running]);
    let done = finished().done(after(45));
    assert_eq!(store.number_erasure(done.id, after(50)).await.unwrap(), Some(done));
    let owner = store.pin_owner(&virtual_number(13), "89ab", after(50)).await.unwrap().unwrap();
    assert_eq!((owner.conversation, owner.side), (with_pin(), Side::A));
    let call = store.pin_call("CON-2").await.unwrap().unwrap();
    let accepted = call.accepted.unwrap();
    assert_eq!((call.tries, accepted.conversation, accepted.side), (2, id('8'), Side::A));
    let counted = store.count_pin_try("CON-3", 1, (&virtual_number(13), &tries()), after(3)).await.unwrap();
    assert_eq!(counted, Counted::Now, "one of two tries was given back");
    check_routes(store).await;
    check_pool(store).await;
    check_schedules(store).await;
    check_journal(store).await;
    check_recordings(store).await;
    check_texts(store).await;
    check_tenant(store).await;
    let page = store.tenants(None).await.unwrap();
    assert_eq!((page.tenants, page.next), (vec![settings_of_tenant()], None));
}

async fn check_journal(store: &Store) {
    let changes = store.recorded_changes(None).await.unwrap();
    assert!(changes.unreadable.is_empty() && changes.next.is_none());
    let mut changes: Vec<_> = changes.found.into_iter().map(|change| (change.conversation, change)).collect();
    changes.sort_by_key(|(id, _)| *id);
    let [(_, ended), (_, erased), (_, limited)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(
        (ended.conversation, ended.revision, ended.ended_at, ended.erased_at),
        (id('2'), 1, Some(after(10)), None)
    );
    assert_eq!((erased.conversation, erased.ended_at, erased.erased_at), (id('3'), Some(after(40)), Some(after(40))));
    assert_eq!((limited.conversation, limited.limit_reached_at), (id('7'), Some(after(32))));
    let keys = store.recorded_keys(None).await.unwrap();
    assert!(keys.unreadable.is_empty() && keys.next.is_none());
    assert_eq!(keys.found.len(), 9);
    let one_way = keys.found.iter().find(|keys| keys.conversation == id('4')).unwrap();
    assert_eq!((one_way.moves, one_way.quarantined_until), (0, after(160)));
    let expected = [(RIDER, 7, Tenure::Dials), (DRIVER, 8, Tenure::Receives)];
    let expected =
        expected.map(|(caller, number, tenure)| (RouteKey::new(&phone(caller), &virtual_number(number)), tenure));
    assert_eq!(one_way.keys, expected.into());
    assert!(store.claim_journal(after(50)).await.unwrap(), "it belongs to this table");
}

async fn check_routes(store: &Store) {
    let owner = async |caller, index| store.key_owner(&phone(caller), &virtual_number(index)).await.unwrap();
    assert_eq!(route_of(owner(RIDER, 1).await), Route::new(&live(), Side::A));
    assert_eq!(route_of(owner(DRIVER, 2).await), Route::new(&live(), Side::B));
    assert_eq!(route_of(owner(RIDER, 3).await).expires_at, after(10));
    assert!(route_of(owner(RIDER, 7).await).one_way);
    let continued = route_of(owner(RIDER, 9).await);
    assert_eq!((continued.history, continued.looked_up), (vec![id('5')], Some(looked_up())));
    assert!(matches!(owner(RIDER, 5).await, Some(KeyOwner::Erased(erased)) if erased.conversation == id('3')));
    assert!(matches!(owner(DRIVER, 8).await, Some(KeyOwner::Held(hold)) if hold.held_at == now()));
    let routes = store.caller_routes(&phone(RIDER), after(50)).await.unwrap();
    assert_eq!(routes.in_use(after(50)).count(), 7);
    let line = store.line(&phone(DRIVER), after(50)).await.unwrap().unwrap();
    assert!(line.by_number[&virtual_number(8)].is_held(after(50)));
    let destination = store.destination(&phone(RIDER), &virtual_number(1), after(50)).await.unwrap();
    let refused = store.destination(&phone(RIDER), &virtual_number(11), after(50)).await.unwrap();
    assert_eq!(refused, Destination::Exhausted(id('7')));
    assert!(matches!(destination, Destination::Participant { connect_to, .. } if connect_to == phone(DRIVER)));
}

async fn check_pool(store: &Store) {
    let pool = store.pool_numbers(Pool::own(gb())).await.unwrap();
    let states: Vec<_> = pool.iter().map(|number| number.state).collect();
    use NumberState::{Draining, Lost, Renting, Standing};
    assert_eq!(states, [Renting, Standing, Draining, Lost]);
    let ledger = store.ledger().await.unwrap();
    assert_eq!(NumberState::ALL.map(|state| ledger.counts(Pool::own(gb())).of(state)), [1, 0, 0, 1, 1, 0, 1]);
    assert_eq!((ledger.pools, ledger.monthly_cost), (vec![Pool::own(gb())], "3.75".parse().unwrap()));
    for (number, work) in pool.iter().filter_map(|number| Some((number, number.state.work()?))) {
        let page = store.numbers_with_work(Pool::own(gb()), work, None, 9).await.unwrap();
        assert_eq!(page.numbers, std::slice::from_ref(number));
        assert!(store.is_known(&number.number, now()).await.unwrap());
    }
    assert!(pool[1].set_aside && pool[1].draining_since.is_none());
    let left = store.departures([&virtual_number(24), &virtual_number(22)]).await.unwrap();
    assert_eq!(left, [Some(Departure { since: after(5), is_rotation: false }), None]);
    let parts = store.ready_parts(Owner::Deployment).await.unwrap();
    assert_eq!(parts.values().map(|part| (part.version, part.count)).collect::<Vec<_>>(), [(6, 0)]);
    let ready = store.ready_pool(Owner::Deployment).await.unwrap();
    assert_eq!(ready.parts.values().map(|part| part.version).collect::<Vec<_>>(), [6]);
    let opened = settings().standing.map(|standing| StandingMask { is_open: true, ..standing });
    let opened = NumberSettings { revision: 2, standing: opened, ..settings() };
    assert_eq!(store.number_settings(&virtual_number(22)).await.unwrap(), Some(opened));
    for named in [RIDER, DRIVER] {
        let masks = store.standing_masks_of(&phone(named), after(5)).await.unwrap();
        assert_eq!(masks, [virtual_number(22)]);
    }
    let recorded = store.recorded_standing(None).await.unwrap();
    assert_eq!(recorded.found, [RecordedStanding { number: virtual_number(22), revision: 1 }]);
    let peaks = store.peak_usage(now()).await.unwrap();
    assert_eq!(peaks.of(gb(), Date::constant(2027, 1, 20)), 2);
}

async fn check_schedules(store: &Store) {
    let orders = store.orders().await.unwrap();
    assert_eq!((orders.len(), &orders[0].ordered, orders[0].requests), (1, &ordered(), 1));
    let demands = store.demands(now()).await.unwrap();
    assert_eq!((demands.len(), demands[0].country, demands[0].wanted), (1, gb(), 3));
    assert_eq!(store.saved_account_walk().await.unwrap(), Some(walk()));
    for purpose in [ScanPurpose::Draining, ScanPurpose::Healing] {
        let scan = RouteScan::new(vec![virtual_number(23)], now());
        assert_eq!(store.saved_route_scan(purpose).await.unwrap(), Some(scan));
    }
    assert_eq!(store.warnings(after(60)).await.unwrap(), [warning()]);
    let next = now() + pace().interval() * 2;
    assert_eq!(store.next_turn().await.unwrap(), Some(next));
    assert!(!store.take_share(0, after(900), after(599)).await.unwrap());
    assert!(store.warnings(after(50)).await.unwrap().is_empty());
    let known = store.placed_call(&call_request().key_hash, after(50)).await.unwrap().unwrap();
    assert_eq!((known.conversation, known.claimed_at, known.ids()), (id('1'), now(), Some(placed())));
    let heals = store.due_heals(now(), None).await.unwrap().heals;
    assert_eq!((heals.len(), heals[0].conversation, heals[0].tries, heals[0].revision), (1, id('1'), 1, 2));
    assert_eq!((&heals[0].healed, &heals[0].reported), (&vec![Side::A], &losses()));
    assert_eq!(store.saved_retention_pass().await.unwrap(), Some(retention_pass(store).await));
    let erasures = store.due_erasures(after(50), None).await.unwrap().erasures;
    assert_eq!((erasures.len(), erasures[0].conversation, erasures[0].erased_at), (1, id('3'), after(40)));
    let redactions = store.due_redactions(Product::Voice, after(4000), None).await.unwrap().redactions;
    assert_eq!((redactions.len(), &redactions[0].record), (1, &CarrierRecord::of_leg("leg-1", Direction::Inbound)));
}

/// Returns the items of a table. What is random in them is not.
fn stored(database: &Dynamodb) -> Fixtures {
    let mut fixtures = Fixtures::new();
    let mut items = ["maskline", "maskline-journal"].map(|table| database.items(table).unwrap()).concat();
    items.sort_by_key(|item| [item["pk"]["S"].to_string(), item["sk"]["S"].to_string()]);
    for mut item in items {
        let [pk, sk] = ["pk", "sk"].map(|name| item[name]["S"].as_str().unwrap().to_owned());
        let kind = ItemKind::of(&pk, &sk).unwrap_or_else(|| panic!("an item of an unknown kind: {item}"));
        if kind == ItemKind::Order {
            item["id"] = json!({"S": "1800000000000-0123456789abcdef"});
        }
        fixtures.entry(format!("{kind:?}")).or_default().push(item);
    }
    fixtures
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/store/fixtures")
}

/// Returns the fixtures of all releases, by the numbers of the release.
fn releases() -> BTreeMap<Vec<u32>, Fixtures> {
    let entries = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let release = |path: PathBuf| {
        let numbers = path.file_name().unwrap().to_str().unwrap().split('.').map(|part| part.parse().unwrap());
        let numbers = numbers.collect();
        let text = |path: PathBuf| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        (numbers, entries(path).map(|path| (name(&path), text(path))).collect())
    };
    entries(folder()).map(release).collect()
}

async fn read_again(items: Vec<Value>) {
    let (store, database) = embedded().await;
    let kind =
        |item: &Value| ItemKind::of(item["pk"]["S"].as_str().unwrap(), item["sk"]["S"].as_str().unwrap()).unwrap();
    let (journal, items) = items.into_iter().partition(|item| kind(item).is_of_journal());
    database.import("maskline", items).unwrap();
    database.import("maskline-journal", journal).unwrap();
    check_story(&store).await;
}

#[tokio::test]
async fn items_of_every_release_are_read() {
    let releases = releases();
    assert!(releases.contains_key(&vec![0, 1]), "{:?}", releases.keys());
    for fixtures in releases.into_values() {
        read_again(fixtures.into_values().flatten().collect()).await;
    }
}

#[tokio::test]
async fn items_from_before_there_were_versions_are_read() {
    let mut items: Vec<Value> = releases().remove(&vec![0, 1]).unwrap().into_values().flatten().collect();
    for item in &mut items {
        assert_eq!(item.as_object_mut().unwrap().remove("v"), Some(json!({"N": "1"})));
    }
    read_again(items).await;
}

#[tokio::test]
async fn items_are_stored_as_the_newest_fixtures_say() {
    let (store, database) = embedded().await;
    tell_story(&store).await;
    let stored = stored(&database);
    check_story(&store).await;
    if let Ok(release) = std::env::var("MASKLINE_WRITE_FIXTURES") {
        let folder = folder().join(release);
        std::fs::create_dir_all(&folder).unwrap();
        for (kind, items) in &stored {
            let text = serde_json::to_string_pretty(items).unwrap();
            std::fs::write(folder.join(format!("{kind}.json")), format!("{text}\n")).unwrap();
        }
    }
    let (release, newest) = releases().pop_last().unwrap();
    for kind in ItemKind::ALL {
        let name = format!("{kind:?}");
        assert!(stored.contains_key(&name), "the story stores no item of the kind {name}");
        assert_eq!(
            stored.get(&name),
            newest.get(&name),
            "{name} is not stored as in the fixtures of {release:?}. Released folders do not change: add one for the next \
             release with MASKLINE_WRITE_FIXTURES, and see the rule of versions in docs/ARCHITECTURE.md"
        );
    }
    assert_eq!(stored.len(), newest.len());
}
