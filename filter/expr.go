package filter

import (
	"strings"
	"unicode"
)

// Expr is a filter as a tree: [And], [Or], [Not] or [Compare]. Its String is the
// canonical form, which parses to an equal tree.
type Expr interface {
	String() string
	judge(Record) Verdict
}

// And holds if all of its parts do; there are at least two, none of them an And.
type And []Expr

// Or holds if one of its parts does; there are at least two, none of them an Or.
type Or []Expr

// Not holds if its part does not.
type Not struct{ Of Expr }

// Op is an operator.
type Op uint8

// Operators.
const (
	Equal Op = iota
	NotEqual
	Like
	Less
	LessEqual
	Greater
	GreaterEqual
)

// String is the operator as it is written.
func (o Op) String() string {
	return [...]string{"=", "!=", "~", "<", "<=", ">", ">="}[o]
}

// Compare is one comparison.
type Compare struct {
	Field Field
	Op    Op
	// Text is the value of a text field; of an address, without brackets.
	Text string
	// Number is that of a numeric one: octets, milliseconds or a count.
	Number int64
}

func (a And) String() string { return join(a, " and ") }
func (o Or) String() string  { return join(o, " or ") }

func (n Not) String() string {
	if and, ok := n.Of.(And); ok {
		return "not (" + and.String() + ")"
	}
	return "not " + bracket(n.Of)
}

func (c Compare) String() string {
	var value string
	switch c.Field.spec().form {
	case formSize:
		value = formatSize(c.Number)
	case formAge:
		value = formatAge(c.Number)
	case formNumber:
		value = formatNumber(c.Number)
	default:
		value = quote(c.Text)
	}
	return c.Field.String() + " " + c.Op.String() + " " + value
}

func join(list []Expr, by string) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = bracket(e)
	}
	return strings.Join(parts, by)
}

// bracket sets an inner Or in parentheses.
func bracket(e Expr) string {
	if or, ok := e.(Or); ok {
		return "(" + or.String() + ")"
	}
	return e.String()
}

// quote writes a value so that it is read again as it is.
func quote(s string) string {
	plain := s != "" && !keyword(s)
	for _, r := range s {
		plain = plain && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-@*?:/+%#", r))
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func keyword(s string) bool {
	switch strings.ToLower(s) {
	case "and", "or", "not":
		return true
	}
	return false
}
