package directory

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Starting in a new folder and stopping are no events that an administrator has
// to think about.
func TestEmbeddedEtcdIsCalm(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	e, err := Embed(t.Context(), EmbedConfig{Dir: filepath.Join(t.TempDir(), "etcd"), Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	e.Stop()
	for _, l := range seen.All() {
		if strings.Contains(l.Message, "took too long") || strings.Contains(l.Message, "slow fdatasync") || strings.Contains(l.Message, "overloaded") {
			continue // of a slow machine it is right to warn
		}
		t.Errorf("%s: %s %v", l.Level, l.Message, l.ContextMap())
	}
}

// What is not normal is still said.
func TestEmbeddedEtcdStillWarns(t *testing.T) {
	core, seen := observer.New(zapcore.WarnLevel)
	c := calm{Core: core, stopping: new(atomic.Bool)}
	log := zap.New(c).With(zap.Int("member", 1))
	log.Warn(whenStopping[0]) // while running, this is a fault
	log.Warn(whenNew[0])      // in a folder that is not new, too
	log.Warn(always[0])
	if seen.Len() != 2 {
		t.Errorf("%d lines, want 2: %v", seen.Len(), seen.All())
	}
}
