package deliver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/node/mail"
)

func parse(s string) (*reply, error) {
	rr := replyReader{br: bufio.NewReaderSize(strings.NewReader(s), readBuffer)}
	return rr.read()
}

func TestReply(t *testing.T) {
	for in, want := range map[string]string{
		"250 ok\r\n":                             "250 ok",
		"250\r\n":                                "250",
		"250 \r\n":                               "250 ",
		"250-a\r\n250-b\r\n250 c\r\n":            "250 a b c",
		"550 5.1.1 no such user\r\n":             "550 5.1.1 no such user",
		"550-5.1.1 no such\r\n550 5.1.1 one\r\n": "550 5.1.1 no such one",
		"550 5.1.1\r\n":                          "550 5.1.1 ",
		"550 4.1.1 contradiction\r\n":            "550 4.1.1 contradiction",
		"550 5.01.1 leading zero\r\n":            "550 5.01.1 leading zero",
		"354 3.0.0 no status here\r\n":           "354 3.0.0 no status here",
		"250 caf\xc3\xa9 \xff \x01\r\n":          "250 café ? ?",
	} {
		r, err := parse(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := r.keep().String(); strings.TrimRight(got, " ") != strings.TrimRight(want, " ") {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if r, _ := parse("550 4.1.1 x\r\n"); !r.status.IsZero() {
		t.Error("a status that contradicts the code was believed")
	}
	if r, _ := parse("550 5.7.1 x\r\n"); r.status != mail.StatusNoPermission {
		t.Error("the status was not found")
	}
}

func TestBadReply(t *testing.T) {
	for _, in := range []string{
		"\r\n", "25\r\n", "150 x\r\n", "650 x\r\n", "260 x\r\n", "25x y\r\n", "250_x\r\n", "250 x\n", "250 a\rb\r\n", "250 a\x00b\r\n",
		"250-a\r\n251 b\r\n", "250-a\r\nb\r\n", "HTTP/1.1 400 Bad Request\r\n",
		"250 " + strings.Repeat("x", maxReplyLine) + "\r\n", strings.Repeat("250-x\r\n", maxReplyLines) + "250 x\r\n",
	} {
		_, err := parse(in)
		var p protocolError
		if !errors.As(err, &p) {
			t.Errorf("%.40q: %v, want a protocol error", in, err)
		}
	}
	if _, err := parse("250-a\r\n"); !errors.Is(err, io.EOF) {
		t.Errorf("an unfinished reply: %v", err)
	}
}

// Whatever comes, the parser ends, keeps to its bounds, and what it accepts can
// be written again and means the same.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 x\r\n", "250\r\n", "250 a\n", "421-\x00", "550-5.1.1 a\r\n550 5.1.1 b\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rr := replyReader{br: bufio.NewReaderSize(bytes.NewReader(in), readBuffer)}
		for {
			r, err := rr.read()
			if err != nil {
				return
			}
			k := r.keep()
			if k.Code < 200 || k.Code > 559 || len(k.Lines) == 0 || len(k.Lines) > maxReplyLines {
				t.Fatalf("reply %+v", k)
			}
			if !k.Status.IsZero() && int(k.Status.Class) != k.Code/100 {
				t.Fatalf("status %v of code %d", k.Status, k.Code)
			}
			for _, l := range k.Lines {
				if strings.ContainsAny(l, "\r\n\x00") || !utf8.ValidString(l) || len(l) > 3*maxReplyLine {
					t.Fatalf("line %q", l)
				}
			}
			parseExtensions(r)
		}
	})
}

func TestLeastByTime(t *testing.T) {
	for line, want := range map[string]int64{"DELIVERBY": 0, "DELIVERBY 240": 240, "deliverby 240,x=1": 240, "DELIVERBY x": 0, "DELIVERBY -5": 0} {
		r, err := parse("250-host\r\n250 " + line + "\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if e := parseExtensions(r); !e.deliverBy || e.minBy != want {
			t.Errorf("%s: %+v", line, e)
		}
	}
}

// Keywords that a host says twice, or without sense.
func TestExtensionsThatContradict(t *testing.T) {
	rr := replyReader{br: bufio.NewReader(strings.NewReader("250-x.example\r\n250-AUTH LOGIN\r\n250-AUTH PLAIN\r\n250-auth\r\n250-SIZE 10\r\n250-SIZE\r\n250-SIZE -1\r\n" +
		"250-SIZE 99999999999999999999\r\n250-LIMITS RCPTMAX=0 MAILMAX=-1 RCPTMAX=x MAILMAX\r\n250-8BITMIME=1\r\n250-\r\n250 dsn\r\n"))}
	r, err := rr.read()
	if err != nil {
		t.Fatal(err)
	}
	e := parseExtensions(r)
	if !e.offersAuth("LOGIN") || !e.offersAuth("PLAIN") || e.maxSize != 10 || e.rcptMax != 0 || e.mailMax != 0 || e.eightBit || !e.dsn {
		t.Errorf("%+v", e)
	}
}
