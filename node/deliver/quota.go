package deliver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// A mailbox's use is kept in its file maildirsize, in the form of Maildir++: the
// quota, then one line "octets messages" for each change. Readers that know
// Maildir++ subtract what they delete; for those that do not, the mailbox is
// counted anew before mail is refused. Two deliveries at once may both take the last
// room: the bound is the owner's comfort, not the disk's protection.

const (
	usageFile = "maildirsize"
	// maxUsageFile is the size in octets at which the file is counted anew.
	maxUsageFile = 5120
	// maxUsed bounds what one line may say, so that sums stay numbers.
	maxUsed = 1 << 50
	// usageAge is how old a count must be to be doubted, unless it has changes.
	usageAge = 15 * time.Minute
)

// Quota bounds a mailbox; zero fields do not.
type Quota struct {
	Size  int64 // octets
	Count int64 // messages
}

func (q Quota) none() bool { return q.Size <= 0 && q.Count <= 0 }

// String is the form of Maildir++, "1000000S,1000C".
func (q Quota) String() string {
	var parts []string
	if q.Size > 0 {
		parts = append(parts, strconv.FormatInt(q.Size, 10)+"S")
	}
	if q.Count > 0 {
		parts = append(parts, strconv.FormatInt(q.Count, 10)+"C")
	}
	return strings.Join(parts, ",")
}

func parseQuota(s string) (q Quota) {
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		for suffix, field := range map[string]*int64{"S": &q.Size, "C": &q.Count} {
			if digits, ok := strings.CutSuffix(part, suffix); ok {
				if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 0 {
					*field = n
				}
			}
		}
	}
	return q
}

// overQuota says that a message does not fit into a mailbox.
type overQuota struct {
	quota, use Quota
	size       int64
}

func (e *overQuota) Error() string {
	if e.never() {
		return fmt.Sprintf("the message has %d octets, and the mailbox may hold %d in all", e.size, e.quota.Size)
	}
	return fmt.Sprintf("the mailbox holds %d octets in %d messages, and its quota is %s; the message has %d octets", e.use.Size, e.use.Count, e.quota, e.size)
}

// never: it would not fit into the empty mailbox either.
func (e *overQuota) never() bool { return e.quota.Size > 0 && e.size > e.quota.Size }

// outcome follows the book (chapter 7, table 2): a full mailbox is 5.2.2 at once,
// what is larger than its owner may receive 5.2.3.
func (e *overQuota) outcome() mail.Outcome {
	if e.never() {
		return mail.Fail(mail.StatusTooLarge, e.Error())
	}
	return mail.Fail(mail.StatusMailboxFull, e.Error())
}

// room says with an *overQuota that a message of size octets does not fit. It gives
// the quota that holds: the directory's, else the one that maildirsize has.
func (a *Agent) room(folder string, q Quota, size int64) (Quota, error) {
	path := filepath.Join(folder, usageFile)
	b, err := readStart(path, maxUsageFile+1)
	if q.none() {
		first, _, _ := strings.Cut(string(b), "\n")
		q = parseQuota(first)
	}
	switch {
	case q.none():
		return q, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFile):
		return q, err
	}
	use, changes, ok := readUsage(b, q)
	e := &overQuota{q, use, size}
	if ok && !e.exceeded() {
		return q, nil
	}
	if ok && changes <= 1 && a.fresh(path) {
		return q, e
	}
	if e.use, err = countMaildir(folder); err != nil {
		return q, err
	}
	if err := writeUsage(path, q, e.use); err != nil {
		return q, err
	}
	if e.exceeded() {
		return q, e
	}
	return q, nil
}

// Full says why a message of size octets (0: not known) would not fit into a mailbox
// of this server, as far as its maildirsize tells without a new count; nil: nothing is known
// against it. Who is asked before mail is accepted may not walk folders for strangers, and
// an old count refuses nobody: then the delivery counts, and the next answer is good.
func (a *Agent) Full(t *mail.Target, size int64) *mail.Outcome {
	folder, err := a.folder(t)
	if err != nil {
		return nil
	}
	path := filepath.Join(folder, usageFile)
	b, err := readStart(path, maxUsageFile+1)
	if err != nil {
		return nil
	}
	q := a.opts.Quota(*t)
	if q.none() {
		first, _, _ := strings.Cut(string(b), "\n")
		q = parseQuota(first)
	}
	use, changes, ok := readUsage(b, q)
	// On disk lines end with one octet less than on the wire.
	e := &overQuota{q, use, max(1, size-size/10)}
	if q.none() || !ok || changes > 1 || !e.exceeded() || !a.fresh(path) {
		return nil
	}
	o := mail.Fail(mail.StatusMailboxFull, "the mailbox is full")
	if e.never() {
		o = mail.Fail(mail.StatusTooLarge, "the message is larger than the whole mailbox may be")
	}
	return &o // strangers are not told what it holds
}

// errNoFile is a maildirsize that is a link, a pipe or the like, which only somebody with
// a bad purpose puts there: it is not touched, and a file takes its place.
var errNoFile = errors.New("it is not a plain file")

// openUsage opens a plain file and waits for nobody.
func openUsage(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO): // a link; a pipe without a reader, a socket
		return nil, errNoFile
	case err != nil:
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, errNoFile
	}
	return f, nil
}

// readStart reads at most n octets of a file.
func readStart(path string, n int64) ([]byte, error) {
	f, err := openUsage(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, n))
}

func (e *overQuota) exceeded() bool {
	return e.quota.Size > 0 && e.use.Size+e.size > e.quota.Size || e.quota.Count > 0 && e.use.Count+1 > e.quota.Count
}

func (a *Agent) fresh(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && a.opts.Clock().Sub(info.ModTime()) < usageAge
}

// readUsage sums up the file. It is not ok if it is not there, of another quota,
// too long or unreadable.
func readUsage(b []byte, q Quota) (use Quota, changes int, ok bool) {
	if len(b) == 0 || len(b) > maxUsageFile {
		return use, 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	if !lines.Scan() || parseQuota(lines.Text()) != q {
		return use, 0, false
	}
	for lines.Scan() {
		var size, count int64
		if _, err := fmt.Sscan(lines.Text(), &size, &count); err != nil || max(size, -size, count, -count) > maxUsed {
			return use, 0, false
		}
		use.Size, use.Count, changes = use.Size+size, use.Count+count, changes+1
	}
	return use, changes, use.Size >= 0 && use.Count >= 0
}

// countMaildir sums up all messages of a maildir and its subfolders but the trash.
func countMaildir(folder string) (use Quota, err error) {
	folders := []string{folder}
	list, err := os.ReadDir(folder)
	if err != nil {
		return use, err
	}
	for _, d := range list {
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".Trash" {
			folders = append(folders, filepath.Join(folder, d.Name()))
		}
	}
	for _, f := range folders {
		for _, sub := range []string{"new", "cur"} {
			if err := countFolder(filepath.Join(f, sub), &use); err != nil {
				return use, err
			}
		}
	}
	return use, nil
}

func countFolder(folder string, use *Quota) error {
	list, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, d := range list {
		if _, flags, _ := strings.Cut(d.Name(), ":2,"); strings.Contains(flags, "T") {
			continue
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved or deleted by its reader
		} else if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			use.Size, use.Count = use.Size+info.Size(), use.Count+1
		}
	}
	return nil
}

func writeUsage(path string, q, use Quota) error {
	tmp, err := os.CreateTemp(filepath.Join(filepath.Dir(path), "tmp"), usageFile+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(tmp, "%s\n%d %d\n", q, use.Size, use.Count)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// used notes a delivery. A note that cannot be written costs a new count, so that
// the file never says less than there is for long.
func used(folder string, size int64) {
	path := filepath.Join(folder, usageFile)
	f, err := openUsage(path, os.O_WRONLY|os.O_APPEND)
	if err == nil {
		// One write of a short line: appends of several processes do not mix.
		_, err = f.WriteString(strconv.FormatInt(size, 10) + " 1\n")
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		_ = os.Remove(path)
	}
}
