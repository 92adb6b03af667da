-- What an import has brought in: what a row of another backend's became here, so that a second run adds only what is new. What people delete
-- here afterwards stays in this list, and is not brought back.
CREATE TABLE imported_rows (
  source @key NOT NULL,
  kind @key NOT NULL CHECK (kind IN ('account', 'conversation')),
  foreign_id @key NOT NULL,
  local_id BIGINT NOT NULL,
  last_message @text,
  PRIMARY KEY (source, kind, foreign_id)
);
