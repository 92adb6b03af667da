//! Bills on their way into the database. Those that come while others are being stored are stored together afterwards, in one transaction.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::STORE_RETRIES;
use crate::app::App;
use crate::domain::ConversationId;
use crate::store::{CallBill, KeptCall, StoreError};

/// Bills stored in one transaction at most.
const TOGETHER: usize = 128;
/// How often others may run before a transaction.
const YIELDS: usize = 3;

/// Tells when a bill is stored, or that it could not be.
pub(super) type Stored = oneshot::Receiver<Result<(), StoreError>>;

type Waiting = (CallBill, oneshot::Sender<Result<(), StoreError>>);

/// What waits to be stored: no more than calls are under way.
#[derive(Default)]
pub(in crate::app) struct Bills {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Whether a task stores what waits.
    is_served: bool,
}

impl Bills {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets another task serve, however this one ends.
struct Serving<'a>(&'a Bills);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.state().is_served = false;
    }
}

impl App {
    /// Stores a bill, whether or not anybody waits for that.
    pub(super) fn store_bill(&self, bill: CallBill) -> Stored {
        let (answer, stored) = oneshot::channel();
        let mut state = self.bills.state();
        state.waiting.push((bill, answer));
        if !std::mem::replace(&mut state.is_served, true) {
            self.tasks.spawn(serve(self.clone()));
        }
        stored
    }

    /// Stores what was said in a call with its bill.
    pub(super) fn store_kept_call(&self, bill: CallBill, mut call: Box<KeptCall>) -> Stored {
        let (answer, stored) = oneshot::channel();
        let app = self.clone();
        self.tasks.spawn(async move {
            let mut tries = STORE_RETRIES.iter();
            let outcome = loop {
                // A drawn id may be taken.
                call.new_conversation_id = ConversationId::random(&mut rand::rng());
                let CallBill { entries, reserved } = bill.clone();
                let outcome = app.db.settle_kept_call(entries, reserved, (*call).clone()).await;
                match (outcome, tries.next()) {
                    (Err(error), Some(wait)) => pause(&error, *wait).await,
                    (outcome, _) => break outcome,
                }
            };
            tell(answer, outcome);
        });
        stored
    }
}

/// Stores what waits, until nothing does.
async fn serve(app: App) {
    let serving = Serving(&app.bills);
    loop {
        // Whoever is ready runs first, and may have a bill too: the busier the server, the more of them share a commit. Where nobody is ready
        // this takes no time.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        let mut batch = {
            let mut state = app.bills.state();
            if state.waiting.is_empty() {
                // Under the lock, or a bill that comes now would wait for the next one.
                state.is_served = false;
                std::mem::forget(serving);
                return;
            }
            let rest = state.waiting.len().min(TOGETHER);
            state.waiting.drain(..rest).collect::<Vec<Waiting>>()
        };
        if batch.len() > 1 {
            let bills = batch.iter().map(|(bill, _)| bill.clone()).collect();
            match app.db.settle_calls(bills).await {
                Ok(()) => {
                    batch.drain(..).for_each(|(_, answer)| tell(answer, Ok(())));
                }
                // One that cannot be stored keeps nobody else's from it.
                Err(error) => tracing::warn!(%error, bills = batch.len(), "storing bills failed: trying one by one"),
            }
        }
        for (bill, answer) in batch {
            store_one(&app, bill, answer).await;
        }
    }
}

/// Stores one bill; where that fails at once, on a task of its own, so that it holds up no other.
async fn store_one(app: &App, bill: CallBill, answer: oneshot::Sender<Result<(), StoreError>>) {
    let CallBill { entries, reserved } = bill.clone();
    match app.db.settle_call(entries, reserved).await {
        Ok(()) => tell(answer, Ok(())),
        Err(error) => {
            let app = app.clone();
            app.clone().tasks.spawn(async move {
                let mut outcome = Err(error);
                for wait in STORE_RETRIES {
                    let Err(error) = &outcome else { break };
                    pause(error, wait).await;
                    let CallBill { entries, reserved } = bill.clone();
                    outcome = app.db.settle_call(entries, reserved).await;
                }
                tell(answer, outcome);
            });
        }
    }
}

async fn pause(error: &StoreError, wait: std::time::Duration) {
    tracing::warn!(%error, "storing a bill failed: trying again");
    tokio::time::sleep(wait).await;
}

fn tell(answer: oneshot::Sender<Result<(), StoreError>>, outcome: Result<(), StoreError>) {
    if let Err(error) = &outcome {
        tracing::error!(%error, "a bill could not be stored");
    }
    // Nobody may wait for it.
    let _ = answer.send(outcome);
}
