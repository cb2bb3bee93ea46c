package catalog

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/store/directory"
)

// Source is what the catalog follows; see [directory.Directory.Watch].
type Source interface {
	Watch(ctx context.Context, from directory.Position, fn func(directory.Event) error) error
}

const (
	// retryPause is waited after a change could not be written.
	retryPause = 5 * time.Second
	// contactEvery bounds how often the mere contact is written to disk.
	contactEvery = 30 * time.Second
)

// Follow keeps the catalog up to date until ctx ends, and returns its error. A
// change that cannot be written, for example because the disk is full, is asked
// for again later; meanwhile the catalog answers as before.
func (c *Catalog) Follow(ctx context.Context, source Source) error {
	for {
		err := source.Watch(ctx, c.position(), c.apply)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.log.Error("catalog_follow_failed", zap.Error(err), zap.Duration("pause", retryPause))
		timer := time.NewTimer(retryPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (c *Catalog) position() directory.Position {
	s := c.state.Load()
	return directory.Position{Identity: s.Identity, Revision: s.Revision}
}

// apply makes one event part of the catalog.
func (c *Catalog) apply(e directory.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(e.Put) == 0 && len(e.Deleted) == 0 && !e.Snapshot {
		return c.confirm(e.Position)
	}
	if free, err := c.free(); err != nil {
		return fmt.Errorf("catalog: %w", err)
	} else if free < c.low {
		// Pebble cannot recover from a failed write, so none is tried.
		return fmt.Errorf("catalog: %w (%d octets are free, %d are needed)", ErrFull, free, c.low)
	}
	ch := newChange(c)
	defer ch.batch.Close()
	if err := ch.fill(e); err != nil {
		return err
	}
	if err := ch.commit(e); err != nil {
		return err
	}
	c.dirty = c.dirty || ch.config
	if c.dirty && (!e.Snapshot || e.End) {
		c.dirty = false
		c.publish()
	}
	return nil
}

// confirm notes that nothing was missed up to a position.
func (c *Catalog) confirm(p directory.Position) error {
	s := *c.state.Load()
	s.Identity, s.Revision, s.Contact = p.Identity, p.Revision, c.now()
	c.state.Store(&s)
	if s.Contact.Sub(c.savedState) < contactEvery {
		return nil
	}
	if free, err := c.free(); err != nil || free < c.low {
		return nil // known in memory, which is all that matters until a restart
	}
	return c.saveContact()
}

// publish swaps the configuration and tells everybody. A configuration that
// cannot be indexed leaves the one before in place: mail must go on.
func (c *Catalog) publish() {
	conf, err := directory.NewConfiguration(c.state.Load().Revision, c.list())
	if err != nil {
		c.log.Error("catalog_configuration_refused", zap.Error(err))
		return
	}
	c.conf.Store(conf)
	c.log.Info("catalog_configuration_changed", zap.Int64("revision", conf.Revision()),
		zap.Int("servers", len(conf.Servers())), zap.Int("recipients", c.Recipients()))
	for _, fn := range c.subscribers {
		fn(conf)
	}
}
