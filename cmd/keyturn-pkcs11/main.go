// Command keyturn-pkcs11 loads a PKCS #11 module for the server and wraps or unwraps one root key with an AES key that stays
// in the token. It is a program and a module of its own, because PKCS #11 needs cgo and runs the vendor's code in its process:
// the server stays one static binary, and a module that crashes takes down only this program.
//
// One request comes as JSON on standard input, one answer goes as JSON to standard output, and the program ends. The PIN is
// read from the file that the request names; it is in no argument, no variable and no answer. The types of request and answer
// stand also in internal/rootkey/pkcs11.go.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// protocol is the version of request and answer.
const protocol = 1

// maxRequest bounds the request, in bytes: paths, labels and 60 bytes of ciphertext.
const maxRequest = 16 << 10

type request struct {
	Version   int    `json:"version"`
	Operation string `json:"operation"` // "wrap" or "unwrap"
	Module    string `json:"module"`    // path of the shared object
	Token     string `json:"token"`     // label
	Object    string `json:"object"`    // label of the AES key
	PINSource string `json:"pin_source"`
	Binding   []byte `json:"binding"` // additional data
	Input     []byte `json:"input"`   // root key, or IV with ciphertext and tag
}

type answer struct {
	Version int    `json:"version"`
	Output  []byte `json:"output,omitempty"`
	Problem string `json:"problem,omitempty"`
	Detail  string `json:"detail,omitempty"` // for the log of the server; never a secret
}

// problem is an error that has a word in the protocol.
type problem struct {
	word  string
	cause error
}

func (p problem) Error() string { return fmt.Sprint(p.word, ": ", p.cause) }

// The words. The server has a sentence and a hint for each.
const (
	badRequest   = "request"
	badModule    = "module"
	tokenMissing = "token-missing"
	tokenTwice   = "token-twice"
	pinFile      = "pin-file"
	pinWrong     = "pin-wrong"
	pinLast      = "pin-last"
	pinLocked    = "pin-locked"
	keyMissing   = "key-missing"
	keyTwice     = "key-twice"
	keyExposed   = "key-exposed"
	closed       = "closed"
	failed       = "failed"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "keyturn-pkcs11 is started by keyturn and takes no arguments")
		os.Exit(2)
	}
	if err := respond(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keyturn-pkcs11:", err)
		os.Exit(1)
	}
}

func respond(in io.Reader, out io.Writer) error {
	reply := answer{Version: protocol}
	r, err := read(in)
	if err == nil {
		reply.Output, err = serve(r)
	}
	if err != nil {
		reply.Problem, reply.Detail = failed, err.Error()
		if p, ok := errors.AsType[problem](err); ok {
			reply.Problem, reply.Detail = p.word, fmt.Sprint(p.cause)
		}
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

func read(in io.Reader) (request, error) {
	var r request
	text, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err != nil || len(text) > maxRequest {
		return r, problem{badRequest, errors.New("too long or cut off")}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.More() {
		return r, problem{badRequest, errors.New("not one JSON object of the known form")} // err may show the input
	}
	if r.Version != protocol || r.Operation != "wrap" && r.Operation != "unwrap" {
		return r, problem{badRequest, errors.New("another version or operation")}
	}
	return r, nil
}
