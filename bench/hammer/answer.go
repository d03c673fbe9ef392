package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// errClosing says that the server ends the connection after this answer.
var errClosing = errors.New("server closes the connection")

// maxBody bounds one answer: a list of 10,000 values stays far below it.
const maxBody = 64 << 20

// readAnswer reads one HTTP/1.1 answer off the connection, throws its body
// away and returns its status. It understands what Go's server sends:
// Content-Length, chunked bodies (RFC 9112 section 7.1), and answers without a
// body (1xx are passed over, 204, 304). errClosing comes with a good status.
//
// holds tells whether the body holds the bytes that are expected; it does when
// none are. Only a body of known length that fits the reader's buffer is
// looked at: any other does not hold them.
func readAnswer(r *bufio.Reader, expected []byte) (status int, holds bool, err error) {
	for {
		if status, err = readStatus(r); err != nil {
			return 0, false, err
		}
		length, chunked, closing, err := readHeader(r)
		if err != nil {
			return 0, false, err
		}
		holds = len(expected) == 0
		switch {
		case status >= 100 && status < 200:
			continue
		case status == 204 || status == 304:
		case chunked:
			err = discardChunks(r)
		case length >= 0:
			if !holds && length <= r.Size() {
				var body []byte
				body, err = r.Peek(length)
				holds = bytes.Contains(body, expected)
			}
			if err == nil {
				_, err = r.Discard(length)
			}
		default:
			// The body ends with the connection.
			_, err = io.Copy(io.Discard, r)
			closing = true
		}
		if err == nil && closing {
			err = errClosing
		}
		return status, holds, err
	}
}

func readStatus(r *bufio.Reader) (int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200\n") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, fmt.Errorf("not a status line of HTTP/1.1")
	}
	status := 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("status is not a number")
		}
		status = status*10 + int(c-'0')
	}
	return status, nil
}

// readHeader reads to the empty line. length is -1 when the server gave none.
func readHeader(r *bufio.Reader) (length int, chunked, closing bool, err error) {
	length = -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, false, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, chunked, closing, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case is(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxBody {
				return 0, false, false, fmt.Errorf("content-length is not a size below %d", maxBody)
			}
		case is(name, "transfer-encoding"):
			chunked = is(value, "chunked")
		case is(name, "connection"):
			closing = is(value, "close")
		}
	}
}

// is compares without case and without allocation on the common path: most
// header names differ in length already.
func is(b []byte, lower string) bool {
	return len(b) == len(lower) && bytes.EqualFold(b, []byte(lower))
}

func discardChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		size, err := strconv.ParseUint(string(digits), 16, 32)
		if err != nil || size > maxBody {
			return fmt.Errorf("chunk size is not a size below %d", maxBody)
		}
		if size == 0 {
			_, _, _, err := readHeader(r) // trailers
			return err
		}
		if _, err := r.Discard(int(size) + len("\r\n")); err != nil {
			return err
		}
	}
}
