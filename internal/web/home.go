package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/secrets"
)

// homePage is the first page.
type homePage struct {
	Projects []secrets.Project
}

func (p *Pages) home(v *visit) error {
	projects, err := v.Secrets.Projects(v.ctx, false)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "home", "Projects", homePage{projects})
}
