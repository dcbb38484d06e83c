//! A called phone, from its first ring to its answer, and the detection of a machine.

use super::super::leg::{Event, Failure};
use super::super::ncco::MachineDetection;
use super::Call;
use super::by_hand::Waited;
use super::follow::{Left, moment};
use super::line::Side;
use super::live::{Command, Deed};
use super::script::{Party, Reaction};

/// Ringing time before a phone is answered or declines the call.
const RING_SECONDS: f64 = 3.0;
/// Ringing time of a phone that screens calls.
const SCREENING_RING_SECONDS: f64 = 0.5;
/// Time after which a voicemail hangs up, unless its behaviour says otherwise.
const VOICEMAIL_SECONDS: f64 = 30.0;
/// Time of the machine detection, in seconds.
const DETECTION_SECONDS: f64 = 4.0;

/// The user of a ringing phone.
enum User {
    Answers,
    Declines,
    /// Nobody is there.
    Absent,
}

impl Call {
    pub(super) fn progress(&mut self, status: &'static str) -> Event {
        let at = self.clock;
        self.line_mut(Side::Callee).leg.progress(status, at)
    }

    /// Rings the phone. Returns `None` if it is answered, and fails if the caller hangs up.
    /// The phone is the one that was called last, or the first one of a call that the application has created.
    pub(super) async fn ring(&mut self, timeout: f64) -> Result<Option<Failure>, Left> {
        let pending = self.request.lives && self.line(Side::Callee).reaction == Reaction::Rings;
        let failure = |status, detail, sip_code| Ok(Some(Failure { status, detail, sip_code }));
        let line = self.line_mut(Side::Callee);
        let (reaction, own) = (line.reaction, line.hangs_up_after);
        let usual = if reaction == Reaction::Screens { SCREENING_RING_SECONDS } else { RING_SECONDS };
        let seconds = line.ring_seconds.unwrap_or(usual);
        match reaction {
            Reaction::Unreachable => return failure("failed", Some("number_out_of_service"), 404),
            Reaction::Busy => return failure("busy", None, 486),
            _ => line.rang = true,
        }
        let ringing = self.progress("ringing");
        self.emit(ringing).await;
        let is_too_slow = timeout < seconds && !self.request.by_hand;
        if matches!(reaction, Reaction::Unanswered | Reaction::Timeout) || is_too_slow {
            self.pass(Side::Caller, timeout)?;
            if reaction == Reaction::Timeout {
                return failure("timeout", None, 480);
            }
            return failure("unanswered", Some("timeout"), 480);
        }
        let user = if pending {
            self.ring_live(timeout).await?
        } else {
            self.pass(Side::Caller, seconds)?;
            if reaction == Reaction::Rejects { User::Declines } else { User::Answers }
        };
        match user {
            User::Answers => {}
            User::Declines => return failure("rejected", Some("declined"), 603),
            User::Absent => return failure("unanswered", Some("timeout"), 480),
        }
        let at = self.clock;
        let line = self.line_mut(Side::Callee);
        let machine = Some(VOICEMAIL_SECONDS).filter(|_| reaction == Reaction::Voicemail);
        line.leaves_at = moment(at, own.or(machine));
        line.decides_at = moment(at, Some(line.decides_after)).filter(|_| reaction == Reaction::Screens);
        let answered = line.leg.answer(at);
        self.emit(answered).await;
        Ok(None)
    }

    /// Rings until the phone is answered on request, or somebody hangs up. With people at the phones it rings for `timeout`
    /// seconds at most.
    async fn ring_live(&mut self, timeout: f64) -> Result<User, Left> {
        self.come_up().await;
        let its_user = if self.callees.is_empty() { Party::Caller } else { Party::Callee };
        let until = self.by_hand_until(timeout);
        loop {
            match self.wait_for_command(until).await {
                Waited::Told(Command { deed: Deed::Answer, .. }) => return Ok(User::Answers),
                Waited::Told(Command { deed: Deed::UserHangsUp(party), .. }) if party == its_user => {
                    return Ok(User::Declines);
                }
                Waited::Told(Command { leg, deed }) => {
                    if let Some(left) = self.obey(&leg, deed).await {
                        return Err(left);
                    }
                }
                Waited::InVain => return Ok(User::Absent),
                Waited::Alone => return Err(Left::Call),
            }
        }
    }

    /// Sends the event of a machine detection. Its body has `call_uuid` in place of `uuid`. Source: Vonage Voice API,
    /// webhook reference.
    pub(super) async fn detect_machine(&mut self, detection: MachineDetection) -> Result<(), Left> {
        self.pass(Side::Callee, DETECTION_SECONDS)?;
        let is_machine = self.line(Side::Callee).reaction.is_machine();
        let mut event = self.progress(if is_machine { "machine" } else { "human" });
        // It is no status of the leg.
        self.line_mut(Side::Callee).leg.statuses.pop();
        if let Some(uuid) = event.body.remove("uuid") {
            event.body.insert("call_uuid".into(), uuid);
        }
        self.emit(event).await;
        if is_machine && detection.hangs_up { Err(Left::Leg) } else { Ok(()) }
    }
}
