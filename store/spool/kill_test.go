package spool

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	kills    = flag.Int("kills", max(20, 200/stride), "how often a process that writes a spool is killed")
	killSeed = flag.Uint64("killseed", 0, "seed of when they are killed; 0: a new one")
)

// killedProcess marks the process that is to be killed: the number of its life.
const killedProcess = "POSTROAD_TEST_KILLED"

// textOf is the body of a message: large ones are rare.
func textOf(id ID) []byte {
	r := rand.New(rand.NewPCG(binary.BigEndian.Uint64(id[:]), 0))
	size := r.IntN(8000)
	if r.IntN(20) == 0 {
		size = r.IntN(3 * chunkSize)
	}
	return bytes.Repeat([]byte(hex.EncodeToString(id[:])), size/32+1)[:size]
}

// TestKilledProcess is no test: it works on the spool until it is killed, and says
// what it was told: "+ID" accepted, "?ID" may go from now on, "-ID" gone.
func TestKilledProcess(t *testing.T) {
	life, err := strconv.ParseUint(os.Getenv(killedProcess), 10, 32)
	if err != nil {
		return // as a test among others
	}
	s, err := Open(flag.Arg(0), Options{MemTable: 2 << 20, Recipients: countTags})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	say := func(mark byte, id ID) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%c%x\n", mark, id)
	}
	// What earlier lives left is finished by this one.
	var left []ID
	if err := s.Messages(func(id ID) error { left = append(left, id); return nil }); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	for worker := range 4 {
		go func() {
			mine := []ID{}
			for i, id := range left {
				if i%4 == worker {
					mine = append(mine, id)
				}
			}
			for n := uint32(0); ; n++ {
				id := ID{}
				binary.BigEndian.PutUint32(id[:], uint32(life))
				binary.BigEndian.PutUint32(id[4:], n)
				id[8], id[15] = byte(worker+1), byte(n)
				b := s.NewBody()
				_, err := b.Write(textOf(id))
				if err == nil {
					err = s.Accept(Incoming{ID: id, Body: b, Envelope: id[:], Recipients: 2})
				}
				if err != nil {
					panic(err)
				}
				say('+', id)
				if mine = append(mine, id); len(mine) > 3 {
					say('?', mine[0])
					if err := finishOne(s, mine[0]); err != nil {
						panic(err)
					}
					say('-', mine[0])
					mine = mine[1:]
				}
			}
		}()
	}
	select {} // until the kill
}

// finishOne takes a message from whatever state to its end.
func finishOne(s *Spool, id ID) error {
	m, err := s.Load(id)
	if err != nil {
		return err
	}
	if m.Plan == nil {
		m.Entries = []Entry{{Queue: "a", Due: 1}, {Queue: "b", Due: 2}}
		if err := s.Plan(id, []byte("plan"), m.Entries, nil); err != nil {
			return err
		}
	}
	for _, e := range m.Entries {
		if _, err := s.Settle(Settlement{ID: id, Queue: e.Queue, Due: e.Due, Ends: ended(Delivered)}); err != nil {
			return err
		}
	}
	return nil
}

// A process that accepts, plans and settles is killed hundreds of times, at any
// moment. After each time everything that it acknowledged is there, whole, and
// nothing that was finished came back.
func TestKilledAgainAndAgain(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	r := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "spool")
	fates := map[ID]fate{}
	accepted, finished := 0, 0
	for life := range *kills {
		early := r.IntN(5) == 0 // while it starts
		said := lifeAndDeath(t, dir, life, early, time.Duration(20+r.IntN(40))*time.Millisecond)
		for line := range strings.Lines(said) {
			raw, err := hex.DecodeString(strings.TrimSpace(line[1:]))
			if err != nil || len(raw) != len(ID{}) || !strings.HasSuffix(line, "\n") {
				continue // "ready", or cut off
			}
			id := ID(raw)
			switch line[0] {
			case '+':
				fates[id] = there
				accepted++
			case '?':
				fates[id] = unsaid
			case '-':
				fates[id] = gone
				finished++
			}
		}
		checkAfterKill(t, dir, fates)
		if t.Failed() {
			t.Fatalf("after kill %d; repeat with -args -killseed %d", life+1, seed)
		}
	}
	if accepted < *kills || finished == 0 {
		t.Fatalf("too little happened for a verdict: %d accepted, %d finished", accepted, finished)
	}
	t.Logf("%d kills, %d messages accepted, %d finished", *kills, accepted, finished)
}

// lifeAndDeath gives what one process said until it was killed.
func lifeAndDeath(t *testing.T, dir string, life int, early bool, after time.Duration) string {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$", dir)
	child.Env = append(os.Environ(), fmt.Sprint(killedProcess, "=", life))
	var complaint bytes.Buffer
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewReader(out)
	if !early {
		if ready, err := lines.ReadString('\n'); err != nil {
			_ = child.Wait()
			t.Fatalf("it never was ready: %q, %v\n%s", ready, err, &complaint)
		}
	}
	time.AfterFunc(after, func() { _ = child.Process.Kill() }) // the moment is the point of the test
	_, err = io.Copy(&said, lines)
	if wait := child.Wait(); err != nil || complaint.Len() > 0 {
		t.Fatalf("life %d: %v, %v\n%s", life, err, wait, &complaint)
	}
	return said.String()
}

// checkAfterKill opens the spool as the next process would, and looks only.
func checkAfterKill(t *testing.T, dir string, fates map[ID]fate) {
	t.Helper()
	s, err := Open(dir, Options{ReadOnly: true, Recipients: countTags})
	if err != nil {
		if _, stat := os.Stat(filepath.Join(dir, formatName)); os.IsNotExist(stat) && len(fates) == 0 {
			return // killed before there was a spool
		}
		t.Fatal(err)
	}
	defer closeSpool(t, s)
	audit(t, s)
	for id, f := range fates {
		_, err := s.Load(id)
		switch {
		case f == gone && err == nil:
			t.Errorf("message %x came back", id)
		case f == there && err != nil:
			t.Errorf("message %x is lost: %v", id, err)
		case f == there && !bytes.Equal(readBody(t, s, id), textOf(id)):
			t.Errorf("message %x has another body", id)
		}
		if f == gone {
			delete(fates, id) // seen once
		}
	}
}
