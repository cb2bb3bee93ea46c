package pipeline

import (
	"context"
	"time"
)

// Between two rebuilds pass at least nine times as long as one takes, and at most
// restMost: links that flap all over the organisation then cost a node a tenth of one
// processor, however large the map is. The first change after a quiet time is taken
// in at once.
const (
	restFactor = 9
	restMost   = time.Second
)

// paced calls rebuild, which tells how long it took, after each change until ctx
// ends. Changes that come while it rests share the next one.
func paced(ctx context.Context, changes <-chan struct{}, rebuild func() time.Duration) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
		}
		rest.Reset(min(restFactor*rebuild(), restMost))
	}
}
