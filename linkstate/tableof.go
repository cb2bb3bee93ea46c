package linkstate

import "time"

// TableOf is the table with exactly these records, one for each server; it is for
// whoever looks at what was known once, and takes no part in gossip.
func TableOf(records []*Record) *Table {
	t := new(Table)
	for _, r := range records {
		t.set(r, time.Time{})
	}
	return t
}
