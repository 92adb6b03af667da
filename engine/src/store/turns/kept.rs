//! A call of the gateway as a turn of a conversation: message, answer and bill at once, for it has ended already.

use super::begin::begin_turn;
use super::finish::finish_turn;
use super::{Begun, Branch, FinishTurn, NewTurn};
use crate::domain::{AccountId, Attachments, ConversationId, FinishReason, ServerId, Timestamp, TurnState};
use crate::store::outbox::Outbox;
use crate::store::quotas::Reserved;
use crate::store::usage::{LedgerEntry, Occasion, bill};
use crate::store::{Db, StoreError, Tx, tx::params};

/// What was asked and answered in a call.
#[derive(Debug, Clone)]
pub struct KeptCall {
    /// Whose call it was.
    pub account_id: AccountId,
    /// What a new conversation is called.
    pub new_conversation_id: ConversationId,
    /// The hash of all that was said before the question; `None` where nothing was.
    pub continues: Option<String>,
    /// The hash of all that has been said now.
    pub thread_hash: String,
    /// What the person said.
    pub question: String,
    /// What the model said.
    pub answer: String,
    /// The model that was asked for.
    pub model: String,
    /// A final state.
    pub state: TurnState,
    /// Why the answer ends.
    pub finish_reason: FinishReason,
    /// A stable word for what went wrong.
    pub error_code: Option<String>,
    /// Milliseconds from the question to the end.
    pub elapsed_ms: i64,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl Db {
    /// Writes what a call came to, as [`Db::settle_call`] does, and what was said in it, together: into the owner's conversation that ends where
    /// the call goes on, else into a new one. The bill's last line is the answer's.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the new conversation's id is taken: draw another.
    pub async fn settle_kept_call(
        &self,
        entries: Vec<LedgerEntry>,
        reserved: Option<Reserved>,
        call: KeptCall,
    ) -> Result<(), StoreError> {
        let (server, outbox) = (self.server, self.outbox());
        self.write(move |tx| {
            Box::pin(async move { settle_kept_call(tx, entries, reserved, &call, server, outbox).await })
        })
        .await
    }
}

async fn settle_kept_call(
    tx: &mut Tx<'_>,
    mut entries: Vec<LedgerEntry>,
    reserved: Option<Reserved>,
    call: &KeptCall,
    server: ServerId,
    outbox: Outbox,
) -> Result<(), StoreError> {
    let known = match &call.continues {
        Some(hash) => thread_of_owner(tx, call.account_id, hash).await?,
        None => None,
    };
    let new = NewTurn {
        account_id: call.account_id,
        conversation_id: known,
        branch: Branch::Head,
        new_conversation_id: call.new_conversation_id,
        text: call.question.clone(),
        attachments: Attachments::default(),
        client_id: None,
        model: call.model.clone(),
        idempotency: None,
        key_expires_at: call.now,
        quota: None,
        now: call.asked_at,
    };
    let Begun::Opened(ids) = begin_turn(tx, &new, server).await? else {
        // Its conversation went meanwhile: the bill stays.
        return bill(tx, Occasion::default(), entries.iter(), reserved.as_ref()).await;
    };
    let ledger = entries.pop();
    let end = FinishTurn {
        turn_id: ids.turn_id,
        conversation_id: ids.conversation_id,
        answer_id: ids.answer_id,
        state: call.state,
        content: call.answer.clone(),
        chunk_ends: Vec::new(),
        finish_reason: call.finish_reason,
        error_code: call.error_code.clone(),
        elapsed_ms: call.elapsed_ms,
        first_token_ms: None,
        ledger,
        parts: Vec::new(),
        retries: entries,
        reserved,
        now: call.now,
    };
    finish_turn(tx, &end, outbox).await?;
    let place = params![call.account_id.get(), &call.thread_hash, ids.answer_id.get(), ids.conversation_id.get()];
    let sql = match known {
        Some(_) => {
            "UPDATE gateway_threads SET account_id = ?, thread_hash = ?, answer_id = ? WHERE conversation_id = ?"
        }
        None => "INSERT INTO gateway_threads (account_id, thread_hash, answer_id, conversation_id) VALUES (?, ?, ?, ?)",
    };
    tx.execute(sql, place).await?;
    Ok(())
}

/// The owner's newest conversation that ends there. One that was continued elsewhere does not.
async fn thread_of_owner(tx: &mut Tx<'_>, owner: AccountId, hash: &str) -> Result<Option<ConversationId>, StoreError> {
    let found = tx
        .fetch_optional(
            "SELECT conversation_id FROM gateway_threads WHERE account_id = ? AND thread_hash = ? AND EXISTS \
             (SELECT 1 FROM conversations c WHERE c.id = gateway_threads.conversation_id AND c.account_id = ? \
             AND c.head_message_id = gateway_threads.answer_id) ORDER BY answer_id DESC LIMIT 1 /*lock*/",
            params![owner.get(), hash, owner.get()],
            |row| row.get::<i64>(0),
        )
        .await?;
    found.map(|id| super::id(id, ConversationId::new)).transpose()
}
