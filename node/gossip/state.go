package gossip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// The state file: a line that names the format, eight bytes of Unix
// milliseconds, four bytes of CRC-32C over what follows, and the records as
// postroad.linkstate.v1.Records. Numbers are big endian.
const stateFormat = "postroad link state 1\n"

const stateHeader = len(stateFormat) + 8 + 4

// state is what a file holds: the table, and when it was the newest known.
type state struct {
	at      time.Time
	records []*linkstate.Record
}

func encodeState(s state) ([]byte, error) {
	body, err := proto.Marshal(encodeRecords(s.records))
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, stateHeader+len(body))
	b = append(b, stateFormat...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.at.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, body...), nil
}

func decodeState(b []byte) (state, error) {
	if !bytes.HasPrefix(b, []byte(stateFormat)) || len(b) < stateHeader {
		return state{}, fmt.Errorf("does not begin with %q; it is no link state file, or one of a newer version", stateFormat)
	}
	head, body := b[len(stateFormat):stateHeader], b[stateHeader:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(head[8:]) {
		return state{}, errors.New("checksum differs: the file is damaged")
	}
	var p linkstatev1.Records
	if err := proto.Unmarshal(body, &p); err != nil {
		return state{}, err
	}
	records, err := decodeRecords(&p)
	return state{time.UnixMilli(int64(binary.BigEndian.Uint64(head))), records}, err
}

func loadState(path string) (state, error) {
	if path == "" {
		return state{}, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	s, err := decodeState(b)
	if err != nil {
		return state{}, err
	}
	return s, nil
}

// setAside keeps a file that could not be read, for whoever wants to know why.
func setAside(path string) error { return os.Rename(path, path+".damaged") }

// saveState replaces the file in one step.
func saveState(path string, s state) error {
	b, err := encodeState(s)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

const (
	// saveSpacing joins changes that come together into one write.
	saveSpacing = time.Second
	// saveAtLeast confirms the age of a table that does not change.
	saveAtLeast = 10 * time.Minute
)

func (r *Runner) persistLoop(ctx context.Context) {
	if r.conf.StatePath == "" {
		return
	}
	confirm := time.NewTicker(saveAtLeast)
	defer confirm.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.persist:
		case <-confirm.C:
		}
		if err := r.save(); err != nil {
			r.log.Warn("linkstate_save_failed", zap.String("path", r.conf.StatePath), zap.Error(err))
		}
		spacing := time.NewTimer(saveSpacing)
		select {
		case <-ctx.Done():
		case <-spacing.C:
		}
		spacing.Stop()
	}
}

func (r *Runner) save() error {
	if r.conf.StatePath == "" {
		return nil
	}
	if err := saveState(r.conf.StatePath, state{r.conf.Now(), r.Table().All()}); err != nil {
		return fmt.Errorf("saving link state: %w", err)
	}
	return nil
}
