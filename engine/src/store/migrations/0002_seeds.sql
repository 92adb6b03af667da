-- What a person prefers, and what goes with a message: small JSON texts, read as a whole with their row.
ALTER TABLE accounts ADD COLUMN preferences @text;
ALTER TABLE messages ADD COLUMN attachments @text;
-- The name that a client gave its message, on the surface where clients do.
ALTER TABLE messages ADD COLUMN client_id @text;

-- The tables of the document that full_chatbot comes from, for SQL written against them. A guest of that surface is shown under its own
-- number, everybody else under the account's.
CREATE @view conversation_store AS
SELECT
  c.id AS ID,
  SUBSTR(COALESCE(c.title, ''), 1, 60) AS chat_name,
  @as_text(c.id) AS conv_id,
  CASE WHEN a.guest_realm = 'full_chatbot' THEN @as_integer(a.guest_key) ELSE a.id END AS user_id,
  c.message_count AS message_count,
  @as_timestamp(c.created_at) AS created_at,
  @as_timestamp(c.updated_at) AS updated_at
FROM conversations c
JOIN accounts a ON a.id = c.account_id;

-- A client's name for its message is shown where it fits the document's 20 characters, else the message's own number: a name cut short
-- could be another's.
CREATE @view message_store AS
SELECT
  m.id AS ID,
  m.role AS role,
  @as_text(m.conversation_id) AS conv_id,
  ROW_NUMBER() OVER (PARTITION BY m.conversation_id ORDER BY m.id) AS message_no,
  CASE WHEN LENGTH(m.client_id) <= 20 THEN m.client_id ELSE @as_text(m.id) END AS message_id,
  m.content AS message,
  COALESCE(t.elapsed_ms, 0) AS elapsed_time,
  CASE WHEN t.state IN ('failed', 'incomplete', 'interrupted') THEN 'Error' ELSE 'Success' END AS Status,
  @as_timestamp(m.created_at) AS created_at,
  @as_timestamp(m.updated_at) AS updated_at
FROM messages m
LEFT JOIN turns t ON t.answer_message_id = m.id
WHERE m.content <> '';
