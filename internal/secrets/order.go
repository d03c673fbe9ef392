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
	held := map[nameHeld]domain.SecretID{}
	holds := map[domain.SecretID]bool{}
	for _, row := range old {
		if row.Deleted == 0 {
			held[nameHeld{row.Folder, row.Name}] = row.ID
			holds[row.ID] = true
		}
	}
	for _, row := range rows {
		holder, taken := held[nameHeld{row.Folder, row.Name}]
		if row.Deleted != 0 || !taken || holder == row.ID {
			first = append(first, row)
			continue
		}
		last = append(last, row)
		if holds[row.ID] {
			aside := *row
			aside.Deleted = row.Revision
			first = append(first, &aside)
		}
	}
	return first, last
}

// folderOrder does the same for folders.
func folderOrder(old, rows []*store.Folder) (first, last []*store.Folder) {
	held := map[domain.Path]domain.FolderID{}
	holds := map[domain.FolderID]bool{}
	for _, row := range old {
		if row.Deleted == 0 {
			held[row.Path] = row.ID
			holds[row.ID] = true
		}
	}
	for _, row := range rows {
		holder, taken := held[row.Path]
		if row.Deleted != 0 || !taken || holder == row.ID {
			first = append(first, row)
			continue
		}
		last = append(last, row)
		if holds[row.ID] {
			aside := *row
			aside.Deleted = row.Revision
			first = append(first, &aside)
		}
	}
	return first, last
}
