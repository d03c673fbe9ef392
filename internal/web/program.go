package web

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// A program on somebody's own machine can be logged in by his browser: it listens on a port of 127.0.0.1 and opens our login with
// that port. Whoever opens the address, a page of somebody else may have made him do so: so nothing is handed over before he has
// read what happens and said yes, in a form that no other page can send or lie over; and it goes to his own machine only.

// Ports that a program of a person can listen on; those below are for services of the machine.
const (
	minPort = 1024
	maxPort = 65535
)

// programPath is the page that asks.
const programPath = "/login/program"

// programName is what the session is called in the list of sessions.
const programName = "Infisical CLI, by this browser"

// programPage asks, and after that shows what is handed over.
type programPage struct {
	Port    int
	Address string // where the page's script sends it, "" before somebody has said yes
	Body    string // what it sends
	Paste   string // the same to be pasted
}

// handed is what the program reads. Its spelling is that of the program.
type handed struct {
	Email      string `json:"email"`
	PrivateKey string `json:"privateKey"`
	Token      string `json:"JTWToken"`
	Refresh    string `json:"RefreshToken"`
}

// port reads one that a program of a person can listen on: a plain number, and nothing that could make another address of it.
func port(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < minPort || n > maxPort || strconv.Itoa(n) != text {
		return 0, fault.New(fault.Invalid, "this is not a port that a program on your computer listens on").WithHint("begin again in the program, and do not trust whoever sent you this address")
	}
	return n, nil
}

// toProgram gives the page that asks, for an address of the login that names a port; "" for one that names none.
func (p *Pages) toProgram(q url.Values) (string, error) {
	if !q.Has("callback_port") {
		return "", nil
	}
	if p.Dress == nil {
		return "", fault.New(fault.Unsupported, "this server does not speak to that program").WithHint("an admin switches its dialect on: KEYTURN_DIALECTS")
	}
	n, err := port(q.Get("callback_port"))
	if err != nil {
		return "", err
	}
	return programPath + "?callback_port=" + strconv.Itoa(n), nil
}

func (p *Pages) programForm(v *visit) error {
	if p.Dress == nil {
		return fault.New(fault.NotFound, "there is no such page")
	}
	n, err := port(v.r.URL.Query().Get("callback_port"))
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "program", "Log a program in", programPage{Port: n})
}

// program hands a session over to the page, whose script sends it to the program.
func (p *Pages) program(v *visit) error {
	if p.Dress == nil {
		return fault.New(fault.NotFound, "there is no such page")
	}
	n, err := port(v.form.Get("callback_port"))
	if err != nil {
		return err
	}
	session, err := v.Access.HandOver(v.ctx, programName)
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Reason == fault.ReasonReprove {
		v.redirect("/verify?next=" + url.QueryEscape(programPath+"?callback_port="+strconv.Itoa(n)))
		return nil
	}
	if err != nil {
		return err
	}
	token, err := p.Dress(session)
	if err != nil {
		return err
	}
	body, err := json.Marshal(handed{Email: session.Name, Token: string(token.Reveal())})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the session could not be handed over")
	}
	address := "http://127.0.0.1:" + strconv.Itoa(n)
	v.w.Header().Set("Content-Security-Policy", strings.Replace(policyHeaders["Content-Security-Policy"], "connect-src 'self'", "connect-src "+address, 1))
	return v.show(http.StatusOK, "program", "Log a program in", programPage{Port: n, Address: address + "/", Body: string(body), Paste: base64.StdEncoding.EncodeToString(body)})
}
