package filter

import (
	"strings"
	"unicode"
)

// Record is what a filter judges. It is asked for the fields that the filter names,
// and only until the verdict is found, so it may compute them when asked. known is
// false if the record cannot tell (yet).
type Record interface {
	// Text gives the values of a field that is not Numeric; none is the same as one
	// empty value. Addresses and message IDs have no angle brackets.
	Text(Field) (values []string, known bool)
	// Number gives the value of a Numeric field: octets, milliseconds or a count.
	Number(Field) (value int64, known bool)
}

// Verdict is the answer to whether a record is meant.
type Verdict uint8

// Verdicts.
const (
	No Verdict = iota
	Unknown
	Yes
)

// Filter is a parsed filter. The nil filter means every record.
type Filter struct {
	subject Subject
	expr    Expr
}

// Subject is what the filter speaks of.
func (f *Filter) Subject() Subject { return f.subject }

// Expr is the filter as a tree; nil of the nil filter.
func (f *Filter) Expr() Expr {
	if f == nil {
		return nil
	}
	return f.expr
}

// String is the canonical form, "" of the nil filter.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.expr.String()
}

// Match says whether the record is known to be meant.
func (f *Filter) Match(r Record) bool { return f.Judge(r) == Yes }

// Judge says whether the record is meant, as far as it is known.
func (f *Filter) Judge(r Record) Verdict {
	if f == nil {
		return Yes
	}
	return f.expr.judge(r)
}

func (a And) judge(r Record) Verdict {
	v := Yes
	for _, e := range a {
		if v = min(v, e.judge(r)); v == No {
			break
		}
	}
	return v
}

func (o Or) judge(r Record) Verdict {
	v := No
	for _, e := range o {
		if v = max(v, e.judge(r)); v == Yes {
			break
		}
	}
	return v
}

func (n Not) judge(r Record) Verdict { return Yes - n.Of.judge(r) }

func (c Compare) judge(r Record) Verdict {
	if c.Field.Numeric() {
		n, known := r.Number(c.Field)
		return verdict(known, c.compare(n))
	}
	values, known := r.Text(c.Field)
	return verdict(known, known && c.text(values))
}

func verdict(known, holds bool) Verdict {
	switch {
	case !known:
		return Unknown
	case holds:
		return Yes
	}
	return No
}

func (c Compare) compare(n int64) bool {
	switch c.Op {
	case Equal:
		return n == c.Number
	case NotEqual:
		return n != c.Number
	case Less:
		return n < c.Number
	case LessEqual:
		return n <= c.Number
	case Greater:
		return n > c.Number
	}
	return n >= c.Number
}

func (c Compare) text(values []string) bool {
	if len(values) == 0 {
		values = []string{""}
	}
	for _, v := range values {
		if c.Op == Like && glob(c.Text, v) || c.Op != Like && strings.EqualFold(c.Text, v) {
			return c.Op != NotEqual
		}
	}
	return c.Op == NotEqual
}

// glob says whether the whole text is like the pattern. It takes time in proportion
// to the product of the lengths at worst: only the last star is ever taken back.
func glob(pattern, text string) bool {
	p, t := compile(pattern), []rune(text)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == anyText:
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == anyRune || p[i] == fold(t[j])):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyText {
		i++
	}
	return i == len(p)
}

// What "*" and "?" are in a compiled pattern: no runes.
const (
	anyText rune = -1 - iota
	anyRune
)

func compile(pattern string) []rune {
	var out []rune
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped && r != '*' && r != '?' && r != '\\':
			out = append(out, '\\', fold(r))
		case escaped:
			out = append(out, r)
		case r == '\\':
			escaped = true
			continue
		case r == '*':
			out = append(out, anyText)
		case r == '?':
			out = append(out, anyRune)
		default:
			out = append(out, fold(r))
		}
		escaped = false
	}
	if escaped {
		out = append(out, '\\')
	}
	return out
}

// fold maps all cases of a letter to one, as strings.EqualFold has them.
func fold(r rune) rune {
	least := r
	for n := unicode.SimpleFold(r); n != r; n = unicode.SimpleFold(n) {
		least = min(least, n)
	}
	return least
}

// Glob says whether a text is like a pattern with * and ?, whatever the case, as the
// operator ~ does.
func Glob(pattern, text string) bool { return glob(pattern, text) }
