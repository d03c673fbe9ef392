-- Which stretches of the log a search need not read. Computed from audit_chunk; it proves nothing and can be made anew.
CREATE TABLE audit_index (
  block   INTEGER NOT NULL PRIMARY KEY, -- of 4,096 entries
  from_ms INTEGER NOT NULL,
  to_ms   INTEGER NOT NULL,
  filters BLOB NOT NULL
) STRICT;
