package measure

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxRequest bounds one prebuilt request: an import of 10,000 values of
// ValueSize bytes with names and JSON around them stays well below it.
const maxRequest = 64 << 20

// WriteRequests writes prebuilt HTTP/1.1 requests, each behind its length in
// four bytes, big endian.
func WriteRequests(w io.Writer, requests [][]byte) error {
	for _, r := range requests {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(r)))
		if _, err := w.Write(size[:]); err != nil {
			return err
		}
		if _, err := w.Write(r); err != nil {
			return err
		}
	}
	return nil
}

// ReadRequests reads what WriteRequests wrote. At least one request must be
// there.
func ReadRequests(r io.Reader) ([][]byte, error) {
	var out [][]byte
	for {
		var size [4]byte
		switch _, err := io.ReadFull(r, size[:]); {
		case err == io.EOF && len(out) > 0:
			return out, nil
		case err == io.EOF:
			return nil, fmt.Errorf("request file holds no request")
		case err != nil:
			return nil, fmt.Errorf("request %d: length: %w", len(out), err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n == 0 || n > maxRequest {
			return nil, fmt.Errorf("request %d: length %d is out of bounds", len(out), n)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, fmt.Errorf("request %d: %w", len(out), err)
		}
		out = append(out, body)
	}
}
