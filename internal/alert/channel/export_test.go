package channel

// What tests look at alone.
var (
	Signature       = signature
	ParseRetryAfter = parseRetryAfter
)
