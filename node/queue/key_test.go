package queue

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

func drawGUID(t *rapid.T, label string) mail.GUID {
	var g mail.GUID
	copy(g[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
	return g
}

func drawKey(t *rapid.T) Key {
	d := mail.Destination{Place: mail.Place(rapid.IntRange(0, 2).Draw(t, "place"))}
	switch d.Place {
	case mail.PlaceServer:
		d.Server = drawGUID(t, "server")
	case mail.PlaceForeign:
		d.Type = rapid.StringN(1, 8, 8).Draw(t, "type")
		d.Domain = rapid.String().Draw(t, "domain")
		if rapid.Bool().Draw(t, "chosen") {
			d.Connector = drawGUID(t, "connector")
		}
	}
	c := mail.Class{
		Priority: mail.Priority(rapid.IntRange(-1, 1).Draw(t, "priority")),
		System:   rapid.Bool().Draw(t, "system"),
		Size:     rapid.Int64Range(0, 1<<40).Draw(t, "size"),
	}
	c.Sender = mail.NewSender(rapid.SliceOfN(rapid.Uint64(), 0, 4).Draw(t, "sender"))
	c.Bucket = rapid.Uint8().Draw(t, "bucket")
	var visited []mail.GUID
	for range rapid.IntRange(0, 30).Draw(t, "groups") {
		visited = append(visited, drawGUID(t, "group"))
	}
	k := KeyOf(d, c, visited)
	if rapid.Bool().Draw(t, "ordered") {
		k.Hold = rapid.SampledFrom([]string{"", HoldByHand, RuleHold("no-mail!>*+~")}).Draw(t, "hold")
		k.Via = rapid.SampledFrom([]string{"", "mx.example:25", "[2001:db8::1]:2525"}).Draw(t, "via")
		k.Part = rapid.Uint8().Draw(t, "part")
		k.Held = rapid.Bool().Draw(t, "held")
	}
	return k
}

func TestNameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKey(t)
		got, err := ParseName(k.Name())
		if err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("%q: got %+v, %v; want %+v", k.Name(), got, err, k)
		}
	})
}

// The form is on disk: it must stay as it is.
func TestNameForm(t *testing.T) {
	g := mail.GUID{0: 1, 15: 2}
	for _, tc := range []struct {
		key  Key
		want string
	}{
		{KeyOf(mail.Destination{}, mail.Class{System: true, Size: 9}, []mail.GUID{g}), "0|0||0|||||"},
		{KeyOf(mail.Destination{Place: mail.PlaceServer, Server: g}, mail.Class{Priority: -1}, nil), "1|-1||0||01000000000000000000000000000002|||"},
		{KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "a.example", Connector: g}, mail.Class{System: true, Size: 1024}, []mail.GUID{{3}, g, {3}}),
			"2|0|s|1024|AQAAAAAAAAAAAAAAAAAAAgAwAAAAAAAAAAAAAAAAAAAA||01000000000000000000000000000002|SMTP|a.example"},
		{KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "a"}, mail.Class{System: true, Sender: mail.NewSender([]uint64{3}), Bucket: 64}, nil), "2|0|s~AAAAAAAAAAM+64|0||||SMTP|a"},
		{KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "a"}, mail.Class{Bucket: 1}, nil), "2|0|+1|0||||SMTP|a"},
		{Key{Destination: mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "a"}, Class: mail.Class{Bucket: 1}, Held: true, Hold: RuleHold("spam"), Via: "mx.example:25", Part: 2},
			"h2|0|+1!cnVsZS9zcGFt>bXguZXhhbXBsZToyNQ*2|0||||SMTP|a"},
		{KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "X|", Domain: "c=us|o=x"}, mail.Class{Priority: 1}, nil), "2|1||0||||X%7C|c=us|o=x"},
	} {
		got := tc.key.Name()
		if got != tc.want {
			t.Errorf("name\n got %s\nwant %s", got, tc.want)
		}
	}
}

// A message's way must not matter beyond what routing looks at.
func TestVisitedIsASet(t *testing.T) {
	d := mail.Destination{Place: mail.PlaceServer, Server: mail.GUID{1}}
	a := KeyOf(d, mail.Class{}, []mail.GUID{{2}, {1}, {2}})
	b := KeyOf(d, mail.Class{}, []mail.GUID{{1}, {2}})
	if a.Name() != b.Name() {
		t.Errorf("%s and %s should be one queue", a.Name(), b.Name())
	}
	if c := KeyOf(d, mail.Class{}, []mail.GUID{{1}}); c.Name() == b.Name() {
		t.Errorf("%s: routing must tell these apart", c.Name())
	}
	var many []mail.GUID
	for i := range 200 {
		many = append(many, mail.GUID{byte(i), 1})
	}
	k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: string(make([]byte, 255))}, mail.Class{Size: 1 << 40}, many)
	if len(k.Name()) > maxName || !slices.Contains(k.Visited, mail.GUID{199, 1}) {
		t.Errorf("name of %d octets, newest group kept: %v", len(k.Name()), slices.Contains(k.Visited, mail.GUID{199, 1}))
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("0|0||0|||||")
	f.Add("2|0|s|1024|AQAAAAAAAAAAAAAAAAAAAg||01000000000000000000000000000002|SMTP|a.example")
	f.Add("1|-1||0||01000000000000000000000000000002|||")
	f.Fuzz(func(t *testing.T, name string) {
		k, err := ParseName(name)
		if err == nil && k.Name() != name {
			t.Fatalf("%q was read as %+v, whose name is %q", name, k, k.Name())
		}
	})
}
