package vserver

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// dovecotTimeout bounds one question. Dovecot itself holds back the answer to a
// wrong password for two seconds and more.
const dovecotTimeout = 20 * time.Second

// maxDovecotLine is Dovecot's own AUTH_CLIENT_MAX_LINE_LENGTH and some.
const maxDovecotLine = 16 << 10

// errDovecotRefused: the user or the password is wrong, or the user may not log in.
var errDovecotRefused = errors.New("dovecot refused the user")

// dovecot asks a Dovecot auth socket about a user, by version 1 of its
// authentication protocol. A connection for each question costs a system call
// or two and leaves no state that could break.
type dovecot struct{ socket string }

// dovecotRequest is one question.
type dovecotRequest struct {
	user, password string
	remote, local  netip.Addr
	tls            bool
}

// check gives the user's name as Dovecot calls him. The error is
// errDovecotRefused for wrong credentials; any other means that nobody knows.
func (d dovecot) check(ctx context.Context, q dovecotRequest) (string, error) {
	if strings.ContainsRune(q.user, 0) || strings.ContainsRune(q.password, 0) {
		return "", errDovecotRefused // NUL parts the fields of PLAIN
	}
	ctx, cancel := context.WithTimeout(ctx, dovecotTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReaderSize(conn, maxDovecotLine)
	if err := greetDovecot(in); err != nil {
		return "", fmt.Errorf("dovecot %s: %w", d.socket, err)
	}
	if _, err := conn.Write([]byte(q.lines())); err != nil {
		return "", err
	}
	return dovecotVerdict(in)
}

// lines are the client's side of the handshake and the request. The password is
// base64, everything else is taken from addresses and constants, so that no
// field can smuggle in another.
func (q dovecotRequest) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "VERSION\t1\t1\nCPID\t%d\n", os.Getpid())
	b.WriteString("AUTH\t1\tPLAIN\tservice=smtp")
	if q.tls {
		b.WriteString("\tsecured")
	}
	if q.local.IsValid() {
		b.WriteString("\tlip=" + q.local.String())
	}
	if q.remote.IsValid() {
		b.WriteString("\trip=" + q.remote.String())
	}
	// resp must be the last field.
	b.WriteString("\tresp=" + base64.StdEncoding.EncodeToString([]byte("\x00"+q.user+"\x00"+q.password)) + "\n")
	return b.String()
}

// greetDovecot reads the server's handshake up to DONE.
func greetDovecot(in *bufio.Reader) error {
	version := false
	for range 100 {
		fields, err := dovecotLine(in)
		if err != nil {
			return err
		}
		switch fields[0] {
		case "VERSION":
			if len(fields) < 2 || fields[1] != "1" {
				return fmt.Errorf("speaks version %v of the protocol, must be 1", fields[1:])
			}
			version = true
		case "DONE":
			if !version {
				return errors.New("did not say which version it speaks; dovecotSocket must be an auth-client socket")
			}
			return nil
		}
	}
	return errors.New("the handshake has no end")
}

func dovecotVerdict(in *bufio.Reader) (string, error) {
	for {
		fields, err := dovecotLine(in)
		if err != nil {
			return "", err
		}
		if len(fields) < 2 || fields[1] != "1" {
			continue // of no request of ours
		}
		params := map[string]string{}
		for _, f := range fields[2:] {
			k, v, _ := strings.Cut(f, "=")
			params[k] = v
		}
		_, nologin := params["nologin"]
		_, temporary := params["temp"]
		switch {
		case fields[0] == "OK" && params["user"] != "" && !nologin:
			return params["user"], nil
		case fields[0] == "FAIL" && temporary:
			return "", fmt.Errorf("dovecot: temporary failure: %s", params["reason"])
		case fields[0] == "OK", fields[0] == "FAIL", fields[0] == "CONT":
			return "", errDovecotRefused
		}
	}
}

func dovecotLine(in *bufio.Reader) ([]string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(line), "\n"), "\t"), nil
}
