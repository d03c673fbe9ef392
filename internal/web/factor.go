package web

import (
	"fmt"
	"image/color"
	"net/http"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// factorPage sets up an authenticator app. Secret and picture are shown once, in the answer to the form that asked for them.
type factorPage struct {
	ID     string
	Secret string // in groups of four; "" when a code was wrong, since it is shown once
	Size   int    // of the picture, in modules with the quiet zone
	Path   string // of the dark modules
}

// codesPage shows recovery codes, once.
type codesPage struct{ Codes []string }

func (p *Pages) factorBegin(v *visit) error {
	row, seed, address, err := v.Access.EnrolTOTP(v.ctx, v.form.Get("name"))
	if err != nil {
		return v.changed(err, "")
	}
	page := factorPage{ID: row.ID, Secret: grouped(string(seed.Reveal()))}
	if page.Size, page.Path, err = picture(address); err != nil {
		return fault.Wrap(fault.Internal, err, "the picture could not be drawn")
	}
	return v.show(http.StatusOK, "factor", "Set up an authenticator", page)
}

func (p *Pages) factorConfirm(v *visit) error {
	codes, err := v.Access.ConfirmFactor(v.ctx, v.form.Get("id"), v.form.Get("code"))
	if f := fault.As(err); err != nil && f.Kind == fault.Invalid {
		v.problem = f
		return v.show(httpkit.Status(f.Kind), "factor", "Set up an authenticator", factorPage{ID: v.form.Get("id")})
	}
	if err != nil || len(codes) == 0 {
		return v.changed(err, "factor-added")
	}
	return v.showCodes(codes)
}

func (p *Pages) factorRemove(v *visit) error {
	return v.changed(v.Access.RemoveFactor(v.ctx, v.form.Get("id")), "factor-removed")
}

func (p *Pages) recoveryRenew(v *visit) error {
	codes, err := v.Access.RenewRecoveryCodes(v.ctx)
	if err != nil {
		return v.changed(err, "")
	}
	return v.showCodes(codes)
}

func (v *visit) showCodes(codes []sensitive.Value) error {
	var page codesPage
	for _, c := range codes {
		page.Codes = append(page.Codes, string(c.Reveal()))
	}
	return v.show(http.StatusOK, "codes", "Recovery codes", page)
}

// grouped makes a secret that can be typed by hand.
func grouped(secret string) string {
	var out []string
	for len(secret) > 4 {
		out, secret = append(out, secret[:4]), secret[4:]
	}
	return strings.Join(append(out, secret), " ")
}

// quiet is the margin that a QR code needs, in modules (ISO/IEC 18004, section 6.3.8).
const quiet = 4

// picture draws a QR code as the path of an SVG, one unit to a module.
func picture(text string) (size int, path string, err error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return 0, "", err
	}
	modules := code.Bounds().Dx()
	dark := func(x, y int) bool { return code.At(x, y) == color.Black }
	var b strings.Builder
	for y := range modules {
		for x := 0; x < modules; x++ {
			from := x
			for x < modules && dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return modules + 2*quiet, b.String(), nil
}
