package smtpd

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/node/mail"
	"pgregory.net/rapid"
)

func FuzzPath(f *testing.F) {
	for _, s := range []string{"<>", "<a@example.com>", " <a@example.com> SIZE=1", "a@example.com SIZE=1", `<"a b>"@example.com>`, "<@a,@[IPv6:::1]:b@c>",
		"<postmaster>", "<j\u00f6rg@b\u00fccher.example>", `<"\"@x">`, "<a@b", "<@>", "<@a:>"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, strict bool) {
		p, rest, err := parsePath(s, strict)
		if err != nil {
			return
		}
		if !strings.HasSuffix(s, rest) || strings.HasPrefix(rest, " ") {
			t.Errorf("rest %q of %q", rest, s)
		}
		if p.null {
			if p.mailbox != "" {
				t.Errorf("null path with mailbox %q", p.mailbox)
			}
			return
		}
		if strings.ContainsAny(p.mailbox, "\r\n\x00") {
			t.Errorf("mailbox %q", p.mailbox)
		}
		if !strings.EqualFold(p.mailbox, "postmaster") {
			if _, err := mail.ParseAddress(p.mailbox); err != nil {
				t.Error(err)
			}
		}
		again, _, err := parsePath("<"+p.mailbox+">", true)
		if err != nil || again != p {
			t.Errorf("%q became %+v, that again %+v %v", s, p, again, err)
		}
	})
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{"", "SIZE=10 BODY=8BITMIME", "a=b=c", "A A", "ORCPT=rfc822;a+40b", "ORCPT=utf-8;\\x{F6}", "NOTIFY=NEVER", "10 LAST", "ENVID=+2B+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var p params
		if p.parse(s) == nil {
			var words []string
			for i, q := range p.all() {
				if q.key != strings.ToUpper(q.key) || strings.ContainsAny(q.value, " =\r\n\x00") || q.valued != (q.value != "") {
					t.Errorf("%+v", q)
				}
				if slices.ContainsFunc(p.all()[:i], func(r param) bool { return r.key == q.key }) {
					t.Errorf("%s twice", q.key)
				}
				word := q.key
				if q.valued {
					word += "=" + q.value
				}
				words = append(words, word)
			}
			var again params
			if err := again.parse(strings.Join(words, " ")); err != nil || again != p {
				t.Errorf("%q: %v", words, err)
			}
		}
		if x, err := mail.DecodeXtext(s); err == nil {
			if y, err := mail.DecodeXtext(encodeXtext(x)); err != nil || y != x {
				t.Errorf("xtext %q: %q %v", s, y, err)
			}
		}
		if typ, text, err := mail.ParseOriginal(s); err == nil && (typ == "" || text == "") {
			t.Errorf("ORCPT %q: %q %q", s, typ, text)
		}
		if k, err := parseChunk(s); err == nil && (k.size < 0 || !strings.HasPrefix(strings.TrimLeft(s, "0"), strings.TrimLeft(strconv.FormatInt(k.size, 10), "0"))) {
			t.Errorf("BDAT %q: %+v", s, k)
		}
	})
}

// encodeXtext is RFC 3461 section 4's encoder.
func encodeXtext(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			b.WriteString("+" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestOriginalRecipient(t *testing.T) {
	for _, c := range []struct{ in, typ, text string }{
		{"rfc822;a@b", "RFC822", "a@b"},
		{"utf-8;\\x{E9}@b", "UTF-8", "\u00e9@b"},
		{"utf-8;\\x{1F600}", "UTF-8", "\U0001f600"},
		{"utf-8;\u00e9", "UTF-8", "\u00e9"},
		{"utf-8;\\x{e9}", "", ""},  // lower case
		{"utf-8;\\x{0E9}", "", ""}, // leading zero
		{"utf-8;\\x{9}", "", ""},   // too short
		{"utf-8;\\x{110000}", "", ""},
		{"utf-8;\\x{E9", "", ""},
		{"utf-8;\\y", "", ""},
		{"utf-8;a+40", "", ""},
		{"rfc822;+4", "", ""},
		{"rfc822;+4g", "", ""},
		{"rfc822;\u00e9", "", ""},
		{";a", "", ""},
		{"a b;c", "", ""},
		{"rfc822;", "", ""},
	} {
		typ, text, err := mail.ParseOriginal(c.in)
		if c.typ == "" != (err != nil) || c.typ != "" && (typ != c.typ || text != c.text) {
			t.Errorf("%q: %q %q %v", c.in, typ, text, err)
		}
	}
}

// pieces is a connection that is read in the given sizes.
type pieces struct {
	net.Conn
	data  []byte
	sizes []int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := len(p.data)
	if len(p.sizes) > 0 {
		n, p.sizes = min(n, p.sizes[0]), p.sizes[1:]
	}
	n = copy(b, p.data[:n])
	p.data = p.data[n:]
	return n, nil
}

func (p *pieces) Write(b []byte) (int, error)      { return len(b), nil }
func (p *pieces) SetDeadline(time.Time) error      { return nil }
func (p *pieces) SetReadDeadline(time.Time) error  { return nil }
func (p *pieces) SetWriteDeadline(time.Time) error { return nil }

func content(wire []byte, sizes []int) (*body, *Conn) {
	p := &pieces{data: wire, sizes: sizes}
	c := &Conn{cfg: Config{}.withDefaults(), raw: p, conn: p, in: input{src: p, lender: &buffers{}}}
	return &body{src: &dots{c: c, time: c.contentClock()}}, c
}

// naiveDots decodes octet by octet what dots decodes in blocks: the text up to
// the first CRLF.CRLF, how much of wire that took, and whether all is clean.
func naiveDots(wire []byte) (text []byte, used int, clean, complete bool) {
	clean = true
	for line := 0; ; {
		end := bytes.Index(wire[line:], []byte("\r\n"))
		if end < 0 {
			return text, line, clean, false
		}
		l := wire[line : line+end]
		line += end + 2
		if string(l) == "." {
			return text, line, clean, true
		}
		l = bytes.TrimPrefix(l, []byte("."))
		if bytes.ContainsAny(l, "\r\n\x00") {
			clean = false
		}
		text = append(append(text, l...), "\r\n"...)
	}
}

func TestDotsLikeNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.SampledFrom([]string{".", "\r", "\n", "\r\n", "\r\n.\r\n", "\r\n.", "a", "bc", "\x00", strings.Repeat("x", 3000)})).Draw(t, "words")
		wire := []byte(strings.Join(words, "") + "\r\n.\r\nQUIT\r\n")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 60).Draw(t, "sizes")
		want, used, clean, complete := naiveDots(wire)
		if !complete {
			t.Fatal("the generator forgot the end")
		}
		b, c := content(slices.Clone(wire), sizes)
		got, err := read(b, rapid.IntRange(0, 64).Draw(t, "buffer"))
		if end := b.drain(); end != nil {
			t.Fatalf("drain: %v", end)
		}
		rest, _ := io.ReadAll(io.MultiReader(bytes.NewReader(c.in.window()), c.in.src))
		if string(rest) != string(wire[used:]) {
			t.Fatalf("left %q, want %q", rest, wire[used:])
		}
		switch {
		case clean && (err != nil || b.fault != nil || string(got) != string(want)):
			t.Fatalf("%q: got %q %v %v, want %q", wire, got, err, b.fault, want)
		case !clean && (err == nil || b.fault == nil || !bytes.HasPrefix(want, got)):
			t.Fatalf("%q: unclean, got %q %v", wire, got, err)
		}
	})
}

// read uses Read with a small buffer, or WriteTo if size is zero.
func read(b *body, size int) ([]byte, error) {
	var buf bytes.Buffer
	if size == 0 {
		_, err := b.WriteTo(&buf)
		return buf.Bytes(), err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{&buf}, struct{ io.Reader }{b}, make([]byte, size))
	return buf.Bytes(), err
}

func TestLongReply(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 2000), strings.Repeat("j\u00f6rg", 500), strings.Repeat("\U0001f600", 400)} {
		var joined strings.Builder
		for line := range strings.Lines(string(appendReply(nil, reply{code: 550, enh: enhSyn, text: text}))) {
			part := strings.TrimSuffix(line[len("550-5.5.2 "):], "\r\n")
			if len(line) > 512 || !utf8.ValidString(part) {
				t.Errorf("line %q", line)
			}
			joined.WriteString(part)
		}
		if joined.String() != text {
			t.Errorf("%q became %q", text, joined.String())
		}
	}
}

func TestReplyLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := reply{code: rapid.SampledFrom([]int{220, 250, 354, 421, 550}).Draw(t, "code"), text: rapid.String().Draw(t, "text") + rapid.StringN(0, 600, 2000).Draw(t, "long")}
		out := string(appendReply(nil, r))
		lines := strings.SplitAfter(out, "\r\n")
		if lines[len(lines)-1] != "" {
			t.Fatalf("no CRLF at the end: %q", out)
		}
		lines = lines[:len(lines)-1]
		for i, l := range lines {
			text := strings.TrimSuffix(l, "\r\n")
			sep := byte('-')
			if i == len(lines)-1 {
				sep = ' '
			}
			if len(l) > 512 || strings.ContainsAny(text, "\r\n\x00\x1b\x7f") || text[:3] != strconv.Itoa(r.code) || text[3] != sep {
				t.Fatalf("line %d of %q", i, out)
			}
		}
	})
}
