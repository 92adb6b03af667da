-- What one process at a time does, and until when it has the right to.
CREATE TABLE leases (
  name @key NOT NULL PRIMARY KEY,
  holder @key NOT NULL,
  held_until BIGINT NOT NULL
);
