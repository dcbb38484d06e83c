//! Key words: a person stops the texts of a number, takes them again, or asks for help.
//!
//! A stop takes effect before anything else happens to the text, and is never passed on. Whoever texts it is told once, by the last
//! text from that number, unless the carrier does so. The wish, the claim of the key word and the note for the backend are one
//! transaction, so after a crash nothing is half done: at most the answer is missing.

use super::{RelayError, Relayed, Said, TextRelay};
use crate::domain::channel::Sender;
use crate::domain::conversation::ConversationId;
use crate::domain::keyword::{self, Keyword};
use crate::domain::phone::RealNumber;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::receipt::OptOutNews;
use crate::domain::route::KeyOwner;
use crate::domain::side::Side;
use crate::domain::words::addressee::Addressee;
use crate::domain::words::sentence::Text;
use crate::store::{StoreError, Wish, WishOutcome};

/// Maximum number of conversations in which a wish is noted. A transaction of DynamoDB has up to 100 items.
const MOST_NOTED: usize = 50;

impl TextRelay {
    /// Follows a key word. `None` if its text is to be passed on like others.
    pub(super) async fn follow(&self, said: &Said<'_>) -> Result<Option<Relayed>, RelayError> {
        let stops = match said.keyword {
            Keyword::Help => {
                self.help(said).await?;
                return Ok(None);
            }
            Keyword::Stop => true,
            Keyword::Start => false,
        };
        let conversations = self.concerned(said.writer, said.sender, said.owner).await?;
        let wish = Wish {
            person: said.writer,
            sender: said.sender,
            stops,
            at: said.written_at,
            keyword: Some(said.id),
            conversations: &conversations,
        };
        Ok(match self.store.follow_wish(wish, self.clock.now()).await? {
            WishOutcome::Known => Some(Relayed::Repeated),
            WishOutcome::Changed => {
                self.confirm(said, if stops { Text::Stopped } else { Text::Started }).await?;
                Some(if stops { Relayed::Stopped } else { Relayed::Started })
            }
            WishOutcome::Unchanged => stops.then_some(Relayed::Stopped),
        })
    }

    /// Follows the carrier's news that a phone takes no texts from a sender.
    pub async fn follow_news(&self, news: &OptOutNews) -> Result<WishOutcome, StoreError> {
        let now = self.clock.now();
        let owner = match &news.sender {
            Sender::Number(number) => self.store.owner_for_text(&news.person, number, now).await?,
            Sender::Brand(_) => None,
        };
        let conversations = self.concerned(&news.person, &news.sender, owner.as_ref()).await?;
        let wish = Wish {
            person: &news.person,
            sender: &news.sender,
            stops: true,
            at: news.at.unwrap_or(now),
            keyword: None,
            conversations: &conversations,
        };
        self.store.follow_wish(wish, now).await
    }

    /// Returns the live conversations in which a person is texted by a sender, each with the side of the person. By a number it is that of
    /// the route key of the two. The brand's sender on a channel texts the person in all of them, which costs one query.
    async fn concerned(
        &self,
        person: &RealNumber,
        sender: &Sender<'_>,
        owner: Option<&KeyOwner>,
    ) -> Result<Vec<(ConversationId, Side)>, StoreError> {
        if let Sender::Number(_) = sender {
            return Ok(owner.and_then(|owner| self.live(owner)).into_iter().collect());
        }
        let owners = self.store.owners_of_phone(person).await?.owners;
        let mut found: Vec<(ConversationId, Side)> = owners.iter().filter_map(|owner| self.live(owner)).collect();
        found.sort_by_key(|(conversation, _)| *conversation);
        found.dedup();
        found.truncate(MOST_NOTED);
        Ok(found)
    }

    /// Returns the conversation that a route key leads to now, and the side of its phone.
    fn live(&self, owner: &KeyOwner) -> Option<(ConversationId, Side)> {
        match owner {
            KeyOwner::Route(route) if route.is_live(self.clock.now()) => Some((route.conversation, route.side)),
            _ => None,
        }
    }

    /// Confirms a wish, which has just been followed. It is the one text that goes to a person who has stopped them.
    async fn confirm(&self, said: &Said<'_>, sentence: Text) -> Result<(), RelayError> {
        if keyword::is_answered_by_carrier(said.sender)
            || !self.may_answer(said.writer, said.sender).await?
            || !self.store.count_answer(said.sender, self.clock.now()).await?
        {
            return Ok(());
        }
        Ok(self.answer(said, sentence).await?)
    }

    /// Says who texts from the number, once a day.
    async fn help(&self, said: &Said<'_>) -> Result<(), RelayError> {
        if keyword::is_answered_by_carrier(said.sender) || !self.may_answer(said.writer, said.sender).await? {
            return Ok(());
        }
        let to = format!("HELP#{}", self.key.hash_of_caller(said.writer));
        if self.store.claim_explanation(said.sender, said.writer, &to, self.clock.now()).await? {
            self.answer(said, Text::Help).await?;
        }
        Ok(())
    }

    async fn answer(&self, said: &Said<'_>, sentence: Text) -> Result<(), StoreError> {
        let caller = CallerId::Phone(said.writer.as_phone().clone());
        let addressee: Option<Addressee> = said.owner.and_then(KeyOwner::addressee);
        let words = self.words_of(said.owner.and_then(KeyOwner::speaker), said.sender).await?;
        let text = words.speech_of_call(&caller, addressee.as_ref()).write(sentence);
        let text = match words.brand().filter(|_| sentence == Text::Help) {
            Some(brand) => format!("{brand}: {text}"),
            None => text,
        };
        if let Err(error) = self.answer_by(said.sender, said.writer, &text).await {
            tracing::warn!(cause = %error, "answering a key word failed");
        }
        Ok(())
    }
}
