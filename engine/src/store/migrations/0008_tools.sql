-- What a model called while it wrote an answer, and what came of it: part of that answer, so that branches go from questions to answers.
-- The events' numbers are those under which the turn's readers got them.
CREATE TABLE tool_calls (
  id @serial,
  answer_message_id BIGINT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
  round BIGINT NOT NULL,
  call_id @text NOT NULL,
  name @text NOT NULL,
  arguments @text NOT NULL,
  is_ok BIGINT NOT NULL CHECK (is_ok IN (0, 1)),
  content @text NOT NULL,
  call_event BIGINT NOT NULL,
  result_event BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX tool_calls_of_answer ON tool_calls (answer_message_id, id);
