package secrets

import (
	"github.com/keyturn/keyturn/internal/policy"
)

// show puts the state of each secret into its effect, for an answer that tells what was written. What the author did not send
// himself is opened as for a read, and the entry of the change says so.
func (d *draft) show(effects []Effect) error {
	opened := false
	for i := range effects {
		e := &effects[i]
		if e.made == nil {
			continue
		}
		it := item(&e.made.row, e.Path)
		if r := d.home.place.secret(e.Path, e.made.row.Name, e.made.row.Attrs.Tags); d.p.Can(policy.SecretRead, r) {
			if e.made.value == nil {
				opened = true
				d.s.shown(d.p, e.made.row.ID)
			}
			v, err := d.plaintext(e.made)
			if err != nil {
				return err
			}
			it.Value = &v
			if it.Comment, err = d.s.openComment(d.p, &e.made.row); err != nil {
				return err
			}
		} else {
			it.Hidden = true
		}
		e.State = &it
	}
	if opened {
		d.p.Note("shown", "true")
	}
	return nil
}
