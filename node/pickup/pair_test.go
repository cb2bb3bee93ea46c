package pickup

import (
	"os"
	"path/filepath"
	"slices"
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

// Pairs that were refused under the same names are whole when they are brought back: each
// envelope finds its own content.
func TestRefusedPairsStayTogether(t *testing.T) {
	p := &post{err: errNever}
	k := started(t, p)
	k.c.Pairs = true
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(k.c.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whose := []string{"one", "two", "three"}
	for _, who := range whose {
		put("x.eml", "Subject: "+who+"\n\n")
		put("x.json", `{"sender":"`+who+`@x.test","recipients":[{"address":"b@x.test"}],"content":"x.eml"}`)
		k.look(t.Context())
	}
	p.err = nil
	for i, folder := range []string{"", "2", "3"} {
		for _, n := range []string{"x.eml", "x.json"} {
			if err := os.Rename(filepath.Join(k.c.Dir, badFolder, folder, n), filepath.Join(k.c.Dir, n)); err != nil {
				t.Fatal(err)
			}
		}
		k.look(t.Context())
		if len(p.got) != i+1 || !strings.Contains(p.got[i], "from <"+whose[i]+"@x.test>") || !strings.Contains(p.got[i], "Subject: "+whose[i]) {
			t.Fatalf("of %s: accepted %q", whose[i], p.got)
		}
	}
}

// An envelope without its content does not come to lie beside another one's.
func TestRefusedEnvelopeMeetsNoStrangeContent(t *testing.T) {
	k := started(t, &post{})
	k.c.Pairs = true
	bad := filepath.Join(k.c.Dir, badFolder)
	if err := os.Mkdir(bad, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(bad, "x.eml"):      "Subject: another\n\n",
		filepath.Join(k.c.Dir, "x.json"): `{"sender":"a@x.test","recipients":[{"address":"b@x.test"}],"content":"x.eml"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.look(t.Context())
	if left := files(t, filepath.Join(bad, "2")); !slices.Equal(left, []string{"x.json", "x.json.txt"}) {
		t.Errorf("%q", left)
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
