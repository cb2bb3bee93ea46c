package deliver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// Maildir delivery. The order is what makes it safe against a crash; nothing is
// reported as delivered before the last step:
//
//  1. write tmp/NAME        a crash leaves a file that no reader looks at
//  2. fsync the file        so that what gets a place in new is whole
//  3. rename to new/NAME    atomic: readers see all of it or nothing
//  4. fsync the new folder  so that the name survives too
//
// A crash between 3 and the queue's own record of the delivery makes the queue
// deliver again; a crash of any node on the way, between handing a message on and
// its record of that, makes it come twice. NAME is made of what the first node
// gave the message and every node hands on, so the second file replaces the first
// unless its reader has already moved it: a duplicate is left only then. Names in
// tmp carry the process and a counter, so attempts that run never meet.

// mailboxes remembers which maildirs exist, to spare the look.
type mailboxes struct {
	known   sync.Map // path -> struct{}
	counter atomic.Uint64
}

func newMailboxes() *mailboxes { return &mailboxes{} }

// deliverLocal stores a transaction in the mailboxes of its targets.
func (a *Agent) deliverLocal(t *mail.Transaction) []mail.Outcome {
	outcomes := make([]mail.Outcome, len(t.Targets))
	for i := range t.Targets {
		o := mail.Outcome{Result: mail.Delivered, Status: mail.StatusDelivered, Text: "stored in the mailbox"}
		if err := a.store(t, &t.Targets[i]); err != nil {
			o = storeFailed(err)
			a.log.Warn("mailbox_delivery_failed", zap.Stringer("id", t.Envelope.ID), zap.Stringer("recipient", t.Targets[i].Address), zap.Error(err))
		}
		o.At = a.opts.Clock()
		outcomes[i] = o
	}
	return outcomes
}

// storeFailed sorts an error of the mailbox store. A mailbox that is full is its
// owner's matter; all else is this host's trouble, so the mail waits.
func storeFailed(err error) mail.Outcome {
	var over *overQuota
	switch {
	case errors.As(err, &over):
		return over.outcome()
	case errors.Is(err, syscall.EDQUOT):
		return mail.Defer(mail.Status{Class: 4, Subject: 2, Detail: 2}, "the mailbox is over its quota: "+err.Error())
	case errors.Is(err, fs.ErrPermission):
		return mail.Defer(mail.StatusNotTaken, "this server has no permission to write into the mailbox: "+err.Error())
	case errors.Is(err, syscall.ENOSPC):
		return mail.Defer(mail.StatusSystemFull, "the disk of the mailbox store is full: "+err.Error())
	}
	return mail.Defer(mail.Status{Class: 4, Subject: 3}, "the mailbox store failed: "+err.Error())
}

// store delivers to one mailbox. A maildir that somebody removed is made anew.
func (a *Agent) store(t *mail.Transaction, target *mail.Target) error {
	folder, err := a.folder(target)
	if err != nil {
		return err
	}
	for again := range 2 {
		if err = a.boxes.make(a.disk, folder); err != nil {
			return err
		}
		err = a.storeIn(folder, t, target)
		if again > 0 || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		a.boxes.known.Delete(folder)
	}
	return err
}

func (a *Agent) storeIn(folder string, t *mail.Transaction, target *mail.Target) error {
	name := a.fileName(t.Envelope)
	tmp := filepath.Join(folder, "tmp", fmt.Sprintf("%s.P%dQ%d", name, os.Getpid(), a.boxes.counter.Add(1)))
	header := fmt.Sprintf("Return-Path: <%s>\nDelivered-To: %s\n", t.Envelope.From, target.Address)
	size, err := a.writeSynced(tmp, header, t.Content)
	var quota Quota
	if err == nil {
		quota, err = a.room(folder, a.opts.Quota(*target), size)
	}
	if err == nil {
		err = a.disk.Rename(tmp, filepath.Join(folder, "new", name))
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if !quota.none() {
		used(folder, size)
	}
	return a.disk.SyncFolder(filepath.Join(folder, "new"))
}

// folder is the target's maildir; a name that would leave the root is refused.
func (a *Agent) folder(target *mail.Target) (string, error) {
	name := ""
	if a.opts.MailboxFolder != nil {
		name = a.opts.MailboxFolder(*target)
	} else {
		name = url.PathEscape(target.Address.Key())
	}
	if a.opts.MaildirRoot == "" || name == "" || name == "." || name == ".." || !filepath.IsLocal(name) {
		return "", fmt.Errorf("mailbox %q: %q is not a folder below the maildir root", target.Address, name)
	}
	return filepath.Join(a.opts.MaildirRoot, name), nil
}

// fileName is unique among messages: the origin's ID is, and the host name tells hosts that share a
// file system apart. "/" and ":" have meanings of their own in a maildir.
func (a *Agent) fileName(env *mail.Envelope) string {
	host := strings.NewReplacer("/", `\057`, ":", `\072`).Replace(a.opts.Hostname)
	id, at := env.Origin, env.Created
	if id.IsZero() {
		id, at = env.ID, env.Received
	}
	return strconv.FormatInt(at.Unix(), 10) + "." + id.String() + "." + host
}

// make creates a maildir, and syncs all folders that hold new names.
func (m *mailboxes) make(on disk, folder string) error {
	if _, ok := m.known.Load(folder); ok {
		return nil
	}
	if err := makeFolder(on, folder); err != nil {
		return err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o700); err != nil {
			return err
		}
	}
	if err := on.SyncFolder(folder); err != nil {
		return err
	}
	m.known.Store(folder, struct{}{})
	return nil
}

// writeSynced writes the header and the content, with the line ends of this
// system as maildir readers expect them, and syncs the file. It gives its size.
func (a *Agent) writeSynced(path, header string, c mail.Content) (size int64, err error) {
	rc, err := c.Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = rc.Close() }()
	_ = os.Remove(path) // of a process that died and had the number of this one, as in a container
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriterSize(f, 32<<10)
	if _, err := w.WriteString(header); err != nil {
		return 0, err
	}
	lines := &unixLines{w: w}
	if _, err := io.Copy(lines, rc); err != nil {
		return 0, err
	}
	if err := lines.end(); err != nil {
		return 0, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), a.disk.Sync(f)
}
