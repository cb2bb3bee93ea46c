package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A process that dies while it exports leaves nothing that looks like a message, and what it
// left is in nobody's way.
func TestExportedWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(path+".part", []byte("half of a message of an earlier attempt"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the body is broken")
	for _, want := range []error{broken, nil} {
		err := writeWhole(path, func(w io.Writer) error {
			if _, err := io.WriteString(w, "whole"); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it is there before it is whole: %v", err)
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "whole" {
		t.Errorf("%q, %v", b, err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if err := writeWhole(path, func(io.Writer) error { return nil }); err == nil {
		t.Error("a file that is there was replaced")
	}
}
