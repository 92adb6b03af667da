//! Beginning: the message, its pending answer, its turn and its key, in one transaction.

use super::{Begun, Branch, NewTurn, Opened, SIBLINGS_MAX, TurnQuota, count, id, tokens};
use crate::domain::{
    AccountId, ConversationId, File, IMAGE_TOKENS, IdempotencyKey, MessageId, ServerId, Timestamp, TurnId, preview_of,
    title_of,
};
use crate::store::files::files_by_id;
use crate::store::messages::context_tokens;
use crate::store::quotas::{self, OverQuota, Reserved};
use crate::store::{StoreError, Tx, tx::params};

pub(super) async fn begin_turn(tx: &mut Tx<'_>, new: &NewTurn, server: ServerId) -> Result<Begun, StoreError> {
    let now = new.now.micros();
    if let Some((key, fingerprint)) = &new.idempotency
        && let Some(known) = replay(tx, new.account_id, key, fingerprint, now).await?
    {
        return Ok(known);
    }
    let (conversation_id, head) = match new.conversation_id {
        Some(id) => {
            let head = tx
                .fetch_optional(
                    "SELECT head_message_id FROM conversations WHERE id = ? AND account_id = ? /*lock*/",
                    params![id.get(), new.account_id.get()],
                    |row| row.get::<Option<i64>>(0),
                )
                .await?;
            match head {
                Some(head) => (id, head),
                None => return Ok(Begun::NoConversation),
            }
        }
        None => (new.new_conversation_id, None),
    };
    let parent = match parent_of(tx, conversation_id, head, new.branch).await? {
        Ok(parent) => parent,
        Err(refused) => return Ok(refused),
    };
    let Some(seen) = tokens_of_attachments(tx, new).await? else { return Ok(Begun::NoFile) };
    let held = match &new.quota {
        None => None,
        Some(quota) => match hold_quota(tx, quota, parent, seen, new.now).await? {
            Ok(held) => Some((held, quota.reservation.expires_at)),
            Err(over) => return Ok(Begun::OverQuota(over)),
        },
    };
    if new.conversation_id.is_none() {
        insert_conversation(tx, new).await?;
    }
    let user_message_id = match (new.branch, parent) {
        (Branch::Regenerate(_), Some(asked)) => id(asked, MessageId::new)?,
        _ => insert_question(tx, conversation_id, parent, new, seen).await?,
    };
    let answer_id = insert_answer(tx, conversation_id, user_message_id, now).await?;
    let turn_id = tx
        .insert(
            "INSERT INTO turns (account_id, conversation_id, user_message_id, answer_message_id, state, requested_model, started_at, \
             server_id) VALUES (?, ?, ?, ?, 'pending', ?, ?, ?)",
            params![
                new.account_id.get(),
                conversation_id.get(),
                user_message_id.get(),
                answer_id.get(),
                &new.model,
                now,
                server.get()
            ],
        )
        .await?;
    let turn_id = id(turn_id, TurnId::new)?;
    let reserved = match held {
        Some((held, expires_at)) => Some(quotas::note(tx, held, Some(turn_id), server, expires_at).await?),
        None => None,
    };
    if let Some((key, fingerprint)) = &new.idempotency {
        tx.execute(
            "INSERT INTO idempotency_keys (account_id, idempotency_key, fingerprint, turn_id, expires_at) VALUES (?, ?, ?, ?, ?)",
            params![new.account_id.get(), key.as_str(), fingerprint, turn_id.get(), new.key_expires_at.micros()],
        )
        .await?;
    }
    let branched = i64::from(new.branch != Branch::Head);
    if new.conversation_id.is_some() && !matches!(new.branch, Branch::Regenerate(_)) {
        tx.execute(
            "UPDATE conversations SET head_message_id = ?, title = COALESCE(title, ?), last_message = ?, \
             message_count = message_count + 1, updated_at = ?, is_branched = CASE WHEN ? = 1 THEN 1 ELSE is_branched END WHERE id = ?",
            params![
                answer_id.get(),
                &title_of(&new.text),
                preview_of(&new.text),
                now,
                branched,
                conversation_id.get()
            ],
        )
        .await?;
    } else {
        tx.execute(
            "UPDATE conversations SET head_message_id = ?, updated_at = ?, is_branched = ? WHERE id = ?",
            params![answer_id.get(), now, branched, conversation_id.get()],
        )
        .await?;
    }
    Ok(Begun::Opened(Opened {
        turn_id,
        conversation_id,
        user_message_id,
        answer_id,
        is_first: parent.is_none(),
        is_new: head.is_none(),
        reserved,
    }))
}

async fn insert_conversation(tx: &mut Tx<'_>, new: &NewTurn) -> Result<(), StoreError> {
    let now = new.now.micros();
    tx.execute(
        "INSERT INTO conversations (id, account_id, title, last_message, message_count, created_at, updated_at) \
         VALUES (?, ?, ?, ?, 1, ?, ?)",
        params![
            new.new_conversation_id.get(),
            new.account_id.get(),
            &title_of(&new.text),
            preview_of(&new.text),
            now,
            now
        ],
    )
    .await?;
    Ok(())
}

/// Takes the turn from its sender's quotas, with the thread that it continues.
async fn hold_quota(
    tx: &mut Tx<'_>,
    quota: &TurnQuota,
    parent: Option<i64>,
    seen: u64,
    now: Timestamp,
) -> Result<Result<Reserved, OverQuota>, StoreError> {
    let mut usage = quota.reservation.usage;
    usage.prompt_tokens = usage.prompt_tokens.saturating_add(seen);
    if let Some(parent) = parent {
        let (budget, most) = quota.context;
        let thread = context_tokens(tx, parent, budget, most).await?;
        usage.prompt_tokens = usage.prompt_tokens.saturating_add(u64::try_from(thread).unwrap_or(0));
    }
    quotas::hold(tx, &quota.reservation, usage, now).await
}

/// What it costs a model to look at what goes with the message, in tokens; `None` when a file of it is not its sender's.
async fn tokens_of_attachments(tx: &mut Tx<'_>, new: &NewTurn) -> Result<Option<u64>, StoreError> {
    let on_the_web = IMAGE_TOKENS * new.attachments.web_pictures() as u64;
    let ids = new.attachments.files();
    if ids.is_empty() {
        return Ok(Some(on_the_web));
    }
    let files = files_by_id(tx, &ids, new.account_id).await?;
    let seen = files.iter().map(File::estimated_tokens).sum::<u64>();
    Ok((files.len() == ids.len()).then_some(on_the_web + seen))
}

/// What the turn's message follows; for an answer beside another, the message that both answer. Or why there is no such place.
async fn parent_of(
    tx: &mut Tx<'_>,
    conversation_id: ConversationId,
    head: Option<i64>,
    branch: Branch,
) -> Result<Result<Option<i64>, Begun>, StoreError> {
    let (sibling, role) = match branch {
        Branch::Head => return Ok(Ok(head)),
        Branch::Edit(sibling) => (sibling, "user"),
        Branch::Regenerate(sibling) => (sibling, "assistant"),
    };
    let found = tx
        .fetch_optional(
            "SELECT parent_id, role FROM messages WHERE id = ? AND conversation_id = ?",
            params![sibling.get(), conversation_id.get()],
            |row| Ok((row.get::<Option<i64>>(0)?, row.get::<String>(1)?)),
        )
        .await?;
    let parent = match found {
        None => return Ok(Err(Begun::NoMessage)),
        Some((_, found)) if found != role => return Ok(Err(Begun::WrongRole)),
        Some((parent, _)) => parent,
    };
    let siblings = tx
        .fetch_optional(
            "SELECT COUNT(*) FROM messages WHERE conversation_id = ? AND COALESCE(parent_id, 0) = ?",
            params![conversation_id.get(), parent.unwrap_or(0)],
            |row| row.get::<i64>(0),
        )
        .await?;
    if siblings.unwrap_or(0) >= SIBLINGS_MAX {
        return Ok(Err(Begun::TooManySiblings));
    }
    Ok(Ok(parent))
}

/// What the key was used for, if it was and still protects.
pub(super) async fn replay(
    tx: &mut Tx<'_>,
    account_id: AccountId,
    key: &IdempotencyKey,
    fingerprint: &str,
    now: i64,
) -> Result<Option<Begun>, StoreError> {
    let known = tx
        .fetch_optional(
            "SELECT k.fingerprint, k.expires_at, t.answer_message_id FROM idempotency_keys k LEFT JOIN turns t ON t.id = k.turn_id \
             WHERE k.account_id = ? AND k.idempotency_key = ?",
            params![account_id.get(), key.as_str()],
            |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?, row.get::<Option<i64>>(2)?)),
        )
        .await?;
    match known {
        None => Ok(None),
        Some((_, expires_at, _)) if expires_at <= now => {
            tx.execute(
                "DELETE FROM idempotency_keys WHERE account_id = ? AND idempotency_key = ?",
                params![account_id.get(), key.as_str()],
            )
            .await?;
            Ok(None)
        }
        Some((recorded, _, answer_id)) if recorded == fingerprint => Ok(Some(match answer_id {
            Some(answer_id) => Begun::Replayed(id(answer_id, MessageId::new)?),
            None => Begun::NoConversation,
        })),
        Some(_) => Ok(Some(Begun::KeyReused)),
    }
}

async fn insert_question(
    tx: &mut Tx<'_>,
    conversation_id: ConversationId,
    parent: Option<i64>,
    new: &NewTurn,
    seen: u64,
) -> Result<MessageId, StoreError> {
    let now = new.now.micros();
    let attachments = match new.attachments.as_slice() {
        [] => None,
        urls => Some(
            serde_json::to_string(urls)
                .map_err(|_| StoreError::Corrupt { column: 0, expected: "a list of attachments" })?,
        ),
    };
    let message_id = tx
        .insert(
            "INSERT INTO messages (conversation_id, parent_id, role, content, attachments, client_id, tokens, created_at, updated_at) \
             VALUES (?, ?, 'user', ?, ?, ?, ?, ?, ?)",
            params![
                conversation_id.get(),
                parent,
                &new.text,
                attachments.as_ref(),
                new.client_id.as_ref(),
                tokens(&new.attachments.beneath(&new.text)).saturating_add(count(seen)),
                now,
                now
            ],
        )
        .await?;
    id(message_id, MessageId::new)
}

async fn insert_answer(
    tx: &mut Tx<'_>,
    conversation_id: ConversationId,
    question: MessageId,
    now: i64,
) -> Result<MessageId, StoreError> {
    let message_id = tx
        .insert(
            "INSERT INTO messages (conversation_id, parent_id, role, content, tokens, created_at, updated_at) \
             VALUES (?, ?, 'assistant', '', 0, ?, ?)",
            params![conversation_id.get(), question.get(), now, now],
        )
        .await?;
    id(message_id, MessageId::new)
}
