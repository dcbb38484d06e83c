//! Random walks of the deployment and two tenants on one account: nothing crosses, whatever comes after what.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{Laptop, string, text};

const PATHS: [&str; 3] = ["", "/t/acme", "/t/beta"];
const PEOPLE: [&str; 4] = ["+447700900001", "+447700900002", "+447700900003", "+447700900004"];
const STEPS: usize = 40;

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    /// Returns a number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len())) }
    }
}

/// A walk, with the path of the owner of each number and of each conversation.
struct Walk {
    laptop: Laptop,
    random: Random,
    numbers: BTreeMap<String, usize>,
    conversations: Vec<(String, usize)>,
}

impl Walk {
    async fn step(&mut self) {
        let owner = self.random.below(PATHS.len());
        match self.random.below(10) {
            0 | 1 => self.order(owner).await,
            2..=4 => self.create(owner).await,
            5 => self.change(owner).await,
            6 => self.end(owner).await,
            7 => self.rotate(owner).await,
            8 => self.lose().await,
            _ => self.laptop.advance(i64::try_from(self.random.below(90_000)).unwrap()),
        }
        if self.random.below(3) == 0 {
            self.laptop.run_schedule().await;
        }
    }

    /// Orders one more number than the owner has.
    async fn order(&mut self, owner: usize) {
        let shown = self.laptop.get(&format!("{}/numbers", PATHS[owner])).await.body;
        let ready = shown["countries"][0]["ready"].as_u64().unwrap_or_default();
        let order = json!({"country": "GB", "count": (ready + 1).min(4)});
        let ordered = self.laptop.post(&format!("{}/numbers", PATHS[owner]), &order).await;
        assert_eq!(ordered.status, 200, "{ordered:?}");
        for number in ordered.body["added"].as_array().unwrap() {
            let number = string(&number["number"]);
            // A number that was lost or given back may be rented again, by anybody.
            self.numbers.insert(number, owner);
        }
    }

    async fn create(&mut self, owner: usize) {
        let (one, other) = (self.random.below(PEOPLE.len()), 1 + self.random.below(PEOPLE.len() - 1));
        let people = [PEOPLE[one], PEOPLE[(one + other) % PEOPLE.len()]];
        let new = json!({"participants": people.map(|number| json!({"number": number})), "notify": false,
                         "expires_in": 60 + self.random.below(90_000), "quarantine": 7200});
        let created = self.laptop.post(&format!("{}/conversations", PATHS[owner]), &new).await;
        match created.status {
            201 => self.conversations.push((text(&created.body, "/id").to_owned(), owner)),
            409 => assert_eq!(text(&created.body, "/type"), "urn:maskline:problem:no-number-free", "{created:?}"),
            // A deployment or a tenant without numbers of this country does not serve it.
            422 => assert_eq!(text(&created.body, "/type"), "urn:maskline:problem:number-not-callable", "{created:?}"),
            _ => panic!("{created:?}"),
        }
    }

    /// Sends a change of any conversation in the scope of any owner.
    async fn change(&mut self, scope: usize) {
        let Some((id, owner)) = self.random.of(&self.conversations).cloned() else { return };
        let path = format!("{}/conversations/{id}", PATHS[scope]);
        let changed = self.laptop.patch(&path, &json!({"expires_in": 3600 + self.random.below(3600)})).await;
        let is_seen = scope == 0 || scope == owner;
        assert_eq!(is_seen, changed.status != 404, "{path} is of {}: {changed:?}", PATHS[owner]);
    }

    async fn end(&mut self, scope: usize) {
        let Some((id, owner)) = self.random.of(&self.conversations).cloned() else { return };
        let ended = self.laptop.delete(&format!("{}/conversations/{id}", PATHS[scope])).await;
        assert_eq!(ended.status, if scope == 0 || scope == owner { 200 } else { 404 }, "{ended:?}");
    }

    async fn rotate(&mut self, scope: usize) {
        let numbers: Vec<_> = self.numbers.iter().map(|(number, owner)| (number.clone(), *owner)).collect();
        let Some((number, owner)) = self.random.of(&numbers).cloned() else { return };
        let rotated = self.laptop.post(&format!("{}/numbers/{number}/rotate", PATHS[scope]), &json!({})).await;
        let is_seen = scope == 0 || scope == owner;
        // One that has been given back is unknown to its owner too.
        assert!(is_seen || rotated.status == 404, "{number} is of {}: {rotated:?}", PATHS[owner]);
    }

    /// Has Vonage take a number away.
    async fn lose(&mut self) {
        let owned: Vec<Value> = self.laptop.owned_numbers().await;
        let Some(number) = self.random.of(&owned).map(|number| string(&number["msisdn"])) else { return };
        let form = [("country", "GB"), ("msisdn", number.as_str())];
        assert_eq!(self.laptop.vonage_form("/number/cancel", &form).await.status, 200);
        self.laptop.run_schedule().await;
    }

    /// Checks the whole table, and that each conversation is seen by its owner and by the deployment only.
    async fn check(&self) {
        self.laptop.table().await;
        let Some((id, owner)) = self.conversations.last() else { return };
        for (scope, path) in PATHS.iter().enumerate() {
            let shown = self.laptop.get(&format!("{path}/conversations/{id}")).await;
            assert_eq!(shown.status, if scope == 0 || scope == *owner { 200 } else { 404 }, "{path}: {shown:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_crosses_between_owners_on_random_walks() {
    for seed in 0..3 {
        let laptop = Laptop::builder().env(&[("MAX_CALL_SECONDS", "600")]).start().await;
        let mut walk = Walk { laptop, random: Random(seed), numbers: BTreeMap::new(), conversations: Vec::new() };
        for owner in 0..PATHS.len() {
            walk.order(owner).await;
        }
        for _ in 0..STEPS {
            walk.step().await;
            walk.check().await;
        }
        let created: Vec<usize> = walk.conversations.iter().map(|(_, owner)| *owner).collect();
        assert!((0..PATHS.len()).all(|owner| created.contains(&owner)), "seed {seed} creates for all: {created:?}");
    }
}
