package api

// Problem is the body of every answer that is not a success, as application/problem+json (RFC 9457).
type Problem struct {
	Type   string `json:"type"`          // URI of the documentation of the kind
	Title  string `json:"title"`         // the kind in words
	Status int    `json:"status"`        // the HTTP status
	Detail string `json:"detail"`        // what is wrong, with names, never with values
	Kind   string `json:"kind"`          // invalid, unauthenticated, denied, not_found, exists, conflict, expired, exhausted, sealed, unavailable, unsupported, internal
	Hint   string `json:"hint,omitzero"` // how to mend it
	// Reason is there where a client can mend it by itself: second_factor (log in again with a code), reauthenticate (POST
	// /reauth, then the same again), enrol_factor (enrol a second factor first).
	Reason   string         `json:"reason,omitzero"`
	Instance string         `json:"instance,omitzero"` // request id, also in the server's log and in the audit log
	Fields   []FieldProblem `json:"fields,omitzero"`   // each wrong input
}

// FieldProblem names one wrong input; it never holds the rejected value.
type FieldProblem struct {
	Where   string `json:"where"` // JSON pointer, query parameter or file:line
	Problem string `json:"problem"`
}
