//! Searching a person's conversations: through the index of words as far as it has come, and through the messages themselves beyond it.

mod index;

use std::collections::{BTreeSet, HashMap};

pub(super) use index::index_now;
pub use index::{IndexBatch, IndexState};

use self::index::{SEARCHED_TOKENS, cursor, let_others_run, newest, owned};
use super::conversations::{ConversationFilter, ConversationPlace, conversations_by_ids};
use super::{Row, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Conversation, SEARCHED_CHARS, Search};

/// Messages beyond the index that one search looks through at most, the newest first.
const SCANNED_MESSAGES: i64 = 2_000;
/// The same in estimated tokens, of four bytes each: 4 MiB of text.
const SCANNED_TOKENS: i64 = 1024 * 1024;
/// Up to so many messages of everybody's are looked through for their owner; of more, the owner's conversations are looked through for them.
const FEW_MESSAGES: i64 = 20_000;
/// Titles that are read at once, and how often that is done at most in one search.
const TITLES: i64 = 1_000;
const TITLE_PAGES: usize = 50;
const _: () = assert!(SEARCHED_CHARS == 262_144, "the queries of this module say it too");

/// Where a conversation stands among what was found: whether it is pinned, when it was last spoken in, its id.
type Place = (i64, i64, i64);

/// The first of what was found, as many as are wanted.
struct Found {
    places: BTreeSet<Place>,
    limit: usize,
}

impl Found {
    fn add(&mut self, place: Place) {
        self.places.insert(place);
        if self.places.len() > self.limit {
            self.places.pop_first();
        }
    }
}

/// What a search is about, as parameters.
#[derive(Clone, Copy)]
struct Scope {
    owner: i64,
    archived: i64,
    after: Place,
}

/// The owner's conversations in which the title or one message has every word of `search`, in the order of `filter`'s list.
pub(super) async fn conversations_with(
    tx: &mut Tx<'_>,
    owner: AccountId,
    filter: &ConversationFilter,
    search: &Search,
) -> Result<Vec<Conversation>, StoreError> {
    let after = filter.after.unwrap_or(ConversationPlace::BEFORE_ALL);
    let scope = Scope {
        owner: owner.get(),
        archived: i64::from(filter.archived),
        after: (i64::from(after.is_pinned), after.updated_at, after.id),
    };
    let mut found = Found { places: BTreeSet::new(), limit: usize::try_from(filter.limit).unwrap_or(usize::MAX) };
    if found.limit == 0 || search.words().is_empty() {
        return Ok(Vec::new());
    }
    // Each gives the first of what it finds, so that together they hold the first of all.
    in_index(tx, owner, scope, search, &mut found).await?;
    beyond_index(tx, scope, search, &mut found).await?;
    in_titles(tx, scope, search, &mut found).await?;
    let ids: Vec<i64> = found.places.iter().rev().map(|(_, _, id)| *id).collect();
    let mut conversations: HashMap<i64, Conversation> = HashMap::new();
    for conversation in conversations_by_ids(tx, owner, &ids).await? {
        conversations.insert(conversation.id.get(), conversation);
    }
    Ok(ids.iter().filter_map(|id| conversations.remove(id)).collect())
}

fn place(row: &Row<'_>) -> Result<Place, StoreError> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

async fn in_index(
    tx: &mut Tx<'_>,
    owner: AccountId,
    scope: Scope,
    search: &Search,
    found: &mut Found,
) -> Result<(), StoreError> {
    let words: Vec<String> = search.words().iter().map(|word| owned(owner, word)).collect();
    let wanted = tx.dialect().all_begun(words.iter());
    let Scope { owner, archived, after } = scope;
    // SQLite goes through joined tables in the order in which they stand. A word that stands everywhere is in many messages of few conversations.
    let sql = "SELECT c.is_pinned, c.updated_at, c.id FROM (SELECT DISTINCT m.conversation_id AS id FROM message_words CROSS JOIN messages m \
               WHERE message_words MATCH ? AND m.id = message_words.rowid) hit CROSS JOIN conversations c \
               WHERE c.id = hit.id AND c.account_id = ? AND c.is_archived = ? AND (c.is_pinned, c.updated_at, c.id) < (?, ?, ?) \
               ORDER BY c.is_pinned DESC, c.updated_at DESC, c.id DESC LIMIT ?";
    let limit = i64::try_from(found.limit).unwrap_or(i64::MAX);
    let params = params![&wanted, owner, archived, after.0, after.1, after.2, limit];
    for place in tx.fetch(sql, params, place).await? {
        found.add(place);
    }
    Ok(())
}

/// Of what the index does not have yet: the owner's newest messages, within bounds.
async fn beyond_index(tx: &mut Tx<'_>, scope: Scope, search: &Search, found: &mut Found) -> Result<(), StoreError> {
    let (cursor, newest) = (cursor(tx).await?.unwrap_or(0), newest(tx).await?);
    if newest <= cursor {
        return Ok(());
    }
    let Scope { owner, archived, after } = scope;
    macro_rules! owners_messages {
        ($columns:literal, $tables:literal) => {
            concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $tables,
                " WHERE m.id > ? AND m.conversation_id = c.id AND c.account_id = ? AND c.is_archived = ? \
                 AND (c.is_pinned, c.updated_at, c.id) < (?, ?, ?) ORDER BY m.id DESC LIMIT ?"
            )
        };
    }
    let few = newest - cursor <= FEW_MESSAGES;
    // Their sizes first, without their texts.
    let sizes = if few {
        owners_messages!("m.id, m.tokens", "messages m CROSS JOIN conversations c")
    } else {
        owners_messages!("m.id, m.tokens", "conversations c CROSS JOIN messages m")
    };
    let params = params![cursor, owner, archived, after.0, after.1, after.2, SCANNED_MESSAGES];
    let sizes = tx.fetch(sizes, params, |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))).await?;
    let mut room = SCANNED_TOKENS;
    let fitting = sizes.into_iter().take_while(|(_, tokens)| {
        room -= tokens.min(&SEARCHED_TOKENS);
        room >= 0
    });
    let Some((oldest, _)) = fitting.last() else { return Ok(()) };
    let texts = if few {
        owners_messages!(
            "c.is_pinned, c.updated_at, c.id, SUBSTR(m.content, 1, 262144)",
            "messages m CROSS JOIN conversations c"
        )
    } else {
        owners_messages!(
            "c.is_pinned, c.updated_at, c.id, SUBSTR(m.content, 1, 262144)",
            "conversations c CROSS JOIN messages m"
        )
    };
    let params = params![oldest - 1, owner, archived, after.0, after.1, after.2, SCANNED_MESSAGES];
    let texts = tx.fetch(texts, params, |row| Ok((place(row)?, row.get::<String>(3)?))).await?;
    for (place, text) in texts {
        if search.finds(&text) {
            found.add(place);
        }
        let_others_run(tx).await;
    }
    Ok(())
}

/// Those that a model or their owner gave: what their first message gave begins that message, and is found by it.
async fn in_titles(tx: &mut Tx<'_>, scope: Scope, search: &Search, found: &mut Found) -> Result<(), StoreError> {
    let Scope { owner, archived, after } = scope;
    let mut last = 0;
    for _ in 0..TITLE_PAGES {
        let params = params![owner, last, archived, after.0, after.1, after.2, TITLES];
        let titles = tx
            .fetch(
                "SELECT is_pinned, updated_at, id, title FROM conversations WHERE account_id = ? AND title_source <> 'message' \
                 AND id > ? AND is_archived = ? AND (is_pinned, updated_at, id) < (?, ?, ?) ORDER BY id LIMIT ?",
                params,
                |row| Ok((place(row)?, row.get::<Option<String>>(3)?)),
            )
            .await?;
        let Some(((_, _, id), _)) = titles.last() else { return Ok(()) };
        last = *id;
        for (place, title) in &titles {
            if title.as_deref().is_some_and(|title| search.finds(title)) {
                found.add(*place);
            }
        }
        if i64::try_from(titles.len()).unwrap_or(TITLES) < TITLES {
            return Ok(());
        }
        let_others_run(tx).await;
    }
    Ok(())
}
