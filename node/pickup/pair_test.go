package pickup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Only a file that stands there is a content: what a link leads to belongs to somebody
// else, and a pipe would hold up the folder for ever.
func TestContentIsAFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("Subject: secret\r\n\r\nsecret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(path string) error{
		"symbolic link":    func(path string) error { return os.Symlink(secret, path) },
		"link in a circle": func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"pipe":             func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder":           func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &post{}
			k := started(t, p)
			k.c.Pairs = true
			if err := put(filepath.Join(k.c.Dir, "one.eml")); err != nil {
				t.Fatal(err)
			}
			envelope := `{"sender":"a@x.test","recipients":[{"address":"b@x.test"}],"content":"one.eml"}`
			if err := os.WriteFile(filepath.Join(k.c.Dir, "one.json"), []byte(envelope), 0o600); err != nil {
				t.Fatal(err)
			}
			k.look(t.Context())
			if len(p.got) != 0 {
				t.Fatalf("accepted %q", p.got)
			}
			why, err := os.ReadFile(filepath.Join(k.c.Dir, badFolder, "one.json.txt"))
			if err != nil || !strings.Contains(string(why), "one.eml is no file") {
				t.Errorf("%q, %v", why, err)
			}
		})
	}
}

// What the envelope file asks of reports is read as strictly as SMTP does.
func TestPairParameters(t *testing.T) {
	for fields, want := range map[string]string{
		`"notify":"SUCCESS,delay","original":"rfc822;b+2Bb@x.test"`: "",
		`"notify":"NEVER,SUCCESS"`:                                  "recipients[0].notify: must be NEVER alone",
		`"notify":"SUCCESS,SUCCESS"`:                                "recipients[0].notify: must be",
		`"original":"b@x.test"`:                                     `recipients[0].original: "b@x.test" must be ADDRESS-TYPE;ADDRESS`,
		`"original":"rfc822;a+0A"`:                                  "recipients[0].original: ",
		`"original":"rfc822;a+4"`:                                   "recipients[0].original: ",
	} {
		_, _, err := readPair([]byte(`{"sender":"a@x.test","recipients":[{"address":"b@x.test",` + fields + `}],"content":"one.eml"}`))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
}
