//! The second part of the demo: what a call feels like. Each feature of `docs/calls.md` once, for two people of its own.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::domain::channel::Channel;

use super::{Demo, DemoError, check, heard, text};
use crate::decision_backend::{DecisionBackend, Received, Reply};

/// The first of the people of this part. Each feature has the next two.
const FIRST: u64 = 447_700_900_100;

/// A conversation of two people.
struct Pair {
    path: String,
    rider: String,
    driver: String,
    rider_dials: String,
    driver_dials: String,
}

impl Demo<'_> {
    pub(super) async fn run_features(&self) -> Result<(), DemoError> {
        say!("\nWhat a call feels like. Each feature is off until you turn it on.");
        self.speak_languages().await?;
        self.miss_a_call().await?;
        self.leave_a_message().await?;
        self.guard_a_call().await?;
        self.block_a_side().await?;
        self.limit_calls().await?;
        self.try_several_phones().await?;
        self.click_to_call().await?;
        self.hang_up().await?;
        self.find_lost_property().await?;
        self.record_a_call().await?;
        self.press_the_safety_key().await?;
        self.speak_to_strangers().await?;
        self.text_each_other().await?;
        self.stop_texts().await?;
        self.send_a_picture().await?;
        self.write_in_a_chat().await?;
        self.slide_an_end().await?;
        self.save_a_contact().await
    }

    /// Shows what needs time to pass, on a stack whose `clock` the demo moves.
    pub(super) async fn set_a_number_aside(&self, clock: &ManualClock) -> Result<(), DemoError> {
        say!("\n24. A standing mask: anybody may dial it, and it leads to a team.");
        let [first, second, stranger] = ["447700900192", "447700900193", "447700900199"];
        let order = self.post(&self.gateway("/numbers"), json!({"country": "GB", "count": 1})).await?;
        let number = text(&order, "/added/0/number");
        let phones = json!([{"number": format!("+{first}")}, {"number": format!("+{second}")}]);
        let standing = json!({"standing": {"phones": phones, "blocked": ["+447700900666"]}});
        let address = self.gateway(&format!("/numbers/{number}"));
        let set: Value = self.http.patch(&address).json(&standing).send().await?.error_for_status()?.json().await?;
        say!("   PATCH /numbers/{number}: {}. A minute later a run of the schedule opens it.", text(&set, "/state"));
        clock.advance(SignedDuration::from_secs(61));
        self.stack.run_schedule().await.map_err(|error| DemoError::Wrong(error.to_string()))?;
        let call = |from: &str| json!({"from": from, "to": number, "callees": {first: "busy"}});
        let told = self.post(&self.simulator_calls(), call(stranger)).await?;
        say!(
            "   A stranger calls. The first phone is busy, and the second shows +{}.",
            text(&told["callees"][1], "/display")
        );
        check(
            told["callees"][1]["number"] == second && told["callees"][1]["display"] == number.as_str(),
            "a team",
            &told,
        )?;
        let told = self.post(&self.simulator_calls(), call("447700900666")).await?;
        say!("   Somebody on the block list hears: \"{}\"", heard(&told));
        check(told["phones"]["callee"].is_null(), "a blocked caller reaches nobody", &told)?;
        self.rotate_a_number().await?;
        self.serve_tenants().await
    }

    async fn rotate_a_number(&self) -> Result<(), DemoError> {
        say!("\n28. A number that phones show as spam is rotated, and its conversations move.");
        self.post(&self.gateway("/numbers"), json!({"country": "GB", "count": 3})).await?;
        let pair = self.pair(34, json!({}), ["en", "en"]).await?;
        let address = self.gateway(&format!("/numbers/{}/rotate", pair.rider_dials));
        let rotated = self.post(&address, json!({})).await?;
        let call = |dialled: &str| json!({"from": pair.rider, "to": dialled});
        let told = self.post(&self.simulator_calls(), call(&pair.rider_dials)).await?;
        say!("   POST {address}: {}. Calls on it still arrive.", text(&rotated, "/state"));
        let shown = self.get(&self.gateway(&format!("/numbers/{}", pair.driver_dials))).await?;
        say!("   The health of the number that the driver saw: {}", shown["health"]);
        check(shown["health"]["answered"].as_u64() >= Some(1), "the call counts for the number", &shown)?;
        check(told["phones"]["callee"]["number"] == pair.driver.as_str(), "the old number still works", &told)?;
        self.stack.run_schedule().await.map_err(|error| DemoError::Wrong(error.to_string()))?;
        let (sms, moved) = (self.last_text(&pair.rider).await?, self.get(&self.gateway(&pair.path)).await?);
        say!("   The schedule runs. The rider's phone: \"{sms}\"");
        let new = text(&moved, "/participants/0/dials");
        let told = self.post(&self.simulator_calls(), call(&new)).await?;
        check(new != pair.rider_dials && sms.contains(&new), "the rider knows the new number", &moved)?;
        check(told["phones"]["callee"]["number"] == pair.driver.as_str(), "the new number works", &told)?;
        let told = self.post(&self.simulator_calls(), call(&pair.rider_dials)).await?;
        say!("   Who calls the old one hears: \"{}\"", heard(&told));
        check(told["phones"]["callee"].is_null(), "the old number is in quarantine", &told)
    }

    async fn speak_to_strangers(&self) -> Result<(), DemoError> {
        say!("\n22. A number has words of its own for strangers, and a support phone.");
        let pair = self.pair(22, json!({}), ["en", "en"]).await?;
        let number = self.gateway(&format!("/numbers/{}", pair.rider_dials));
        let (stranger, support) = ("447700900199", "442079460111");
        for (setting, reaches) in [
            (json!({"words": {"en": "You have called Rides. Please use our app."}}), json!(null)),
            (json!({"support_phone": format!("+{support}")}), json!(support)),
        ] {
            self.http.patch(&number).json(&setting).send().await?.error_for_status()?;
            let call = self.post(&self.simulator_calls(), json!({"from": stranger, "to": pair.rider_dials})).await?;
            say!("   The stranger hears: \"{}\"", heard(&call));
            check(call["phones"]["callee"]["number"] == reaches, "who has no conversation reaches only that", &call)?;
        }
        let cleared = json!({"words": null, "support_phone": null});
        self.http.patch(&number).json(&cleared).send().await?.error_for_status()?;
        Ok(())
    }

    /// Shows what needs a backend: `deciding` decides about calls, and `receiver` gets the events.
    pub(super) async fn run_features_of_a_backend(
        &self,
        deciding: &DecisionBackend,
        receiver: &DecisionBackend,
    ) -> Result<(), DemoError> {
        self.post(&self.gateway("/numbers"), json!({"country": "GB", "count": 2})).await?;
        self.ask_the_backend(deciding).await?;
        self.tell_the_backend(receiver).await
    }

    async fn tell_the_backend(&self, receiver: &DecisionBackend) -> Result<(), DemoError> {
        say!("\n30. Every event is also a signed request to the backend.");
        let pair = self.pair(36, json!({}), ["en", "en"]).await?;
        self.ring(&pair, json!("answers"), json!([])).await?;
        // They come one by one, soon after the call, beside those of the step before.
        let both_legs = async {
            loop {
                let received = receiver.received();
                let of_call: Vec<_> = received.iter().filter(|got| ends_a_leg(got, &pair)).cloned().collect();
                if let [one, other] = &of_call[..] {
                    return [one.clone(), other.clone()];
                }
                receiver.has_received(received.len() + 1).await;
            }
        };
        let legs = tokio::time::timeout(Duration::from_secs(10), both_legs).await;
        let [leg, _] = legs.map_err(|_| DemoError::Wrong("the backend got no leg.finished for both".to_owned()))?;
        let header = |name: &str| leg.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (id, signature) = (header("webhook-id"), header("webhook-signature"));
        say!("   The two talk, and the backend gets leg.finished for each:\n   {}", leg.body);
        say!("   with webhook-id: {id}\n   and webhook-signature: {signature}");
        check(id.starts_with("event_") && signature.starts_with("v1,"), "it is signed", &json!([id, signature]))
    }

    async fn ask_the_backend(&self, backend: &DecisionBackend) -> Result<(), DemoError> {
        say!("\n27. The backend decides about each call, at a decision URL of the conversation.");
        let decision = json!({"decision": {"url": backend.url, "on_failure": "refuse"}});
        let pair = self.pair(30, decision, ["en", "en"]).await?;
        let words = "Your driver is at the gate, and cannot talk now.";
        backend.replies(Reply::Json(json!({"action": "refuse", "say": {"text": words}})));
        let call = self.ring(&pair, json!("answers"), json!([])).await?;
        let questions = backend.received();
        say!("   The question: {}", questions.last().map(|question| question.body.as_str()).unwrap_or_default());
        say!("   The backend refuses, and the rider hears: \"{}\"", heard(&call));
        check(call["phones"]["callee"].is_null() && heard(&call) == words, "the rider reaches nobody", &call)?;
        backend.replies(Reply::Json(json!({"action": "connect"})));
        let call = self.ring(&pair, json!("answers"), json!([])).await?;
        say!("   The next time it connects, and the rider hears: \"{}\"", heard(&call));
        check(call["phones"]["callee"]["number"] == pair.driver.as_str(), "the two are connected", &call)
    }

    async fn text_each_other(&self) -> Result<(), DemoError> {
        say!("\n23. The rider texts the number of the driver, and the driver answers. A receipt tells what arrived.");
        let pair = self.pair(32, json!({"notify": false, "text_masking": "redact"}), ["en", "en"]).await?;
        let texts = format!("{}/simulator/texts", self.stack.vonage_url);
        for (from, to, words) in [
            (&pair.rider, &pair.rider_dials, "I am at the station."),
            (&pair.driver, &pair.driver_dials, "Two minutes 🚕"),
        ] {
            self.post(&texts, json!({"from": from, "to": to, "text": words})).await?;
        }
        let (rider, driver) = (self.last_text(&pair.rider).await?, self.last_text(&pair.driver).await?);
        say!("   The driver's phone: \"{driver}\"");
        say!("   The rider's phone: \"{rider}\"");
        self.post(&format!("{}/simulator/receipts", self.stack.vonage_url), json!({})).await?;
        let conversation = self.get(&self.gateway(&pair.path)).await?;
        let texts = &conversation["texts"];
        say!(
            "   Both texts: {}, {}. What they wrote is stored nowhere.",
            text(texts, "/0/state"),
            text(texts, "/1/state")
        );
        let are_there = texts[0]["state"] == "delivered" && texts[1]["state"] == "delivered";
        check(are_there && driver.contains("station"), "both texts have arrived", &conversation)?;
        let words = "Or ring me on +44 (0)7700 900-009, after 16:30.";
        say!("   The conversation masks contact details. The rider texts \"{words}\"");
        let sent = json!({"from": pair.rider, "to": pair.rider_dials, "text": words});
        self.post(&format!("{}/simulator/texts", self.stack.vonage_url), sent).await?;
        let driver = self.last_text(&pair.driver).await?;
        say!("   The driver's phone: \"{driver}\"");
        check(driver == "Or ring me on ***, after 16:30.", "the number is masked", &conversation)?;
        let words = "Your ride is on its way.";
        say!("   The backend texts the rider, from the number that the rider dials.");
        let url = format!("{}/texts", self.gateway(&pair.path));
        let request = self.http.post(&url).header("Idempotency-Key", "demo-text");
        let written: Value = request.json(&json!({"to": "a", "text": words})).send().await?.json().await?;
        say!(
            "   POST /conversations/{{id}}/texts: {}. The rider's phone: \"{}\"",
            text(&written, "/state"),
            self.last_text(&pair.rider).await?
        );
        check(self.last_text(&pair.rider).await? == words, "the rider has the text of the backend", &written)
    }

    async fn stop_texts(&self) -> Result<(), DemoError> {
        say!(
            "   Two others: a driver texts STOP. No text of this number reaches that phone any more, and the rider is told."
        );
        let pair = self.pair(34, json!({"notify": false}), ["en", "en"]).await?;
        let texts = format!("{}/simulator/texts", self.stack.vonage_url);
        for (from, to, words) in
            [(&pair.driver, &pair.driver_dials, "Stop"), (&pair.rider, &pair.rider_dials, "Where are you?")]
        {
            self.post(&texts, json!({"from": from, "to": to, "text": words})).await?;
        }
        let (rider, driver) = (self.last_text(&pair.rider).await?, self.texts(&pair.driver).await?);
        say!("   The driver's phone: \"{}\"", driver.join("\", \""));
        say!("   The rider's phone: \"{rider}\"");
        let conversation = self.get(&self.gateway(&pair.path)).await?;
        say!("   The driver takes no texts since {}.", text(&conversation, "/participants/1/texts_stopped_at"));
        let is_silent = driver.len() == 1 && rider.contains("gets no texts");
        check(is_silent, "no text reaches the driver", &conversation)
    }

    /// Shows both that a picture is passed on by MMS and that it is not, by the API that sends.
    async fn send_a_picture(&self) -> Result<(), DemoError> {
        say!("   Two people in the US: the rider sends a picture to the number of the driver.");
        let order = json!({"country": "US", "count": 2, "features": ["VOICE", "SMS", "MMS"]});
        self.post(&self.gateway("/numbers"), order).await?;
        let [rider, driver] = ["12025550136", "12025550137"];
        let people = [rider, driver].map(|phone| json!({"number": format!("+{phone}")}));
        let created =
            self.post(&self.gateway("/conversations"), json!({"participants": people, "notify": false})).await?;
        let picture = json!({"from": rider, "to": text(&created, "/participants/0/dials"), "text": "The red one.",
                             "files": [{"type": "image"}]});
        self.post(&format!("{}/simulator/texts", self.stack.vonage_url), picture).await?;
        let inbox = self.get(&format!("{}/simulator/messages?to={driver}", self.stack.vonage_url)).await?;
        let (arrived, told) = (&inbox["messages"][0], self.last_text(rider).await?);
        if arrived["files"][0]["type"] == "image" {
            say!("   The driver's phone: a picture, \"{}\"", text(arrived, "/text"));
            return check(told.is_empty(), "the picture has arrived", arrived);
        }
        say!("   The rider's phone: \"{told}\" With TEXTS_BY=messages-api the picture arrives.");
        check(arrived.is_null() && told.contains("not passed on"), "the rider is told", &inbox)
    }

    /// Shows a chat, if the deployment has a sender on a channel.
    async fn write_in_a_chat(&self) -> Result<(), DemoError> {
        let senders = self.stack.environment.brand_senders().map_err(|error| DemoError::Wrong(error.to_string()))?;
        let mut all = Channel::ALL.into_iter().filter_map(|channel| Some((channel.as_str(), senders.of(channel)?)));
        let Some((channel, sender)) = all.next() else { return Ok(()) };
        say!("   Two others: the rider writes to your sender on {channel}, and the driver answers by SMS.");
        let pair = self.pair(38, json!({"notify": false}), ["en", "en"]).await?;
        let texts = format!("{}/simulator/texts", self.stack.vonage_url);
        for message in [
            json!({"from": pair.rider, "to": sender, "channel": channel, "text": "Where are you?"}),
            json!({"from": pair.driver, "to": pair.driver_dials, "text": "Two minutes."}),
        ] {
            self.post(&texts, message).await?;
        }
        let driver = self.last_text(&pair.driver).await?;
        let inbox = self.get(&format!("{}/simulator/messages?to={}", self.stack.vonage_url, pair.rider)).await?;
        let answer = &inbox["messages"][0];
        say!("   The driver's phone, by SMS from +{}: \"{driver}\"", pair.driver_dials);
        say!("   The rider's phone, on {}: \"{}\"", text(answer, "/channel"), text(answer, "/text"));
        let is_there = answer["channel"] == channel && answer["text"] == "your driver: Two minutes.";
        check(driver == "Where are you?" && is_there, "each is answered where they write", &inbox)
    }

    async fn press_the_safety_key(&self) -> Result<(), DemoError> {
        say!("\n21. The driver feels threatened in a call, and presses star and 9.");
        let pair = self.pair(14, json!({"safety_key": true}), ["en", "en"]).await?;
        let call = json!({"from": pair.driver, "to": pair.driver_dials, "presses_during_call": ["*9"]});
        self.post(&self.simulator_calls(), call).await?;
        let conversation = self.get(&self.gateway(&pair.path)).await?;
        say!("   The side that is blocked: {}. With CALL_CONTROL the call ends.", text(&conversation, "/blocked"));
        let call = self.ring(&pair, json!("answers"), json!([])).await?;
        say!("   The rider calls, and hears: \"{}\"", heard(&call));
        check(call["phones"]["callee"].is_null(), "the rider reaches nobody", &call)
    }

    async fn find_lost_property(&self) -> Result<(), DemoError> {
        say!("\n19. After the end the rider misses an umbrella, and presses 1. The driver is asked, and agrees.");
        let pair = self.pair(21, json!({"lost_property": true, "notify": false}), ["en", "en"]).await?;
        self.http.delete(self.gateway(&pair.path)).send().await?;
        let late = |from: &str, to: &str| json!({"from": from, "to": to, "presses": ["1"]});
        let call = self.post(&self.simulator_calls(), late(&pair.rider, &pair.rider_dials)).await?;
        say!("   The rider hears: \"{}\"", heard(&call));
        say!("   The driver's phone: \"{}\"", self.last_text(&pair.driver).await?);
        check(call["phones"]["callee"].is_null(), "nobody is connected before the driver agrees", &call)?;
        let call = self.post(&self.simulator_calls(), late(&pair.driver, &pair.driver_dials)).await?;
        say!("   The driver calls, presses 1, and hears: \"{}\"", heard(&call));
        check(call["phones"]["callee"]["number"] == pair.rider.as_str(), "both have asked", &call)
    }

    /// Shows what needs a deployment that asks strangers for PINs.
    pub(super) async fn run_features_of_strangers(&self) -> Result<(), DemoError> {
        self.post(&self.gateway("/numbers"), json!({"country": "GB", "count": 2})).await?;
        self.type_a_pin().await?;
        self.wait_for_turns().await
    }

    async fn wait_for_turns(&self) -> Result<(), DemoError> {
        say!("\n26. This deployment calls three phones in a second, and the rider calls five times at once.");
        let pair = self.pair(22, json!({}), ["en", "en"]).await?;
        let mut waited = 0.0;
        for _ in 0..5 {
            let call = self.ring(&pair, json!("answers"), json!([])).await?;
            let after_turn = call["nccos"].as_array().into_iter().flatten().find(|ncco| ncco["about"] == "notify");
            // Without a wait the connection comes first.
            let first = after_turn.map(|ncco| &ncco["ncco"][0]).filter(|action| action["action"] == "wait");
            waited = first.and_then(|wait| wait["timeout"].as_f64()).unwrap_or_default();
            say!("   Connected after a wait of {waited:.2} s.");
            check(call["phones"]["caller"]["connected"] == true, "everybody is connected", &call)?;
        }
        check(waited > 0.0, "the last one waits", &json!(waited))
    }

    async fn speak_languages(&self) -> Result<(), DemoError> {
        say!("\n10. Each person hears and reads their own language: the rider German, the driver Arabic.");
        let pair = self.pair(0, json!({}), ["de", "ar"]).await?;
        let text = self.last_text(&pair.driver).await?;
        say!("   The driver's phone: \"{text}\"");
        let call = self.ring(&pair, json!("answers"), json!([])).await?;
        say!("   The rider hears: \"{}\"", heard(&call));
        check(heard(&call) == "Sie werden verbunden." && text.contains("اتص"), "each has the own language", &call)
    }

    async fn miss_a_call(&self) -> Result<(), DemoError> {
        say!("\n11. The driver's line is busy. The rider hears so, and presses 1 to be called back.");
        let pair = self.pair(1, json!({"missed_calls": ["text", "call_back"]}), ["en", "en"]).await?;
        let call = self.ring(&pair, json!("busy"), json!(["1"])).await?;
        say!("   The rider hears: \"{}\"", heard(&call));
        let texts = self.texts(&pair.driver).await?;
        for text in &texts[1..] {
            say!("   The driver's phone: \"{text}\"");
        }
        check(heard(&call).contains("busy") && texts.len() == 3, "the driver is told, and asked to call back", &call)
    }

    async fn leave_a_message(&self) -> Result<(), DemoError> {
        say!("\n12. Nobody answers. The rider presses 2 and leaves a message of ten seconds.");
        let pair = self.pair(12, json!({"missed_calls": ["voicemail"]}), ["en", "en"]).await?;
        let call = json!({"from": pair.rider, "to": pair.rider_dials, "callee": "unanswered", "presses": ["2"], "message_seconds": 10});
        let call = self.post(&self.simulator_calls(), call).await?;
        say!("   The rider hears: \"{}\"", heard(&call));
        self.stack.background_runs_finished().await;
        let text = self.last_text(&pair.driver).await?;
        say!("   The driver's phone: \"{text}\"");
        let link = text.rsplit(' ').next().unwrap_or_default();
        let file = self.http.get(link).send().await?.error_for_status()?.bytes().await?;
        say!("   The link gives a file of {} bytes.", file.len());
        check(!file.is_empty(), "the message can be heard", &call)
    }

    async fn record_a_call(&self) -> Result<(), DemoError> {
        say!("\n20. A call that is recorded if both agree. Both press 1.");
        let pair = self.pair(13, json!({"recording": "consent"}), ["en", "en"]).await?;
        let call = self.ring(&pair, json!({"does": "answers", "presses": ["1"]}), json!(["1"])).await?;
        say!("   The rider hears: \"{}\"", heard(&call));
        self.stack.background_runs_finished().await;
        let recordings = self.get(&self.gateway(&format!("{}/recordings", pair.path))).await?;
        say!("   GET {}/recordings: {}", pair.path, recordings["recordings"][0]);
        check(recordings["recordings"][0]["state"] == "kept", "the call is recorded and kept", &recordings)
    }

    async fn guard_a_call(&self) -> Result<(), DemoError> {
        say!("\n13. A guard: the driver has to press 1. Whatever else picks up is not connected.");
        let pair = self.pair(2, json!({"guard": "press_1"}), ["en", "en"]).await?;
        for (what, callee, joins) in [
            ("A voicemail", json!("voicemail"), false),
            (
                "A phone that screens calls, whose owner declines",
                json!({"does": "screens", "owner": "declines"}),
                false,
            ),
            (
                "A phone that screens calls, whose owner accepts",
                json!({"does": "screens", "owner": "accepts", "presses": ["1"]}),
                true,
            ),
        ] {
            let call = self.ring(&pair, callee, json!([])).await?;
            let phone = &call["callees"][0];
            let said: Vec<&str> = phone["heard"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            say!("   {what} hears: \"{}\"", said.join(" "));
            say!("   The rider hears: \"{}\"{}", heard(&call), if joins { ", and is connected." } else { "" });
            check(phone["joined"] == joins && call["phones"]["caller"]["connected"] == joins, what, &call)?;
        }
        Ok(())
    }

    async fn block_a_side(&self) -> Result<(), DemoError> {
        say!("\n14. The backend blocks the rider, and asks why a call would not connect.");
        let pair = self.pair(3, json!({}), ["en", "en"]).await?;
        self.change(&pair, json!({"blocked": "a"})).await?;
        let call = self.ring(&pair, json!("answers"), json!([])).await?;
        say!("   The rider hears: \"{}\"", heard(&call));
        check(call["phones"]["callee"].is_null(), "a blocked side reaches nobody", &call)?;
        let url = format!("/decisions?from=%2B{}&to=%2B{}", pair.rider, pair.rider_dials);
        let decision = self.get(&self.gateway(&url)).await?;
        say!("   GET /decisions: {}. {}", text(&decision, "/outcome"), text(&decision, "/rule"));
        let back = self.post(&self.simulator_calls(), json!({"from": pair.driver, "to": pair.driver_dials})).await?;
        check(back["phones"]["callee"]["number"] == pair.rider.as_str(), "the driver still reaches the rider", &back)?;
        self.change(&pair, json!({"blocked": null})).await?;
        let call = self.ring(&pair, json!("answers"), json!([])).await?;
        say!("   Unblocked, the rider is connected again.");
        check(decision["connects"].is_null() && call["phones"]["caller"]["connected"] == true, "unblocked", &call)
    }

    async fn limit_calls(&self) -> Result<(), DemoError> {
        say!("\n15. A conversation with four minutes and two calls a day.");
        let pair = self.pair(4, json!({"max_minutes": 4, "max_calls_per_day": 2}), ["en", "en"]).await?;
        for time in ["first", "second", "third"] {
            let call = self.ring(&pair, json!("answers"), json!([])).await?;
            say!("   The {time} time the rider hears: \"{}\"", heard(&call));
            check(call["phones"]["caller"]["connected"] == (time != "third"), "two calls a day", &call)?;
        }
        Ok(())
    }

    async fn click_to_call(&self) -> Result<(), DemoError> {
        say!("\n17. Click to call: the rider's phone rings first, and after key 1 the driver's.");
        let pair = self.pair(5, json!({}), ["en", "en"]).await?;
        let phones = json!({"callees": {&pair.rider: {"does": "answers", "presses": ["1"]}}});
        let script = format!("{}/simulator/created-calls", self.stack.vonage_url);
        self.http.put(script).json(&phones).send().await?;
        let calls = self.gateway(&format!("{}/calls", pair.path));
        let order = self.http.post(calls).header("Idempotency-Key", "demo").json(&json!({"from": "a"}));
        let placed: Value = order.send().await?.json().await?;
        let call = self.call_report(&text(&placed, "/conversation_uuid")).await?;
        let (first, second) = (&call["placed_to"], &call["callees"][0]);
        say!("   The rider's phone shows +{} and says: {}", text(first, "/display"), first["heard"]);
        say!("   The driver's phone shows +{}.", text(second, "/display"));
        check(
            first["number"] == pair.rider.as_str() && second["number"] == pair.driver.as_str(),
            "both are called",
            &call,
        )
    }

    async fn hang_up(&self) -> Result<(), DemoError> {
        say!("\n18. The backend hangs up a running call, for both.");
        let pair = self.pair(6, json!({}), ["en", "en"]).await?;
        let call = json!({"from": pair.rider, "to": pair.rider_dials, "lives": true});
        let id = text(&self.post(&self.simulator_calls(), call).await?, "/conversation_uuid");
        let ended = self.http.delete(self.gateway(&format!("{}/calls/{id}", pair.path))).send().await?;
        let ended: Value = ended.json().await?;
        check(ended["ended"] == true, "the call is over", &ended)?;
        let call = self.call_report(&id).await?;
        let legs = call["legs"].as_array().into_iter().flatten();
        let last = |leg: &Value| leg["statuses"].as_array().and_then(|statuses| statuses.last().cloned());
        let over = legs.filter_map(last).filter(|status| status["status"] == "completed").count();
        say!("   Both phones are free again.");
        check(over == 2, "both legs have ended", &call)
    }

    /// Returns the report of a call that lives or was placed.
    async fn call_report(&self, id: &str) -> Result<Value, DemoError> {
        self.get(&format!("{}/simulator/calls/{id}", self.stack.vonage_url)).await
    }

    async fn type_a_pin(&self) -> Result<(), DemoError> {
        say!("\n25. The rider's phone hides its number. The rider types a PIN.");
        let pins = json!({"pin": true, "pin_in_text": true, "pin_remembers_phones": true});
        let pair = self.pair(20, pins, ["en", "en"]).await?;
        say!("   The rider's phone: \"{}\"", self.last_text(&pair.rider).await?);
        let created = self.get(&self.gateway(&pair.path)).await?;
        let pin = text(&created["participants"][0], "/pin");
        for (typed, connects) in [("000000", false), (&*pin, true)] {
            let call = json!({"from": "anonymous", "to": pair.rider_dials, "presses": [typed, "#"]});
            let call = self.post(&self.simulator_calls(), call).await?;
            say!("   The rider types {typed} and hears: \"{}\"", heard(&call));
            check(call["phones"]["caller"]["connected"] == connects, "only the PIN connects", &call)?;
        }
        let borrowed = "447700900192";
        for (presses, times) in [(vec![&*pin], "once"), (vec![], "never again")] {
            let call = json!({"from": borrowed, "to": pair.rider_dials, "presses": presses});
            let call = self.post(&self.simulator_calls(), call).await?;
            say!("   A borrowed phone is asked {times}: \"{}\"", heard(&call));
            check(call["phones"]["caller"]["connected"] == true, "the phone is remembered", &call)?;
        }
        Ok(())
    }

    async fn try_several_phones(&self) -> Result<(), DemoError> {
        say!("\n16. The driver has a second phone, and a colleague, Anna.");
        let [second, anna] = ["447700900190", "447700900191"];
        let phones = json!([{"number": format!("+{second}")}, {"number": format!("+{anna}"), "name": "Anna"}]);
        let pair = self.pair(40, json!({}), ["en", "en"]).await?;
        self.change(&pair, json!({"participants": [null, {"phones": phones}]})).await?;
        let callees = json!({pair.driver.as_str(): "busy", second: "unanswered"});
        let call = json!({"from": pair.rider, "to": pair.rider_dials, "callees": callees});
        let call = self.post(&self.simulator_calls(), call).await?;
        let rang: Vec<&str> =
            call["callees"].as_array().into_iter().flatten().filter_map(|phone| phone["number"].as_str()).collect();
        say!("   The first is busy, the second rings, and Anna answers: {} phones, one after the other.", rang.len());
        check(rang == [pair.driver.as_str(), second, anna], "one phone after the other", &call)?;
        let conversation = self.get(&self.gateway(&pair.path)).await?;
        let name = text(&conversation, "/calls/0/legs/3/name");
        say!("   The record says who answered: {name}.");
        let back = self.post(&self.simulator_calls(), json!({"from": anna, "to": pair.driver_dials})).await?;
        say!("   Anna dials the same number, and reaches the rider.");
        check(name == "Anna" && back["phones"]["callee"]["number"] == pair.rider.as_str(), "a team", &back)
    }

    async fn slide_an_end(&self) -> Result<(), DemoError> {
        say!("   A conversation of a minute that ends an hour after its last call or text.");
        let pair =
            self.pair(36, json!({"notify": false, "expires_in": 60, "extend_on_use": 3600}), ["en", "en"]).await?;
        let before = self.get(&self.gateway(&pair.path)).await?;
        let sent = json!({"from": pair.rider, "to": pair.rider_dials, "text": "I am late."});
        self.post(&format!("{}/simulator/texts", self.stack.vonage_url), sent).await?;
        let after = self.get(&self.gateway(&pair.path)).await?;
        let [old, new] = [&before, &after].map(|conversation| text(conversation, "/expires_at"));
        say!("   The rider texts, and its end moves from {old} to {new}.");
        check(old < new, "the end slides", &after)
    }

    async fn save_a_contact(&self) -> Result<(), DemoError> {
        let card = json!({"contact_card": {"a": "Your driver", "brand": "Rides"}});
        let pair = self.pair(37, card, ["en", "en"]).await?;
        let invitation = self.last_text(&pair.rider).await?;
        let link = invitation.rsplit(' ').next().unwrap_or_default();
        let card = self.http.get(link).send().await?.error_for_status()?.text().await?;
        say!("   The rider is texted the link to a contact card: {}", card.replace("\r\n", " "));
        let number = format!("+{}", pair.rider_dials);
        check(
            card.contains("FN:Your driver (Rides)") && card.contains(&number),
            "the card has the number",
            &json!(card),
        )
    }

    /// Creates the conversation of the `nth` two people.
    async fn pair(&self, nth: u64, fields: Value, languages: [&str; 2]) -> Result<Pair, DemoError> {
        let [rider, driver] = [0, 1].map(|side| (FIRST + 2 * nth + side).to_string());
        let participant = |number: &str, label: &str, language: &str| json!({"number": format!("+{number}"), "label": label, "language": language});
        let mut body = json!({"participants": [participant(&rider, "your rider", languages[0]),
                                               participant(&driver, "your driver", languages[1])]});
        for (name, value) in fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let created = self.post(&self.gateway("/conversations"), body).await?;
        check(created["state"] == "active", "the conversation is active", &created)?;
        let dials = |side: usize| text(&created, &format!("/participants/{side}/dials"));
        let path = format!("/conversations/{}", text(&created, "/id"));
        Ok(Pair { path, rider_dials: dials(0), driver_dials: dials(1), rider, driver })
    }

    /// The rider calls the driver, whose phone behaves like `callee`.
    async fn ring(&self, pair: &Pair, callee: Value, presses: Value) -> Result<Value, DemoError> {
        let call = json!({"from": pair.rider, "to": pair.rider_dials, "callee": callee, "presses": presses});
        self.post(&self.simulator_calls(), call).await
    }

    async fn change(&self, pair: &Pair, change: Value) -> Result<Value, DemoError> {
        Ok(self.http.patch(self.gateway(&pair.path)).json(&change).send().await?.json().await?)
    }

    async fn texts(&self, phone: &str) -> Result<Vec<String>, DemoError> {
        let inbox = self.get(&format!("{}/simulator/messages?to={phone}", self.stack.vonage_url)).await?;
        Ok(inbox["messages"].as_array().into_iter().flatten().map(|message| text(message, "/text")).collect())
    }

    pub(super) async fn last_text(&self, phone: &str) -> Result<String, DemoError> {
        Ok(self.texts(phone).await?.pop().unwrap_or_default())
    }

    pub(super) fn simulator_calls(&self) -> String {
        format!("{}/simulator/calls", self.stack.vonage_url)
    }
}

/// True if the request tells of the end of a leg of the two.
fn ends_a_leg(request: &Received, pair: &Pair) -> bool {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    body["type"] == "leg.finished" && pair.path.ends_with(&text(&body, "/data/conversation"))
}
