package postfix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const authOrganization = `
kind: Organization
name: example
---
kind: RecipientPolicy
name: default
spec: {domains: [{domain: example.test}]}
---
kind: RoutingGroup
name: here
---
kind: Server
name: relay
spec: {routingGroup: here, fqdn: relay.example.test}
---
kind: VirtualServer
name: a-25
spec:
  server: relay
  smartHost: "[127.0.0.1]:PROVIDER"
  outbound: {credentials: {user: carol@provider.test, passwordFile: PASSWORD}}
---
kind: VirtualServer
name: b-587
spec: {server: relay, preset: PRESET_SUBMISSION, bindings: ["127.0.0.1:587"]}
---
kind: Recipient
name: alice
spec: {addresses: [alice@example.test], mailbox: {homeServer: relay}}
---
kind: Account
name: alice
spec: {password: "demo-password", sendAs: [alice@example.test]}
`

// A Postfix hands mail in with AUTH over STARTTLS, and the node hands it on, with
// credentials of its own, to a Postfix that takes mail from nobody else and asks
// Dovecot who is who.
func TestAuthenticationBothWays(t *testing.T) {
	dovecot := harness.StartDovecotAuth(t, map[string]string{"carol@provider.test": "correct horse"})
	provider := harness.StartPostfix(t, "outside.test", nil,
		"mynetworks =", "smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", "smtpd_sasl_path = "+dovecot.AuthSocket(),
		"smtpd_tls_auth_only = yes", "smtpd_sasl_authenticated_header = yes",
		"smtpd_relay_restrictions = permit_sasl_authenticated, reject", "smtpd_recipient_restrictions = permit_sasl_authenticated, reject")
	err := harness.Send(t, provider.Address(), "a@x.test", harness.Letter("a@x.test", "known@outside.test", "nobody@x.test", ""), "known@outside.test")
	if err == nil {
		t.Fatal("the provider takes mail from anybody")
	}

	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := harness.Ports(t, 64)
	org := strings.NewReplacer("PROVIDER", fmt.Sprint(provider.Port), "PASSWORD", password).Replace(authOrganization)
	harness.Up(t, org, "--base-port", fmt.Sprint(base))
	submission := fmt.Sprintf("127.0.0.1:%d", base+6) // after etcd's two and the node's four

	for name, tc := range map[string]struct {
		settings []string
		password string
		arrives  bool
	}{
		"strongest":      {nil, "demo-password", true},
		"plain":          {[]string{"smtp_sasl_mechanism_filter = plain"}, "demo-password", true},
		"login":          {[]string{"smtp_sasl_mechanism_filter = login"}, "demo-password", true},
		"wrong password": {nil, "another", false},
	} {
		t.Run(name, func(t *testing.T) {
			client := harness.StartPostfix(t, "branch.test", map[string]string{"outside.test": submission}, append(tc.settings,
				"smtp_sasl_auth_enable = yes", "smtp_sasl_password_maps = static:alice:"+tc.password,
				"smtp_sasl_security_options = noanonymous", "smtp_sasl_tls_security_options = noanonymous", "smtp_tls_security_level = encrypt")...)
			id := "auth-" + strings.ReplaceAll(name, " ", "-") + "@example.test"
			if err := harness.Send(t, client.Address(), "alice@example.test", harness.Letter("alice@example.test", "known@outside.test", id, "through both"), "known@outside.test"); err != nil {
				t.Fatal(err)
			}
			if !tc.arrives {
				harness.Eventually(t, 20*time.Second, func() error {
					if !strings.Contains(client.Log(), "535 5.7.8") {
						return fmt.Errorf("the client was not refused:\n%s", client.Log())
					}
					return nil
				})
				return
			}
			harness.Eventually(t, 30*time.Second, func() error {
				for _, m := range provider.Mailbox("known") {
					if !strings.Contains(m, id) {
						continue
					}
					for _, want := range []string{"(Authenticated sender: carol@provider.test)", "by relay.example.test", "with ESMTPSA"} {
						if !strings.Contains(m, want) {
							t.Errorf("the message has no %q:\n%s", want, m)
						}
					}
					return nil
				}
				return fmt.Errorf("not in the mailbox at the provider; the client's log:\n%s", client.Log())
			})
		})
	}
}
