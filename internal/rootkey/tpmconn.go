package rootkey

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// tpmTimeout bounds a conversation: discrete TPMs need a second or two to make the storage root key.
	tpmTimeout = 30 * time.Second
	// tpmHeader and maxTPMResponse bound one response, in bytes. Source: TPM 2.0 part 1 section 18.1; no TPM sends more than 4096.
	tpmHeader      = 10
	maxTPMResponse = 4096
)

// tpmConn speaks plain TPM commands over a connection to a simulator, as swtpm does with --server type=tcp.
type tpmConn struct {
	net.Conn
	stop func() bool
}

func dialTPM(ctx context.Context, address string) (*tpmConn, error) {
	deadline := time.Now().Add(tpmTimeout)
	conn, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends what waits
	return &tpmConn{conn, stop}, nil
}

// Send implements transport.TPM.
func (c *tpmConn) Send(command []byte) ([]byte, error) {
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, tpmHeader, maxTPMResponse)
	if _, err := io.ReadFull(c, response); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(response[2:]) // behind the tag of two bytes
	if size < tpmHeader || size > maxTPMResponse {
		return nil, errors.New("the response has a size that no TPM gives")
	}
	response = response[:size]
	_, err := io.ReadFull(c, response[tpmHeader:])
	return response, err
}

// Close implements io.Closer.
func (c *tpmConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
