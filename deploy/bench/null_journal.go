package bench

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// journal is a file to which many write at a time and share the syncs. Nothing is
// ever looked up in it or taken out: less than any store does.
type journal struct {
	f    *os.File
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	group   *group
}

type group struct {
	done chan struct{}
	err  error
}

func newJournal(dir string) (*journal, error) {
	f, err := os.CreateTemp(dir, "null-*.log")
	if err != nil {
		return nil, err
	}
	j := &journal{f: f, wake: make(chan struct{}, 1), group: &group{done: make(chan struct{})}}
	go j.run()
	return j, nil
}

func (j *journal) keep(m *letter) error {
	g := j.note(m.from, m.to, m.text)
	select {
	case j.wake <- struct{}{}:
	default:
	}
	<-g.done
	return g.err
}

func (j *journal) delivered(letter) error {
	j.note("delivered\r\n")
	return nil
}

// note writes with the next group.
func (j *journal) note(text ...string) *group {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range text {
		j.pending = append(j.pending, t...)
	}
	return j.group
}

func (j *journal) run() {
	var spare []byte
	for range j.wake {
		j.mu.Lock()
		text, g := j.pending, j.group
		j.pending, j.group = spare[:0], &group{done: make(chan struct{})}
		j.mu.Unlock()
		_, err := j.f.Write(text)
		g.err = errors.Join(err, syscall.Fdatasync(int(j.f.Fd())))
		close(g.done)
		spare = text
	}
}
