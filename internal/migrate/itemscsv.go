package migrate

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

func itoa(n int) string { return strconv.Itoa(n) }

// csvColumns says what the columns of a password manager's CSV are, by their lower-case heading.
func csvColumn(heading string) (meaning string, known bool) {
	switch h := strings.ToLower(strings.TrimSpace(heading)); h {
	case "title", "name":
		return "title", true
	case "tags", "folder", "archived", "notes":
		return h, true
	case "url", "website", "login_uri":
		return "url", true
	case "username", "login_username":
		return "username", true
	case "password", "login_password":
		return "password", true
	case "otpauth", "login_totp":
		return "one-time-password", true
	case "fields":
		return "fields", true
	case "favorite", "type", "reprompt":
		return "", true
	}
	return "", false
}

// itemsCSV reads the CSV that 1Password or Bitwarden exports: one item a line, headings in the first.
func itemsCSV(source, name string, content []byte, o Options) (*Plan, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if !utf8.Valid(content) {
		return nil, unreadable(name, "UTF-8 text").WithHint("save it as UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(content))
	header, err := r.Read()
	if err != nil {
		return nil, unreadable(name, "a CSV file with headings")
	}
	columns := make([]string, len(header))
	titled := false
	var unknown []string
	for i, h := range header {
		var known bool
		if columns[i], known = csvColumn(h); !known {
			columns[i] = strings.TrimSpace(h)
			unknown = append(unknown, word(h))
		}
		titled = titled || columns[i] == "title"
	}
	if !titled {
		return nil, fault.New(fault.Invalid, "%s has no column of titles", name).WithHint("want the CSV that the program exports, with its first line")
	}
	p, e := filePlan(source, name, o)
	if len(unknown) > 0 {
		p.note(Changed, word(name), "has columns of its own ("+strings.Join(unknown, ", ")+"): they become secrets of their items")
	}
	b := itemBuilder{plan: p, env: e, where: p.Projects[0].Slug}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			f := unreadable(name, "a CSV file")
			if at, ok := errors.AsType[*csv.ParseError](err); ok {
				f = f.WithField(name+":"+itoa(at.Line), "the line has another number of columns, or a quote is open")
			}
			return nil, f
		}
		if err := b.row(columns, row); err != nil {
			return nil, err
		}
	}
}

// row makes a folder of a line.
func (b *itemBuilder) row(columns, row []string) error {
	value := func(meaning string) string {
		if i := slices.Index(columns, meaning); i >= 0 {
			return row[i]
		}
		return ""
	}
	if value("archived") == "true" {
		b.plan.note(Skipped, word(b.where+"/"+value("title")), "is archived")
		return nil
	}
	tags := strings.FieldsFunc(value("tags"), func(r rune) bool { return r == ',' || r == ';' })
	for i := range tags {
		tags[i] = strings.TrimSpace(tags[i])
	}
	b.parent = canonicalPath(value("folder"))
	b.begin(value("title"), tags)
	for i, meaning := range columns {
		switch meaning {
		case "", "title", "tags", "folder", "archived":
		case "fields": // of Bitwarden: "name: value" on lines of their own
			for line := range strings.SplitSeq(row[i], "\n") {
				if name, v, ok := strings.Cut(line, ": "); ok {
					b.field(name, v)
				} else {
					b.field("field", strings.TrimSpace(line))
				}
			}
		default:
			b.field(meaning, row[i])
		}
	}
	return b.end(time.Time{})
}
