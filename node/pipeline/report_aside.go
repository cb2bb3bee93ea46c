package pipeline

import (
	"bytes"
	"errors"
	"time"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/dsn"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
)

// aNotice is the kind of what the postmaster is told, as metrics have it.
const aNotice = "quarantine"

var errNoPostmaster = errors.New("the organisation names no postmaster and has no domain of its own")

// SetAside implements queue.Reporter. Beyond the bounds of reports, as when a disk
// loses many messages at once, it writes none for now.
func (r *reporter) SetAside(a queue.Aside) (mail.ID, error) {
	conf, now := r.config(), time.Now()
	postmaster, ok := categorize.Postmaster(conf)
	if !ok {
		return mail.ID{}, errNoPostmaster
	}
	if r.over(aNotice, a.ID, postmaster, "") {
		return mail.ID{}, nil
	}
	text, env := dsn.Notice{
		Postmaster: postmaster, ReportingMTA: r.hostname, Organization: conf.Organization().Name, Server: r.server, ID: newID(now), Now: now,
		Message: a.ID, Origin: a.Origin, MessageID: a.MessageID, Sender: a.Sender, Recipients: a.Recipients, Size: a.Size,
		At: a.At, Reason: a.Reason, Crashed: a.Crashed,
	}.Write()
	if err := r.submit.Submit(&mail.Submission{Envelope: &env, By: r.hostname}, bytes.NewReader(text)); err != nil {
		return mail.ID{}, err
	}
	return env.ID, nil
}
