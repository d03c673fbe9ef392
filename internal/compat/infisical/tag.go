package infisical

import "github.com/keyturn/keyturn/internal/secrets"

func tagOf(t secrets.ProjectTag) tag {
	return tag{ID: t.ID, Slug: string(t.Slug), Name: t.Name, Color: t.Color}
}
