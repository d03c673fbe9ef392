package api

import "time"

// Reproof shows again who the holder of a session is: Code where there is a second factor, else Password.
type Reproof struct {
	Password string `json:"password,omitzero"`
	Code     string `json:"code,omitzero"` // of the second factor, or a recovery code
}

// Factors is how a person stands with second factors.
type Factors struct {
	Factors       []Factor   `json:"factors"`
	RecoveryCodes int        `json:"recovery_codes"` // that are still good
	Required      bool       `json:"required"`       // the organisation asks for one
	EnrolBy       *time.Time `json:"enrol_by,omitzero"`
}

// Factor is a second factor without its secret.
type Factor struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind"` // totp
	Name        string     `json:"name"`
	CreatedAt   time.Time  `json:"created_at"`
	ConfirmedAt *time.Time `json:"confirmed_at,omitzero"` // absent: not yet in force
}

// FactorRequest begins a second factor.
type FactorRequest struct {
	Name string `json:"name,omitzero"` // of the device
}

// NewFactor is a second factor that was just made. Secret and address are shown this once.
type NewFactor struct {
	Factor
	Secret string `json:"secret"` // base32
	URL    string `json:"url"`    // otpauth:// for a QR code
}

// CodeRequest carries a code of a second factor.
type CodeRequest struct {
	Code string `json:"code"`
}

// RecoveryCodes are codes that each stand in once for a second factor that is lost; shown this once.
type RecoveryCodes struct {
	RecoveryCodes []string `json:"recovery_codes"`
}

// Settings are what an organisation has decided for its people. In a request, what is absent stays as it is.
type Settings struct {
	MFA         string     `json:"mfa,omitzero"`       // optional or required
	MFAGrace    string     `json:"mfa_grace,omitzero"` // how long somebody without a second factor may go on
	MFASince    *time.Time `json:"mfa_since,omitzero"`
	ReauthAfter string     `json:"reauth_after,omitzero"` // how old a proof may be for dangerous acts
	SessionIdle string     `json:"session_idle,omitzero"` // a session ends that was not used for so long
	SessionMax  string     `json:"session_max,omitzero"`  // every session ends then
}
