package spool

import (
	"errors"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The log is on the disk that does not answer: calls under way return all the same.
func TestFailureDoesNotWaitForTheLog(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	saying := make(chan struct{})
	core := zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(os.Stderr), zap.ErrorLevel), func(e zapcore.Entry) error {
		if e.Message == "spool_failed" {
			close(saying)
			select {}
		}
		return nil
	})
	h := newHung(true, at(".log", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo))
	s, err := Open("data", Options{FS: errorfs.Wrap(vfs.NewMem(), h), Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	h.on.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.SetControl(nil) }()
	<-h.hit
	go s.giveUp(errors.New("the disk does not answer"))
	<-saying
	if err := <-done; !errors.Is(err, ErrFailed) { // used to wait for the log
		t.Error(err)
	}
	if err := s.Close(); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
}
