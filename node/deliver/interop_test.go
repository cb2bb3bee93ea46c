package deliver

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

// store is a go-smtp backend: a server that others wrote.
type store struct {
	mu   sync.Mutex
	got  map[string]string // recipient -> content
	mail []*smtp.MailOptions
	rcpt []*smtp.RcptOptions
}

func (s *store) NewSession(*smtp.Conn) (smtp.Session, error) { return &storeSession{store: s}, nil }

type storeSession struct {
	store *store
	to    []string
}

func (s *storeSession) Reset()        { s.to = nil }
func (s *storeSession) Logout() error { return nil }

func (s *storeSession) Mail(_ string, o *smtp.MailOptions) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.mail = append(s.store.mail, o)
	return nil
}

func (s *storeSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.rcpt = append(s.store.rcpt, o)
	s.to = append(s.to, to)
	return nil
}

func (s *storeSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, to := range s.to {
		s.store.got[to] = string(b)
	}
	return nil
}

func (s *storeSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if err := s.Data(r); err != nil {
		return err
	}
	for _, to := range s.to {
		if strings.HasPrefix(to, "full") {
			status.SetStatus(to, &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "full"})
			continue
		}
		status.SetStatus(to, nil)
	}
	return nil
}

// goSMTP starts a go-smtp server and gives its address.
func goSMTP(t *testing.T, network, address string, change func(*smtp.Server)) (*store, string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	st := &store{got: map[string]string{}}
	s := smtp.NewServer(st)
	s.Domain, s.ErrorLog = "other.example", log.New(io.Discard, "", 0)
	change(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return st, l.Addr().String()
}

func TestAgainstGoSMTP(t *testing.T) {
	for _, lmtp := range []bool{false, true} {
		t.Run(fmt.Sprintf("lmtp=%v", lmtp), func(t *testing.T) {
			st, addr := goSMTP(t, "tcp", "127.0.0.1:0", func(s *smtp.Server) {
				s.LMTP, s.EnableDSN, s.EnableSMTPUTF8, s.EnableBINARYMIME = lmtp, true, true, true
			})
			hop := mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{addr}, Options: mail.HopOptions{TLS: mail.TLSNone}}
			if lmtp {
				hop.Kind = mail.HopLMTP
			}
			big := "Subject: big\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 100000)
			list := append(many(50), message(body, "ok@x.example", "nobody@x.example", "full@x.example"), message(big, "big@x.example"))
			list[50].Envelope.EnvelopeID, list[50].Envelope.Return = "id+=1 x", "HDRS"
			list[50].Targets[0].Notify = mail.NotifySuccess | mail.NotifyDelay
			list[50].Targets[0].Original = "rfc822;team+one@x.example"
			feed := newFeed(t, list...)
			if err := New(Options{Hostname: "me.example"}).Serve(t.Context(), hop, feed); err != nil {
				t.Fatal(err)
			}
			full := "delivered 2.0.0"
			if lmtp {
				full = "failed 5.2.2"
			}
			got := feed.check()
			for a, want := range map[string]string{"u7@x.example": "delivered 2.0.0", "ok@x.example": "delivered 2.0.0", "nobody@x.example": "failed 5.1.1", "full@x.example": full, "big@x.example": "delivered 2.0.0"} {
				if got[a] != want {
					t.Errorf("%s: %q, want %q", a, got[a], want)
				}
			}
			if st.got["u7@x.example"] != body || st.got["big@x.example"] != big || len(st.got) != 53 {
				t.Errorf("%d mailboxes, or content changed on its way", len(st.got))
			}
			if feed.got["ok@x.example"].Relayed {
				t.Error("a host with DSN reports itself")
			}
			checkDSN(t, st, lmtp)
		})
	}
}

func checkDSN(t *testing.T, st *store, lmtp bool) {
	t.Helper()
	st.mu.Lock()
	defer st.mu.Unlock()
	m, r := st.mail[50], st.rcpt[50]
	if lmtp {
		if m.EnvelopeID != "" || len(r.Notify) != 0 {
			t.Error("DSN parameters over LMTP would ask the mailbox for reports that we make")
		}
		return
	}
	if m.EnvelopeID != "id+=1 x" || m.Return != smtp.DSNReturnHeaders {
		t.Errorf("MAIL options %+v", m)
	}
	if len(r.Notify) != 2 || r.OriginalRecipient != "team+one@x.example" || r.OriginalRecipientType != smtp.DSNAddressTypeRFC822 {
		t.Errorf("RCPT options %+v", r)
	}
}

func TestLMTPOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	st, _ := goSMTP(t, "unix", path, func(s *smtp.Server) { s.LMTP = true })
	for _, host := range []string{path, "unix:" + path} {
		clear(st.got)
		feed := newFeed(t, many(3)...)
		if err := New(Options{Hostname: "me.example"}).Serve(t.Context(), mail.Hop{Kind: mail.HopLMTP, Hosts: []string{host}}, feed); err != nil {
			t.Fatal(err)
		}
		if feed.check(); len(st.got) != 3 {
			t.Errorf("%s: %d mailboxes", host, len(st.got))
		}
	}
}

// Whatever content there is, it arrives as it was, up to the CRLF that DATA must end with.
func TestContentSurvives(t *testing.T) {
	st, addr := goSMTP(t, "tcp", "127.0.0.1:0", func(s *smtp.Server) { s.MaxLineLength = 1 << 20 })
	hop := mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{addr}, Options: mail.HopOptions{TLS: mail.TLSNone}}
	for i, content := range []string{"", ".", "..", ".\r\n", "\r\n.\r\n", "a\r\n.\r\nb", "x\r\n\r\n\r\n", "\r\n", "a\r\n..\r\n...\r\n"} {
		feed := newFeed(t, message(content, "u@x.example"))
		if err := New(Options{Hostname: "me.example"}).Serve(t.Context(), hop, feed); err != nil {
			t.Fatal(err)
		}
		st.mu.Lock()
		if got := st.got["u@x.example"]; got != content {
			t.Errorf("case %d: %q came as %q", i, content, got)
		}
		st.mu.Unlock()
		// The same without CHUNKING.
		f := &fake{}
		if err := serve(t, smartHost(), newFeed(t, message(content, "u@x.example")), f.serve); err != nil {
			t.Fatal(err)
		}
		want := content
		if !strings.HasSuffix(want, "\r\n") && want != "" {
			want += "\r\n"
		}
		if f.bodies[0] != want {
			t.Errorf("case %d by DATA: %q came as %q", i, content, f.bodies[0])
		}
	}
}

// A peer that wrongly ends lines at a bare LF must not find the end of the
// message inside it.
func TestNoSmuggling(t *testing.T) {
	for _, content := range []string{"a\n.\r\nMAIL FROM:<evil@a.example>\r\n", "a\n.\nMAIL\r\n", "a\r\n.\nMAIL\r\n", "a\n.\r", ".\nx", "\n.\r\n"} {
		var w bytes.Buffer
		d, flush := dotted(&w)
		for i := range len(content) { // octet by octet, the hardest way
			if _, err := d.Write([]byte(content[i : i+1])); err != nil {
				t.Fatal(err)
			}
		}
		flush()
		for _, end := range []string{"\n.\n", "\n.\r\n", "\r.\r"} {
			if strings.Contains("\n"+w.String(), end) {
				t.Errorf("%q is sent as %q, which holds the end of data %q", content, w.String(), end)
			}
		}
	}
}
