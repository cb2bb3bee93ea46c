package pipeline

import (
	"errors"

	"github.com/postroad/postroad/node/mail"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	"github.com/postroad/postroad/store/spool"
)

// Quarantine releases or deletes messages that were set aside.
func (p *Pipeline) Quarantine(req *queuev1.QuarantineRequest) *queuev1.QuarantineResponse {
	names := req.GetMessages()
	if req.GetAll() {
		for _, m := range p.queues.Quarantined() {
			names = append(names, m.ID.String())
		}
	}
	act := p.queues.Release
	if req.GetDelete() {
		act = p.queues.Discard
	}
	resp := &queuev1.QuarantineResponse{Failed: map[string]string{}}
	for _, name := range names {
		id, err := mail.ParseID(name)
		if err == nil {
			err = act(id)
		}
		switch {
		case errors.Is(err, spool.ErrNotFound):
			resp.Failed[name] = "it is not set aside on this node; `postroadctl queue messages quarantine` lists those that are"
		case err != nil:
			resp.Failed[name] = err.Error()
		default:
			resp.Messages = append(resp.Messages, name)
		}
	}
	return resp
}
