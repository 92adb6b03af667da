-- Times are microseconds since 1970-01-01 UTC; truth values are 0 or 1; money is in millionths.

CREATE TABLE accounts (
  id @id,
  role @key NOT NULL CHECK (role IN ('guest', 'user', 'editor', 'admin')),
  email @text,
  email_key @key UNIQUE,
  username @text,
  username_key @key UNIQUE,
  guest_realm @key,
  guest_key @key,
  password_hash @text,
  is_active BIGINT NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
  token_version BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  last_login_at BIGINT,
  UNIQUE (guest_realm, guest_key)
);

CREATE TABLE refresh_tokens (
  id @id,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  family @key NOT NULL,
  token_hash @key NOT NULL UNIQUE,
  successor_hash @key,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_account ON refresh_tokens (account_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE conversations (
  id BIGINT NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  title @text,
  head_message_id BIGINT,
  last_message @text,
  message_count BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX conversations_of_owner ON conversations (account_id, updated_at, id);

CREATE TABLE messages (
  id @id,
  conversation_id BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  parent_id BIGINT,
  role @key NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  content @text NOT NULL,
  tokens BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX messages_of_conversation ON messages (conversation_id, id);

-- Goes with its answer; what is not looked up by is not indexed, since every turn is written twice.
CREATE TABLE turns (
  id @id,
  account_id BIGINT NOT NULL,
  conversation_id BIGINT NOT NULL,
  user_message_id BIGINT NOT NULL,
  answer_message_id BIGINT NOT NULL UNIQUE REFERENCES messages (id) ON DELETE CASCADE,
  state @key NOT NULL CHECK (state IN ('pending', 'streaming', 'complete', 'incomplete', 'cancelled', 'failed', 'interrupted')),
  requested_model @text NOT NULL,
  provider @text,
  model @text,
  prompt_tokens BIGINT NOT NULL DEFAULT 0,
  completion_tokens BIGINT NOT NULL DEFAULT 0,
  tokens_estimated BIGINT NOT NULL DEFAULT 0 CHECK (tokens_estimated IN (0, 1)),
  cost_micros BIGINT,
  finish_reason @key,
  error_code @key,
  chunk_ends @bytes,
  elapsed_ms BIGINT,
  first_token_ms BIGINT,
  started_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE INDEX turns_open ON turns (state) @open(state IN ('pending', 'streaming'));

-- Outlives its turn: a request that comes again after its conversation was deleted must not be made again.
CREATE TABLE idempotency_keys (
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  idempotency_key @key NOT NULL,
  fingerprint @key NOT NULL,
  turn_id BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, idempotency_key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- Outlives what it counts: a bill does not shrink when a conversation is deleted.
CREATE TABLE usage_ledger (
  id @serial,
  account_id BIGINT NOT NULL,
  conversation_id BIGINT,
  turn_id BIGINT,
  kind @key NOT NULL,
  provider @text,
  model @text NOT NULL,
  prompt_tokens BIGINT NOT NULL,
  completion_tokens BIGINT NOT NULL,
  is_estimated BIGINT NOT NULL CHECK (is_estimated IN (0, 1)),
  cost_micros BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX usage_ledger_of_account ON usage_ledger (account_id, created_at);

CREATE TABLE outbox (
  id @serial,
  topic @key NOT NULL,
  payload @text NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  not_before BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (not_before, id);
