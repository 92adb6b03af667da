//! Tells MongoDB what happened: one process at a time, in the order in which it happened, at least once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::TurnId;
use crate::mongo::{Change, EventDocument, EventValue, Mongo, MongoError};
use crate::store::{FinishedTurn, Happened, StoreError, Told};

/// Who may tell.
const LEASE: &str = "outbox";
/// How long the right to tell lasts without a sign of life; longer than telling one batch takes.
const HELD_FOR: Duration = Duration::from_secs(180);
/// How often there is a look for more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often one that may not tell asks again.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// The longest wait between attempts while the database or MongoDB is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the batch under way has when the process stops.
const LAST_BATCH: Duration = Duration::from_secs(3);
/// Rows told at once.
const BATCH: i64 = 200;
/// Texts told at once, in bytes; the last one may exceed it.
const BATCH_BYTES: usize = 8 << 20;
/// The wait before what MongoDB refuses is told again, doubled after each further time.
const POSTPONED: Duration = Duration::from_secs(60);
/// The longest of these waits.
const POSTPONED_MOST: Duration = Duration::from_secs(6 * 3_600);

#[derive(Debug, thiserror::Error)]
enum OutboxError {
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Mongo(#[from] MongoError),
}

/// Tells until it is stopped.
pub(super) async fn tell(app: App, mongo: Mongo, holder: String, stop: CancellationToken) {
    let mut failures = 0_u32;
    loop {
        let told = tokio::select! {
            biased;
            told = round(&app, &mongo, &holder, &stop) => told,
            // What is left half-way is told again.
            () = stopped_for(&stop, LAST_BATCH) => break,
        };
        let pause = match told {
            Ok(pause) => {
                if failures > 0 {
                    tracing::info!("MongoDB is told again what happens");
                }
                failures = 0;
                pause
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "MongoDB could not be told what happened; it waits in the outbox");
                LOOK_EVERY.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE)
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause.mul_f64(0.75 + rand::random::<f64>() / 4.0)) => {}
        }
    }
    if let Err(error) = app.db().give_up_lease(LEASE, holder).await {
        tracing::debug!(%error, "the right to tell MongoDB was not given up");
    }
}

/// Waits until it has been stopped for so long.
async fn stopped_for(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// Tells everything that waits. Returns when to look again.
async fn round(app: &App, mongo: &Mongo, holder: &str, stop: &CancellationToken) -> Result<Duration, OutboxError> {
    while !stop.is_cancelled() {
        let now = app.clock().now();
        // Without anything to tell nothing is written.
        let told = app.db().read_outbox(now, BATCH).await?;
        if told.is_empty() {
            return Ok(LOOK_EVERY);
        }
        if !app.db().take_lease(LEASE, holder.to_owned(), now, now.plus(HELD_FOR)).await? {
            return Ok(ASK_EVERY);
        }
        // Read again: what another told before it lost the right is gone.
        let told = app.db().read_outbox(now, BATCH).await?;
        tell_batch(app, mongo, told).await?;
    }
    Ok(LOOK_EVERY)
}

async fn tell_batch(app: &App, mongo: &Mongo, mut told: Vec<Told>) -> Result<(), OutboxError> {
    let turns: Vec<TurnId> = told.iter().filter_map(|told| turn_of(&told.happened)).collect();
    let asked = turns.len();
    let (turns, looked_at) = app.db().finished_turns(turns, BATCH_BYTES).await?;
    if looked_at < asked {
        // The rest has to wait for the turns that there is no room for now.
        let first_left = told.iter().enumerate().filter(|(_, told)| turn_of(&told.happened).is_some()).nth(looked_at);
        let keep = first_left.map_or(told.len(), |(at, _)| at);
        told.truncate(keep);
    }
    let mut changes = Vec::new();
    // Which row each change is of.
    let mut rows = Vec::new();
    for (row, told) in told.iter().enumerate() {
        let found = turn_of(&told.happened).and_then(|id| turns.iter().find(|turn| turn.turn_id == id.get()));
        let before = changes.len();
        changes_of(told, found, &mut changes);
        rows.resize(rows.len() + changes.len() - before, row);
    }
    let refused = mongo.write(&changes).await?;
    let mut refused: Vec<usize> = refused.into_iter().filter_map(|place| rows.get(place).copied()).collect();
    refused.extend(told.iter().enumerate().filter(|(_, told)| told.happened == Happened::Unknown).map(|(row, _)| row));
    let (left, done): (Vec<_>, Vec<_>) = told.iter().enumerate().partition(|(row, _)| refused.contains(row));
    count("written", done.len());
    count("refused", left.len());
    for (_, told) in left {
        tracing::error!(
            outbox = told.id,
            attempts = told.attempts,
            "MongoDB refuses a document; it is told again later"
        );
        let wait = POSTPONED.saturating_mul(1 << told.attempts.clamp(0, 16)).min(POSTPONED_MOST);
        app.db().postpone_told(told.id, app.clock().now().plus(wait)).await?;
    }
    app.db().delete_told(done.into_iter().map(|(_, told)| told.id).collect()).await?;
    Ok(())
}

fn count(outcome: &'static str, rows: usize) {
    metrics::counter!("parlor_outbox_told_total", "outcome" => outcome).increment(u64::try_from(rows).unwrap_or(0));
}

fn turn_of(happened: &Happened) -> Option<TurnId> {
    match happened {
        Happened::TurnFinished { turn_id } => TurnId::new(*turn_id).ok(),
        _ => None,
    }
}

/// What is to be written. Of a turn that is gone by now there is nothing to tell.
fn changes_of(told: &Told, turn: Option<&FinishedTurn>, changes: &mut Vec<Change>) {
    let event = |event: &'static str, fields: Vec<(&'static str, EventValue)>| {
        Change::PutEvent(EventDocument { id: told.key.clone(), event, at: told.at, fields })
    };
    match &told.happened {
        Happened::TurnFinished { .. } => {
            if let Some(turn) = turn {
                changes.push(Change::PutTurn(Box::new(turn.clone())));
                changes.push(event("turn_finished", turn_fields(turn)));
            }
        }
        Happened::FeedbackGiven { account_id, conversation_id, message_id, rating } => changes.push(event(
            "feedback_given",
            vec![
                ("account_id", (*account_id).into()),
                ("conversation_id", (*conversation_id).into()),
                ("message_id", (*message_id).into()),
                ("rating", rating.clone().into()),
            ],
        )),
        Happened::AccountRegistered { account_id, role } => changes.push(event(
            "account_registered",
            vec![("account_id", (*account_id).into()), ("role", role.clone().into())],
        )),
        Happened::AccountErased { account_id } => {
            changes.push(Change::EraseAccount(*account_id));
            changes.push(event("account_erased", Vec::new()));
        }
        Happened::ConversationDeleted { account_id, conversation_id } => {
            changes.push(Change::EraseConversation(*conversation_id));
            changes.push(event(
                "conversation_deleted",
                vec![("account_id", (*account_id).into()), ("conversation_id", (*conversation_id).into())],
            ));
        }
        Happened::MessageBlocked { account_id, conversation_id, subject, source, category } => changes.push(event(
            "message_blocked",
            vec![
                ("account_id", (*account_id).into()),
                ("conversation_id", (*conversation_id).into()),
                ("subject", subject.clone().into()),
                ("source", source.clone().into()),
                ("category", category.clone().into()),
            ],
        )),
        Happened::Unknown => {}
    }
}

/// All that is known of a turn but what was said.
fn turn_fields(turn: &FinishedTurn) -> Vec<(&'static str, EventValue)> {
    vec![
        ("account_id", turn.account_id.into()),
        ("conversation_id", turn.conversation_id.into()),
        ("turn_id", turn.turn_id.into()),
        ("message_id", turn.answer_id.into()),
        ("state", turn.state.clone().into()),
        ("finish_reason", turn.finish_reason.clone().into()),
        ("error_code", turn.error_code.clone().into()),
        ("provider", turn.provider.clone().into()),
        ("model", turn.model.clone().into()),
        ("prompt_tokens", turn.prompt_tokens.into()),
        ("completion_tokens", turn.completion_tokens.into()),
        ("is_estimated", turn.is_estimated.into()),
        ("cost_micros", turn.cost_micros.into()),
        ("elapsed_ms", turn.elapsed_ms.into()),
        ("first_token_ms", turn.first_token_ms.into()),
    ]
}
