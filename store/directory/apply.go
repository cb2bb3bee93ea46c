package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// maxAttempts bounds how often a change is planned anew because somebody else
// was faster. Each loss means that another change went through.
const maxAttempts = 20

// Apply creates and changes objects, all or none, and returns one Change for
// each in the same order, and the revision that has them all. With dryRun it
// only says what would happen.
//
// An object whose metadata has a revision is changed only if that is still the
// current one (ErrConflict). ErrInvalid lists every broken rule, ErrUnavailable
// means that etcd did not answer; the change may then have been made or not,
// and applying it again is safe.
//
// More objects than etcd takes in one transaction (--max-txn-ops,
// --max-request-bytes) are applied in several only if new mailboxes and contacts
// make up the excess: configuration first, then the new recipients, then the
// rest, each step valid by itself. An error in between leaves the steps before
// it done; applying the same again completes it.
func (d *Directory) Apply(ctx context.Context, objs []*directoryv1.Object, dryRun bool) (changes []Change, revision int64, warnings []Problem, err error) {
	if err := checkRequest(objs); err != nil {
		return nil, 0, nil, err
	}
	earlier := map[Key]Change{}
	for range maxAttempts {
		p, err := d.plan(ctx, objs)
		if err != nil {
			return nil, 0, nil, err
		}
		p.recall(earlier)
		if dryRun || !p.isChanged() {
			return p.changes, p.revision, p.warnings, nil
		}
		revision, err := d.commit(ctx, p)
		if errors.Is(err, errLostRace) {
			p.remember(earlier)
			continue
		}
		return p.changes, revision, p.warnings, err
	}
	return nil, 0, nil, fmt.Errorf("%w: gave up after %d attempts", ErrConflict, maxAttempts)
}

// checkRequest refuses what cannot be merged with what is stored.
func checkRequest(objs []*directoryv1.Object) error {
	c := newChecker(nil)
	seen := make(map[Key]bool, len(objs))
	for _, o := range objs {
		c.at = KeyOf(o)
		if c.at.Kind == "" {
			c.failf("spec", "is missing; write the spec of the kind")
		}
		c.metadata(o)
		if seen[c.at] {
			c.failf("name", "occurs twice; remove one of the two")
		}
		seen[c.at] = true
	}
	return Invalid(c.sorted())
}

// errLostRace: something the plan depends on has changed since.
var errLostRace = errors.New("lost the race")

// commit makes the changes of the plan and fills in their revisions.
func (d *Directory) commit(ctx context.Context, p *plan) (int64, error) {
	t := p.newTransaction()
	for i := range p.changes {
		if err := t.add(i); err != nil {
			return 0, err
		}
	}
	revision, err := d.run(ctx, t)
	if !errors.Is(err, errTooLarge) {
		return revision, err
	}
	return d.commitSplit(ctx, p)
}

func (d *Directory) run(ctx context.Context, t *transaction) (int64, error) {
	cmps, ops := t.parts()
	if len(ops) == 0 {
		return t.revision, nil
	}
	resp, err := d.txn(ctx, cmps, ops)
	if err != nil {
		return 0, err
	}
	if !resp.Succeeded {
		return 0, errLostRace
	}
	for _, i := range t.changes {
		t.plan.changes[i] = finish(t.plan.changes[i], resp.Header.Revision)
	}
	// The organisation has its identity now, later transactions must not expect
	// that it has none.
	t.identity = "set"
	return resp.Header.Revision, nil
}

func (d *Directory) commitSplit(ctx context.Context, p *plan) (int64, error) {
	var config, fresh, rest []int
	for i, ch := range p.changes {
		switch {
		case ch.After.GetRecipient() == nil:
			config = append(config, i)
		case isFresh(ch):
			fresh = append(fresh, i)
		default:
			rest = append(rest, i)
		}
	}
	if len(fresh) == 0 {
		return 0, errTooLarge
	}
	steps := [][]int{config}
	// A mailbox takes about four operations, more with many addresses.
	steps = append(steps, slices.Collect(slices.Chunk(fresh, batchOps/4))...)
	revision := p.revision
	for _, step := range append(steps, rest) {
		r, err := d.step(ctx, p, step)
		if err != nil {
			return 0, err
		}
		revision = max(revision, r)
	}
	return revision, nil
}

// step runs the changes in one transaction, or in halves if they are new
// recipients with so many addresses that they do not fit.
func (d *Directory) step(ctx context.Context, p *plan, indexes []int) (int64, error) {
	t := p.newTransaction()
	for _, i := range indexes {
		if err := t.add(i); err != nil {
			return 0, err
		}
	}
	revision, err := d.run(ctx, t)
	if !errors.Is(err, errTooLarge) || len(indexes) < 2 || !isFresh(p.changes[indexes[0]]) {
		return revision, err
	}
	half := len(indexes) / 2
	if _, err := d.step(ctx, p, indexes[:half]); err != nil {
		return 0, err
	}
	return d.step(ctx, p, indexes[half:])
}

// isFresh says whether the change makes a mailbox or contact that nothing knows
// yet, so that it matters to nobody when it comes earlier than its neighbours.
func isFresh(ch Change) bool {
	r := ch.After.GetRecipient()
	return ch.Before == nil && r != nil && r.GetGroup() == nil
}

// noneBelow compares a prefix with emptiness: etcd compares each key of a range,
// and with none a key that was never created.
func noneBelow(prefix string) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix()
}
