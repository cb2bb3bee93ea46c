package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// slack is how far the file may outgrow what is kept before it is written anew.
const slack = 4 << 20

// ErrDamaged: a record in the middle of the file cannot be read. What came before
// it is kept.
var ErrDamaged = errors.New("history: damaged")

// ErrUnsaved: the file cannot be written, for a full disk perhaps. It is as it was, and
// is written with what comes next.
var ErrUnsaved = errors.New("history: not saved")

// Open reads the history of the last run and goes on with it. A log is returned
// in any case but one: the file cannot be read. With [ErrDamaged] it has what
// could be read; with [ErrUnsaved] it has all.
func Open(path string) (*Log, error) {
	l := &Log{path: path, base: make(state), last: make(state)}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("history: %w", err)
	}
	damage := l.read(b)
	if err := l.rewrite(); err != nil {
		l.torn = true
		return l, errors.Join(damage, fmt.Errorf("%w: %w", ErrUnsaved, err))
	}
	return l, damage
}

// Close ends the log. What was reserved and not given out is given back.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.reserved > l.taken {
		err = l.reserve(l.taken)
	}
	return errors.Join(err, l.file.Close())
}

// reserve is called with mu held.
func (l *Log) reserve(upTo uint64) error {
	l.reserved = upTo
	line, err := frame(&topologyv1.HistoryStep{Reserved: upTo})
	if err != nil {
		return err
	}
	return l.append(line)
}

// read takes over the records of a file.
func (l *Log) read(b []byte) error {
	defer func() { l.taken = max(l.taken, l.reserved) }() // they may have been given out
	for first := true; len(b) > 0; first = false {
		payload, rest, ok := cut(b)
		if !ok {
			return nil // cut short by a crash
		}
		var p topologyv1.HistoryStep
		if crc32.Checksum(payload, castagnoli()) != binary.LittleEndian.Uint32(b[len(b)-len(rest)-len(payload)-4:]) || proto.Unmarshal(payload, &p) != nil {
			return fmt.Errorf("%w: a record of %d octets, %d before the end", ErrDamaged, len(payload), len(b))
		}
		t, err := stepOf(&p)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		t.size = len(payload)
		if first && p.GetChange() == nil {
			l.base.apply(t)
			l.last.apply(t)
		} else if p.GetChange() != nil {
			l.push(t)
		}
		if r := p.GetReserved(); r > 0 {
			l.reserved = r // the last word counts: a clean end gives back
		}
		b = rest
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// cut takes one record's payload off.
func cut(b []byte) (payload, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || uint64(len(b)-w) < 4 || n > uint64(len(b)-w-4) {
		return nil, nil, false
	}
	b = b[w+4:]
	return b[:n], b[n:], true
}

func frame(p *topologyv1.HistoryStep) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	b := binary.AppendUvarint(nil, uint64(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli()))
	return append(b, payload...), nil
}

func (t *step) encode() ([]byte, error) {
	p := &topologyv1.HistoryStep{Change: t.change}
	v := new(View)
	if err := t.put.decode(v); err != nil {
		return nil, err
	}
	p.Objects, p.Records = v.Objects, v.Records
	for _, k := range t.gone {
		if k.record {
			p.RecordsGone = append(p.RecordsGone, []byte(k.name))
		} else {
			p.ObjectsGone = append(p.ObjectsGone, k.name)
		}
	}
	return frame(p)
}

func stepOf(p *topologyv1.HistoryStep) (*step, error) {
	put, err := encode(p.GetObjects(), p.GetRecords())
	if err != nil {
		return nil, err
	}
	t := &step{change: p.GetChange(), put: put}
	for _, name := range p.GetObjectsGone() {
		t.gone = append(t.gone, key{name: name})
	}
	for _, g := range p.GetRecordsGone() {
		t.gone = append(t.gone, key{true, string(g)})
	}
	return t, nil
}

// append is called with mu held, for what the log has in memory already.
func (l *Log) append(line []byte) error {
	if l.torn {
		return l.rewrite()
	}
	n, err := l.file.Write(line)
	l.appended += int64(n)
	if err != nil {
		// Half a record would hide what comes after it. On a full disk this may have to wait.
		l.torn = true
		return errors.Join(fmt.Errorf("history: %w", err), l.rewrite())
	}
	if l.appended > l.whole+int64(l.size+slack) {
		return l.rewrite()
	}
	return nil
}

// rewrite writes what is kept to a new file that takes the place of the old one.
func (l *Log) rewrite() error {
	var v View
	if err := l.base.decode(&v); err != nil {
		return err
	}
	all, err := frame(&topologyv1.HistoryStep{Objects: v.Objects, Records: v.Records, Reserved: l.reserved})
	if err != nil {
		return err
	}
	whole := int64(len(all))
	for _, t := range l.steps {
		line, err := t.encode()
		if err != nil {
			return err
		}
		all = append(all, line...)
	}
	next := l.path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if _, err = f.Write(all); err == nil {
		err = os.Rename(next, l.path)
	}
	if err != nil {
		return fmt.Errorf("history: %w", errors.Join(err, f.Close()))
	}
	if l.file != nil {
		_ = l.file.Close() // nothing more is written to it
	}
	l.file, l.appended, l.whole, l.torn = f, int64(len(all)), whole, false
	return nil
}

// Routed says whether an object has a part in routing, and so in the history.
// Accounts have secrets, recipients are many.
func Routed(o *directoryv1.Object) bool {
	switch o.GetSpec().(type) {
	case *directoryv1.Object_Account, *directoryv1.Object_Recipient, *directoryv1.Object_MessageFilter, *directoryv1.Object_MessageFormat, *directoryv1.Object_RecipientPolicy:
		return false
	}
	return true
}
