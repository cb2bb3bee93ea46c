package smtpd_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/postroad/postroad/node/smtpd"
)

// The dialogues in testdata are golden files. Their lines:
//
//	# comment
//	! setting      of the server or session, before the first other line
//	C: text        the client sends text and CRLF; Go escapes are undone
//	C> text        the same without CRLF
//	T: 5m          virtual time passes
//	S: text        the server said this
//	= call         the session was asked this
//	S. closed      the server closed the connection
//
// Client lines that follow each other are sent in one write, and what the
// server does until it waits again comes after them.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(want)) })
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s differs; got:\n%s", f, got)
			}
		})
	}
}

// settings is what "!" lines can change.
type settings struct {
	config   smtpd.Config
	passport bool
	verify   bool
	links    string // "yes", or the refusal
	full     bool
	etrn     bool
	turn     bool
	size     int64
	// recipients is the session's own limit; 0: it has none.
	recipients int

	client  netip.AddrPort // zero: a pipe without addresses
	greet   error
	session error
}

func (s *settings) apply(t *testing.T, line string) {
	key, value, _ := strings.Cut(line, " ")
	n, _ := strconv.Atoi(value)
	switch key {
	case "insecure-auth":
		s.config.AllowInsecureAuth = true
	case "tls":
		s.config.TLS = serverTLS(t)
	case "tls-required":
		s.config.TLS, s.config.TLSRequired = serverTLS(t), true
	case "auth-required":
		s.config.AllowInsecureAuth, s.config.AuthRequired = true, true
	case "own-recipients":
		s.recipients = n
	case "strict-paths":
		s.config.StrictPaths = true
	case "plain":
		s.config.Without = ^smtpd.Extensions(0)
	case "without":
		s.config.Without |= map[string]smtpd.Extensions{"8BITMIME": smtpd.Ext8BitMIME, "BINARYMIME": smtpd.ExtBinaryMIME, "CHUNKING": smtpd.ExtChunking}[value]
	case "size":
		s.size = int64(n)
	case "recipients":
		s.config.MaxRecipients = n
	case "messages":
		s.config.MaxMessages = n
	case "errors":
		s.config.MaxErrors = n
	case "idle":
		s.config.MaxIdleCommands = n
	case "refused-recipients":
		s.config.MaxRefusedRecipients = n
	case "domains":
		s.config.MaxRecipientDomains = n
	case "header":
		s.config.MaxHeaderSize = n
	case "header-lines":
		s.config.MaxHeaderLines = n
	case "handshakes":
		s.config.MaxHandshakes = n
	case "hold":
		s.config.MaxHold, s.config.HoldForAnyone = duration(t, value), true
	case "hold-authenticated":
		s.config.MaxHold = duration(t, value)
	case "min-deliver-by":
		s.config.MinDeliverBy = duration(t, value)
	case "auth-delay":
		s.config.AuthFailureDelay = duration(t, value)
	case "auth-failures":
		s.config.MaxAuthFailures = n
	case "auth-failures-per-client":
		s.config.MaxAuthFailuresPerClient = n
	case "repair":
		s.config.LineEnds = smtpd.LineEndsRepair
	case "drop-nul":
		s.config.NULs = smtpd.NULsDrop
	case "lmtp":
		s.config.LMTP = true
	case "banner":
		s.config.Banner = value
	case "client":
		s.client = netip.MustParseAddrPort(value)
	case "xclient":
		s.config.XClients = []netip.Prefix{netip.MustParsePrefix(value)}
	case "proxy":
		s.config.Proxies = []netip.Prefix{netip.MustParsePrefix(value)}
	case "per-client":
		s.config.MaxConnectionsPerClient = n
	case "full":
		s.full = true
	case "etrn":
		s.full, s.etrn = true, true
	case "turn":
		s.full, s.turn = true, true
	case "passport":
		s.passport = true
	case "link-state":
		s.links = value
	case "verify":
		s.verify = true
	case "refuse-connection":
		s.greet = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Not from there"}
	case "refuse-with":
		s.greet = &smtp.SMTPError{Code: n, EnhancedCode: smtp.EnhancedCode{n / 100, 3, 2}, Message: "This host takes no mail"}
	case "broken-greeter":
		s.greet = errors.New("no table")
	case "refuse-session":
		s.session = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Not under that name"}
	default:
		t.Fatalf("unknown setting %q", line)
	}
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// from is a connection that comes from somewhere.
type from struct {
	net.Conn
	client netip.AddrPort
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(f.client) }
func (f from) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.1:25"))
}

// backend makes recorders.
type backend struct {
	log *eventLog
	set settings
}

func (b *backend) Greet(c *smtpd.Conn) (string, error) { return "", b.set.greet }

func (b *backend) NewSession(c *smtpd.Conn) (smtpd.Session, error) {
	if b.set.session != nil {
		return nil, b.set.session
	}
	if b.set.client.IsValid() {
		b.log.add("session for %s at %s, to %s%s", c.Hostname(), c.RemoteAddr(), c.LocalAddr(), describeForwarded(c.Forwarded()))
	} else {
		b.log.add("session for %s", c.Hostname())
	}
	r := &recorder{log: b.log, passport: b.set.passport, size: b.set.size}
	if b.set.links != "" {
		return linking{r, b.set.links}, nil
	}
	if b.set.full {
		return fullSession{r, c, b.set.etrn, b.set.turn}, nil
	}
	if b.set.recipients > 0 {
		return limiting{r, b.set.recipients}, nil
	}
	if b.set.verify {
		return verifying{r}, nil
	}
	return r, nil
}

// listener is the client's end of a pipe that keeps what the server says.
type listener struct {
	net.Conn
	mu     sync.Mutex
	heard  []byte
	closed bool
	done   chan struct{}
}

func listen(c net.Conn) *listener {
	l := &listener{Conn: c, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			l.mu.Lock()
			l.heard = append(l.heard, buf[:n]...)
			l.closed = err != nil
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l *listener) take() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := string(l.heard)
	l.heard = nil
	return s, l.closed
}

// play runs a script in a bubble and returns it with the server's part replaced
// by what happened.
func play(t *testing.T, script string) string {
	b := &backend{log: &eventLog{}, set: settings{config: smtpd.Config{
		// Only what is about them lets failures take time.
		Hostname: "mail1.example.com", AuthFailureDelay: -1, MaxAuthFailures: -1, MaxAuthFailuresPerClient: -1}}}
	var out strings.Builder
	var server *smtpd.Server
	var client *listener
	var batch []byte
	closed := false
	settle := func() {
		if server == nil {
			server = smtpd.New(b.set.config, b, nil)
			ours, theirs := net.Pipe()
			client = listen(ours)
			if b.set.client.IsValid() {
				theirs = from{theirs, b.set.client}
			}
			go server.ServeConn(theirs)
		} else if len(batch) > 0 {
			client.Write(batch) // fails once the server has closed; the transcript shows that
			batch = nil
		}
		synctest.Wait()
		heard, end := client.take()
		for line := range strings.SplitAfterSeq(heard, "\r\n") {
			if line != "" {
				out.WriteString("S: " + strings.TrimSuffix(line, "\r\n") + "\n")
			}
		}
		for _, e := range b.log.take() {
			out.WriteString("= " + e + "\n")
		}
		if end && !closed {
			closed = true
			out.WriteString("S. closed\n")
		}
	}
	pending := true
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		mark, text, _ := strings.Cut(line, " ")
		ours := mark == "C:" || mark == "C>" || mark == "T:"
		if pending && ours && (server == nil || mark == "T:" && len(batch) > 0) {
			settle()
		}
		switch mark {
		case "!":
			b.set.apply(t, text)
			out.WriteString(line + "\n")
		case "C:", "C>":
			raw := text
			if mark == "C:" {
				raw += `\r\n`
			}
			batch = append(batch, unescape(t, raw)...)
			out.WriteString(line + "\n")
			pending = true
		case "T:":
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString(line + "\n")
			<-time.After(d)
			settle()
		case "S:", "=", "S.":
			if len(batch) > 0 {
				settle()
			}
		default:
			if len(batch) > 0 || server == nil && mark == "--" {
				settle()
			}
			out.WriteString(line + "\n")
		}
	}
	settle()
	client.Close()
	server.Close()
	<-client.done
	return out.String()
}

func unescape(t *testing.T, s string) string {
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\x22`) + `"`)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return u
}
