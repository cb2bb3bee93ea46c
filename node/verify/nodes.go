package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Agree says whether all nodes that answered know the same.
func Agree(nodes []*linkstatev1.NodeDigest) bool {
	var first *linkstatev1.NodeDigest
	for _, n := range nodes {
		switch {
		case n.GetError() != "":
		case first == nil:
			first = n
		case n.GetDigest() != first.GetDigest() || n.GetDirectoryRevision() != first.GetDirectoryRevision():
			return false
		}
	}
	return true
}

// Nodes checks that all nodes answer and know the same. Right after a change the
// last two checks may fail for the moment that the news takes.
func Nodes(nodes []*linkstatev1.NodeDigest) []*linkstatev1.Check {
	var silent, ledgers []string
	tables, revisions := make(map[string][]string), make(map[int64][]string)
	for _, n := range nodes {
		if n.GetError() != "" {
			silent = append(silent, fmt.Sprintf("%s: %s", n.GetNode(), n.GetError()))
			continue
		}
		if why := n.GetLedgerImbalance(); why != "" {
			ledgers = append(ledgers, n.GetNode()+": "+why)
		}
		tables[n.GetDigest()] = append(tables[n.GetDigest()], n.GetNode())
		revisions[n.GetDirectoryRevision()] = append(revisions[n.GetDirectoryRevision()], n.GetNode())
	}
	return []*linkstatev1.Check{
		check("every node answers", silent),
		check("all link state tables are the same", parties("table %s", tables)),
		check("all catalogs have the same directory revision", parties("revision %d", revisions)),
		check("every node's ledger balances", ledgers),
	}
}

// Neighbours checks that news passes between a node and those it has streams to:
// none of them keeps another table for long.
func Neighbours(node string, neighbours []*linkstatev1.Neighbour) *linkstatev1.Check {
	var against []string
	for _, n := range neighbours {
		if since := n.GetDivergedSinceUnixMs(); since != 0 {
			against = append(against, fmt.Sprintf("%s has had another table than %s since %s",
				n.GetServer(), node, time.UnixMilli(since).UTC().Format(time.RFC3339)))
		}
	}
	return check("no neighbour keeps another table for long", against)
}

// parties lists who says what if not all say the same, the largest party first.
func parties[K string | int64](format string, by map[K][]string) []string {
	if len(by) < 2 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(by), func(a, b K) int {
		if d := len(by[b]) - len(by[a]); d != 0 {
			return d
		}
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	var lines []string
	for _, k := range keys {
		lines = append(lines, fmt.Sprintf(format, k)+": "+strings.Join(by[k], ", "))
	}
	return lines
}

// check fails if there is anything to say against it.
func check(name string, against []string) *linkstatev1.Check {
	c := &linkstatev1.Check{Name: name, Result: linkstatev1.CheckResult_CHECK_RESULT_PASS, Details: against}
	if len(against) > 0 {
		c.Result = linkstatev1.CheckResult_CHECK_RESULT_FAIL
	}
	return c
}
