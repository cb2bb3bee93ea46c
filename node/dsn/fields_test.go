package dsn

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// Whatever address goes through ORCPT comes back as it was, as xtext and as utf-8;
// what is labelled utf-8 and is no such address stays as it came (RFC 6533 section 3).
func TestUnitext(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"utf-8;j\\x{FC}@k\\x{F6}ln.example", "global"}: "utf-8; jü@köln.example",
		{"utf-8;jü@köln.example", "global"}:             "utf-8; jü@köln.example",
		{"utf-8;jü@köln.example", ""}:                   "utf-8; j\\x{FC}@k\\x{F6}ln.example",
		{"UTF-8;a\\x{2B}b@x.example", "global"}:         "UTF-8; a+b@x.example",
		{"UTF-8;a\\x{2B}b@x.example", ""}:               "UTF-8; a\\x{2B}b@x.example",
		{"utf-8;no address \\x{FC}", "global"}:          "utf-8; no address \\x{FC}",
		{"utf-8;a\\x{110000}@x", "global"}:              "utf-8; a\\x{110000}@x",
		{"utf-8;a\\x{D800}@x", "global"}:                "utf-8; a\\x{D800}@x",
		{"utf-8;a\\x{0A}b@x.example", "global"}:         "utf-8; a\\x{0A}b@x.example",
		{"utf-8;a\\x{2B@x", "global"}:                   "utf-8; a\\x{2B@x",
		{"RFC822;Bob+2Blist+40far.example", ""}:         "RFC822; Bob+list@far.example",
		{"x400;/C+3DUS/", ""}:                           "x400; /C=US/",
		{"rfc822;a+zz@x", ""}:                           "rfc822; a+zz@x",
	} {
		if got := originalRecipient(in[0], in[1] != ""); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching("[a-zäöü+=/]{1,9}").Draw(t, "local")
		a := mail.Address{Local: local, Domain: "x.example"}
		typ := "utf-8"
		if a.IsASCII() && rapid.Bool().Draw(t, "rfc822") {
			typ = "rfc822"
		}
		if got, want := originalRecipient(mail.OriginalRecipient(typ, a.String()), true), typ+"; "+a.String(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
		if got, ok := fromUnitext(unitext(a.String())); !ok || got != a.String() {
			t.Fatalf("%q became %q", a, got)
		}
	})
}
