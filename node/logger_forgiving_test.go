package node

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"
)

// full is a disk that takes nothing at first, and can never be synced.
type full struct {
	strings.Builder
	is bool
}

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	if f.is {
		return 0, errFull
	}
	return f.Builder.Write(b)
}

func (f *full) Sync() error { return errors.New("invalid argument") }

func TestLogSurvivesAFullDisk(t *testing.T) {
	disk := &full{is: true}
	out := &zapcore.BufferedWriteSyncer{WS: forgiving{disk}, FlushInterval: logFlush}
	write := func(line string) {
		if _, err := out.Write([]byte(line)); err != nil {
			t.Error(err)
		}
		if err := out.Sync(); err != nil {
			t.Error(err)
		}
	}
	write("lost\n")
	disk.is = false
	write("kept\n")
	if err := out.Stop(); err != nil {
		t.Errorf("a clean stop fails: %v", err)
	}
	if disk.String() != "kept\n" {
		t.Errorf("the log has %q", disk.String())
	}
}
