package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// dropEnvelope is the file NAME.json beside the content NAME.eml in a drop
// directory.
type dropEnvelope struct {
	ID         string          `json:"id"`
	MessageID  string          `json:"message_id,omitempty"`
	Received   time.Time       `json:"received"`
	Sender     string          `json:"sender"` // "" for reports
	Recipients []dropRecipient `json:"recipients"`
	EnvelopeID string          `json:"envelope_id,omitempty"`
	Return     string          `json:"return,omitempty"`
	Priority   string          `json:"priority"`
	Content    string          `json:"content"` // the name of the content file
}

type dropRecipient struct {
	Type     string `json:"type"`
	Address  string `json:"address"`
	Original string `json:"original,omitempty"`
	Notify   string `json:"notify,omitempty"`
}

// dropInto gives the delivery of a drop directory. A gateway takes a message when
// its envelope file is there: the content is written, synced and renamed
// first, the envelope last, so an envelope never names half a content. A
// repeated delivery replaces both files.
func dropInto(a *Agent, hop mail.Hop) func(*mail.Transaction) []mail.Outcome {
	return func(t *mail.Transaction) []mail.Outcome {
		o := mail.Outcome{Result: mail.Delivered, Status: mail.StatusOK, Text: "left in the drop directory", Remote: hop.ConnectorName}
		if err := a.drop(hop.Options.Directory, t); err != nil {
			o = storeFailed(err)
			a.log.Warn("drop_failed", zap.Stringer("id", t.Envelope.ID), zap.String("connector", hop.ConnectorName), zap.Error(err))
		}
		// The gateway reports further on, or does not; we cannot know.
		o.Relayed = o.Result == mail.Delivered
		o.At = a.opts.Clock()
		outcomes := make([]mail.Outcome, len(t.Targets))
		for i := range outcomes {
			outcomes[i] = o
		}
		return outcomes
	}
}

func (a *Agent) drop(dir string, t *mail.Transaction) error {
	if dir == "" {
		return fmt.Errorf("the connector names no drop directory")
	}
	_, known := a.boxes.known.Load(dir)
	if _, err := os.Stat(dir); err != nil || !known {
		if err := makeFolder(a.disk, dir); err != nil {
			return err
		}
		a.boxes.known.Store(dir, struct{}{})
	}
	name := dropName(t)
	env, err := json.MarshalIndent(describe(t, name+".eml"), "", "  ")
	if err != nil {
		return err
	}
	if err := a.dropFile(filepath.Join(dir, name+".eml"), t.Content); err != nil {
		return err
	}
	// The content's name must not be younger on the disk than the envelope's.
	if err := a.disk.SyncFolder(dir); err != nil {
		return err
	}
	if err := a.dropFile(filepath.Join(dir, name+".json"), inMemory(append(env, '\n'))); err != nil {
		return err
	}
	return a.disk.SyncFolder(dir)
}

// dropName is the same for a repeated delivery and differs for other recipients
// of the message, which come in transactions of their own.
func dropName(t *mail.Transaction) string {
	h := fnv.New64a()
	for i := range t.Targets {
		_, _ = io.WriteString(h, t.Targets[i].Foreign+"\x00"+t.Targets[i].Address.String()+"\x00")
	}
	return fmt.Sprintf("%s-%016x", t.Envelope.ID, h.Sum64())
}

func describe(t *mail.Transaction, content string) dropEnvelope {
	env := t.Envelope
	d := dropEnvelope{
		ID: env.ID.String(), MessageID: env.MessageID, Received: env.Received.UTC(), Sender: env.From.String(),
		EnvelopeID: env.EnvelopeID, Return: env.Return, Priority: env.Priority.String(), Content: content,
	}
	for i := range t.Targets {
		target := &t.Targets[i]
		r := dropRecipient{Type: "SMTP", Address: target.Address.String(), Original: target.Original}
		if target.Foreign != "" {
			r.Type, r.Address = mail.AddressType(target.Foreign)
		}
		if target.Notify != 0 {
			r.Notify = string(appendNotify(nil, target.Notify))
		}
		d.Recipients = append(d.Recipients, r)
	}
	return d
}

// dropFile writes a file whole or not at all.
func (a *Agent) dropFile(path string, c mail.Content) (err error) {
	rc, err := c.Open()
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	tmp := path + ".tmp"
	_ = os.Remove(tmp) // of an attempt that a crash ended, or whatever else: it is not written through
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, rc); err == nil {
		err = a.disk.Sync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = a.disk.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

// inMemory is a content that is there already.
type inMemory []byte

// Open begins at the first octet.
func (m inMemory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m)), nil }

// Size is the number of octets.
func (m inMemory) Size() int64 { return int64(len(m)) }
