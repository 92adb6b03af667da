-- A row for each file and owner; owners of the same content share what is stored under its hash.
CREATE TABLE files (
  id BIGINT NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  hash @key NOT NULL,
  name @text NOT NULL,
  media_type @key NOT NULL,
  bytes BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX files_of_account ON files (account_id, created_at, id);
CREATE INDEX files_of_hash ON files (hash);

-- Contents that may lie in the store without a file: noted before one is put there, and with the row that was its last.
CREATE TABLE file_leftovers (
  hash @key NOT NULL PRIMARY KEY,
  noted_at BIGINT NOT NULL
);
