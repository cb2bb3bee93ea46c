// Package harness starts what the end-to-end tests need: organisations of real
// node processes, and the peers that others wrote. Every process and folder
// belongs to one test and ends with it.
//
// A missing program fails the test with the command that installs it; no test
// is skipped.
package harness
