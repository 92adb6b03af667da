-- A conversation made of calls of the gateway: what was said in it up to its last answer, as a hash, by which the call that goes on from there
-- finds it.
CREATE TABLE gateway_threads (
  conversation_id BIGINT NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
  account_id BIGINT NOT NULL,
  thread_hash @key NOT NULL,
  answer_id BIGINT NOT NULL
);
CREATE INDEX gateway_threads_by_hash ON gateway_threads (account_id, thread_hash);
