package filter

import "fmt"

// SyntaxError says what is wrong with a filter, and where.
type SyntaxError struct {
	Column int    // in characters, from 1
	Rule   string // what was found, and what is allowed
	Cure   string
}

// Error is a sentence with all three.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("filter, column %d: %s; %s", e.Column, e.Rule, e.Cure)
}
