package queue

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/mail"
)

// An "expanded" report goes out with the plan; a receipt that cannot be written
// holds up no mail.
func TestExpandedReport(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"written": {nil, []string{"expanded to a@here: team@here 2.0.0"}},
		"not":     {errors.New("disk on fire"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.reporter.err = c.err
				g.start(func(conf *Config) { conf.Categorizer = grouping{g.dir} })
				g.send(1, "b@x")
				synctest.Wait()
				equal(t, "reports", g.reporter.got(), c.want)
				delivered := 0
				for _, d := range g.agent.got() {
					if d == "x b@x" {
						delivered++
					}
				}
				if delivered != 1 {
					t.Errorf("delivered %q", g.agent.got())
				}
				g.stop()
			})
		})
	}
}

// grouping is a categorizer that says of each message not its own that it came
// through a group.
type grouping struct{ Categorizer }

func (c grouping) Resolve(e *mail.Envelope) (Plan, error) {
	p, err := c.Categorizer.Resolve(e)
	if !e.System {
		p.Expanded = []mail.Target{{Address: mail.Address{Local: "team", Domain: "here"}, Notify: mail.NotifySuccess}}
	}
	return p, err
}
