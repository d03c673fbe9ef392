package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"time"
)

// askWithin bounds one request outside the measured spans; an import of many
// secrets is the slowest.
const askWithin = 2 * time.Minute

// ask sends one prebuilt request and returns the body of its answer, which
// must be 2xx.
func ask(ctx context.Context, address string, request []byte) ([]byte, error) {
	var body []byte
	err := talk(ctx, address, [][]byte{request}, func(b []byte) { body = b })
	return body, err
}

// sendAll sends prebuilt requests one after the other over one connection.
func sendAll(ctx context.Context, address string, requests [][]byte) error {
	return talk(ctx, address, requests, func([]byte) {})
}

func talk(ctx context.Context, address string, requests [][]byte, answer func([]byte)) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, request := range requests {
		if err := conn.SetDeadline(time.Now().Add(askWithin)); err != nil {
			return err
		}
		if _, err := conn.Write(request); err != nil {
			return err
		}
		line, _, _ := bytes.Cut(request, []byte(" HTTP/1.1\r\n"))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s: %s: %.300s", line, resp.Status, bytes.TrimSpace(body))
		}
		answer(body)
	}
	return nil
}

// stderrOf is what a failed command wrote to its error output.
func stderrOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return ": " + string(bytes.TrimSpace(exit.Stderr))
	}
	return ""
}
