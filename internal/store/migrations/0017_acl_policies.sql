-- What ACL policies of the Vault view said, so that a read gives back what was written. '' = the role was made otherwise.
ALTER TABLE role ADD COLUMN policy TEXT NOT NULL DEFAULT '';
