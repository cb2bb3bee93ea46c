package mail_test

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
)

func TestOriginalRecipient(t *testing.T) {
	for _, c := range []struct{ typ, address, want string }{
		{"RFC822", "bob@example.test", "rfc822;bob@example.test"},
		{"rfc822", "a+b=c@example.test", "rfc822;a+2Bb+3Dc@example.test"},
		{"rfc822", `"a b"@example.test`, `rfc822;"a+20b"@example.test`},
		{"rfc822", "a+3Db@example.test", "rfc822;a+2B3Db@example.test"},
		{"rfc822", "jörg", "rfc822;j+C3+B6rg"},
		{"UTF-8", `j\ö+=rg@example.test`, `utf-8;j\x{5C}ö\x{2B}\x{3D}rg@example.test`},
		{"x400", "c=us;s=joe", "x400;c+3Dus;s+3Djoe"},
	} {
		if got := mail.OriginalRecipient(c.typ, c.address); got != c.want {
			t.Errorf("%s;%s: got %s, want %s", c.typ, c.address, got, c.want)
		}
	}
	if got := (mail.Address{Local: "jörg", Domain: "example.test"}).Original(); got != "utf-8;jörg@example.test" {
		t.Error(got)
	}
}
