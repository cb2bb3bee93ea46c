package pressure

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Every is how often a node is measured.
const Every = 2 * time.Second

// Config of a Sampler. All but Logger are needed.
type Config struct {
	// Measure gives a measurement; it is called by one goroutine at a time.
	Measure func() Sample
	// Limits are asked for each measurement, so that a change of them is live.
	Limits func() Limits
	Logger *zap.Logger // nil: none
}

// State is one resource at one instant.
type State struct {
	Resource  Resource
	Level     Level
	Value     int64
	Threshold Threshold
}

// Sampler measures a node and keeps the answer for everybody. Its methods may be
// called from many goroutines.
type Sampler struct {
	c Config

	mu     sync.Mutex
	gauge  Gauge
	sample Sample
	limits Limits
}

// New measures for the first time.
func New(c Config) *Sampler {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	s := &Sampler{c: c}
	s.Look()
	return s
}

// Run measures until ctx ends.
func (s *Sampler) Run(ctx context.Context) error {
	t := time.NewTicker(Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			s.Look()
		}
	}
}

// Look measures now.
func (s *Sampler) Look() {
	sample, limits := s.c.Measure(), s.c.Limits()
	s.mu.Lock()
	changes := s.gauge.Judge(limits, sample)
	s.sample, s.limits = sample, limits
	s.mu.Unlock()
	for _, c := range changes {
		log := s.c.Logger.Warn
		if c.To < c.From {
			log = s.c.Logger.Info
		}
		log("pressure_changed", zap.Stringer("resource", c.Resource), zap.Stringer("level", c.To), zap.Stringer("was", c.From),
			zap.String("unit", c.Resource.unit()), zap.Int64("value", c.Value), zap.Int64("medium", limits[c.Resource].Medium), zap.Int64("high", limits[c.Resource].High))
	}
}

// Level is that of the resource that is shortest.
func (s *Sampler) Level() (Level, Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gauge.Level()
}

// States describes all resources.
func (s *Sampler) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]State, 0, resources)
	for _, r := range Resources() {
		out = append(out, State{r, s.gauge.Of(r), s.sample[r], s.limits[r]})
	}
	return out
}
