-- The words of each message whose turn has ended, as `domain/search.rs` writes them, each behind its owner's number: made by the indexer out of
-- the messages themselves, so that a transfer leaves it behind. An index of one column, under the message's id.
@on_sqlite(
CREATE VIRTUAL TABLE message_words USING fts5 (words, content='', contentless_delete=1, detail=none, tokenize="ascii tokenchars '_'");
-- Deleted messages that the index still has: taking one out costs forty times what deleting it does, so that the indexer does it.
CREATE TABLE deleted_messages (id INTEGER PRIMARY KEY);
CREATE TRIGGER message_words_of_deleted AFTER DELETE ON messages BEGIN
  INSERT INTO deleted_messages (id) VALUES (OLD.id);
END;
-- Two parts of the index may be made one when that is asked for: else a merge could end before deleted messages' words have gone.
INSERT INTO message_words (message_words, rank) VALUES ('usermerge', 2);
-- How many messages were taken out since the index was last tidied. One row, or none.
CREATE TABLE search_leftovers (id INTEGER PRIMARY KEY CHECK (id = 1), messages BIGINT NOT NULL);
)@on_postgres(
CREATE TABLE message_words (
  rowid BIGINT NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
  words TSVECTOR NOT NULL
);
-- What was stored together reaches the index together; no more waits for it than a search reads in passing.
CREATE INDEX message_words_by_word ON message_words USING gin (words) WITH (gin_pending_list_limit = 128);
)@on_mysql(
CREATE TABLE message_words (
  rowid BIGINT NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
  words LONGTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  FULLTEXT INDEX message_words_by_word (words)
);
)
-- The indexer has seen every message up to this one. One row, or none before its first step.
CREATE TABLE search_cursor (
  id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  message_id BIGINT NOT NULL
);

-- Titles that no message says are looked through. Without partial indexes it holds all titles.
CREATE INDEX conversations_with_titles ON conversations (account_id, id) @open(title_source <> 'message');
