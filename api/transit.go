package api

import "time"

// TransitKeyRequest makes a key of the encryption service.
type TransitKeyRequest struct {
	Name            string `json:"name"`
	Project         string `json:"project,omitzero"` // slug or id; absent: a key of the organisation itself
	Type            string `json:"type,omitzero"`    // aes128-gcm96, aes256-gcm96 (default), chacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072, rsa-4096, hmac
	Description     string `json:"description,omitzero"`
	Derived         bool   `json:"derived,omitzero"`          // each context has a key of its own
	Convergent      bool   `json:"convergent,omitzero"`       // equal plaintexts give equal ciphertexts; of derived keys
	Exportable      bool   `json:"exportable,omitzero"`       // may leave the server
	PlaintextBackup bool   `json:"plaintext_backup,omitzero"` // may be backed up in the open
	RotateEvery     string `json:"rotate_every,omitzero"`     // 1h or more; absent: never by itself
}

// TransitKeyConfig changes a key; what is absent stays as it is.
type TransitKeyConfig struct {
	Description          *string `json:"description,omitzero"`
	Disabled             *bool   `json:"disabled,omitzero"`
	MinDecryptionVersion *int64  `json:"min_decryption_version,omitzero"` // the oldest that may decrypt and verify
	MinEncryptionVersion *int64  `json:"min_encryption_version,omitzero"` // the oldest that may be asked for to encrypt and sign
	DeletionAllowed      *bool   `json:"deletion_allowed,omitzero"`
	Exportable           *bool   `json:"exportable,omitzero"`       // can be allowed and not forbidden again
	PlaintextBackup      *bool   `json:"plaintext_backup,omitzero"` // the same
	RotateEvery          *string `json:"rotate_every,omitzero"`     // "" for never by itself
}

// TransitKey is a key of the encryption service, without its material.
type TransitKey struct {
	ID                   string           `json:"id"`
	ProjectID            string           `json:"project_id,omitzero"` // absent: of the organisation itself
	Name                 string           `json:"name"`
	Description          string           `json:"description,omitzero"`
	Type                 string           `json:"type"`
	Disabled             bool             `json:"disabled,omitzero"`
	Derived              bool             `json:"derived,omitzero"`
	Convergent           bool             `json:"convergent,omitzero"`
	Exportable           bool             `json:"exportable,omitzero"`
	PlaintextBackup      bool             `json:"plaintext_backup,omitzero"`
	DeletionAllowed      bool             `json:"deletion_allowed,omitzero"`
	LatestVersion        int64            `json:"latest_version"`
	MinDecryptionVersion int64            `json:"min_decryption_version"`
	MinEncryptionVersion int64            `json:"min_encryption_version,omitzero"` // absent: any that may decrypt
	MinAvailableVersion  int64            `json:"min_available_version,omitzero"`  // older ones were destroyed
	RotateEvery          string           `json:"rotate_every,omitzero"`
	CreatedAt            time.Time        `json:"created_at"`
	RotatedAt            time.Time        `json:"rotated_at"`
	Versions             []TransitVersion `json:"versions,omitzero"` // that may still decrypt, oldest first; absent in lists
}

// TransitVersion is one generation of a key.
type TransitVersion struct {
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	PublicKey string    `json:"public_key,omitzero"` // of keys that sign: PEM, or base64 of an Ed25519 key
}

// TransitKeys lists keys by name.
type TransitKeys struct {
	Keys []TransitKey `json:"keys"`
}
