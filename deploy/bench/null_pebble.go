package bench

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleKeeper keeps a letter as one key of a Pebble store, with the settings of
// Postroad's spool that matter here: no compression, memtables of 16 MiB, 16 tables
// of the first level before they are merged.
type pebbleKeeper struct {
	db   *pebble.DB
	last atomic.Uint64
}

func newPebbleKeeper(dir string) (*pebbleKeeper, error) {
	o := &pebble.Options{
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: 4,
		CacheSize:                   32 << 20,
		L0CompactionThreshold:       16,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               256 << 20,
		Logger:                      quiet{},
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	db, err := pebble.Open(dir, o)
	return &pebbleKeeper{db: db}, err
}

func (p *pebbleKeeper) keep(m *letter) error {
	m.number = p.last.Add(1)
	b := p.db.NewBatchWithSize(len(m.text) + 256)
	defer b.Close()
	op := b.SetDeferred(8, len(m.from)+len(m.to)+len(m.text)+2)
	binary.BigEndian.PutUint64(op.Key, m.number)
	v := op.Value
	for _, part := range []string{m.from, "\n", m.to, "\n", m.text} {
		v = v[copy(v, part):]
	}
	if err := op.Finish(); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

func (p *pebbleKeeper) delivered(m letter) error {
	return p.db.Delete(binary.BigEndian.AppendUint64(nil, m.number), pebble.NoSync)
}

// quiet drops what Pebble says of its ordinary work.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(format string, a ...any) { pebble.DefaultLogger.Errorf(format, a...) }
func (quiet) Fatalf(format string, a ...any) { pebble.DefaultLogger.Fatalf(format, a...) }
