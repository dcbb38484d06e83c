//! The holds and the marks of a conversation that becomes longer, or gets another phone, beside the transaction of that change.

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::domain::conversation::{Conversation, SidePhone};
use crate::domain::peak_usage::Mark;
use crate::domain::phone::parse;
use crate::domain::side::Side;
use crate::service::create::ROUTES_READ;
use crate::service::pool_cache::PoolCache;
use crate::store::{ChangeError, Store, StoreError};

/// Makes sure, before a change is stored, that the number which a participant who only receives sees is held for each new phone,
/// and until the new end.
pub(super) async fn hold(
    store: &Store,
    [before, after]: [&Conversation; 2],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let was_held = |phone: &SidePhone<'_>| before.receiving_phones().any(|old| old.caller == phone.caller);
    let until = after.quarantined_until(after.expires_at);
    let is_longer = after.expires_at > before.expires_at;
    for phone in after.receiving_phones().filter(|phone| is_longer || !was_held(phone)) {
        let held = Box::pin(store.hold((phone.caller, phone.sees), after.owner, until, now)).await?;
        held.ok_or(ChangeError::KeyTaken)?;
    }
    Ok(())
}

/// Records the peak usage of all phones after a change, which a longer conversation or another phone may raise. A failure does not
/// fail the change. Creations count for a participant with very many routes.
pub(super) async fn raise_peak_usage(store: &Store, cache: &PoolCache, conversation: &Conversation, now: Timestamp) {
    // That of tenants is not recorded.
    if !conversation.owner.is_deployment() {
        return;
    }
    let phones = || Side::BOTH.into_iter().flat_map(|side| conversation.phones(side));
    let read = async {
        let routes = phones().map(|phone| store.first_routes(phone.number, ROUTES_READ, now));
        let (routes, parts) = tokio::try_join!(try_join_all(routes), store.ready_parts(conversation.owner))?;
        let codes = Side::BOTH.map(|side| parse::calling_code(conversation.participant(side).sees.as_str()));
        let ready = cache.ready(store, &parts, |part| codes.contains(&part.calling_code)).await?;
        Ok::<_, StoreError>((phones().zip(routes).collect::<Vec<_>>(), ready))
    };
    match read.await {
        Ok((callers, ready)) => {
            let complete = callers.iter().filter(|(_, routes)| !routes.is_partial());
            let marks = complete.flat_map(|(phone, routes)| Mark::of_caller(routes, phone.sees, &ready, None, now));
            cache.record(store, conversation.owner, &marks.collect::<Vec<_>>()).await;
        }
        Err(error) => tracing::warn!(cause = %error, "reading the peak usage of a changed conversation failed"),
    }
}
