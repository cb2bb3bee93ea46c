package smtpd

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

// naiveRepair is [repair] octet by octet: first the line ends, then the NULs.
func naiveRepair(text []byte, ends, nuls bool) []byte {
	var out []byte
	for i, b := range text {
		switch {
		case ends && b == '\r' && (i+1 == len(text) || text[i+1] != '\n'):
			out = append(out, ' ')
		case ends && b == '\n' && (i == 0 || text[i-1] != '\r'):
			out = append(out, '\r', '\n')
		default:
			out = append(out, b)
		}
	}
	if nuls {
		out = bytes.ReplaceAll(out, []byte{0}, nil)
	}
	return out
}

// hasBare says whether a CR or LF stands alone.
func hasBare(text []byte) bool {
	return bytes.ContainsAny(bytes.ReplaceAll(text, []byte("\r\n"), nil), "\r\n")
}

// FuzzData decodes content under each policy, however the network cuts it up, and
// compares with the naive decoder.
func FuzzData(f *testing.F) {
	for _, s := range []string{"", "Subject: x\r\n\r\n..dot\r\n", "x\n.\nMAIL FROM:<a@b>\r\n", "x\r\n.\rMAIL", "x\n.\r\ny", "x\r.\ry", "\r\n.\x00\r\n", "\r\n\x00.\r\n",
		"\r\n.\r\nQUIT\r\n", "a\r\r\n.\r\n", ".\r\n", ".\n", "\r\n..\r\n.", "x\r\x00\n.\r\n"} {
		for policy := range byte(4) {
			f.Add([]byte(s), uint8(3), policy)
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, cut, policy uint8) {
		wire = append(slices.Clone(wire), "\r\n.\r\nQUIT\r\n"...)
		config := Config{MaxHeaderSize: -1, MaxHeaderLines: -1}
		ends, nuls := policy&1 != 0, policy&2 != 0
		if ends {
			config.LineEnds = LineEndsRepair
		}
		if nuls {
			config.NULs = NULsDrop
		}
		raw, used, _, _ := naiveDots(wire)
		want := naiveRepair(raw, ends, nuls)
		refused := !ends && hasBare(raw) || !nuls && bytes.IndexByte(raw, 0) >= 0
		p := &pieces{data: slices.Clone(wire), sizes: slices.Repeat([]int{int(cut)%7 + 1, int(cut)/7 + 1}, 30)}
		c := &Conn{cfg: config.withDefaults(), raw: p, conn: p, in: input{src: p, lender: &buffers{}}}
		b := c.newBody(&dots{c: c, time: c.contentClock(), lenient: c.lenient()})
		got, err := read(b, int(cut)%40)
		if end := b.drain(); end != nil {
			t.Fatalf("drain: %v", end)
		}
		if left := len(c.in.window()) + len(p.data); left != len(wire)-used {
			t.Errorf("%q: %d octets left, want %d", wire, left, len(wire)-used)
		}
		if fine := err == nil && b.fault == nil; fine == refused {
			t.Errorf("%q: %v %v, refused %v", wire, err, b.fault, refused)
		}
		if !refused && !bytes.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", wire, got, want)
		}
	})
}

// FuzzCommand takes lines apart: a verb never has blanks or small letters, and
// nothing is lost but the blanks at the end.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"", "NOOP", "mail from:<a@b>", "RCPT  TO:<a@b> \t", " EHLO x", "bdat 10 last", "ſend", "HELO\tx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c := parseCommand(line)
		if strings.ContainsAny(c.verb, " abcdefghijklmnopqrstuvwxyz") || strings.HasSuffix(c.arg, " ") {
			t.Errorf("%q: verb %q argument %q", line, c.verb, c.arg)
		}
		if again := parseCommand(c.verb + " " + c.arg); again != c {
			t.Errorf("%q: %q, again %q", line, c, again)
		}
		if k, err := parseChunk(c.arg); err == nil && k.size < 0 {
			t.Errorf("%q: chunk %+v", line, k)
		}
		if isETRNNode(c.arg) && strings.ContainsAny(c.arg, "\r\n\x00 ") {
			t.Errorf("node %q", c.arg)
		}
		turnDomains(c.arg)
	})
}

// FuzzProxyHeader: what is accepted is exactly as long as it says, more octets
// behind it change nothing, and fewer make it incomplete.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\nEHLO x\r\n"))
	f.Add([]byte("PROXY TCP6 2001:db8::1 2001:db8::2 56324 25\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"))
	f.Add([]byte(proxySignature2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x00\x19"))
	f.Add([]byte(proxySignature2 + "\x21\x21\x00\x24" + strings.Repeat("\x20", 36)))
	f.Add([]byte(proxySignature2 + "\x20\x00\x00\x00"))
	f.Add([]byte(proxySignature2 + "\x21\x11\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseProxy(b)
		if err != nil {
			if n != 0 && !errors.Is(err, errProxyMore) || h != (proxyHeader{}) {
				t.Errorf("%q: %+v %d %v", b, h, n, err)
			}
			return
		}
		if n > len(b) || n > maxProxyBinary || h.client.IsValid() != h.local.IsValid() {
			t.Fatalf("%q: %+v %d", b, h, n)
		}
		if again, m, err := parseProxy(append(slices.Clone(b[:n]), "EHLO x\r\n"...)); again != h || m != n || err != nil {
			t.Errorf("%q: with more behind it %+v %d %v", b, again, m, err)
		}
		for i := range n {
			if _, _, err := parseProxy(b[:i]); err != errProxyMore {
				t.Errorf("%q: the first %d octets give %v", b, i, err)
			}
		}
	})
}

// FuzzXClient: what is taken over is in no way able to break a line or a log.
func FuzzXClient(f *testing.F) {
	for _, s := range []string{"NAME=spike.example ADDR=168.100.189.2 PROTO=ESMTP HELO=spike.example", "ADDR=IPV6:2001:db8::1 PORT=4711 DESTADDR=192.0.2.1 DESTPORT=25",
		"NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]", "NAME=[TEMPUNAVAIL]", "LOGIN=a+40b", "LOGIN=+0D+0A", "ADDR=", "FOO=1", "NAME", "PORT=65536"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		x, wrong := parseXClient(arg)
		if wrong != "" {
			return
		}
		for _, s := range []*string{x.name, x.helo, x.login} {
			if s != nil && !isPrintable(*s) {
				t.Errorf("%q: %q", arg, *s)
			}
		}
		for _, a := range []*netip.Addr{x.addr, x.destAddr} {
			if a != nil && (a.Zone() != "" || a.Is4In6()) {
				t.Errorf("%q: %s", arg, a)
			}
		}
	})
}

// oneAccount is alice, whose password is "secret".
type oneAccount struct {
	keys ScramKeys
	in   []string
}

func newAccount(t testing.TB) *oneAccount {
	client, err := scram.SHA256.NewClient("alice", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
	if err != nil {
		t.Fatal(err)
	}
	return &oneAccount{keys: ScramKeys{Salt: []byte(k.Salt), Iterations: k.Iters, StoredKey: k.StoredKey, ServerKey: k.ServerKey}}
}

func (a *oneAccount) ScramKeys(user string) (ScramKeys, bool, error) {
	if user == "away" {
		return ScramKeys{}, false, errors.New("directory away")
	}
	return a.keys, user == "alice", nil
}

func (a *oneAccount) ScramLogin(identity, user string) error {
	a.in = append(a.in, identity+"/"+user)
	return nil
}

// FuzzScram: nobody gets in without the password, whatever they say first and last.
func FuzzScram(f *testing.F) {
	f.Add("n,,n=alice,r=abc", "c=biws,r=abc,p=AAAA", false)
	f.Add("y,,n=alice,r=abc", "c=eSws,r=abc,p=AAAA", false)
	f.Add("p=tls-exporter,,n=alice,r=abc", "", true)
	f.Add("n,a=bob,n=nobody,r=abc", "v=x", false)
	f.Add("n,,n=a=2Cb=3D,r=\xff", "=", false)
	account := newAccount(f)
	server := New(Config{}, nil, nil)
	f.Fuzz(func(t *testing.T, first, last string, plus bool) {
		account.in = nil
		c := &Conn{server: server, cfg: server.config.Load()}
		name := ScramSHA256
		if plus {
			name = ScramSHA256Plus
		}
		s, err := c.Scram(name, account)
		if err != nil {
			t.Fatal(err)
		}
		challenge, done, err := s.Next([]byte(first))
		if done || err == nil && len(challenge) == 0 {
			t.Fatalf("%q: %q %v %v", first, challenge, done, err)
		}
		for _, response := range []string{last, ""} {
			if err == nil {
				_, done, err = s.Next([]byte(response))
			}
		}
		if done || len(account.in) > 0 {
			t.Errorf("%q %q: let in %q", first, last, account.in)
		}
	})
}
