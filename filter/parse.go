package filter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a filter: it comes from outside.
const (
	maxLength = 4096 // octets
	maxDepth  = 64   // parentheses and nots within each other
)

// Parse reads a filter. The error is a *[SyntaxError]. An empty text is an error:
// "everything" is meant by leaving the filter out, never by accident.
func Parse(s Subject, text string) (*Filter, error) {
	p := &parser{subject: s, text: []rune(text)}
	switch {
	case len(text) > maxLength:
		return nil, &SyntaxError{maxLength + 1, fmt.Sprintf("the filter has more than %d octets", maxLength), "write a shorter one"}
	case !utf8.ValidString(text):
		return nil, &SyntaxError{utf8.RuneCountInString(text[:invalid(text)]) + 1, "this is no UTF-8", "write the filter in UTF-8"}
	}
	e, err := p.or(0)
	if err == nil && p.peek() != end {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return &Filter{s, e}, nil
}

// invalid is the octet at which a text stops being UTF-8.
func invalid(text string) int {
	for i, r := range text {
		if _, n := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && n == 1 {
			return i
		}
	}
	return len(text)
}

type parser struct {
	subject Subject
	text    []rune
	pos     int
}

func (p *parser) fail(at int, rule, cure string) *SyntaxError {
	return &SyntaxError{at + 1, rule, cure}
}

// end is what stands behind the last character.
const end rune = -1

// peek skips blanks and gives the next character.
func (p *parser) peek() rune {
	for p.pos < len(p.text) && unicode.IsSpace(p.text[p.pos]) {
		p.pos++
	}
	return p.at(0)
}

func (p *parser) at(n int) rune {
	if p.pos+n < len(p.text) {
		return p.text[p.pos+n]
	}
	return end
}

// ahead gives the word that comes next without taking it.
func (p *parser) ahead() string {
	p.peek()
	to := p.pos
	for to < len(p.text) && !unicode.IsSpace(p.text[to]) && !strings.ContainsRune(`=!<>~()"`, p.text[to]) {
		to++
	}
	return string(p.text[p.pos:to])
}

// take takes the word if it comes next.
func (p *parser) take(word string) bool {
	w := p.ahead()
	if !strings.EqualFold(w, word) {
		return false
	}
	p.pos += len([]rune(w))
	return true
}

func (p *parser) or(depth int) (Expr, error) {
	var list Or
	for {
		e, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		if inner, ok := e.(Or); ok {
			list = append(list, inner...)
		} else {
			list = append(list, e)
		}
		if !p.take("or") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) and(depth int) (Expr, error) {
	var list And
	for {
		e, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		if inner, ok := e.(And); ok {
			list = append(list, inner...)
		} else {
			list = append(list, e)
		}
		if !p.take("and") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) not(depth int) (Expr, error) {
	start := p.pos
	if depth >= maxDepth {
		return nil, p.fail(start, fmt.Sprintf("more than %d parentheses and nots within each other", maxDepth), "write it flatter")
	}
	if p.take("not") {
		e, err := p.not(depth + 1)
		return Not{e}, err
	}
	if p.peek() != '(' {
		return p.comparison()
	}
	open := p.pos
	p.pos++
	e, err := p.or(depth + 1)
	switch {
	case err != nil:
		return nil, err
	case p.peek() == ')':
		p.pos++
		return e, nil
	case p.peek() == end:
		return nil, p.fail(open, "this parenthesis is never closed", "write ) at its end")
	}
	return nil, p.unexpected()
}

// unexpected is the error for what follows a whole comparison.
func (p *parser) unexpected() *SyntaxError {
	if p.peek() == ')' {
		return p.fail(p.pos, "this ) closes nothing", "take it away, or write the ( that belongs to it")
	}
	what := p.ahead()
	if what == "" {
		what = string(p.at(0))
	}
	return p.fail(p.pos, fmt.Sprintf("%q follows a comparison", what), `write "and" or "or" between two comparisons, and a value with blanks in quotes`)
}

func (p *parser) comparison() (Expr, error) {
	p.peek()
	start := p.pos
	name, quoted, err := p.operand()
	if err != nil {
		return nil, err
	}
	f, known := named(name)
	op, found, err := p.operator(known && f.Numeric())
	switch {
	case err != nil:
		return nil, err
	case name == "" && !quoted || !quoted && keyword(name):
		return nil, p.missing(start, name)
	case !found:
		return nil, p.alone(start, name)
	}
	if quoted || !known || !f.spec().of(p.subject) {
		return nil, p.noField(start, name, known && !quoted)
	}
	p.peek()
	at := p.pos
	value, err := p.value(f, op)
	if err != nil {
		return nil, err
	}
	c, bad := parseValue(f, op, value)
	if bad != nil {
		bad.Column = at + 1
		return nil, bad
	}
	return c, nil
}

// operand takes what should be a field's name.
func (p *parser) operand() (text string, quoted bool, err error) {
	if p.peek() == '"' {
		text, err = p.quoted()
		return text, true, err
	}
	text = p.ahead()
	p.pos += len([]rune(text))
	return text, false, nil
}

func (p *parser) missing(start int, name string) *SyntaxError {
	cure := fmt.Sprintf("write a comparison, such as %s", example(p.subject))
	switch {
	case name != "":
		return p.fail(start, fmt.Sprintf("%q stands where a comparison belongs", name), cure)
	case start >= len(p.text):
		return p.fail(start, "the filter ends where a comparison belongs", cure)
	}
	return p.fail(start, fmt.Sprintf("%q stands where a comparison belongs", string(p.text[start])), cure)
}

func example(s Subject) string {
	if s == Queues {
		return "state = retry"
	}
	return "sender ~ *@domain.example"
}

// alone is the error for a value without a field, with the comparison it is likely
// to stand for.
func (p *parser) alone(start int, name string) *SyntaxError {
	cure := "write " + example(p.subject) + "; fields are " + names(p.subject)
	if f, ok := named(name); ok && f.spec().of(p.subject) {
		return p.fail(start, fmt.Sprintf("the field %s is compared with nothing", f), "write an operator and a value behind it: =, !=, ~, <, <=, > or >=")
	}
	switch isState := containsFold(State.spec().words, name); {
	case isState:
		cure = "write state = " + strings.ToLower(name)
	case p.subject == Queues && strings.Contains(name, "."):
		cure = "write destination = " + quote(name)
	case strings.Contains(name, "@"):
		cure = fmt.Sprintf("write recipient = %s or sender = %s", quote(name), quote(name))
	case strings.Contains(name, "."):
		cure = fmt.Sprintf("write recipient ~ %s, or destination = %s", quote("*@"+name), quote(name))
	}
	return p.fail(start, fmt.Sprintf("%q stands alone, a filter compares a field with a value", name), cure)
}

func containsFold(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}

func (p *parser) noField(start int, name string, other bool) *SyntaxError {
	rule := fmt.Sprintf("%s have no field %q", p.subject, name)
	switch {
	case other && p.subject == Messages:
		rule += ", only queues have"
	case other:
		rule += ", only messages have"
	}
	return p.fail(start, rule, "fields are "+names(p.subject))
}

// operator takes an operator; found is false if something else comes.
func (p *parser) operator(numeric bool) (op Op, found bool, err error) {
	first := p.peek()
	two := string([]rune{first, p.at(1)})
	switch two {
	case "==", "=~", "!~", "<>", "=<", "=>", "~=":
		cure := map[string]string{
			"==": "write =", "=~": "write ~", "~=": "write ~", "!~": `write "not" before the field, and ~`,
			"<>": "write !=", "=<": "write <=", "=>": "write >=",
		}
		if two == "=<" && !numeric {
			break // sender=<>
		}
		return 0, false, p.fail(p.pos, "there is no operator "+two, cure[two])
	case "!=", "<=", ">=":
		p.pos += 2
		return map[string]Op{"!=": NotEqual, "<=": LessEqual, ">=": GreaterEqual}[two], true, nil
	}
	switch first {
	case '=':
		op = Equal
	case '~':
		op = Like
	case '<':
		op = Less
	case '>':
		op = Greater
	case '!':
		return 0, false, p.fail(p.pos, "there is no operator !", `write != between field and value, or "not" before the comparison`)
	default:
		return 0, false, nil
	}
	p.pos++
	return op, true, nil
}

// value takes what stands behind an operator: up to a blank or a parenthesis, so
// that it may hold what is an operator elsewhere.
func (p *parser) value(f Field, op Op) (string, error) {
	start := p.pos
	switch p.peek() {
	case '"':
		return p.quoted()
	case '\'':
		return "", p.fail(start, "a value begins with '", `write " around a value with blanks, and around one that begins with '`)
	}
	for p.pos < len(p.text) && !unicode.IsSpace(p.text[p.pos]) && !strings.ContainsRune(`()"`, p.text[p.pos]) {
		p.pos++
	}
	v := string(p.text[start:p.pos])
	if v == "" || keyword(v) {
		return "", p.fail(start, fmt.Sprintf("%s %s has no value", f, op), `write one; the empty text is "", and a keyword needs quotes`)
	}
	return v, nil
}

// quoted takes a text in quotes. A backslash counts only before a quote or another
// backslash, so that patterns can have their own.
func (p *parser) quoted() (string, error) {
	start := p.pos
	var b strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		r := p.text[p.pos]
		switch {
		case r == '"':
			p.pos++
			return b.String(), nil
		case r == '\\' && (p.at(1) == '"' || p.at(1) == '\\'):
			p.pos++
			r = p.text[p.pos]
		}
		b.WriteRune(r)
	}
	return "", p.fail(start, "this quote is never closed", `write " at the end of the value; within it, \" is a quote`)
}
