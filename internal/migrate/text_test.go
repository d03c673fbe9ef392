package migrate

import "github.com/keyturn/keyturn/internal/sensitive"

func text(s string) sensitive.Value { return sensitive.FromString(s) }
