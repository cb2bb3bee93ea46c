package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/filter"
)

// Filters that a command's help shows are of what the command takes.
func TestFiltersInHelp(t *testing.T) {
	ofQueues := map[string]bool{"queue list": true, "queue freeze": true, "queue thaw": true, "queue retry": true}
	quoted := regexp.MustCompile(`'([a-z-]+ (?:=|!=|~|<|<=|>|>=) [^']+)'`)
	found := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Flags().Lookup("filter") == nil {
			return
		}
		path := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
		subject := filter.Messages
		if ofQueues[path] {
			subject = filter.Queues
		}
		for _, m := range quoted.FindAllStringSubmatch(c.Long+"\n"+c.Example, -1) {
			found++
			if _, err := filter.Parse(subject, m[1]); err != nil {
				t.Errorf("%s --help shows %q: %v", path, m[1], err)
			}
		}
	}
	walk(newRoot())
	if found < 10 {
		t.Errorf("%d filters found", found)
	}
}
