package catalog

import (
	"fmt"
	"strings"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

const benchRecipients = 100_000

func benchAddress(i int) string { return fmt.Sprintf("user%07d@example.test", i) }

func benchCatalog(b *testing.B) *Catalog {
	b.Helper()
	c := opened(b, Options{})
	const page = 1000
	for i := 0; i < benchRecipients; i += page {
		e := directory.Event{Position: at(1), Snapshot: true, Begin: i == 0, End: i+page == benchRecipients}
		for j := i; j < i+page; j++ {
			m := mailbox(fmt.Sprintf("user%07d", j), benchAddress(j), fmt.Sprintf("first.last%07d@example.test", j))
			m.Metadata.Guid = guid(j)
			e.Put = append(e.Put, m)
		}
		must(b, c.apply(e))
	}
	return c
}

// Wanted: 20 µs.
func BenchmarkLookup(b *testing.B) {
	c := benchCatalog(b)
	for name, key := range map[string]func(i int) string{
		"known":         func(i int) string { return benchAddress(i * 7919 % benchRecipients) },
		"hot":           func(i int) string { return benchAddress(i % 1000) },
		"unknown":       func(i int) string { return fmt.Sprintf("stranger%d@example.test", i) },
		"unknown again": func(i int) string { return fmt.Sprintf("stranger%d@example.test", i%1000) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok, err := c.Lookup(key(i)); err != nil || ok == strings.HasPrefix(name, "unknown") {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// The first contact of a node with a directory of this size.
func BenchmarkSnapshot(b *testing.B) {
	for b.Loop() {
		benchCatalog(b)
	}
	b.ReportMetric(float64(benchRecipients*b.N)/b.Elapsed().Seconds(), "recipients/s")
}

// A change of configuration in an organisation with 10,000 servers.
func BenchmarkConfigurationChange(b *testing.B) {
	c := opened(b, Options{})
	objs := []*directoryv1.Object{organization()}
	for i := range 10_000 {
		objs = append(objs, server(i+1))
	}
	must(b, c.apply(snapshot(1, objs...)))
	for b.Loop() {
		must(b, c.apply(directory.Event{Position: at(2), Put: []*directoryv1.Object{server(1)}}))
	}
}
