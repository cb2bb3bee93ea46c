package pickup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Replay is the name of a node's replay folder below its data folder.
const Replay = "replay"

// pairSuffix is that of the envelope file of a pair.
const pairSuffix = ".json"

// maxPair bounds an envelope file, in octets.
const maxPair = 16 << 20

// pair is the envelope file NAME.json beside the content NAME.eml, as a drop
// directory has them. What is not here does not matter on the way in.
type pair struct {
	Sender     string          `json:"sender"` // "" for reports
	Recipients []pairRecipient `json:"recipients"`
	EnvelopeID string          `json:"envelope_id"`
	Return     string          `json:"return"`
	Priority   string          `json:"priority"`
	Content    string          `json:"content"`
}

type pairRecipient struct {
	Type     string `json:"type"`
	Address  string `json:"address"`
	Original string `json:"original"`
	Notify   string `json:"notify"`
}

// openPair gives the content file of an envelope file and how to read it. A content
// that is not there is the writer's fault: it comes first.
func (p *Pickup) openPair(name string) (f *os.File, l *Letter, err error) {
	in, err := openFile(filepath.Join(p.c.Dir, name))
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxPair+1))
	if err != nil {
		return nil, nil, err
	}
	e, content, err := readPair(b)
	if err != nil {
		return nil, nil, &unfit{err}
	}
	if f, err = openFile(filepath.Join(p.c.Dir, content)); errors.Is(err, fs.ErrNotExist) {
		err = &unfit{fmt.Errorf("content: there is no file %s; write it before the envelope", content)}
	}
	return f, &Letter{Envelope: e}, err
}

// unfit is an error of what was written, not of the disk.
type unfit struct{ err error }

func (u *unfit) Error() string { return u.err.Error() }

func readPair(b []byte) (*mail.Envelope, string, error) {
	if len(b) > maxPair {
		return nil, "", fmt.Errorf("the envelope has more than %d octets", maxPair)
	}
	var d pair
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&d); err != nil {
		return nil, "", fmt.Errorf("the envelope is not JSON: %w", err)
	}
	if d.Content == "" || filepath.Base(d.Content) != d.Content || !strings.HasSuffix(d.Content, suffix) {
		return nil, "", fmt.Errorf("content: %q must be the name of a file beside this one, ending in %s", d.Content, suffix)
	}
	e := &mail.Envelope{EnvelopeID: d.EnvelopeID, Return: d.Return, Priority: priorityOf(d.Priority)}
	var err error
	if e.From, err = path("<" + d.Sender + ">"); err != nil {
		return nil, "", fmt.Errorf("sender: %w", err)
	}
	for i, r := range d.Recipients {
		if r.Type != "" && !strings.EqualFold(r.Type, "SMTP") {
			return nil, "", fmt.Errorf("recipients[%d]: has the type %s; only SMTP addresses are taken here", i, r.Type)
		}
		a, err := mail.ParseAddress(r.Address)
		if err != nil {
			return nil, "", fmt.Errorf("recipients[%d]: %w", i, err)
		}
		if r.Original != "" {
			if _, _, err := mail.ParseOriginal(r.Original); err != nil {
				return nil, "", fmt.Errorf("recipients[%d].original: %q %w", i, r.Original, err)
			}
		}
		notify, err := notifyOf(r.Notify)
		if err != nil {
			return nil, "", fmt.Errorf("recipients[%d].notify: %w", i, err)
		}
		e.Recipients = append(e.Recipients, mail.Recipient{Address: a, Original: r.Original, Notify: notify})
	}
	if len(e.Recipients) == 0 {
		return nil, "", errors.New("recipients: there are none")
	}
	return e, d.Content, nil
}

func priorityOf(s string) mail.Priority {
	for _, p := range []mail.Priority{mail.PriorityLow, mail.PriorityHigh} {
		if strings.EqualFold(s, p.String()) {
			return p
		}
	}
	return mail.PriorityNormal
}

// notifyOf is empty for the default.
func notifyOf(s string) (mail.Notify, error) {
	if s == "" {
		return 0, nil
	}
	return mail.ParseNotify(s)
}
