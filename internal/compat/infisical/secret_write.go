package infisical

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// written is what a request says of a secret. A member that is nil leaves the thing as it is.
type written struct {
	Key          string         `json:"secretKey"`
	NewKey       *string        `json:"newSecretName"`
	Path         *string        `json:"secretPath"`
	Type         string         `json:"type"`
	Value        *string        `json:"secretValue"`
	Comment      *string        `json:"secretComment"`
	TagIDs       *[]string      `json:"tagIds"`
	OneLine      *bool          `json:"skipMultilineEncoding"`
	Metadata     *[]metadata    `json:"secretMetadata"`
	ReminderNote *string        `json:"secretReminderNote"`
	RepeatDays   jsontext.Value `json:"secretReminderRepeatDays"`
}

// written reads what a request for one secret says.
func (c *call) written() (*written, error) {
	w := &written{}
	for name, into := range map[string]any{
		"newSecretName": &w.NewKey, "secretValue": &w.Value, "secretComment": &w.Comment, "tagIds": &w.TagIDs, "skipMultilineEncoding": &w.OneLine,
		"secretMetadata": &w.Metadata, "secretReminderNote": &w.ReminderNote,
	} {
		if v, ok := c.body[name]; ok && v.Kind() != 'n' { // a value never stands in a URL
			if err := json.Unmarshal(v, into); err != nil {
				return nil, wrong(name, "what the documentation says")
			}
		}
	}
	w.RepeatDays = c.body["secretReminderRepeatDays"]
	return w, nil
}

// set makes the change that a request asks for.
func (s *Surface) set(ctx context.Context, ref secrets.EnvRef, path domain.Path, name domain.SecretName, w *written, must secrets.Condition) (secrets.Change, error) {
	ch := secrets.Change{Verb: secrets.Set, Path: path, Name: name, If: must, Comment: w.Comment}
	if w.Value != nil {
		v := sensitive.FromString(*w.Value)
		ch.Value = &v
	}
	if w.Comment != nil && !utf8.ValidString(*w.Comment) {
		return ch, wrong("secretComment", "UTF-8")
	}
	ch.Attrs.OneLine, ch.Attrs.Reminder = w.OneLine, w.ReminderNote
	if w.TagIDs != nil {
		tags, err := s.Secrets.TagsByID(ctx, ref.Project, *w.TagIDs)
		if err != nil {
			return ch, err
		}
		ch.Attrs.Tags = &tags
	}
	if w.Metadata != nil {
		meta := map[string]string{}
		for _, m := range *w.Metadata {
			if m.IsEncrypted {
				return ch, fault.New(fault.Unsupported, "metadata cannot be encrypted here").
					WithHint("metadata is seen by everybody who sees the name: store what is secret as a secret of its own")
			}
			if _, twice := meta[m.Key]; twice {
				return ch, fault.New(fault.Unsupported, "a key of metadata stands there twice, and there is one value for each here")
			}
			meta[m.Key] = m.Value
		}
		ch.Attrs.Meta = &meta
	}
	if err := w.reminder(&ch); err != nil {
		return ch, err
	}
	return ch, nil
}

// reminder reads every how many days the value shall be replaced; null takes the cadence away.
func (w *written) reminder(ch *secrets.Change) error {
	switch kind := w.RepeatDays.Kind(); {
	case len(w.RepeatDays) == 0:
	case kind == 'n':
		none := domain.Cadence("")
		ch.Attrs.Cadence = &none
	case kind == '0':
		var days int64
		if err := json.Unmarshal(w.RepeatDays, &days); err != nil || days < 1 || days > 365 {
			return wrong("secretReminderRepeatDays", "a number of days from 1 to 365")
		}
		every := domain.Cadence(fmt.Sprintf("%dd", days))
		ch.Attrs.Cadence = &every
	default:
		return wrong("secretReminderRepeatDays", "a number of days from 1 to 365")
	}
	return nil
}

// target is where a request for one secret wants to write.
func (s *Surface) target(ctx context.Context, c *call) (ref secrets.EnvRef, path domain.Path, name domain.SecretName, kind string, err error) {
	if name, err = c.secretName(); err != nil {
		return
	}
	if ref, path, err = s.place(ctx, c); err != nil {
		return
	}
	kind, err = c.kind()
	return
}

// commit applies changes and answers with what became of the secrets; waits gives the answer of a change that others must approve.
func (s *Surface) commit(ctx context.Context, ref secrets.EnvRef, changes ...secrets.Change) (out secrets.Committed, waits *answer, err error) {
	out, err = s.Secrets.Commit(ctx, ref, secrets.Commit{Changes: changes, IfRevision: -1, Loose: true, Show: true})
	if w, ok := errors.AsType[*secrets.Waits](err); ok {
		return out, with(object{"approval": approvalOf(w)}), nil
	}
	return out, nil, err
}

// approvalOf tells of a change that waits, in place of the secret that it will make.
func approvalOf(w *secrets.Waits) object {
	c := &w.Change
	return object{"id": string(c.ID), "slug": string(c.ID), "status": "open", "hasMerged": false, "isReplicated": false, "environment": string(c.EnvSlug),
		"projectId": string(c.Project), "committerUserId": c.AuthorID, "createdAt": stamp(c.CreatedAt), "updatedAt": stamp(c.CreatedAt)}
}

// last gives the state in which a commit left the secret of its last change.
func (s *Surface) last(ctx context.Context, ref secrets.EnvRef, out secrets.Committed) (*answer, error) {
	list, err := s.states(ctx, ref, out)
	if err != nil {
		return nil, err
	}
	return with(object{"secret": list[len(list)-1]}), nil
}

// states gives the secrets of a commit's effects in their order.
func (s *Surface) states(ctx context.Context, ref secrets.EnvRef, out secrets.Committed) ([]secret, error) {
	b, err := s.Secrets.Frame(ctx, ref)
	if err != nil {
		return nil, err
	}
	list := make([]secret, 0, len(out.Effects))
	for i := range out.Effects {
		it := out.Effects[i].State
		if out.Effects[i].Outcome == secrets.Skipped {
			continue
		}
		if it == nil {
			return nil, fault.New(fault.Internal, "a change left no state")
		}
		one, err := secretOf(&b, it)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

func (s *Surface) createSecret(ctx context.Context, c *call) (*answer, error) {
	ref, path, name, kind, err := s.target(ctx, c)
	if err != nil {
		return nil, err
	}
	w, err := c.written()
	if err != nil {
		return nil, err
	}
	if w.Value == nil {
		empty := ""
		w.Value = &empty
	}
	if kind == personal {
		if isMachine(ctx) {
			return nil, fault.New(fault.Unsupported, "machines have no personal values").WithHint("leave type away, or say type=shared")
		}
		return s.setPersonal(ctx, c, ref, path, name, w)
	}
	ch, err := s.set(ctx, ref, path, name, w, secrets.Absent)
	if err != nil {
		return nil, err
	}
	out, waits, err := s.commit(ctx, ref, ch)
	if err != nil || waits != nil {
		return waits, err
	}
	return s.last(ctx, ref, out)
}

func (s *Surface) updateSecret(ctx context.Context, c *call) (*answer, error) {
	ref, path, name, kind, err := s.target(ctx, c)
	if err != nil {
		return nil, err
	}
	w, err := c.written()
	if err != nil {
		return nil, err
	}
	if kind == personal {
		if isMachine(ctx) {
			return nil, noPersonal(path, name)
		}
		return s.setPersonal(ctx, c, ref, path, name, w)
	}
	changes, err := s.update(ctx, ref, path, name, w, secrets.Present)
	if err != nil {
		return nil, err
	}
	out, waits, err := s.commit(ctx, ref, changes...)
	if err != nil || waits != nil {
		return waits, err
	}
	return s.last(ctx, ref, out)
}

// update makes the changes of an update: what is written, then the new name.
func (s *Surface) update(ctx context.Context, ref secrets.EnvRef, path domain.Path, name domain.SecretName, w *written, must secrets.Condition) ([]secrets.Change, error) {
	ch, err := s.set(ctx, ref, path, name, w, must)
	if err != nil {
		return nil, err
	}
	changes := []secrets.Change{ch}
	if w.NewKey != nil && *w.NewKey != string(name) {
		to, err := nameOf("newSecretName", *w.NewKey)
		if err != nil {
			return nil, err
		}
		changes = append(changes, secrets.Change{Verb: secrets.Rename, Path: path, Name: name, To: to, If: must})
	}
	return changes, nil
}

func (s *Surface) deleteSecret(ctx context.Context, c *call) (*answer, error) {
	ref, path, name, kind, err := s.target(ctx, c)
	if err != nil {
		return nil, err
	}
	if kind == personal {
		if isMachine(ctx) {
			return nil, noPersonal(path, name)
		}
		was, err := s.ownValue(ctx, ref, path, name)
		if err != nil {
			return nil, err
		}
		if err := s.Secrets.SetPersonal(ctx, ref, path, name, nil); err != nil {
			return nil, err
		}
		return with(object{"secret": was}), nil
	}
	out, waits, err := s.commit(ctx, ref, secrets.Change{Verb: secrets.Delete, Path: path, Name: name})
	if err != nil || waits != nil {
		return waits, err
	}
	return s.last(ctx, ref, out)
}

// setPersonal gives the caller a value of his own. Nothing else of a secret is his own here.
func (s *Surface) setPersonal(ctx context.Context, c *call, ref secrets.EnvRef, path domain.Path, name domain.SecretName, w *written) (*answer, error) {
	if w.Value == nil || w.NewKey != nil && *w.NewKey != string(name) || w.TagIDs != nil && len(*w.TagIDs) > 0 || w.Metadata != nil && len(*w.Metadata) > 0 ||
		w.Comment != nil && *w.Comment != "" {
		return nil, fault.New(fault.Unsupported, "a personal secret has a value of its own here, and shares name, comment, tags and metadata with everybody").
			WithHint("send secretValue, and change the others with type=shared")
	}
	if c.http.Method == "PATCH" {
		if _, err := s.ownValue(ctx, ref, path, name); err != nil {
			return nil, err
		}
	}
	v := sensitive.FromString(*w.Value)
	if err := s.Secrets.SetPersonal(ctx, ref, path, name, &v); err != nil {
		return nil, err
	}
	now, err := s.ownValue(ctx, ref, path, name)
	if err != nil {
		return nil, err
	}
	return with(object{"secret": now}), nil
}

// ownValue shows the caller's own value of a secret.
func (s *Surface) ownValue(ctx context.Context, ref secrets.EnvRef, path domain.Path, name domain.SecretName) (secret, error) {
	got, err := s.Secrets.Look(ctx, ref, path, secrets.LookOptions{Name: name, Reveal: true, Raw: true, Own: secrets.OwnInstead})
	if err != nil {
		return secret{}, err
	}
	if len(got.Items) == 0 || !got.Items[0].Personal {
		return secret{}, noPersonal(path, name)
	}
	return secretOf(&got.Block, &got.Items[0])
}
