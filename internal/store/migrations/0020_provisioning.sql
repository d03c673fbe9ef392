-- What programs that provision an instance read back: descriptions, protection, and what is kept about a machine.

ALTER TABLE project ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE project ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;     -- cannot be deleted before that is lifted
ALTER TABLE identity ADD COLUMN metadata TEXT NOT NULL DEFAULT 'null';   -- JSON list of key and value
ALTER TABLE identity ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;    -- likewise
ALTER TABLE identity ADD COLUMN member INTEGER NOT NULL DEFAULT 0;       -- of the organisation, without any right by that
ALTER TABLE identity ADD COLUMN secrets_at INTEGER NOT NULL DEFAULT 0;   -- since when it may be given client secrets by a dialect that asks first, 0 = not
ALTER TABLE identity ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identity ADD COLUMN deleted_at INTEGER NOT NULL DEFAULT 0;   -- its name is free again, its id never
