package queue

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// A read that the disk fails may work the next time. So a message that meets one is
// tried readTries times, and then set aside like one that is damaged: it must not
// stand in its queue for ever, nor expire for the disk's sake.

// readTries is how often a message may be met by a read that fails.
const readTries = 3

// readWait is how long a message waits after its n-th failed read.
func readWait(n int) time.Duration {
	if n <= 1 {
		return time.Minute
	}
	return 10 * time.Minute
}

// errUnread: the disk has failed to read the message too often; it is to be set aside.
var errUnread = errors.New("the disk failed to read it again and again")

// unread counts, since the start, the failed reads of messages that are not set aside.
// A start forgets it: the disk may have been changed meanwhile, and three tries more,
// in eleven minutes, cost nothing.
type unread struct {
	mu    sync.Mutex
	tries map[mail.ID]int
}

// doubt counts a failed read of the message: how many there were, and the error to go
// on with, errUnread after the last. Other errors come back as they are, with 0.
func (u *unread) doubt(id mail.ID, err error) (int, error) {
	if !errors.Is(err, spool.ErrUnreadable) || damaged(err) {
		return 0, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tries == nil {
		u.tries = map[mail.ID]int{}
	}
	u.tries[id]++
	n := u.tries[id]
	if n < readTries {
		return n, err
	}
	delete(u.tries, id)
	return n, fmt.Errorf("%w, %d times: %w", errUnread, n, err)
}

// forget ends the count of a message: it is gone, set aside, or released.
func (u *unread) forget(id mail.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.tries, id)
}
