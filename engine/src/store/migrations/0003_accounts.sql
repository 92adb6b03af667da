ALTER TABLE accounts ADD COLUMN first_name @text;
ALTER TABLE accounts ADD COLUMN last_name @text;
ALTER TABLE accounts ADD COLUMN email_verified_at BIGINT;

CREATE TABLE api_keys (
  id @id,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name @text NOT NULL,
  prefix @key NOT NULL,
  key_hash @key NOT NULL UNIQUE,
  scopes @text NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  last_used_at BIGINT
);
CREATE INDEX api_keys_of_account ON api_keys (account_id, id);

-- Rows are added, never changed: the newest of a name is what holds, the others are its history.
CREATE TABLE consents (
  id @id,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name @key NOT NULL,
  version @text NOT NULL,
  is_granted BIGINT NOT NULL CHECK (is_granted IN (0, 1)),
  created_at BIGINT NOT NULL
);
CREATE INDEX consents_of_account ON consents (account_id, id);

-- What a link in a mail proves: that its reader owns the address it was sent to.
CREATE TABLE mail_tokens (
  id @id,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  purpose @key NOT NULL CHECK (purpose IN ('verify', 'reset')),
  email_key @key NOT NULL,
  token_hash @key NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX mail_tokens_of_account ON mail_tokens (account_id, purpose);
CREATE INDEX mail_tokens_expiry ON mail_tokens (expires_at);
