package dovecot

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// A virtual server asks Dovecot about users that have no Account.
func TestAccountsOfDovecot(t *testing.T) {
	auth := harness.StartDovecotAuth(t, map[string]string{"carol@dovecot.test": "correct horse", "dave@dovecot.test": "b:c\\=ü"})
	org := strings.ReplaceAll(harness.Demo(t), "name: paris-1-smtp\nspec:", "name: paris-1-smtp\nspec:\n  authentication: {dovecotSocket: "+auth.AuthSocket()+"}")
	org = strings.ReplaceAll(org, "    maxMessageSize: 50MiB", "    maxMessageSize: 50MiB\n    authFailureDelay: 1ms") // we guess a lot
	c := harness.Up(t, org)
	for _, tc := range []struct {
		user, password string
		mechanism      func(user, password string) sasl.Client
		code           int // 0: let in
	}{
		{"carol@dovecot.test", "correct horse", plain, 0},
		{"carol@dovecot.test", "correct horse", sasl.NewLoginClient, 0},
		{"Carol@Dovecot.test", "correct horse", plain, 0},
		{"dave@dovecot.test", "b:c\\=ü", plain, 0},
		{"carol@dovecot.test", "wrong", plain, 535},
		{"carol@dovecot.test", "", plain, 535},
		{"nobody@dovecot.test", "correct horse", plain, 535},
		{"carol@dovecot.test\tadmin", "correct horse", plain, 535},
		{"alice", "demo-password", plain, 0}, // an Account of the directory, as ever
	} {
		client, err := smtp.DialStartTLS(c.Node("paris-1").SMTP, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Auth(tc.mechanism(tc.user, tc.password))
		var refused *smtp.SMTPError
		if tc.code == 0 && err != nil || tc.code != 0 && (!errors.As(err, &refused) || refused.Code != tc.code) {
			t.Errorf("%q with %q: %v, want %d", tc.user, tc.password, err, tc.code)
		}
		if tc.code == 0 && strings.HasSuffix(tc.user, "dovecot.test") {
			// Whoever is known may relay.
			if err := client.Mail(strings.ToLower(tc.user), nil); err != nil {
				t.Error(err)
			}
			if err := client.Rcpt("x@outside.example", nil); err != nil {
				t.Errorf("%s may not relay: %v", tc.user, err)
			}
		}
		client.Close()
	}
	// Dovecot is away: nobody is told that his password is wrong.
	auth.Stop()
	client, err := smtp.DialStartTLS(c.Node("paris-1").SMTP, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var refused *smtp.SMTPError
	if err := client.Auth(plain("carol@dovecot.test", "correct horse")); !errors.As(err, &refused) || refused.Code != 454 {
		t.Errorf("without Dovecot: %v, want 454", err)
	}
}

func plain(user, password string) sasl.Client { return sasl.NewPlainClient("", user, password) }
