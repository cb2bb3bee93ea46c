package smtpd_test

import (
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/postroad/postroad/node/smtpd"
)

// step is one thing the client sends, and why the two engines are meant to
// answer it differently, if they are.
type step struct {
	send   string
	differ string
}

// TestOracle puts the same session behind go-smtp's server and behind this one:
// the codes and what the session is asked must be the same, but for the listed
// differences.
func TestOracle(t *testing.T) {
	const (
		order = "go-smtp says 502 where RFC 5321 section 4.1.4 has 503"
		param = "go-smtp says 500 where RFC 5321 section 4.1.1.11 has 555"
		empty = "go-smtp says 502 to AUTH without a mechanism where RFC 5321 has 501"
		b64   = "go-smtp says 454 where RFC 4954 section 4 has 501"
		quit  = "go-smtp takes and ignores arguments"
		named = "go-smtp cuts the argument of EHLO at the blank"
		creds = "go-smtp says 454 to an error that is no SMTPError where RFC 4954 section 6 has 535"
		local = "go-smtp calls errors that are no SMTPError permanent, and tells the client their text"
		naked = "go-smtp passes bare line feeds on"
		known = "go-smtp calls HELP unknown to it"
		rcpts = "go-smtp says 502; RFC 5321 section 3.3 names 503 and 554"
		where = "go-smtp has it with RCPT where the RFC's section 4 has it with MAIL"
		never = "go-smtp does not know it"
		none  = "go-smtp says 502 where RFC 2033 section 4.2 has 503"
	)
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"one message", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME RET=FULL ENVID=x+2By\r\n", ""},
			{"RCPT TO:<b@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bc@example.com\r\n", ""},
			{"RCPT TO:<unknown@example.com>\r\n", ""}, {"DATA\r\n", ""}, {"Subject: x\r\n\r\n..dot\r\n.\r\n", ""}, {"QUIT\r\n", ""}}},
		{"two messages by HELO", []step{{"HELO client.example\r\n", ""}, {"MAIL FROM:<>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA\r\n", ""},
			{".\r\n", ""}, {"MAIL FROM:<@hop.example:a@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA\r\n", ""}, {"x\r\n.\r\n", ""}}},
		{"chunks", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""},
			{"BDAT 5\r\nhello", ""}, {"BDAT 7\r\n world!", ""}, {"BDAT 0 LAST\r\n", ""}, {"NOOP\r\n", ""}}},
		{"chunks given up", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""},
			{"BDAT 5\r\nhello", ""}, {"RSET\r\n", ""}, {"MAIL FROM:<a@example.com>\r\n", ""}}},
		{"order", []step{{"MAIL FROM:<a@example.com>\r\n", order}, {"RCPT TO:<b@example.com>\r\n", order}, {"DATA\r\n", order}, {"BDAT 2 LAST\r\nab", order},
			{"AUTH PLAIN\r\n", order}, {"NOOP\r\n", ""}, {"RSET\r\n", ""}, {"VRFY b\r\n", ""}, {"EXPN b\r\n", ""}, {"TURN\r\n", ""}, {"HELP\r\n", known}, {"EHLO client.example\r\n", ""},
			{"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<unknown@example.com>\r\n", ""}, {"DATA\r\n", rcpts}}},
		{"syntax", []step{{"EHLO\r\n", ""}, {"EHLO client.example\r\n", ""}, {"MAIL\r\n", ""}, {"MAIL FROM:<a@example.com\r\n", ""}, {"MAIL FROM:<a@example.com> FOO=1\r\n", param},
			{"MAIL FROM:<a@example.com> BODY=9BIT\r\n", ""}, {"MAIL FROM:<a@example.com> BODY=BINARYMIME\r\n", ""}, {"RSET\r\n", ""}, {"MAIL FROM:<a@example.com> RET=HALF\r\n", ""},
			{"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<b@example.com> NOTIFY=NEVER,DELAY\r\n", ""}, {"RCPT TO:<b@example.com> FOO=1\r\n", param},
			{"RCPT TO:<b@example.com> ORCPT=rfc822;+\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA now\r\n", ""}, {"BDAT\r\n", ""}, {"BDAT x\r\n", ""},
			{"WHAT\r\n", ""}, {"QUIT now\r\n", quit}}},
		{"authentication", []step{{"EHLO client.example\r\n", ""}, {"AUTH\r\n", empty}, {"AUTH PLAIN ====\r\n", b64}, {"AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n", creds},
			{"AUTH PLAIN AGF3YXkAc2VjcmV0\r\n", ""}, {"AUTH PLAIN\r\n", ""}, {"*\r\n", ""}, {"AUTH LOGIN\r\n", ""}, {"dXNlcg==\r\n", ""}, {"c2VjcmV0\r\n", ""},
			{"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", ""}, {"MAIL FROM:<a@example.com> AUTH=b+40example.com\r\n", ""}}},
		{"refusals", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<later@example.com>\r\n", ""}, {"MAIL FROM:<unknown@example.com>\r\n", ""},
			{"MAIL FROM:<full@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA\r\n", ""}, {"x\r\n.\r\n", ""},
			{"MAIL FROM:<early@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA\r\n", ""}, {"x\r\n.\r\n", ""},
			{"MAIL FROM:<broken@example.com>\r\n", ""}}},
		{"local errors", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<broken@example.com>\r\n", ""}, {"MAIL FROM:<data@example.com>\r\n", ""},
			{"RSET\r\n", ""}, {"MAIL FROM:<odd@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA\r\n", ""}, {"x\r\n.\r\n", local}}},
		{"name", []step{{"EHLO one two\r\n", named}}},
		{"line ends", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""}, {"DATA\r\n", ""},
			{"x\ny\r\n.\r\n", naked}}},
		{"binary", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com> BODY=BINARYMIME\r\n", ""}, {"RCPT TO:<b@example.com>\r\n", ""},
			{"DATA\r\n", order}, {"BDAT 4\r\na\nb\x00", ""}, {"BDAT 2 LAST\r\n\r.", ""}}},
		{"deliver by and priority", []step{{"EHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com> BY=120;R\r\n", where}, {"MAIL FROM:<a@example.com>\r\n", where},
			{"RCPT TO:<b@example.com> BY=120;R\r\n", where}, {"RSET\r\n", ""}, {"MAIL FROM:<a@example.com> MT-PRIORITY=3\r\n", where}, {"RSET\r\n", ""},
			{"MAIL FROM:<a@example.com> REQUIRETLS\r\n", param}}},
		{"other verbs", []step{{"EHLO client.example\r\n", ""}, {"ETRN example.com\r\n", never}, {"ATRN example.com\r\n", never}, {"XCLIENT ADDR=192.0.2.1\r\n", never},
			{"LHLO client.example\r\n", ""}, {"SEND FROM:<a@example.com>\r\n", ""}, {"SOML FROM:<a@example.com>\r\n", ""}, {"SAML FROM:<a@example.com>\r\n", ""}}},
		{"LMTP", []step{{"EHLO client.example\r\n", ""}, {"LHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<unknown@example.com>\r\n", ""},
			{"DATA\r\n", none}, {"RCPT TO:<ok@example.com>\r\n", ""}, {"RCPT TO:<full@example.com>\r\n", ""}, {"RCPT TO:<ok@example.com>\r\n", ""},
			{"DATA\r\n", ""}, {"text\r\n.\r\n", ""}, {"NOOP\r\n", ""}}},
		{"LMTP chunks", []step{{"LHLO client.example\r\n", ""}, {"MAIL FROM:<a@example.com>\r\n", ""}, {"RCPT TO:<ok@example.com>\r\n", ""}, {"RCPT TO:<full@example.com>\r\n", ""},
			{"BDAT 4\r\ntext", ""}, {"BDAT 0 LAST\r\n", ""}, {"QUIT\r\n", ""}}},
	} {
		k := kind{lmtp: strings.HasPrefix(c.name, "LMTP"), extended: c.name == "deliver by and priority"}
		t.Run(c.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { compare(t, k, c.steps) }) })
	}
}

// kind is what the two servers are.
type kind struct{ lmtp, extended bool }

// compare runs the steps on both engines.
func compare(t *testing.T, k kind, steps []step) {
	ours, theirs := &eventLog{}, &eventLog{}
	mine := smtpd.New(smtpd.Config{Hostname: "mail1.example.com", AllowInsecureAuth: true, MaxErrors: 100, LMTP: k.lmtp,
		AuthFailureDelay: -1, MaxAuthFailures: -1, MaxAuthFailuresPerClient: -1}, &backend{log: ours, set: settings{full: k != kind{}}}, nil)
	defer mine.Close()
	a := dialTo(func(c net.Conn) { go mine.ServeConn(c) })
	oracle := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		r := &recorder{log: theirs}
		if k != (kind{}) {
			return fullSession{recorder: r}, nil
		}
		return r, nil
	}))
	oracle.LMTP, oracle.EnableDELIVERBY, oracle.EnableMTPRIORITY, oracle.EnableREQUIRETLS = k.lmtp, k.extended, k.extended, true
	oracle.Domain, oracle.AllowInsecureAuth, oracle.EnableDSN, oracle.EnableSMTPUTF8, oracle.EnableBINARYMIME = "mail1.example.com", true, true, true, true
	oracle.ErrorLog = log.New(io.Discard, "", 0)
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	served := make(chan struct{})
	go func() { oracle.Serve(l); close(served) }()
	b := dialTo(func(c net.Conn) { l.conns <- c })
	defer func() {
		a.Close()
		b.Close()
		oracle.Close()
		<-served
		<-a.done
		<-b.done
	}()
	synctest.Wait()
	a.take()
	b.take()
	for _, s := range steps {
		x, y := ask(a, s.send), ask(b, s.send)
		// go-smtp ends the connection at the fourth error; a fresh one would lose
		// the state, so such steps are at the end or few.
		xs, ys := calls(ours.take()), calls(theirs.take())
		same := x == y && slices.Equal(xs, ys)
		switch {
		case !same && s.differ == "":
			t.Errorf("%q: here %s %q, go-smtp %s %q", s.send, x, xs, y, ys)
		case same && s.differ != "":
			t.Errorf("%q: no difference any more: %s", s.send, s.differ)
		}
	}
}

// calls leaves out when sessions are made, reset and ended: the engines differ in
// that by design.
func calls(events []string) []string {
	return slices.DeleteFunc(events, func(e string) bool {
		return e == "reset" || e == "logout" || strings.HasPrefix(e, "session ")
	})
}

func dialTo(serve func(net.Conn)) *listener {
	ours, theirs := net.Pipe()
	l := listen(ours)
	serve(theirs)
	return l
}

// ask sends and returns the codes of the replies, one for each.
func ask(l *listener, send string) string {
	if send != "" {
		l.SetWriteDeadline(time.Now().Add(time.Second))
		l.Write([]byte(send))
	}
	synctest.Wait()
	heard, _ := l.take()
	var codes []string
	for line := range strings.SplitSeq(strings.TrimSuffix(heard, "\r\n"), "\r\n") {
		if len(line) > 3 && line[3] == ' ' {
			codes = append(codes, line[:3])
		}
	}
	return strings.Join(codes, " ")
}

// pipeListener accepts the pipes it is handed.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
