package dsn

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/dsn/codes"
	"github.com/postroad/postroad/node/mail"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	accepted = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	alice    = mail.Address{Local: "alice", Domain: "paris.example"}
	bob      = mail.Address{Local: "bob", Domain: "far.example"}
	carol    = mail.Address{Local: "carol", Domain: "far.example"}
)

const original = "Received: from client by paris-1.example; Wed, 4 Mar 2026 05:06:07 +0000\r\n" +
	"From: alice@paris.example\r\nTo: bob@far.example\r\nSubject: Lunch\r\nMessage-ID: <lunch@paris.example>\r\n" +
	"\r\nAt noon?\r\n.\r\n--report\r\n"

func testID(b byte) mail.ID { return mail.NewID(accepted, [10]byte{b}) }

func input(kind Kind, recipients ...Recipient) Input {
	return Input{
		Kind: kind,
		Envelope: &mail.Envelope{
			ID: testID(1), Origin: testID(0), MessageID: "lunch@paris.example", Received: accepted, Created: accepted.Add(-time.Second),
			From: alice, Recipients: []mail.Recipient{{Address: bob}, {Address: carol}}, ClientName: "client.paris.example",
		},
		Recipients:   recipients,
		ReportingMTA: "paris-1.example", Organization: "Example",
		ID: testID(2), Now: accepted.Add(time.Hour), Original: []byte(original), Complete: true,
	}
}

func to(a mail.Address, o mail.Outcome) Recipient {
	o.At, o.Connector = accepted.Add(30*time.Minute), "internet"
	return Recipient{Target: mail.Target{Address: a}, Outcome: o}
}

// sentTo makes a recipient's address that of its RCPT, with an ORCPT.
func (in *Input) sentTo(i int, original string) {
	t := &in.Recipients[i].Target
	in.Envelope.Recipients[t.Recipient] = mail.Recipient{Address: t.Address, Original: original}
}

func refused() mail.Outcome {
	return mail.FromReply(mail.Reply{Code: 550, Status: mail.StatusUnknownUser, Lines: []string{"User unknown;", "see https://far.example/help"}}, "mx.far.example [192.0.2.1]:25")
}

func cases() map[string]Input {
	unknown := input(Failure, to(bob, refused()))
	two := input(Failure, to(bob, refused()), to(carol, mail.Fail(mail.StatusExpired, "the connection was dropped again and again")))
	two.Recipients[1].Target.Recipient = 1
	two.Envelope.EnvelopeID = "QQ=314159"
	two.Envelope.Return = "HDRS"
	two.Recipients[0].Target.Address = mail.Address{Local: "bob+list", Domain: "far.example"}
	two.sentTo(0, "RFC822;Bob+2Blist+40far.example")
	delay := input(Delay, to(bob, mail.Defer(mail.StatusNoAnswer, "the host is not responding: connection refused")))
	delay.Until = accepted.Add(48 * time.Hour)
	success := input(Success, to(bob, mail.Outcome{Result: mail.Delivered, Status: mail.StatusDelivered}))
	success.Recipients[0].Target.Notify = mail.NotifySuccess
	relayed := input(Relayed, to(bob, mail.FromReply(mail.Reply{Code: 250, Lines: []string{"taken"}}, "mx.far.example [192.0.2.1]:25")))
	relayed.Recipients[0].Target.Notify = mail.NotifySuccess
	traced := input(Relayed, to(bob, mail.FromReply(mail.Reply{Code: 250, Lines: []string{"taken"}}, "mx.far.example [192.0.2.1]:25")))
	traced.Recipients[0].Outcome.Traced = true // NOTIFY asked for nothing
	secret := input(Failure, to(bob, mail.Fail(mail.Status{Class: 5, Subject: 7, Detail: 30}, "the host does not offer REQUIRETLS, which the sender asked for")))
	secret.Envelope.RequireTLS, secret.Envelope.Return = true, "FULL"
	utf := input(Failure, to(mail.Address{Local: "jürgen", Domain: "köln.example"}, refused()))
	utf.Envelope.UTF8, utf.Envelope.Body = true, mail.Body8BitMIME
	utf.Original = []byte("From: alice@paris.example\r\nTo: jürgen@köln.example\r\nSubject: Grüße\r\n\r\nÄpfel\r\n")
	ascii := input(Failure, to(mail.Address{Local: "jürgen+x", Domain: "köln.example"}, refused()))
	ascii.sentTo(0, "utf-8;j\\x{2B}ü@köln.example") // the sender did not use SMTPUTF8
	utf.sentTo(0, mail.OriginalRecipient("utf-8", "jü+r=gen@köln.example"))
	expanded := input(Expanded, to(mail.Address{Local: "team", Domain: "paris.example"}, mail.Outcome{Result: mail.Delivered, Status: mail.StatusOK}))
	expanded.Recipients[0].Target.Notify = mail.NotifySuccess
	expanded.sentTo(0, "")
	// A contact, and a member of a group: the node has an ORCPT ready for the next host.
	redirected := input(Failure, to(mail.Address{Local: "robert", Domain: "elsewhere.example"}, refused()), to(mail.Address{Local: "dora", Domain: "paris.example"}, mail.Fail(mail.StatusMailboxFull, "the mailbox holds 5 messages")))
	redirected.Envelope.Recipients[0].Address = mail.Address{Local: "Bob", Domain: "paris.example"}
	redirected.Envelope.Recipients[1] = mail.Recipient{Address: mail.Address{Local: "team", Domain: "paris.example"}, Original: "rfc822;Team@paris.example"}
	redirected.Recipients[0].Target.Original = "rfc822;Bob@paris.example"
	redirected.Recipients[1].Target.Recipient = 1
	timed := input(Delay, to(bob, mail.Defer(mail.StatusExpired, "not delivered by the time that its sender set; last: 451 4.7.1 greylisted")))
	timed.Envelope.DeliverBy = mail.DeliverBy{Deadline: accepted.Add(time.Hour)}
	timed.Envelope.HoldUntil, timed.Until = accepted.Add(10*time.Minute), accepted.Add(48*time.Hour)
	timed.Envelope.ClientHost = "192.0.2.44"
	held := input(Failure, to(bob, refused()))
	held.Envelope.HoldUntil, held.Envelope.HoldFor = accepted.Add(10*time.Minute), 10*time.Minute
	odd := input(Failure, to(bob, mail.FromReply(mail.Reply{Code: 550, Status: mail.Status{Class: 2, Subject: 1, Detail: 1}}, "mx.far.example [192.0.2.1]:25")))
	foreign := input(Failure, to(mail.Address{}, mail.Fail(mail.StatusNoRoute, "no connector has an address space for X400")))
	foreign.Recipients[0].Target.Foreign = "X400:c=us;a= ;p=Example;s=Doe"
	foreign.Envelope.Recipients[0].Address = mail.Address{Local: "doe", Domain: "paris.example"}
	double := input(Failure, to(bob, refused()))
	double.Envelope.From = mail.Address{}
	double.Postmaster = mail.Address{Local: "postmaster", Domain: "paris.example"}
	bare := input(Failure, to(bob, mail.Fail(mail.StatusTooLarge, "")))
	bare.Original = nil
	return map[string]Input{
		"unknown-user": unknown, "two-headers-only": two, "delay": delay, "success": success, "relayed": relayed, "traced": traced, "requiretls": secret,
		"utf8": utf, "utf8-in-ascii": ascii, "expanded": expanded, "odd-status": odd, "foreign": foreign, "double-bounce": double, "no-original": bare, "redirected": redirected, "deliver-by": timed, "held": held,
	}
}

func TestGolden(t *testing.T) {
	for name, in := range cases() {
		t.Run(name, func(t *testing.T) {
			got, _, ok := Report(in)
			if !ok {
				t.Fatal("no report")
			}
			compare(t, filepath.Join("testdata", name+".eml"), got)
		})
	}
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s; if it should, run with -update\ngot:\n%s", file, got)
	}
}

// bookCodes are those of the book's table.
func bookCodes() []codes.Code {
	return slices.DeleteFunc(codes.All(), func(c codes.Code) bool { return !c.Book })
}

type part struct{ typ, body string }

// readBack parses a report as a mail program would.
func readBack(t interface{ Fatalf(string, ...any) }, content []byte) (message.Header, map[string]string, []part) {
	e, err := message.Read(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("not a message: %v", err)
	}
	typ, params, _ := e.Header.ContentType()
	if typ != "multipart/report" {
		t.Fatalf("type %q", typ)
	}
	var parts []part
	for r := e.MultipartReader(); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return e.Header, params, parts
		}
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		b, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		pt, _, _ := p.Header.ContentType()
		parts = append(parts, part{pt, string(b)})
	}
}

// groups reads the field groups of a delivery-status part.
func groups(t interface{ Fatalf(string, ...any) }, body string) []textproto.Header {
	var list []textproto.Header
	for g := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n")+"\r\n", "\r\n\r\n") {
		if strings.TrimSpace(g) == "" {
			continue
		}
		h, err := textproto.ReadHeader(bufio.NewReader(strings.NewReader(g + "\r\n\r\n")))
		if err != nil {
			t.Fatalf("group %q: %v", g, err)
		}
		list = append(list, h)
	}
	return list
}

func TestReadBack(t *testing.T) {
	for name, in := range cases() {
		t.Run(name, func(t *testing.T) {
			content, env, _ := Report(in)
			h, params, parts := readBack(t, content)
			if h.Get("Auto-Submitted") == "" || h.Get("Date") == "" || h.Get("Message-Id") == "" {
				t.Error("a header field is missing")
			}
			status, body := "message/delivery-status", "delivery-status"
			if name == "utf8" {
				status, body = "message/global-delivery-status", "global-delivery-status"
			}
			if params["report-type"] != body || parts[0].typ != "text/plain" || parts[1].typ != status {
				t.Errorf("report-type %q, parts %q %q", params["report-type"], parts[0].typ, parts[1].typ)
			}
			g := groups(t, parts[1].body)
			if len(g) != 1+len(in.Recipients) {
				t.Fatalf("%d groups of fields for %d recipients", len(g), len(in.Recipients))
			}
			for i := range in.Recipients {
				if a := g[i+1].Get("Action"); a != in.Kind.action() {
					t.Errorf("Action %q", a)
				}
				if _, ok := mail.ParseStatus(g[i+1].Get("Status")); !ok || g[i+1].Get("Final-Recipient") == "" {
					t.Errorf("recipient fields: %v", g[i+1])
				}
			}
			if len(parts) == 3 && strings.HasSuffix(parts[2].typ, "/rfc822") && !strings.HasPrefix(parts[2].body, original) {
				t.Errorf("the message came back changed:\n%q", parts[2].body)
			}
			if !env.Null() || !env.System || env.Size != int64(len(content)) || len(env.Recipients) != 1 || env.Recipients[0].Notify != mail.NotifyNever {
				t.Errorf("envelope %+v", env)
			}
		})
	}
}

func TestFields(t *testing.T) {
	in := cases()["two-headers-only"]
	content, _, _ := Report(in)
	_, _, parts := readBack(t, content)
	g := groups(t, parts[1].body)
	for _, c := range []struct {
		group       int
		field, want string
	}{
		{0, "Original-Envelope-Id", "QQ=314159"},
		{0, "Reporting-Mta", "dns; paris-1.example"},
		{0, "Received-From-Mta", "dns; client.paris.example"},
		{1, "Original-Recipient", "RFC822; Bob+list@far.example"},
		{1, "Final-Recipient", "rfc822; bob+list@far.example"},
		{1, "Status", "5.1.1"},
		{1, "Remote-Mta", "dns; mx.far.example"},
		{1, "Diagnostic-Code", "smtp; 550-5.1.1 User unknown; 550 5.1.1 see https://far.example/help"},
		{2, "Status", "4.4.7"},
		{2, "Diagnostic-Code", "x-postroad; the connection was dropped again and again"},
	} {
		if got := g[c.group].Get(c.field); got != c.want {
			t.Errorf("group %d, %s: %q, want %q", c.group, c.field, got, c.want)
		}
	}
	if parts[2].typ != "text/rfc822-headers" || strings.Contains(parts[2].body, "noon") {
		t.Errorf("RET=HDRS came back as %s:\n%s", parts[2].typ, parts[2].body)
	}
}

func TestWhoGetsNone(t *testing.T) {
	never := input(Failure, to(bob, refused()))
	never.Recipients[0].Target.Notify = mail.NotifyNever
	onlySuccess := input(Delay, to(bob, refused()))
	onlySuccess.Recipients[0].Target.Notify = mail.NotifySuccess
	null := input(Failure, to(bob, refused()))
	null.Envelope.From = mail.Address{}
	nullDelay := null
	nullDelay.Kind, nullDelay.Postmaster = Delay, alice
	for name, in := range map[string]Input{
		"NOTIFY=NEVER": never, "delay not wanted": onlySuccess, "success not asked for": input(Success, to(bob, refused())),
		"null reverse path": null, "delay of a report": nullDelay, "nobody": input(Failure),
	} {
		if _, _, ok := Report(in); ok {
			t.Errorf("%s: a report was made", name)
		}
	}
	mixed := input(Failure, to(bob, refused()), to(carol, refused()))
	mixed.Recipients[0].Target.Notify, mixed.Recipients[1].Target.Recipient = mail.NotifyNever, 1
	content, _, ok := Report(mixed)
	if !ok || bytes.Contains(content, []byte("rfc822; bob")) || !bytes.Contains(content, []byte("rfc822; carol")) {
		t.Error("the recipient with NOTIFY=NEVER is reported, or the other is not")
	}
}

func TestLargeMessageReturnsItsHeader(t *testing.T) {
	in := input(Failure, to(bob, refused()))
	in.Original = append([]byte(original), bytes.Repeat([]byte("x\r\n"), MaxReturn/3)...)
	content, _, _ := Report(in)
	if len(content) > 8<<10 {
		t.Errorf("the report has %d octets", len(content))
	}
	in.Original, in.Complete = []byte("Subject: cut in the mid"), false
	if content, _, _ = Report(in); bytes.Contains(content, []byte("cut in the mid")) {
		t.Error("half a header line came back")
	}
}

// Whatever a peer or a sender says, the report stays a report: lines within
// bounds, no bare CR or LF, the declared parts and groups.
func TestHostileWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := input(Kind(rapid.IntRange(0, 4).Draw(t, "kind")), to(bob, mail.Outcome{
			Text: rapid.String().Draw(t, "text"), Remote: rapid.String().Draw(t, "remote"),
			Status: mail.Status{Class: 5, Subject: uint16(rapid.IntRange(0, 9).Draw(t, "subject"))},
		}))
		if rapid.Bool().Draw(t, "replied") {
			in.Recipients[0].Outcome.Reply = &mail.Reply{Code: 550, Lines: rapid.SliceOf(rapid.String()).Draw(t, "lines")}
		}
		in.Recipients[0].Target.Notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
		in.Envelope.Recipients[0].Original = rapid.String().Draw(t, "orcpt")
		in.Envelope.ClientHost = rapid.SampledFrom([]string{"", "192.0.2.1"}).Draw(t, "address")
		in.Envelope.EnvelopeID = rapid.String().Draw(t, "envid")
		in.Envelope.MessageID = rapid.String().Draw(t, "message id")
		in.Envelope.ClientName = rapid.StringN(0, 3000, -1).Draw(t, "client")
		content, env, ok := Report(in)
		if !ok {
			t.Fatal("no report")
		}
		for line := range bytes.SplitSeq(content, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		if env.Body == mail.Body7Bit && !isASCII(content) {
			t.Fatal("8-bit octets in a 7-bit report")
		}
		if err := strict(content); err != nil {
			t.Fatalf("%v\n%s", err, content)
		}
		_, _, parts := readBack(t, content)
		if len(parts) != 3 || len(groups(t, parts[1].body)) != 2 {
			t.Fatalf("%d parts:\n%s", len(parts), content)
		}
		if !isASCII(parts[1].body) {
			t.Fatal("message/delivery-status is not ASCII")
		}
	})
}

func TestDeterministic(t *testing.T) {
	for name, in := range cases() {
		a, _, _ := Report(in)
		b, _, _ := Report(in)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

// Nobody who sends mail can put something into a command that an administrator copies.
func TestHintsAreSafeToCopy(t *testing.T) {
	const hint = "`postroadctl route explain ADDRESS` shows it."
	for address, want := range map[string]string{
		"bob+x@far-1.example": "`postroadctl route explain bob+x@far-1.example` shows it.",
		"$(reboot)@x.example": hint, "a;b@x": hint, "a`b@x": hint, "jürgen@x": hint, "X400:c=us;a= ": hint, "-o@x": hint, `"a b"@x`: hint, "a|b@x": hint,
	} {
		if got := forAddress(hint, address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
