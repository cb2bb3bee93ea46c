package spool

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// slowNotes creates notes of suspicion when it is let go.
type slowNotes struct {
	vfs.FS
	goOn chan struct{}
}

// Create implements vfs.FS.
func (s slowNotes) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.Contains(name, suspectName+"/") {
		<-s.goOn
	}
	return s.FS.Create(name, c)
}

// Two meet a broken table at once. The one who does not write the note must not go on, and
// perhaps end the spool, before it is there: the next start would not heal.
func TestSuspicionIsNotedBeforeAnybodyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := slowNotes{vfs.NewMem(), make(chan struct{})}
		s := &Spool{dir: "data", disk: &patient{FS: fs}, log: zap.NewNop()}
		on := make(chan error, 2)
		for range 2 {
			go func() {
				s.suspect("data/store/000012.sst")
				_, err := fs.Stat("data/suspect/000012.sst")
				on <- err
			}()
		}
		synctest.Wait()
		close(fs.goOn)
		for range 2 {
			if err := <-on; err != nil {
				t.Error(err)
			}
		}
	})
}
