package directory

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one broken rule: which object, which field, which rule, and how to
// cure it.
type Problem struct {
	Kind, Name string
	Field      string // path in the written form, "retry.first"; may be empty
	Rule       string // what must hold; after ";" what to do
}

// Error is "Kind/name: field: rule; cure".
func (p Problem) Error() string {
	parts := make([]string, 0, 3)
	if p.Kind != "" || p.Name != "" {
		parts = append(parts, Key{p.Kind, p.Name}.String())
	}
	if p.Field != "" {
		parts = append(parts, p.Field)
	}
	return strings.Join(append(parts, p.Rule), ": ")
}

// Errors that callers tell apart; the details are in the error around them.
var (
	// ErrInvalid: the change breaks rules; the error lists the [Problem]s.
	ErrInvalid = errors.New("the configuration is not valid")
	// ErrConflict: somebody else changed the object since it was read.
	ErrConflict = errors.New("changed by somebody else meanwhile; read it again and repeat the change")
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: etcd gave no answer.
	ErrUnavailable = errors.New("the directory is unavailable")
)

// Invalid is the error for problems: nil for none; errors.Is(err, ErrInvalid),
// and errors.As finds a Problem.
func Invalid(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return invalidError(problems)
}

// maxListed bounds the text of an error; a file of a million wrong recipients
// must not become a reply of a hundred megabytes.
const maxListed = 50

type invalidError []Problem

func (e invalidError) Error() string {
	var b strings.Builder
	b.WriteString(ErrInvalid.Error())
	for i, p := range e {
		if i == maxListed {
			fmt.Fprintf(&b, "\nand %d more", len(e)-maxListed)
			break
		}
		b.WriteString("\n" + p.Error())
	}
	return b.String()
}

func (e invalidError) Unwrap() []error {
	errs := []error{ErrInvalid}
	for _, p := range e[:min(len(e), maxListed)] {
		errs = append(errs, p)
	}
	return errs
}
