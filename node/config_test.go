package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/trust"
)

const minimal = `
name: paris-1
organization: example
data: data
tls: {ca: ca.crt, cert: tls/paris-1.crt, key: /etc/keys/paris-1.key}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigDefaultsAndRelativePaths(t *testing.T) {
	path := writeConfig(t, minimal)
	got, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	want := Config{
		Name: "paris-1", Organization: "example", Data: filepath.Join(dir, "data"),
		TLS:         trust.Files{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls", "paris-1.crt"), Key: "/etc/keys/paris-1.key"},
		AdminSocket: filepath.Join(dir, "data", "admin.sock"),
		Metrics:     "127.0.0.1:9691",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigRelativePathsOfEtcd(t *testing.T) {
	path := writeConfig(t, minimal+"etcd: {endpoints: [https://etcd:2379], tls: {ca: etcd.crt, cert: me.crt, key: /abs/me.key}}\nadminSocket: run/a.sock\n")
	got, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if want := (trust.Files{CA: filepath.Join(dir, "etcd.crt"), Cert: filepath.Join(dir, "me.crt"), Key: "/abs/me.key"}); *got.Etcd.TLS != want {
		t.Errorf("etcd.tls %+v, want %+v", *got.Etcd.TLS, want)
	}
	if want := filepath.Join(dir, "run", "a.sock"); got.AdminSocket != want {
		t.Errorf("adminSocket %s, want %s", got.AdminSocket, want)
	}
}

func TestBadConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string // all of them are in the error
	}{
		"empty": {"", []string{"name: must be set", "organization: must be set", "data: must be set",
			"tls.ca: must be set", "tls.cert: must be set (made by `postroad ca issue`)", "tls.key: must be set"}},
		"no YAML":       {"name: [", []string{"yaml"}},
		"unknown field": {minimal + "admn: 127.0.0.1:1\n", []string{`unknown field "admn"; the fields are name, organization, data, tls.ca,`, "etcd.tls.ca", "adminSocket", "log.level"}},
		"field twice":   {minimal + "name: paris-2\n", []string{`"name"`}},
		"wrong type":    {minimal + "minFree: plenty\n", []string{"minFree: is a string, must be a whole number, of octets"}},
		"wrong group":   {minimal + "etcd: https://etcd:2379\n", []string{"etcd: is a string, must be a group of endpoints, tls.ca"}},
		"wrong list":    {minimal + "etcd: {endpoints: https://etcd:2379}\n", []string{"etcd.endpoints: is a string, must be a list"}},
		"log level":     {minimal + "log: {level: loud}\n", []string{"log.level", "loud", "debug, info, warn or error"}},
		"log format":    {minimal + "log: {format: xml}\n", []string{"log.format", "xml", "json or console"}},
		"gossip":        {minimal + "gossip: '691'\n", []string{"gossip", "691", "host:port"}},
		"admin":         {minimal + "admin: localhost\n", []string{"admin", "localhost", "host:port"}},
		"metrics":       {minimal + "metrics: nowhere\n", []string{"metrics", "nowhere", "host:port"}},
		"disk timeout":  {minimal + "diskTimeout: 9s\n", []string{`diskTimeout "9s"`, "at least 10s, such as 90s"}},
		"no time":       {minimal + "diskTimeout: never\n", []string{`diskTimeout "never"`, "at least 10s"}},
		"seconds":       {minimal + "diskTimeout: 300\n", []string{`diskTimeout "300"`, "at least 10s, such as 90s"}},
		"endpoint":      {minimal + "etcd: {endpoints: ['http://etcd:2379', 'ftp://etcd']}\n", []string{"etcd.endpoints", "ftp://etcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, tc.text)
			_, err := LoadConfig(path)
			if err == nil {
				t.Fatal("the file was taken")
			}
			if strings.Contains(err.Error(), "JSON") {
				t.Errorf("the file is not JSON: %v", err)
			}
			for _, w := range append(tc.want, path) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error lacks %q: %v", w, err)
				}
			}
		})
	}
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "missing.yaml")); err == nil || !strings.Contains(err.Error(), "missing.yaml") || !strings.Contains(err.Error(), "--config") {
		t.Errorf("error %v, want one that names the file and the flag", err)
	}
}

func TestMetricsOff(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "127.0.0.1:9691",
		"metrics: off":            "off", // a boolean to YAML
		`metrics: "off"`:          "off",
		"metrics: 127.0.0.1:1234": "127.0.0.1:1234",
	} {
		c, err := LoadConfig(writeConfig(t, minimal+text))
		if err != nil {
			t.Fatal(err)
		}
		if c.Metrics != want {
			t.Errorf("%q gives metrics %q, want %q", text, c.Metrics, want)
		}
	}
}

// A node must not run with somebody else's certificate.
func TestCertificateOfAnotherNode(t *testing.T) {
	dir := t.TempDir()
	ca, err := trust.OpenAuthority(filepath.Join(dir, "ca"), "example", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := trust.Files{CA: filepath.Join(dir, "ca", trust.AuthorityCert), Cert: filepath.Join(dir, "c.crt"), Key: filepath.Join(dir, "c.key")}
	for _, tc := range []struct {
		name trust.Name
		ok   bool
	}{
		{trust.Name{Organization: "example", Role: trust.RoleServer, Name: "paris-1"}, true},
		{trust.Name{Organization: "example", Role: trust.RoleServer, Name: "paris-2"}, false},
		{trust.Name{Organization: "example", Role: trust.RoleAdmin, Name: "paris-1"}, false},
	} {
		if err := ca.Issue(tc.name, nil, f.Cert, f.Key, time.Now()); err != nil {
			t.Fatal(err)
		}
		_, err := New(Config{Name: "paris-1", Organization: "example", Data: dir, TLS: f}, Deps{})
		switch {
		case tc.ok && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case !tc.ok && (err == nil || !strings.Contains(err.Error(), tc.name.String()) || !strings.Contains(err.Error(), "correct name and organization")):
			t.Errorf("%s: error %v, want one that names both and the cure", tc.name, err)
		}
	}
}
