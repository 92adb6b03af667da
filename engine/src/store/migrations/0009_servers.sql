-- The servers at this database. Each raises its beat every few seconds; how long one has stood still is told by the clock of whoever looks.
CREATE TABLE servers (
  id BIGINT NOT NULL PRIMARY KEY,
  started_at BIGINT NOT NULL,
  beat BIGINT NOT NULL
);

-- The server that runs the turn, and when somebody asked it to stop.
ALTER TABLE turns ADD COLUMN server_id BIGINT;
ALTER TABLE turns ADD COLUMN stop_requested_at BIGINT;

-- The server that makes the call.
ALTER TABLE quota_reservations ADD COLUMN server_id BIGINT;

-- The server that puts the content in place or removes it.
ALTER TABLE file_leftovers ADD COLUMN held_by BIGINT;
