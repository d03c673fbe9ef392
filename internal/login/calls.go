package login

import "github.com/go-json-experiment/json"

// Called is the place to which a login method sends its secret, and the authority by which that place is known; nothing of methods
// that keep theirs to themselves. Two settings with the same one send the secret to the same place.
type Called struct {
	Server string `json:"server"` // the API server of Kubernetes
	CA     string `json:"ca"`
}

// Calls reads it from settings as [Check] gives them.
func Calls(settings []byte) Called {
	var c Called
	if err := json.Unmarshal(settings, &c); err != nil || c.Server == "" {
		return Called{}
	}
	return c
}
