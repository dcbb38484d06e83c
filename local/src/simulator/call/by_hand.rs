//! Calls with people at the phones: what is heard takes its time, and keys are pressed on request.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::ncco::Dtmf;
use super::Call;
use super::follow::Left;
use super::line::Side;
use super::listen::{Taken, take};
use super::live::{Command, Deed};
use super::script::Party;

/// The end of a wait for a command.
pub(super) enum Waited {
    Told(Command),
    /// The time is over.
    InVain,
    /// Nobody can send a command any more.
    Alone,
}

impl Call {
    /// Returns the moment, on the machine's clock, that is so many seconds from now; none if nobody is at the phones.
    pub(super) fn by_hand_until(&self, seconds: f64) -> Option<Instant> {
        let length = Duration::try_from_secs_f64(seconds).ok()?;
        self.request.by_hand.then(|| Instant::now() + length)
    }

    /// Waits for the next command, until this moment if there is one.
    pub(super) async fn wait_for_command(&mut self, until: Option<Instant>) -> Waited {
        let command = match until {
            None => Ok(self.next_command().await),
            Some(until) => timeout_at(until, self.next_command()).await,
        };
        self.clock = self.clock.max(self.simulator.clock.now());
        match command {
            Ok(Some(command)) => Waited::Told(command),
            Ok(None) => Waited::Alone,
            Err(_) => Waited::InVain,
        }
    }

    /// Plays something to a person for so many seconds. A key ends it if `barge_in`.
    pub(super) async fn hear(&mut self, side: Side, seconds: f64, barge_in: bool) -> Result<(), Left> {
        let until = self.by_hand_until(seconds);
        while (!barge_in || self.line(side).typed.is_empty()) && self.obey_by_hand(side, until).await? {}
        Ok(())
    }

    /// Waits for the keys of an input. Each key gives its user the whole time again.
    pub(super) async fn type_by_hand(&mut self, side: Side, dtmf: Dtmf) -> Result<(String, bool), Left> {
        loop {
            let Taken { digits, timed_out, .. } = take(&self.line(side).typed, dtmf);
            let until = self.by_hand_until(dtmf.timeout);
            if !timed_out || !self.obey_by_hand(side, until).await? {
                self.line_mut(side).typed.clear();
                return Ok((digits, timed_out));
            }
        }
    }

    /// Waits for a command and obeys it. Keys of this side wait for an input, unless one listens all the time. Returns false if the
    /// time is over.
    async fn obey_by_hand(&mut self, side: Side, until: Option<Instant>) -> Result<bool, Left> {
        match self.wait_for_command(until).await {
            Waited::Told(Command { deed: Deed::Press(party, keys), .. })
                if self.side_of(party) == side && self.line(side).listener.is_none() =>
            {
                self.line_mut(side).typed.push_str(&keys.0);
                Ok(true)
            }
            Waited::Told(Command { leg, deed }) => self.obey(&leg, deed).await.map_or(Ok(true), Err),
            Waited::InVain => Ok(false),
            Waited::Alone => Err(Left::Call),
        }
    }

    fn side_of(&self, party: Party) -> Side {
        match party {
            Party::Callee if !self.callees.is_empty() => Side::Callee,
            Party::Caller | Party::Callee => Side::Caller,
        }
    }
}
