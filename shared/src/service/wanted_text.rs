//! Text messages of our own, to people who want them.
//!
//! Every text message that no transaction has checked goes through here: missed calls, recordings, lost property, another number.
//! Those of a creation know the opt-outs from the choice of the numbers, and texts between the participants check them when they are
//! claimed.

use crate::domain::carrier_record::CarrierRecord;
use crate::domain::opt_out::OPTED_OUT;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::store::Store;
use crate::vonage::VonageError;
use crate::vonage::texts::TextSender;

/// Sends a text message, unless `to` wants none from this number, or it is not known if that is so. One consistent read before.
pub async fn send(
    store: &Store,
    texts: &impl TextSender,
    from: &VirtualNumber,
    to: &RealNumber,
    text: &str,
) -> Result<Vec<CarrierRecord>, VonageError> {
    match store.has_opted_out(to, from).await {
        Ok(false) => texts.send(from, to, text).await,
        Ok(true) => Err(VonageError::Withheld(OPTED_OUT)),
        Err(error) => {
            tracing::error!(cause = %error, "it is not known if somebody wants texts");
            Err(VonageError::Withheld("the table did not say if its reader wants texts"))
        }
    }
}
