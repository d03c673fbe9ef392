package api

import "time"

// PasskeyOptions is what a browser needs for a ceremony of Web Authentication.
type PasskeyOptions struct {
	// Options is JSON text: PublicKeyCredentialCreationOptionsJSON to add a passkey, else PublicKeyCredentialRequestOptionsJSON, as PublicKeyCredential.parseCreationOptionsFromJSON and parseRequestOptionsFromJSON take them.
	Options string `json:"options"`
}

// PasskeyAnswer is what a browser answers to a challenge.
type PasskeyAnswer struct {
	Credential string `json:"credential"` // JSON text of the PublicKeyCredential, as its method toJSON gives it
}

// PasskeyRequest adds a passkey.
type PasskeyRequest struct {
	Name       string `json:"name,omitzero"` // for people, such as "laptop"
	Credential string `json:"credential"`    // JSON text of the PublicKeyCredential, as its method toJSON gives it
}

// PasskeyRename gives a passkey another name.
type PasskeyRename struct {
	Name string `json:"name"`
}

// Passkey is what is known of a passkey.
type Passkey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Synced     bool       `json:"synced"` // its maker may copy it to other devices
	Transports []string   `json:"transports"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitzero"`
	ClonedAt   *time.Time `json:"cloned_at,omitzero"` // when its count of uses went back: perhaps somebody has a copy
}

// Passkeys is a list of passkeys.
type Passkeys struct {
	Passkeys []Passkey `json:"passkeys"`
}
