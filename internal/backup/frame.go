package backup

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/keyturn/keyturn/internal/fault"
)

// The stream inside the age file is a line that names the format, then frames: kind (1 byte), length (4 bytes, big-endian),
// payload.
const (
	magicPrefix = "keyturn backup v"
	magic       = magicPrefix + "1\n"
)

// The kinds of frames, in the order in which they come.
const (
	frameManifest = 'M' // JSON, once
	frameTable    = 'T' // JSON: name and columns of the table whose rows follow
	frameRows     = 'R' // number of rows as varint, then the rows
	frameTrailer  = 'Z' // JSON, once; nothing follows
)

const (
	frameHead = 1 + 4
	// rowsFrame is where a frame of rows is full: large enough that its head costs nothing, small enough to be handed around.
	rowsFrame = 256 << 10

	maxManifest = 32 << 20 // about 200 bytes for each environment and key: far more than 100,000 of them
	maxSmall    = 64 << 10 // table heads and trailers
	maxRows     = rowsFrame + maxRow + binary.MaxVarintLen64
)

func bound(kind byte) uint32 {
	switch kind {
	case frameManifest:
		return maxManifest
	case frameRows:
		return maxRows
	case frameTable, frameTrailer:
		return maxSmall
	}
	return 0
}

func appendHead(to []byte, kind byte, length int) []byte {
	return binary.BigEndian.AppendUint32(append(to, kind), uint32(length))
}

// readFrame reads one frame into fresh memory. head holds its first bytes afterwards. The end of the stream between two
// frames is [io.EOF].
func readFrame(r io.Reader, head *[frameHead]byte) (kind byte, payload []byte, err error) {
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, cutShort()
		}
		return 0, nil, err
	}
	kind = head[0]
	length := binary.BigEndian.Uint32(head[1:])
	most := bound(kind)
	switch {
	case most == 0:
		return 0, nil, malformed("it has a part of unknown kind")
	case length > most:
		return 0, nil, malformed("a part claims %d bytes, the most is %d", length, most)
	}
	payload = make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, cutShort()
		}
		return 0, nil, err
	}
	return kind, payload, nil
}

func cutShort() *fault.Error {
	return fault.New(fault.Invalid, "the backup is cut short").WithHint("fetch the file again, or use another backup")
}
