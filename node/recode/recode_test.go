package recode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"encoding/base64"

	"github.com/emersion/go-message"
	"pgregory.net/rapid"
)

func opener(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func convert(s string, form Form) (string, *Plan, error) {
	p, err := Survey(opener(s), form)
	if err != nil {
		return "", nil, err
	}
	b, err := io.ReadAll(p.Reader(strings.NewReader(s)))
	return string(b), p, err
}

// Situations and what becomes of them.
func TestConvert(t *testing.T) {
	const head = "From: a@a.example\r\nMIME-Version: 1.0\r\n"
	for _, c := range []struct{ name, in, seven, eight string }{
		{
			"text",
			head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u00fc\u00dfe aus K\u00f6ln mit = und mit einem Blank \r\n",
			head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus K=C3=B6ln mit =3D und mit einem Blank=20\r\n",
			"same",
		},
		{
			"text that is shorter in base64",
			head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u65e5\u672c\u8a9e\r\n",
			head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5pel5pys6KqeDQo=\r\n",
			"same",
		},
		{
			"no MIME", // RFC 1428
			"From: a@a.example\r\n\r\ncaf\xe9 and a lot of letters\r\n",
			"From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 and a lot of letters\r\n",
			"same",
		},
		{
			"declared only",
			head + "Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n",
			head + "Content-Transfer-Encoding: 7bit\r\n\r\nplain\r\n",
			"same",
		},
		{
			"binary declared only",
			head + "Content-Transfer-Encoding: BINARY (a comment)\r\n\r\nplain\r\n",
			head + "Content-Transfer-Encoding: 7bit\r\n\r\nplain\r\n",
			head + "Content-Transfer-Encoding: 7bit\r\n\r\nplain\r\n",
		},
		{
			"binary octets",
			head + "Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\x01\n\r\xff",
			head + "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEKDf8=\r\n",
			head + "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEKDf8=\r\n",
		},
		{
			"text with bare line feeds and no end", // a soft break keeps the end as it was
			head + "Content-Transfer-Encoding: binary\r\n\r\nfirst line\nsecond line of it",
			head + "Content-Transfer-Encoding: quoted-printable\r\n\r\nfirst line=0Asecond line of it=\r\n",
			head + "Content-Transfer-Encoding: quoted-printable\r\n\r\nfirst line=0Asecond line of it=\r\n",
		},
		{
			"parts",
			head + "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\npreamb\x80le\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nfor all of you: \xe9\xe9\xe9\r\n\r\n" +
				"--b \r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\r\n--b\r\nContent-Type: text/plain\r\n\r\nascii\r\n--b--\r\nepilog\x80ue\r\n",
			head + "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\npreamb?le\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nfor all of you: =E9=E9=E9\r\n\r\n" +
				"--b \r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--b\r\nContent-Type: text/plain\r\n\r\nascii\r\n--b--\r\nepilog?ue\r\n",
			head + "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\npreamb\x80le\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nfor all of you: \xe9\xe9\xe9\r\n\r\n" +
				"--b \r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--b\r\nContent-Type: text/plain\r\n\r\nascii\r\n--b--\r\nepilog\x80ue\r\n",
		},
		{
			"an enclosed message", // RFC 2046 section 5.2.1: encoded inside, never as a whole
			head + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: inner\r\n\r\nall of it but one \xe9\r\n",
			head + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nall of it but one =E9\r\n",
			"same",
		},
		{
			"octets that an encoding has no place for",
			head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3D\x80=\r\nb\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAA\x80EC\r\n--b--\r\n",
			head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3D=80=\r\nb\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n",
			"same",
		},
		{
			"signed, and binary elsewhere",
			head + "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nascii\r\n--s\r\n\r\nsignature\r\n--s--\r\n--o\r\n\r\n\x00\r\n--o--\r\n",
			head + "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nascii\r\n--s\r\n\r\nsignature\r\n--s--\r\n--o\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--o--\r\n",
			head + "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nascii\r\n--s\r\n\r\nsignature\r\n--s--\r\n--o\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--o--\r\n",
		},
	} {
		for form, want := range map[Form]string{SevenBit: c.seven, EightBit: c.eight} {
			got, p, err := convert(c.in, form)
			if err != nil {
				t.Errorf("%s to %s: %v", c.name, form, err)
				continue
			}
			changed := want != "same"
			if !changed {
				want = c.in
			}
			if got != want || p.Changed != changed {
				t.Errorf("%s to %s (changed %v):\ngot  %q\nwant %q", c.name, form, p.Changed, got, want)
			}
			if changed && p.Size != int64(len(got)) {
				t.Errorf("%s to %s: size %d, is %d", c.name, form, p.Size, len(got))
			}
		}
	}
}

func TestRefused(t *testing.T) {
	const head = "MIME-Version: 1.0\r\n"
	for in, want := range map[string]string{
		"Subject: \xe9\r\n\r\nx\r\n": "header fields that are not ASCII",
		head + "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xe9\r\n--s--\r\n":                                                              "signed",
		head + "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n\xe9\r\n--i\r\n\r\nx\r\n--s--\r\n": "signed",
		head + "Content-Type: message/partial; id=x\r\n\r\n\xe9\r\n":                                                                                         "must not be encoded",
		head + "Content-Transfer-Encoding: x-uue\r\n\r\n\xe9\r\n":                                                                                            "encoding is not known",
		head + "Content-Type: multipart/mixed\r\n\r\n\xe9\r\n":                                                                                               "must not be encoded",
		"Subject: " + strings.Repeat("x", maxLine) + "\r\n\r\n\xe9\r\n":                                                                                      "too long",
		nested(maxDepth + 1): "nested too deeply",
	} {
		_, _, err := convert(in, SevenBit)
		var r *Refusal
		if !errors.As(err, &r) || !strings.Contains(r.Reason, want) {
			t.Errorf("%.60q: %v, want a refusal: %s", in, err, want)
		}
	}
}

func nested(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String() + "\r\n\xe9\r\n"
}

func TestSignedByDKIM(t *testing.T) {
	_, p, err := convert("DKIM-Signature: v=1\r\n\r\nmany letters and \xe9\r\n", SevenBit)
	if err != nil || !p.Signed {
		t.Errorf("%+v, %v", p, err)
	}
}

// drawEntity writes a part and notes the decoded leaves in order.
func drawEntity(t *rapid.T, top bool, depth int) string {
	head := ""
	if top {
		head = "From: a@a.example\r\nMIME-Version: 1.0\r\n"
	}
	kinds := []string{"text", "octets", "qp", "base64"}
	if depth < 4 {
		kinds = append(kinds, "multipart", "enclosed")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "multipart":
		boundary := fmt.Sprintf("=_%d_boundary%d", depth, rapid.IntRange(0, 1<<30).Draw(t, "boundary"))
		b := head + "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\nContent-Transfer-Encoding: binary\r\n\r\n"
		b += rapid.SampledFrom([]string{"", "preamble\r\n", "pre\x80\r\n\r\n"}).Draw(t, "preamble")
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			b += "--" + boundary + "\r\n" + drawEntity(t, false, depth+1) + "\r\n"
		}
		return b + "--" + boundary + "--" + rapid.SampledFrom([]string{"", "\r\n", "\r\nepilogue", "\r\nep\x80\r\n"}).Draw(t, "epilogue")
	case "enclosed":
		return head + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n" + drawEntity(t, true, depth+1)
	case "text":
		return head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n" + drawOctets(t)
	case "qp":
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		_, _ = io.WriteString(w, drawOctets(t))
		_ = w.Close()
		return head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + b.String()
	case "base64":
		return head + "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(drawOctets(t)))
	}
	return head + "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" + drawOctets(t)
}

func drawOctets(t *rapid.T) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"\r\n", "\n", "\r", "\x00", "\xff", "\u00e9", " ", "\t", "=", ".", "--", "word", "a longer piece of text, ",
		strings.Repeat("long ", 250), strings.Repeat("\u65e5", 30),
	}), 0, 12).Draw(t, "octets")
	return strings.Join(pieces, "")
}

// leaves is what a receiver decodes, by a library that others wrote.
func leaves(t *rapid.T, text string) []string {
	var out []string
	var walk func(e *message.Entity)
	walk = func(e *message.Entity) {
		typ, _, _ := e.Header.ContentType()
		if mr := e.MultipartReader(); mr != nil {
			for {
				p, err := mr.NextPart()
				if err == io.EOF {
					return
				}
				if err != nil && !message.IsUnknownCharset(err) {
					t.Fatalf("%v\n%q", err, text)
				}
				walk(p)
			}
		}
		if typ == "message/rfc822" {
			inner, err := message.Read(e.Body)
			if err != nil && !message.IsUnknownCharset(err) {
				t.Fatalf("enclosed: %v\n%q", err, text)
			}
			walk(inner)
			return
		}
		b, err := io.ReadAll(e.Body)
		if err != nil {
			t.Fatalf("%s: %v\n%q", typ, err, text)
		}
		out = append(out, typ+":"+string(b))
	}
	e, err := message.Read(strings.NewReader(text))
	if err != nil && !message.IsUnknownCharset(err) {
		t.Fatalf("%v\n%q", err, text)
	}
	walk(e)
	return out
}

// Whatever the structure, what is decoded stays the same, and the result passes
// a host of that form.
func TestConversionKeepsTheContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawEntity(t, true, 0)
		form := rapid.SampledFrom([]Form{SevenBit, EightBit}).Draw(t, "form")
		p, err := Survey(opener(in), form)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p.Reader(iotest.HalfReader(strings.NewReader(in))))
		if err != nil {
			t.Fatal(err)
		}
		if p.Changed && p.Size != int64(len(b)) {
			t.Fatalf("size %d, is %d", p.Size, len(b))
		}
		if !p.Changed && string(b) != in {
			t.Fatalf("changed without saying so: %q", b)
		}
		fits(t, b, form)
		before, after := leaves(t, in), leaves(t, string(b))
		if len(before) != len(after) {
			t.Fatalf("%d parts became %d:\n%q\n%q", len(before), len(after), in, b)
		}
		for i := range before {
			if before[i] != after[i] {
				t.Fatalf("part %d: %q became %q\n%q\n%q", i, before[i], after[i], in, b)
			}
		}
	})
}

func fits(t *rapid.T, b []byte, form Form) {
	length := 0
	for i, c := range b {
		length++
		switch {
		case c == 0, c >= 0x80 && form == SevenBit:
			t.Fatalf("octet %#x at %d: %q", c, i, b)
		case c == '\n' && (i == 0 || b[i-1] != '\r'), c == '\r' && (i+1 == len(b) || b[i+1] != '\n'):
			t.Fatalf("CR or LF by itself at %d: %q", i, b)
		case c == '\n':
			length = 0
		case length > maxContentLine+1: // CR
			t.Fatalf("line above %d octets: %q", maxContentLine, b)
		}
	}
}

// Neither a hostile structure nor a cut stream upsets it, and it never says a
// size that is not so.
func FuzzConvert(f *testing.F) {
	f.Add("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xe9\r\n--b--\r\n", true)
	f.Add("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00: \r\n\t\r\n\r\n\xff", false)
	f.Add("Content-Type: multipart/a;boundary=a\r\n--a\r\n--a--\r\n--a\r\n\xe9", true)
	f.Fuzz(func(t *testing.T, in string, seven bool) {
		form := EightBit
		if seven {
			form = SevenBit
		}
		p, err := Survey(opener(in), form)
		var r *Refusal
		if errors.As(err, &r) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p.Reader(iotest.OneByteReader(strings.NewReader(in))))
		if err != nil {
			t.Fatal(err)
		}
		if p.Changed && p.Size != int64(len(b)) {
			t.Fatalf("size %d, is %d", p.Size, len(b))
		}
	})
}

// A content that is not the surveyed one is an error, not half a message.
func TestContentChanged(t *testing.T) {
	p, err := Survey(opener("\r\nmany letters and \xe9\r\n"), SevenBit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(p.Reader(strings.NewReader(""))); err == nil {
		t.Error("nothing passed for something")
	}
}

func BenchmarkConvert(b *testing.B) {
	rng := rand.New(rand.NewSource(1))
	var text strings.Builder
	text.WriteString("MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	for text.Len() < 1<<20 {
		fmt.Fprintf(&text, "a line of text with \u00e9 in it, number %d\r\n", rng.Int())
	}
	s := text.String()
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		p, err := Survey(opener(s), SevenBit)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, p.Reader(strings.NewReader(s))); err != nil {
			b.Fatal(err)
		}
	}
}
