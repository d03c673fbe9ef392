package secrets

import (
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// Names are unique among live secrets, and paths among live folders, after every single statement. So what takes a name that
// another row of the same commit still holds is written last. Where it holds a name itself that others may wait for (two
// secrets swap theirs) it is put aside first, as deleted: nobody sees that, since it is the same transaction.

type nameHeld struct {
	folder domain.FolderID
	name   domain.SecretName
}

// secretOrder gives what to write first and what last.
func secretOrder(old, rows []*store.Secret) (first, last []*store.Secret) {
	return order(old, rows,
		func(r *store.Secret) (domain.SecretID, nameHeld, bool) {
			return r.ID, nameHeld{r.Folder, r.Name}, r.Deleted == 0
		},
		func(r store.Secret) *store.Secret { r.Deleted = r.Revision; return &r })
}

// folderOrder does the same for folders.
func folderOrder(old, rows []*store.Folder) (first, last []*store.Folder) {
	return order(old, rows,
		func(r *store.Folder) (domain.FolderID, domain.Path, bool) { return r.ID, r.Path, r.Deleted == 0 },
		func(r store.Folder) *store.Folder { r.Deleted = r.Revision; return &r })
}

// order works on rows of either kind: facts gives id, name and whether the row is live, aside a deleted copy of it.
func order[R any, ID, Name comparable](old, rows []*R, facts func(*R) (ID, Name, bool), aside func(R) *R) (first, last []*R) {
	held := map[Name]ID{}
	holds := map[ID]bool{}
	for _, row := range old {
		if id, name, live := facts(row); live {
			held[name] = id
			holds[id] = true
		}
	}
	for _, row := range rows {
		id, name, live := facts(row)
		holder, taken := held[name]
		if !live || !taken || holder == id {
			first = append(first, row)
			continue
		}
		last = append(last, row)
		if holds[id] {
			first = append(first, aside(*row))
		}
	}
	return first, last
}
