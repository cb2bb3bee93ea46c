package track

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// fileLimit is the size after which a day gets another file, in octets.
const fileLimit = 256 << 20

// dayOf is the UTC day, "2026-11-22": file names sort by it.
func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// fileName names the n-th file of a day, n from 1.
func fileName(day string, n int) string { return fmt.Sprintf("%s.%04d.jsonl", day, n) }

// parseFileName is the inverse of fileName.
func parseFileName(name string) (day string, n int, ok bool) {
	if len(name) < len(time.DateOnly) {
		return "", 0, false
	}
	day = name[:len(time.DateOnly)]
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return "", 0, false
	}
	_, err := fmt.Sscanf(name[len(day):], ".%d.jsonl", &n)
	return day, n, err == nil && n > 0 && name == fileName(day, n)
}

// file is one file of the log.
type file struct {
	path string
	day  string
	n    int
	size int64
}

// list gives the files in order of time. Other files in the folder are nobody's
// business.
func list(dir string) ([]file, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []file
	for _, d := range names {
		day, n, ok := parseFileName(d.Name())
		if !ok {
			continue
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // expired just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, file{filepath.Join(dir, d.Name()), day, n, info.Size()})
	}
	slices.SortFunc(all, func(a, b file) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.n, b.n)) })
	return all, nil
}

// files is the folder as the writer sees it.
type files struct {
	dir   string
	limit int64
	open  *os.File
	day   string
	n     int
	size  int64
	grown bool // a file was begun since the last expire
	// doubting: there are files that became too old all at once. doubt is how long the log
	// has run with such, processes before this one included; counted is what passed in this
	// one when that was last said.
	doubting       bool
	doubt, counted time.Duration
}

// certain is how long the log runs before it removes files that became too old all at
// once: the clock may be wrong, and somebody put it right.
const certain = 24 * time.Hour

// doubtName is the file that says how long the log has run in doubt: a node that is restarted
// each night is certain one day, too. A time by the clock would be as doubtful as the clock.
const doubtName = "doubt"

// to makes the day's last file the open one.
func (f *files) to(day string) error {
	if f.open != nil && f.day == day && f.size < f.limit && f.there() {
		return nil
	}
	f.close()
	all, err := list(f.dir)
	if err != nil {
		return err
	}
	last := file{n: 1}
	for _, x := range all {
		if x.day == day {
			last = x
		}
	}
	if last.size >= f.limit {
		last.n, last.size = last.n+1, 0
	}
	o, err := os.OpenFile(filepath.Join(f.dir, fileName(day, last.n)), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	f.open, f.day, f.n, f.size, f.grown = o, day, last.n, last.size, true
	return f.mend()
}

// there says whether the open file is still the one of its name. Somebody may have taken it
// away: what is written to it then nobody would find, and its room stays taken.
func (f *files) there() bool {
	named, err := os.Stat(f.open.Name())
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	mine, err := f.open.Stat()
	return err != nil || os.SameFile(named, mine)
}

// mend ends a line that a crash or a full disk left unfinished, so that only
// that one is lost.
func (f *files) mend() error {
	if f.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := f.open.ReadAt(last[:], f.size-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	return f.append([]byte{'\n'})
}

func (f *files) append(b []byte) error {
	n, err := f.open.Write(b)
	f.size += int64(n)
	if err != nil {
		f.close() // mended when it is opened again
	}
	return err
}

func (f *files) close() {
	if f.open != nil {
		_ = f.open.Close() // nothing is promised about what is not synced
		f.open = nil
	}
}

// count notes how long the log has run with files that became too old all at once, or that
// there are none. passed is the time since it was opened, whatever the clock says.
func (f *files) count(doubting bool, passed time.Duration) error {
	path := filepath.Join(f.dir, doubtName)
	switch {
	case !doubting:
		f.doubting, f.counted = false, passed
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case !f.doubting:
		f.doubt = f.doubtBefore()
	default:
		f.doubt += passed - f.counted
	}
	f.doubting, f.counted = true, passed
	return os.WriteFile(path, []byte(f.doubt.String()+"\n"), 0o600)
}

// doubtBefore is what an earlier process has counted. Half a line counts for nothing.
func (f *files) doubtBefore() time.Duration {
	b, _ := os.ReadFile(filepath.Join(f.dir, doubtName))
	text, whole := strings.CutSuffix(string(b), "\n")
	d, err := time.ParseDuration(text)
	if !whole || err != nil {
		return 0
	}
	return min(max(d, 0), certain)
}

// due says whether enough has passed to be counted: a process that is killed loses no more.
func (f *files) due(passed time.Duration) bool { return f.doubting && passed-f.counted >= time.Hour }

// expire removes files of days before the given time, and the oldest while all
// have more than limit octets. The open file stays. Files that are too old by more than a
// day stay until they were that for [certain]; passed is as in count.
func (f *files) expire(before time.Time, limit int64, passed time.Duration) error {
	all, err := list(f.dir)
	if err != nil {
		return err
	}
	var total int64
	for _, x := range all {
		total += x.size
	}
	first, aged := dayOf(before), dayOf(before.Add(-24*time.Hour))
	uncounted := f.count(len(all) > 0 && all[0].day < aged, passed) // it holds for this process at least
	if f.doubting && f.doubt < certain {
		first = "" // none by its age
	}
	var stay []error
	for _, x := range all {
		if f.open != nil && x.day == f.day && x.n == f.n || x.day >= first && total <= limit {
			continue
		}
		if err := os.Remove(x.path); err != nil {
			stay = append(stay, err) // the others need not
			continue
		}
		total -= x.size
	}
	if f.doubting && f.doubt >= certain && stay == nil {
		return f.count(false, passed) // the next jump is doubted anew
	}
	return errors.Join(append(stay, uncounted)...)
}

// writer turns events into lines of the right files.
type writer struct {
	files files
	buf   []byte
	swept string // day of the last expire

	day   string // the one that dayOf named last
	began int64  // Unix time in seconds
}

// dayOf names the day of an event; most are of the day of the one before.
func (w *writer) dayOf(t time.Time) string {
	if at := t.Unix(); w.day == "" || at < w.began || at >= w.began+secondsOfDay {
		w.day, w.began = dayOf(t), t.Truncate(secondsOfDay*time.Second).Unix()
	}
	return w.day
}

const secondsOfDay = 24 * 60 * 60

// writeSize is how many octets are given to the system at once.
const writeSize = 64 << 10

func (w *writer) write(events []mail.Event) error {
	w.buf = w.buf[:0]
	day := ""
	for i := range events {
		if d := w.dayOf(events[i].At); d != day || len(w.buf) >= writeSize {
			if err := w.out(day); err != nil {
				return err
			}
			day = d
		}
		w.buf = appendRecord(w.buf, &events[i])
	}
	return w.out(day)
}

func (w *writer) out(day string) error {
	if len(w.buf) == 0 {
		return nil
	}
	if err := w.files.to(day); err != nil {
		return err
	}
	err := w.files.append(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *writer) close() { w.files.close() }
