-- Who gave the title: its first message, a model, or its owner, whose word is the last.
ALTER TABLE conversations ADD COLUMN title_source @key NOT NULL DEFAULT 'message' CHECK (title_source IN ('message', 'model', 'owner'));
ALTER TABLE conversations ADD COLUMN is_pinned BIGINT NOT NULL DEFAULT 0 CHECK (is_pinned IN (0, 1));
ALTER TABLE conversations ADD COLUMN is_archived BIGINT NOT NULL DEFAULT 0 CHECK (is_archived IN (0, 1));
-- Whether any message has siblings: what has none is read without looking for them.
ALTER TABLE conversations ADD COLUMN is_branched BIGINT NOT NULL DEFAULT 0 CHECK (is_branched IN (0, 1));

CREATE TABLE feedback (
  message_id BIGINT NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
  account_id BIGINT NOT NULL,
  rating @key NOT NULL CHECK (rating IN ('up', 'down')),
  comment @text,
  updated_at BIGINT NOT NULL
);

-- A link shows the thread that ends in one message. Its token is stored as a hash.
CREATE TABLE shares (
  id @id,
  conversation_id BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  token_hash @key NOT NULL UNIQUE,
  title @text,
  last_message_id BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT
);
CREATE INDEX shares_of_conversation ON shares (conversation_id, id);
