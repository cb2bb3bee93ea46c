package pickup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// Folder is the name of a node's pickup folder below its data folder.
const Folder = "pickup"

const (
	suffix    = ".eml"
	badFolder = "bad"
)

// Config of a Pickup.
type Config struct {
	// Dir is the folder; it is made if it is not there, for the node's user alone.
	Dir string
	// Pairs: messages are pairs of files, as drop directories have them: what
	// NAME.json says of the envelope, and NAME.eml. Else they are single files.
	Pairs bool
	// Submit accepts a message, durably; *submit.Submitter has it.
	Submit func(*mail.Submission, io.Reader) error
	// Temporary says whether what Submit returned may be over later.
	Temporary func(error) bool
	// Closed says why nothing is taken now; "" means go on.
	Closed func() string
	// Hostname is the name in the Received field.
	Hostname func() string
	// HopLimit and MaxSize: see mail.Submission.
	HopLimit func() int
	MaxSize  func() int64
	// Interval between looks at the folder; default 1s.
	Interval time.Duration
	Logger   *zap.Logger
}

// Pickup empties one folder.
type Pickup struct {
	c      Config
	closed string                 // as last logged
	told   map[string]string      // files that wait, and what was logged of them
	taken  map[string]fs.FileInfo // accepted, and not deleted yet
}

// New makes the folder. Errors are those of the file system.
func New(c Config) (*Pickup, error) {
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("pickup folder: %w", err)
	}
	return &Pickup{c: c, told: map[string]string{}, taken: map[string]fs.FileInfo{}}, nil
}

// Run takes files until ctx ends. A folder that cannot be read is logged and
// tried again.
func (p *Pickup) Run(ctx context.Context) error {
	t := time.NewTicker(p.c.Interval)
	defer t.Stop()
	for {
		p.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// look takes every file that is there, in the order of their names.
func (p *Pickup) look(ctx context.Context) {
	names, err := p.list()
	if err != nil {
		p.tell(p.c.Dir, err)
		return
	}
	delete(p.told, p.c.Dir)
	for _, name := range names {
		if ctx.Err() != nil || p.shut() {
			return
		}
		if err := p.take(name); err != nil {
			p.tell(name, err)
		} else {
			delete(p.told, name)
		}
	}
}

func (p *Pickup) list() (names []string, err error) {
	entries, err := os.ReadDir(p.c.Dir)
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), p.trigger()) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// trigger is the end of the name of a file that says that a message is there.
func (p *Pickup) trigger() string {
	if p.c.Pairs {
		return pairSuffix
	}
	return suffix
}

// shut says whether the node takes nothing now, and logs when that changes.
func (p *Pickup) shut() bool {
	why := ""
	if p.c.Closed != nil {
		why = p.c.Closed()
	}
	if why != p.closed {
		p.closed = why
		p.c.Logger.Info("pickup_waits", zap.String("reason", why))
	}
	return why != ""
}

// tell logs an error of a file once.
func (p *Pickup) tell(name string, err error) {
	if p.told[name] != err.Error() {
		p.told[name] = err.Error()
		p.c.Logger.Warn("pickup_failed", zap.String("file", name), zap.String("cure", "it is tried again"), zap.Error(err))
	}
}

// take handles one file; an error leaves it where it is.
func (p *Pickup) take(name string) error {
	about, err := os.Lstat(filepath.Join(p.c.Dir, name))
	var f *os.File
	var l *Letter
	if err == nil {
		f, l, err = p.open(name)
	}
	var wrong *unfit
	switch {
	case errors.As(err, &wrong):
		return p.refuse(wrong, p.withContent(name)...)
	case errors.Is(err, fs.ErrNotExist):
		return nil // its writer took it back
	case err != nil:
		return err
	}
	defer f.Close()
	names := []string{name}
	if l != nil {
		names = append(names, filepath.Base(f.Name()))
	}
	if !same(p.taken[name], about) {
		switch refused, err := p.submit(name, f, l); {
		case err != nil:
			return err
		case refused != nil:
			return p.refuse(refused, names...)
		}
		p.taken[name] = about
	}
	return p.clear(names)
}

// withContent adds the file that stands beside an envelope which cannot be read.
func (p *Pickup) withContent(name string) []string {
	content := contentOf(name)
	if _, err := os.Lstat(filepath.Join(p.c.Dir, content)); err != nil {
		return []string{name}
	}
	return []string{name, content}
}

// contentOf is the usual name of an envelope's content.
func contentOf(name string) string { return strings.TrimSuffix(name, pairSuffix) + suffix }

// open gives the file with the content; the letter is nil if its envelope is in there.
func (p *Pickup) open(name string) (*os.File, *Letter, error) {
	if p.c.Pairs {
		return p.openPair(name)
	}
	f, err := openFile(filepath.Join(p.c.Dir, name))
	return f, nil, err
}

// openFile opens what is a file itself. What a link leads to is not its writer's to send,
// though this node may read it; a pipe would be waited for.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, noFile(path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = noFile(path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func noFile(path string) error {
	return &unfit{fmt.Errorf("%s is no file; put a copy of what it stands for", filepath.Base(path))}
}

// submit gives why the file can never be taken, or why not now.
func (p *Pickup) submit(name string, f *os.File, l *Letter) (refused, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	eight, wide, err := inspect(f)
	if err != nil {
		return sort(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if l != nil {
		l.Content = &lineEnds{r: f}
	} else if l, err = Read(f); err != nil {
		return sort(err)
	}
	e := l.Envelope
	if e.Body == mail.Body7Bit && eight {
		e.Body = mail.Body8BitMIME
	}
	e.UTF8 = e.UTF8 || wide || needsUTF8(e)
	if e.Origin.IsZero() {
		e.Origin = originOf(name, info)
	}
	err = p.c.Submit(&mail.Submission{
		Envelope: e, By: p.c.Hostname(), HopLimit: p.c.HopLimit(), MaxSize: p.c.MaxSize(), Complete: true,
	}, l.Content)
	switch {
	case err == nil:
		p.c.Logger.Info("pickup_accepted", zap.String("file", name), zap.Stringer("id", e.ID),
			zap.Stringer("sender", e.From), zap.Int("recipients", len(e.Recipients)))
		return nil, nil
	case p.c.Temporary(err):
		return nil, err
	}
	return sort(err)
}

// sort tells errors of the disk, which may pass, from those of the file.
func sort(err error) (refused, wait error) {
	var path *fs.PathError
	if errors.As(err, &path) {
		return nil, err
	}
	return err, nil
}

// inspect looks for octets above 127: anywhere, and in the header.
func inspect(r io.Reader) (eight, wide bool, err error) {
	var buf [32 << 10]byte
	header, lineStart := true, true
	for {
		n, err := r.Read(buf[:])
		for _, c := range buf[:n] {
			switch {
			case c >= 0x80:
				eight = true
				wide = wide || header
			case c == '\n':
				header = header && !lineStart
			}
			if c != '\r' {
				lineStart = c == '\n'
			}
		}
		if err == io.EOF {
			return eight, wide, nil
		}
		if err != nil {
			return false, false, err
		}
	}
}

func needsUTF8(e *mail.Envelope) bool {
	for _, r := range e.Recipients {
		if !r.Address.IsASCII() {
			return true
		}
	}
	return !e.From.IsASCII()
}

// originOf gives the same file the same name each time it is taken.
func originOf(name string, info fs.FileInfo) mail.ID {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", name, info.Size(), info.ModTime().UnixNano()))
	return mail.NewID(info.ModTime(), [10]byte(h[:10]))
}

// refuse moves the files of a message aside, with the reason beside them.
func (p *Pickup) refuse(why error, names ...string) error {
	bad := filepath.Join(p.c.Dir, badFolder)
	folder := p.freeFolder(bad, names)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	to := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(to(names[0]+".txt"), []byte(why.Error()+"\n"), 0o600); err != nil {
		return err
	}
	for _, n := range names {
		if err := os.Rename(filepath.Join(p.c.Dir, n), to(n)); err != nil {
			return err
		}
	}
	p.c.Logger.Warn("pickup_refused", zap.String("file", to(names[0])), zap.Error(why))
	return errors.Join(syncFolder(folder), syncFolder(bad), syncFolder(p.c.Dir))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Leave writes a message into the folder dir so that a node that runs, or starts
// later, takes it whole or not at all. write writes the file.
func Leave(dir string, write func(io.Writer) error) (err error) {
	// First: what fails when the message is in its place would have it left twice.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	name := strings.TrimPrefix(filepath.Base(f.Name()), ".new-")
	name = fmt.Sprintf("%d-%s%s", time.Now().UnixMilli(), name, suffix)
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return d.Sync()
}

// freeFolder is where names can go so that nothing is written over: bad, bad/2, bad/3. The names
// stay, since the envelope of a pair says that of its content; and one without content goes to
// no folder where it would find another's.
func (p *Pickup) freeFolder(bad string, names []string) string {
	if p.c.Pairs {
		names = append(slices.Clone(names), contentOf(names[0]))
	}
	folder := bad
	taken := func(name string) bool {
		_, err := os.Lstat(filepath.Join(folder, name))
		return err == nil
	}
	for n := 2; slices.ContainsFunc(names, taken); n++ {
		folder = filepath.Join(bad, strconv.Itoa(n))
	}
	return folder
}
