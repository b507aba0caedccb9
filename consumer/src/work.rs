//! The work: takes a lease on what is due, brings it one remediation further, and is not harmed by a kill.
//!
//! Everything in the database changes in transactions that hold the journal entry. The one thing outside of it, the
//! bundle on disk, is an effect: intended in the journal, done, and noted as done. After a restart an intent without
//! outcome is looked up in the world first, and done only if it is not there.

mod heartbeat;
mod seal;
mod tries;

use std::path::PathBuf;
use std::time::Duration;

use backtrail_model::patch_request::PatchRequest;
use backtrail_model::time::UnixNano;
use backtrail_redact::Redactor;
use rand::rngs::StdRng;

use crate::admit::admit;
use crate::error::Error;
use crate::event::{Content, Event};
use crate::evidence::Signer;
use crate::intake::refused;
use crate::journal::Chain;
use crate::ownership;
use crate::plan::Model;
use crate::redaction;
use crate::report::{Case, Outbox, trace};
use crate::retry::Retry;
use crate::state::State;
use crate::step::Step;
use crate::store::{Lease, Reason, Row, Store};

use crate::triage::triage;
use crate::workshop::Workshop;
use heartbeat::Heartbeat;
pub(crate) use tries::owners_of;

/// What rests is looked at again at least so often: settings may have changed with a restart.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// Folder of the bundles, below the store's.
pub const BUNDLES: &str = "bundles";

/// Settings of a [`Worker`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `ownership.yaml`; read anew for every triage, so that a change of it needs no restart.
    pub ownership: PathBuf,
    /// How old an incident's window may be; without it, any age.
    pub max_age: Option<Duration>,
    /// How long a lease lasts.
    pub lease: Duration,
    /// When to try again.
    pub retry: Retry,
}

/// Works off the inbox of a store.
pub struct Worker {
    settings: Settings,
    signer: Signer,
    random: StdRng,
    /// Where candidates are made and proved; without one, work ends with triage.
    workshop: Option<Workshop>,
    /// Whom to ask beside the recipes.
    model: Option<Model>,
    /// Asked before each entry, because a step may take minutes; without one, all of a call's entries have one time.
    clock: Option<fn() -> UnixNano>,
    /// Where traces of ended remediations go.
    outbox: Option<Outbox>,
}

/// A step, and what is kept beside the journal for it.
pub(crate) struct Next {
    step: Step,
    artifacts: Vec<Vec<u8>>,
}

impl From<Step> for Next {
    fn from(step: Step) -> Self {
        Self { step, artifacts: Vec::new() }
    }
}

/// What one call did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Worked {
    /// A step further.
    Step,
    /// It failed: it is tried again, or a dead letter.
    Failed(String),
    /// Somebody else has it by now.
    Lost,
}

impl Worker {
    /// A worker with a source of randomness for its waits.
    pub const fn new(settings: Settings, signer: Signer, random: StdRng) -> Self {
        Self { settings, signer, random, workshop: None, model: None, clock: None, outbox: None }
    }

    /// The same with a place to make patches in.
    #[must_use]
    pub fn with_workshop(self, workshop: Workshop) -> Self {
        Self { workshop: Some(workshop), ..self }
    }

    /// The same with a model that is asked after the recipes.
    #[must_use]
    pub fn with_model(self, model: Option<Model>) -> Self {
        Self { model, ..self }
    }

    /// The same with a clock for the times of journal entries.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> UnixNano) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The same with a place to send traces to.
    #[must_use]
    pub fn with_outbox(self, outbox: Option<Outbox>) -> Self {
        Self { outbox, ..self }
    }

    /// Waits a little for traces that are not sent yet.
    pub fn finish(&mut self) {
        if self.outbox.take().is_some_and(|outbox| !outbox.finish()) {
            tracing::warn!("some traces of remediations are not sent: the receiver is too slow");
        }
    }

    /// Finds what is not to be written down.
    fn redactor(&self) -> Redactor {
        self.workshop.as_ref().map_or_else(Redactor::new, |workshop| workshop.redactor().clone())
    }

    /// Works on the next event that is due, until it rests; none when nothing is due.
    pub fn work(&mut self, store: &mut Store, now: UnixNano) -> Result<Option<Worked>, Error> {
        let Some(lease) = store.lease(now, self.settings.lease)? else { return Ok(None) };
        if lease.attempts > self.settings.retry.budget {
            // Also what ends the process each time comes here: an attempt counts when it begins.
            let error = store.last_error(&lease.event_id)?;
            let why = if error.is_empty() { "every attempt ended without a word" } else { &error };
            let detail = format!("{} attempts failed; the last: {why}", lease.attempts - 1);
            return bury(store, &lease, &Reason { name: "budget_spent", detail }, now).map(Some);
        }
        match self.one(store, &lease, now) {
            Ok(()) => Ok(Some(Worked::Step)),
            Err(error) => self.failed(store, &lease, &error, now).map(Some),
        }
    }

    fn one(&self, store: &mut Store, lease: &Lease, now: UnixNano) -> Result<(), Error> {
        let admitted = store.transact(|tx| {
            let row = tx.of_event(&lease.event_id)?;
            if row.is_none() {
                admit(tx, lease, now)?;
            }
            Ok(row)
        })?;
        match admitted {
            None => Ok(()),
            Some(row) => self.advance(store, lease, &row, now),
        }
    }

    /// Brings a remediation as far as it goes today.
    fn advance(&self, store: &mut Store, lease: &Lease, row: &Row, now: UnixNano) -> Result<(), Error> {
        let redactor = self.redactor();
        let mut chain = store.chain(&row.id)?;
        let Content::Request(request) = Event::parse(&lease.body)?.content else {
            return Err(Error::IllegalStep("a remediation of what is no request".into()));
        };
        while !chain.remediation.state.is_terminal() {
            let now = self.time(now);
            let Some(step) = self.next_step(store, lease, &chain, &request, now)? else {
                return store.transact(|tx| tx.rest(lease, self.look_again(&request, now)));
            };
            let step = Next { step: redaction::step(&redactor, step.step), ..step };
            chain = store.transact(|tx| {
                for artifact in &step.artifacts {
                    tx.keep(&row.id, artifact)?;
                }
                tx.append(lease, &row.id, &step.step, self.time(now))
            })?;
        }
        self.seal(store, lease, &row.id, &chain, self.time(now))?;
        store.transact(|tx| tx.settle(lease))?;
        self.tell(store, &row.id);
        Ok(())
    }

    fn time(&self, begun: UnixNano) -> UnixNano {
        self.clock.map_or(begun, |clock| clock().max(begun))
    }

    /// Hands the trace of an ended remediation out. The work is done: nothing here can fail it.
    fn tell(&self, store: &mut Store, id: &str) {
        let Some(outbox) = &self.outbox else { return };
        let told = Case::read(store, id).and_then(|case| match outbox.offer(&trace::of(&case)) {
            Ok(()) => Ok(()),
            Err(_) => store.transact(|tx| tx.count("trace_dropped")),
        });
        if let Err(error) = told {
            tracing::warn!(%error, id, "the trace of a remediation is not sent");
        }
    }

    /// What follows for a remediation that has not ended; nothing while it waits.
    fn next_step(
        &self,
        store: &Store,
        lease: &Lease,
        chain: &Chain,
        request: &PatchRequest,
        now: UnixNano,
    ) -> Result<Option<Next>, Error> {
        if let Some(limit) = self.settings.max_age.filter(|_| now >= self.expires(request)) {
            let age_seconds = now.since(request.problem.time_window.end_unix_nano).as_secs();
            return Ok(Some(Step::Expired { age_seconds, limit_seconds: limit.as_secs() }.into()));
        }
        if chain.remediation.state == State::Received {
            let ownership = ownership::read(&self.settings.ownership)?;
            let step = match triage(request, &ownership) {
                Ok(mapping) => Step::Triaged { mapping },
                Err(missing) => Step::NoSafePatch { missing },
            };
            return Ok(Some(step.into()));
        }
        match &self.workshop {
            Some(workshop) if chain.remediation.state != State::Verified => {
                let _others_are_kept_away = Heartbeat::start(store.dir(), lease, self.settings.lease, now);
                let ownership = ownership::read(&self.settings.ownership)?;
                tries::next(workshop, self.model.as_ref(), store, chain, request, &ownership).map(Some)
            }
            // It waits for an approval.
            _ => Ok(None),
        }
    }

    fn look_again(&self, request: &PatchRequest, now: UnixNano) -> UnixNano {
        self.expires(request).min(now.plus(LOOK_AGAIN))
    }

    fn expires(&self, request: &PatchRequest) -> UnixNano {
        let end = request.problem.time_window.end_unix_nano;
        self.settings.max_age.map_or(UnixNano::MAX, |age| end.plus(age))
    }

    fn failed(&mut self, store: &mut Store, lease: &Lease, error: &Error, now: UnixNano) -> Result<Worked, Error> {
        match error {
            Error::Stale { .. } => return Ok(Worked::Lost),
            Error::Refused(refusal) => return bury(store, lease, &refused(refusal), now),
            // No attempt makes these better.
            Error::Tampered { .. } => return bury(store, lease, &reason("tampered", error), now),
            Error::IllegalStep(_) => return bury(store, lease, &reason("bug", error), now),
            _ => {}
        }
        let wait = self.settings.retry.wait(lease.attempts, &mut self.random);
        // What git and the like say can repeat what they were given.
        let said = redaction::text(&self.redactor(), &error.to_string());
        match store.transact(|tx| tx.retry(lease, now.plus(wait), &said)) {
            Ok(()) => Ok(Worked::Failed(said)),
            Err(Error::Stale { .. }) => Ok(Worked::Lost),
            Err(error) => Err(error),
        }
    }
}

fn reason(name: &'static str, error: &Error) -> Reason {
    Reason { name, detail: error.to_string() }
}

fn bury(store: &mut Store, lease: &Lease, reason: &Reason, now: UnixNano) -> Result<Worked, Error> {
    match store.transact(|tx| tx.bury_event(lease, reason, now)) {
        Ok(()) => Ok(Worked::Failed(reason.detail.clone())),
        Err(Error::Stale { .. }) => Ok(Worked::Lost),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
