package keyring

import (
	"encoding/binary"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Place is where an envelope belongs, in immutable ids only: never names or paths, so that rename and move stay cheap. An
// envelope opens in its own place and in no other.
type Place struct {
	Project string // project id; empty for what belongs to no project
	Record  string // id of the row, such as a secret's
	Field   string // column or purpose, such as "value" or "comment"
	Version int64  // version of the record; 0 where there are none
}

// associated is the associated data of values: each field with its length, the version as 8 bytes, big-endian.
func (p Place) associated(instanceID string, h Header) []byte {
	const lengths = 7 * 4
	b := make([]byte, 0, lengths+len(purposeValue)+len(instanceID)+headerSize+len(p.Project)+len(p.Record)+len(p.Field)+8)
	b = fields(b, purposeValue, instanceID)
	b = binary.BigEndian.AppendUint32(b, headerSize)
	b = h.append(b)
	b = fields(b, p.Project, p.Record, p.Field)
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(p.Version))
}

func (p Place) scope() scope {
	if p.Project == "" {
		return scope{layer: LayerInstance}
	}
	return scope{LayerProject, p.Project}
}

// Seal makes the envelope of v for its place, under the primary key of the project, or of the instance if the project is
// empty. An empty v is allowed. A project without a loaded primary is [fault.Unavailable]: reload the keys. More than
// [MaxPlaintext] is [fault.Invalid], a used up key [fault.Exhausted].
func (r *Ring) Seal(p Place, v sensitive.Value) ([]byte, error) {
	if p.Record == "" || p.Field == "" {
		return nil, fault.New(fault.Internal, "an envelope needs the record and field that it belongs to")
	}
	if v.Len() > MaxPlaintext {
		return nil, fault.New(fault.Invalid, "%s is too long to seal: it has %d bytes, the limit is %d", p.Field, v.Len(), MaxPlaintext)
	}
	k, ok := r.view.Load().primary[p.scope()]
	if !ok {
		return nil, fault.New(fault.Unavailable, "the key of project %s is not loaded", p.Project)
	}
	if err := r.spend(k); err != nil {
		return nil, err
	}
	h := headerOf(k.row.ID, k.row.Generation)
	return sealWith(k.aead(), h, v.Reveal(), p.associated(r.instanceID, h)), nil
}

// Open gives what was sealed for this place. It takes the key that the header names, in any state but destroyed. A key that
// is not loaded is [fault.Unavailable], so that a server that missed a turn reloads and asks again; an unknown format or
// algorithm is [fault.Unsupported]; an envelope that was altered, cut short or moved from another place is [ErrDamaged].
func (r *Ring) Open(p Place, envelope []byte) (sensitive.Value, error) {
	h, err := ParseHeader(envelope)
	if err != nil {
		return sensitive.Value{}, fault.Wrap(fault.KindOf(err), err, "envelope of %s of record %s is not readable", p.Field, p.Record)
	}
	now := r.view.Load()
	k, ok := now.keys[h.Key]
	if !ok {
		return sensitive.Value{}, fault.New(fault.Unavailable, "key %s is not loaded", h.Key)
	}
	if k.row.Generation != h.Generation || k.row.scope() != p.scope() {
		return sensitive.Value{}, damaged("envelope of %s of record %s names a key that is not of its place", p.Field, p.Record)
	}
	if k.aead == nil {
		return sensitive.Value{}, now.unopenable(k, p)
	}
	plaintext, ok := openWith(k.aead(), envelope, p.associated(r.instanceID, h))
	if !ok {
		return sensitive.Value{}, damaged("envelope of %s of record %s does not open in its place", p.Field, p.Record)
	}
	return sensitive.New(plaintext), nil
}

// unopenable says why a known key of the right layer is not in memory.
func (v *view) unopenable(k *key, p Place) error {
	if k.row.State == StateDestroyed {
		return damaged("envelope of %s of record %s is sealed under %s, which is destroyed", p.Field, p.Record, k)
	}
	return v.sealed(k, "envelope of "+p.Field+" of record "+p.Record)
}

// Reseal gives what an envelope holds under the primary key of its place. An envelope that does not lie under old comes back
// as it is, unopened. It fails like [Ring.Open] and [Ring.Seal].
func (r *Ring) Reseal(p Place, envelope []byte, old KeyID) ([]byte, error) {
	if len(envelope) >= headerSize && KeyID(envelope[2:18]) != old {
		return envelope, nil
	}
	v, err := r.Open(p, envelope)
	if err != nil {
		return nil, err
	}
	defer v.Wipe()
	return r.Seal(p, v)
}
