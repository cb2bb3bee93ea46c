//go:build race

package spool

import (
	"flag"
	"testing"
)

// stride is for lives that take twenty times as long here, where Pebble checks
// itself too. It is prime, so that no period of the workload hides from it.
const stride = 23

// fewer asks for fewer cases of a property, unless somebody has asked for more.
func fewer(t *testing.T) {
	t.Helper()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("20")
		t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
	}
}
