// Package badmail keeps messages that go no further, where a person can look at
// them: what can be neither delivered nor returned (the book, chapter 5,
// "Badmail directory"), and what message filters have caught. A message is two
// files: ID.eml, the message as it is, and ID.json, its envelope and why it is
// here.
package badmail

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Entry is what ID.json holds.
type Entry struct {
	ID         string    `json:"id"`
	Kept       time.Time `json:"kept"`
	Reason     string    `json:"reason"`
	Sender     string    `json:"sender"` // "" for the null reverse path
	Recipients []string  `json:"recipients"`
	MessageID  string    `json:"messageId,omitempty"`
	ClientHost string    `json:"clientHost,omitempty"`
	ClientName string    `json:"clientName,omitempty"`
	Account    string    `json:"account,omitempty"`
}

// Keep writes a message into a folder, which it makes if it has to. When it
// returns nil both files are on the disk for good; on an error neither is there
// under its name. A message that is there already is replaced by itself, its
// recipients and reasons are added to those there.
func Keep(folder string, e *mail.Envelope, reason string, content io.Reader, now time.Time) error {
	return keep(syncFolder, folder, e, reason, content, now)
}

func keep(sync func(string) error, folder string, e *mail.Envelope, reason string, content io.Reader, now time.Time) error {
	if err := makeFolder(sync, folder); err != nil {
		return err
	}
	id := e.ID.String()
	entry := Entry{
		ID: id, Kept: now.UTC(), Reason: reason, Sender: e.From.String(), MessageID: e.MessageID,
		ClientHost: e.ClientHost, ClientName: e.ClientName, Account: e.Account,
	}
	if e.From.IsZero() {
		entry.Sender = ""
	}
	for _, r := range e.Recipients {
		entry.Recipients = append(entry.Recipients, r.Address.String())
	}
	entry.add(filepath.Join(folder, id+".json"))
	about, err := json.MarshalIndent(entry, "", "  ")
	if err != nil {
		return fmt.Errorf("badmail: %w", err)
	}
	err = write(filepath.Join(folder, id+".eml"), func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
	if err != nil {
		return err
	}
	// The envelope comes last: who finds it finds the message too.
	err = write(filepath.Join(folder, id+".json"), func(w io.Writer) error {
		_, err := w.Write(append(about, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return sync(folder)
}

// add takes over what was kept of the message before: its recipients may be given up
// at different times. What is there and cannot be read must not keep mail out.
func (e *Entry) add(path string) {
	var before Entry
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &before) != nil {
		return
	}
	for _, r := range e.Recipients {
		if !slices.Contains(before.Recipients, r) {
			before.Recipients = append(before.Recipients, r)
		}
	}
	e.Recipients = before.Recipients
	if strings.Contains(before.Reason, e.Reason) {
		e.Reason = before.Reason
	} else if before.Reason != "" {
		e.Reason = before.Reason + "; " + e.Reason
	}
}

// write makes a file appear whole or not at all.
func write(path string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("badmail: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err = fill(f); err != nil {
		f.Close()
		return err // content's own error, in its words
	}
	if err = f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("badmail: %w", err)
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("badmail: %w", err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("badmail: %w", err)
	}
	return nil
}
