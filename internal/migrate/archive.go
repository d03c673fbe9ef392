package migrate

import (
	"archive/zip"
	"bytes"
	"io"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	maxUnpacked = 128 << 20 // bytes of one file in an archive: twice what may come packed
	maxMembers  = 100_000   // files of an archive; attachments are among them
)

// unpack reads one file of a zip archive. Sizes that the archive claims are not believed.
func unpack(name string, content []byte, member string) ([]byte, int, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, 0, unreadable(name, "a zip archive")
	}
	if len(archive.File) > maxMembers {
		return nil, 0, fault.New(fault.Invalid, "%s holds more than %d files", name, maxMembers)
	}
	others := 0
	var out []byte
	for _, f := range archive.File {
		if f.Name != member {
			if f.Mode().IsRegular() {
				others++
			}
			continue
		}
		if out != nil {
			return nil, 0, fault.New(fault.Invalid, "%s holds %s twice", name, member)
		}
		r, err := f.Open()
		if err != nil {
			return nil, 0, unreadable(name, "a zip archive that can be unpacked")
		}
		out, err = io.ReadAll(io.LimitReader(r, maxUnpacked+1))
		_ = r.Close() // it was only read
		if err != nil {
			return nil, 0, unreadable(name, "a zip archive that can be unpacked")
		}
		if len(out) > maxUnpacked {
			return nil, 0, fault.New(fault.Invalid, "%s in %s unpacks to more than %d MiB", member, name, maxUnpacked>>20)
		}
	}
	if out == nil {
		return nil, 0, fault.New(fault.Invalid, "%s holds no %s", name, member)
	}
	return out, others, nil
}
