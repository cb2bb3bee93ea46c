package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const least = `
name: paris-1
organization: example
data: data
tls: {ca: ca.crt, cert: node.crt, key: node.key}
`

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(path)
}

func TestMetricsOff(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "127.0.0.1:9691",
		"metrics: off":            "off", // a boolean to YAML
		`metrics: "off"`:          "off",
		"metrics: 127.0.0.1:1234": "127.0.0.1:1234",
	} {
		c, err := load(t, least+text)
		if err != nil {
			t.Fatal(err)
		}
		if c.Metrics != want {
			t.Errorf("%q gives metrics %q, want %q", text, c.Metrics, want)
		}
	}
}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	_, err := load(t, "name: paris-1\n")
	if err == nil {
		t.Fatal("a configuration without anything else was taken")
	}
	for _, field := range []string{"organization", "data", "tls.ca", "tls.cert", "tls.key"} {
		if !strings.Contains(err.Error(), field+": must be set") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}
