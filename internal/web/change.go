package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// changesPage lists change sets.
type changesPage struct {
	All     bool // also those that are over
	Changes []secrets.ChangeView
}

// changePage is one change set. Values are there only when somebody asked for them.
type changePage struct {
	Change *secrets.ChangeView
	Digest string
	Values []shownValue // nil: not asked for
	Said   string       // a comment that was typed before
	Token  string       // of the link by which the reader came, "" when he is logged in
}

// shownValue is what becomes of one secret, as text.
type shownValue struct {
	Name       string
	Old, Fresh *string // nil: none, or not his to see
}

func (p *Pages) changes(v *visit) error {
	page := changesPage{All: v.r.URL.Query().Get("all") == "yes"}
	var err error
	if page.Changes, err = v.Secrets.Changes(v.ctx, "", "", page.All); err != nil {
		return err
	}
	return v.show(http.StatusOK, "changes", "Changes", page)
}

func (p *Pages) change(v *visit) error { return v.showChange(http.StatusOK, false) }

func (v *visit) showChange(status int, reveal bool) error {
	id := v.r.PathValue("id")
	c, err := v.Secrets.Change(v.ctx, id)
	if err != nil {
		return err
	}
	page := changePage{Change: &c, Digest: c.DigestText(), Said: v.form.Get("comment")}
	if reveal {
		differences, err := v.Secrets.ChangeDiff(v.ctx, id, true)
		if err != nil {
			return err
		}
		page.Values = []shownValue{}
		for _, d := range differences {
			name := string(d.Path) + "/" + string(d.Name)
			if d.Path == "/" {
				name = "/" + string(d.Name)
			}
			page.Values = append(page.Values, shownValue{name, textOf(d.From), textOf(d.To)})
		}
	}
	return v.show(status, "change", "Change", page)
}

// textOf is where a value becomes text of a page.
func textOf(it *secrets.Item) *string {
	if it == nil || it.Value == nil {
		return nil
	}
	text := string(it.Value.Reveal())
	return &text
}

// changeReveal shows values in the answer to a form, so that none is shown by following a link.
func (p *Pages) changeReveal(v *visit) error { return v.showChange(http.StatusOK, true) }

// changeReview approves, rejects or comments, by the button that was pressed.
func (p *Pages) changeReview(v *visit) error {
	verdict := v.form.Get("verdict")
	done, ok := verdicts[verdict]
	if !ok {
		return fault.New(fault.Invalid, "want to approve, to reject or to comment")
	}
	c, err := v.Secrets.Review(v.ctx, v.r.PathValue("id"), verdict, v.form.Get("digest"), v.form.Get("comment"))
	if err == nil {
		if c.State == "applied" {
			done = "change-applied"
		}
		v.redirect("/changes/" + string(c.ID) + "?done=" + done)
		return nil
	}
	f := fault.As(err)
	if f.Reason == fault.ReasonReprove || httpkit.Status(f.Kind) >= 500 {
		return err
	}
	v.problem = f
	return v.showChange(httpkit.Status(f.Kind), false)
}

var verdicts = map[string]string{secrets.VerdictApprove: "change-approved", secrets.VerdictReject: "change-rejected", secrets.VerdictComment: "change-commented"}

func (p *Pages) changeWithdraw(v *visit) error {
	c, err := v.Secrets.Withdraw(v.ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	v.redirect("/changes/" + string(c.ID) + "?done=change-withdrawn")
	return nil
}

// approveForm is where the link of a review leads. Its token is behind the #.
func (p *Pages) approveForm(v *visit) error {
	return v.show(http.StatusOK, "approve", "Review a change", changePage{})
}

// approve shows the change of a link, and uses nothing up.
func (p *Pages) approve(v *visit) error { return v.showLinked(nil) }

func (v *visit) showLinked(cause error) error {
	status := http.StatusOK
	token := linkToken(v.form.Get("token"))
	c, err := v.Secrets.OpenLink(v.ctx, sensitive.FromString(token))
	page := changePage{Change: &c, Said: v.form.Get("comment"), Token: token}
	if cause == nil {
		cause = v.Access.Refused(v.ctx, err)
	}
	if err != nil {
		page.Change = nil
	}
	if cause != nil {
		v.problem = fault.As(cause)
		if status = httpkit.Status(v.problem.Kind); status >= 500 {
			return cause
		}
	}
	return v.show(status, "approve", "Review a change", page)
}

func (p *Pages) approveConfirm(v *visit) error {
	token := linkToken(v.form.Get("token"))
	c, err := v.Secrets.ApproveLink(v.ctx, sensitive.FromString(token), v.form.Get("comment"))
	if err != nil {
		return v.showLinked(v.Access.Refused(v.ctx, err))
	}
	v.notice = notices[verdicts[secrets.VerdictApprove]]
	if c.State == "applied" {
		v.notice = notices["change-applied"]
	}
	return v.show(http.StatusOK, "approve", "Review a change", changePage{Change: &c})
}
