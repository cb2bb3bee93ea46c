package deliver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

func dotted(w io.Writer) (*dotWriter, func()) {
	b := bufio.NewWriter(w)
	return &dotWriter{w: b}, func() { _ = b.Flush() }
}

// The stuffing does not depend on how the content is cut, and a receiver that
// takes the first dot off each line gets the content back.
func TestDotWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOf(rapid.SampledFrom([]byte(".\r\nab"))).Draw(t, "content")
		var w bytes.Buffer
		d, flush := dotted(&w)
		for rest := content; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			if _, err := d.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		flush()
		var want []byte
		for i, c := range content {
			if c == '.' && (i == 0 || content[i-1] == '\n' || content[i-1] == '\r') {
				want = append(want, '.')
			}
			want = append(want, c)
		}
		if !bytes.Equal(w.Bytes(), want) {
			t.Fatalf("%q became %q, want %q", content, w.Bytes(), want)
		}
		if clean := len(content) == 0 || bytes.HasSuffix(content, []byte("\r\n")); clean != (d.terminator() == ".\r\n") {
			t.Fatalf("%q ends with %q", content, d.terminator())
		}
	})
}

func TestUnixLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOf(rapid.SampledFrom([]byte("\r\nab"))).Draw(t, "content")
		var w bytes.Buffer
		b := bufio.NewWriter(&w)
		u := &unixLines{w: b}
		for rest := content; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			if _, err := u.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := u.end(); err != nil {
			t.Fatal(err)
		}
		_ = b.Flush()
		if want := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")); !bytes.Equal(w.Bytes(), want) {
			t.Fatalf("%q became %q, want %q", content, w.Bytes(), want)
		}
	})
}

func TestSurvey(t *testing.T) {
	for content, want := range map[string]nature{
		"":                                {},
		"Subject: x\r\n\r\nbody\r\n":      {},
		"Subject: x\r\n\r\nb\xc3\xa4\r\n": {eightBit: true},
		"Subject: \xc3\xa4\r\n\r\nb\r\n":  {eightBit: true, utf8Header: true},
		"a\nb":                            {binary: true},
		"a\rb":                            {binary: true},
		"a\x00b":                          {binary: true},
		strings.Repeat("x", 998) + "\r\n": {},
		strings.Repeat("x", 999) + "\r\n": {binary: true},
	} {
		got, err := survey(inMemory(content))
		if err != nil || got != want {
			t.Errorf("%.40q: %+v, want %+v (%v)", content, got, want, err)
		}
	}
}

// What a peer lacks is worked around where the content allows it, refused where not.
func TestPlan(t *testing.T) {
	ascii, eight, utfHeader, binary := "Subject: x\r\n\r\nb\r\n", "Subject: x\r\n\r\nb\xc3\xa4\r\n", "Subject: \xc3\xa4\r\n\r\nb\r\n", "Subject: x\r\n\r\n\x00\n"
	full := []string{"PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME", "SMTPUTF8", "SIZE 1000"}
	none := []string{"PIPELINING"}
	for name, c := range map[string]struct {
		ext     []string
		env     mail.Envelope
		content string
		to      string
		mail    string // the MAIL command, or the outcome
	}{
		"8-bit, offered":         {full, mail.Envelope{Body: mail.Body8BitMIME}, eight, "u@x.example", "MAIL FROM:<> SIZE=19 BODY=8BITMIME"},
		"8-bit declared only":    {none, mail.Envelope{Body: mail.Body8BitMIME}, ascii, "u@x.example", "MAIL FROM:<>"},
		"8-bit, not offered":     {none, mail.Envelope{Body: mail.Body8BitMIME}, eight, "u@x.example", "MAIL FROM:<>"},
		"binary, offered":        {full, mail.Envelope{Body: mail.BodyBinaryMIME}, binary, "u@x.example", "MAIL FROM:<> SIZE=16 BODY=BINARYMIME"},
		"binary declared only":   {none, mail.Envelope{Body: mail.BodyBinaryMIME}, ascii, "u@x.example", "MAIL FROM:<>"},
		"binary, not offered":    {none, mail.Envelope{Body: mail.BodyBinaryMIME}, binary, "u@x.example", "MAIL FROM:<>"},
		"binary is 8-bit":        {[]string{"8BITMIME"}, mail.Envelope{Body: mail.BodyBinaryMIME}, eight, "u@x.example", "MAIL FROM:<> BODY=8BITMIME"},
		"UTF-8, offered":         {full, mail.Envelope{UTF8: true, From: address("ä@a.example")}, utfHeader, "ü@x.example", "MAIL FROM:<ä@a.example> SIZE=18 SMTPUTF8"},
		"UTF-8 declared only":    {none, mail.Envelope{UTF8: true, From: address("a@a.example")}, ascii, "u@x.example", "MAIL FROM:<a@a.example>"},
		"UTF-8 header":           {none, mail.Envelope{UTF8: true}, utfHeader, "u@x.example", "failed 5.6.9"},
		"UTF-8 sender":           {none, mail.Envelope{UTF8: true, From: address("ä@a.example")}, ascii, "u@x.example", "failed 5.6.7"},
		"UTF-8 recipient":        {none, mail.Envelope{UTF8: true}, ascii, "ü@x.example", "failed 5.6.7"},
		"international domain":   {none, mail.Envelope{UTF8: true, From: address("a@bücher.example")}, ascii, "u@x.example", "MAIL FROM:<a@xn--bcher-kva.example>"},
		"addresses, undeclared":  {full, mail.Envelope{From: address("a@a.example")}, ascii, "ü@x.example", "MAIL FROM:<a@a.example> SIZE=17 SMTPUTF8"},
		"domains, undeclared":    {full, mail.Envelope{From: address("a@bücher.example")}, ascii, "u@x.example", "MAIL FROM:<a@xn--bcher-kva.example> SIZE=17"},
		"too large":              {full, mail.Envelope{}, strings.Repeat("x", 1001), "u@x.example", "failed 5.3.4"},
		"line end in the sender": {none, mail.Envelope{From: mail.Address{Local: "a>\r\nRSET", Domain: "x"}}, ascii, "u@x.example", "failed 5.1.7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := message(c.content, c.to)
			c.env.ID, c.env.Recipients = m.Envelope.ID, m.Envelope.Recipients
			m.Envelope = &c.env
			f := &fake{ext: c.ext}
			feed := newFeed(t, m)
			if err := serve(t, smartHost(), feed, f.serve); err != nil {
				t.Fatal(err)
			}
			got := feed.check()[c.to]
			if i := slices.IndexFunc(f.lines, func(l string) bool { return strings.HasPrefix(l, "MAIL") }); i >= 0 {
				got = f.lines[i]
			}
			if got != c.mail {
				t.Errorf("%q, want %q", got, c.mail)
			}
		})
	}
}

// broken is a content that cannot be read, or not all of it.
type broken struct {
	inMemory
	size int64
	open error
	read error
}

func (b broken) Size() int64 { return b.size }

func (b broken) Open() (io.ReadCloser, error) {
	if b.open != nil {
		return nil, b.open
	}
	end := io.Reader(strings.NewReader(""))
	if b.read != nil {
		end = errReader{b.read}
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(b.inMemory), end)), nil
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// A damaged spool entry costs its own message an attempt. The peer must never
// take half of it for the whole, and nobody else is to blame.
func TestBrokenContent(t *testing.T) {
	bad := errors.New("bad block")
	for name, c := range map[string]broken{
		"cannot be opened": {size: 10, open: bad},
		"breaks off":       {inMemory: inMemory("half"), size: 10, read: bad},
		"is too short":     {inMemory: inMemory("half"), size: 10},
		"is too long":      {inMemory: inMemory("far too long"), size: 10},
	} {
		for dialect, ext := range combinations {
			if strings.HasPrefix(name, "is") && (dialect == "nothing" || dialect == "pipelining" || dialect == "chunking alone") {
				continue // DATA needs no size
			}
			t.Run(name+"/"+dialect, func(t *testing.T) {
				m := message("", "bad@x.example")
				m.Content = c
				feed := newFeed(t, message(body, "one@x.example"), m)
				f := &fake{ext: ext}
				if err := serve(t, smartHost(), feed, f.serve); err != nil {
					t.Fatalf("a fault of ours is reported as the hop's: %v", err)
				}
				got := feed.check()
				if got["bad@x.example"] != "deferred 4.3.0" || !strings.Contains(feed.got["bad@x.example"].Text, "cannot be read") {
					t.Errorf("outcomes %v", got)
				}
				for _, b := range f.bodies {
					if b != body {
						t.Errorf("the peer took %q", b)
					}
				}
			})
		}
	}
}

func TestEncapsulatedAddress(t *testing.T) {
	f := &fake{lmtp: true}
	hop := smartHost()
	hop.Kind = mail.HopLMTP
	m := message(body, "x@x.example")
	m.Targets[0].Address, m.Targets[0].Foreign = mail.Address{}, "X400:c=us;a= ;s=Doe/1"
	if err := serve(t, hop, newFeed(t, m), f.serve); err != nil {
		t.Fatal(err)
	}
	if want := "RCPT TO:<IMCEAX400-c=us+3Ba=+20+3Bs=Doe_1@me.example>"; !slices.Contains(f.lines, want) {
		t.Errorf("dialog %q, want %q", f.lines, want)
	}
}

func TestOriginalRecipientEncoding(t *testing.T) {
	for in, want := range map[string]string{
		"rfc822;bob@x.example":       "rfc822;bob@x.example",
		"rfc822;bob+tag@x.example":   "rfc822;bob+2Btag@x.example",
		"rfc822;bob+2Btag@x.example": "rfc822;bob+2Btag@x.example", // came encoded
		"rfc822;a=b c@x.example":     "rfc822;a+3Db+20c@x.example",
		"utf-8;jürgen@x.example":     `utf-8;j\x{FC}rgen@x.example`,
		`utf-8;j\x{FC}rgen@x`:        `utf-8;j\x{FC}rgen@x`,
		"RFC822;Bob+40x":             "RFC822;Bob+40x", // neither case nor encoding is ours to change
	} {
		if got := string(appendOriginal(nil, in, false)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"utf-8;jürgen@x.example": "utf-8;jürgen@x.example",
		`UTF-8;j\x{FC}rgen@x`:    `UTF-8;j\x{FC}rgen@x`,
		"rfc822;bob+2Btag@x":     "rfc822;bob+2Btag@x",
		"utf-8;a b@\xff":         `utf-8;a\x{20}b@\x{FFFD}`,
	} {
		if got := string(appendOriginal(nil, in, true)); got != want {
			t.Errorf("with SMTPUTF8 %q became %q, want %q", in, got, want)
		}
	}
}
