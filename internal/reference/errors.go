package reference

import (
	"strconv"

	"github.com/keyturn/keyturn/internal/cli"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// advice says of each kind of fault what it means and what to do, in the order of the page.
var advice = [...]struct {
	kind        fault.Kind
	means, mend string
	again       string // whether the same request may be sent again
}{
	{fault.Invalid, "The request is wrong and will stay wrong.", "Look at `fields`: each names a place and what would be right there.", "no"},
	{fault.Unauthenticated, "There is no token, or the server does not know it: it was revoked, has expired, or its owner is disabled. After a login: name or secret is wrong.", "Log in again with `keyturn login`, or make a new token.", "no"},
	{fault.Denied, "You may see this and may not do what you asked for.", "Ask an admin for a role that allows the action; [permissions](permissions.md) lists them.", "no"},
	{fault.NotFound, "There is no such thing, or you have no right to know of it. Both look the same from outside and differ in the audit log.", "Check project, environment, folder and name, and where your token reaches.", "no"},
	{fault.Exists, "The name is taken.", "Choose another name, or use what is there. A deleted thing of that name does not count.", "no"},
	{fault.Conflict, "Something changed meanwhile, or an idempotency key was used for another request.", "Read the present state and decide anew.", "after reading"},
	{fault.Expired, "It was valid once.", "Make a new one.", "no"},
	{fault.Exhausted, "A limit is reached: of size, of rate, of failed logins.", "Wait as long as `Retry-After` says, or send less; the text names the limit.", "after `Retry-After`"},
	{fault.Sealed, "The root key is missing, or is not the one of this database.", "Give the root key with the fingerprint that the text names. Nothing was changed.", "no"},
	{fault.Unavailable, "Something that the server needs does not answer: database, disk, or the server itself is stopping. The text says whether it leaves service.", "Look at `/readyz` and at the log of the server under the request id. A write may be sent again under the same idempotency key.", "yes"},
	{fault.Unsupported, "This server does not do that, or a newer one wrote what it should read.", "Compare the versions: `keyturn version`, `keyturn status`.", "no"},
	{fault.Internal, "A defect of ours.", "Report it with the request id; the log of the server has the cause, which answers never show.", "no"},
}

func writeErrors(p *page) error {
	p.line("Every failure has one kind. The API gives it as a problem body (RFC 9457, `application/problem+json`), the command line as its")
	p.line("exit code. No error repeats a rejected value.\n")
	var rows [][]string
	for _, a := range advice {
		rows = append(rows, []string{"[" + string(a.kind) + "](#" + string(a.kind) + ")", strconv.Itoa(httpkit.Status(a.kind)), strconv.Itoa(cli.ExitCode(a.kind)), a.again})
	}
	p.table([]string{"kind", "HTTP status", "exit code", "send it again?"}, rows)
	p.line("A problem body holds `kind`, `title`, `status`, `detail` (what is wrong), `hint` (the next step), `fields` (each wrong input) and")
	p.line("`instance`: the id of the request, which also stands in the server's log, in the audit log and in the header `X-Request-Id`.")
	p.heading(2, "Kinds")
	for _, a := range advice {
		p.heading(3, string(a.kind))
		p.line("HTTP %d, exit code %d. %s\n\n%s", httpkit.Status(a.kind), cli.ExitCode(a.kind), a.means, a.mend)
	}
	p.heading(2, "Exit codes of the command line")
	for _, c := range cli.Command().Commands() {
		if c.Name() == "exit-codes" {
			p.line("%s", paragraphs(c.Long))
		}
	}
	return nil
}
