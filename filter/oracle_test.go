package filter

import (
	"fmt"
	"path"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// node is a filter built at random, with a printer and an evaluator of its own.
type node struct {
	kind        string // "and", "or", "not", "cmp"
	a, b        *node
	field       Field
	op          string
	text        string
	number      int64
	unit        string
	unitFactors int64
}

func draw(t *rapid.T, depth int) *node {
	kinds := []string{"cmp", "and", "or", "not"}
	if depth == 0 {
		kinds = kinds[:1]
	}
	n := &node{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	switch n.kind {
	case "and", "or":
		n.a, n.b = draw(t, depth-1), draw(t, depth-1)
	case "not":
		n.a = draw(t, depth-1)
	default:
		n.compare(t)
	}
	return n
}

func (n *node) compare(t *rapid.T) {
	n.field = rapid.SampledFrom([]Field{Sender, Recipient, Error, Size, Age, Attempts, State}).Draw(t, "field")
	switch {
	case n.field == State:
		n.op, n.text = rapid.SampledFrom([]string{"=", "!="}).Draw(t, "op"), rapid.SampledFrom([]string{"retry", "active"}).Draw(t, "state")
	case n.field.Numeric():
		n.op = rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")
		n.number, n.unitFactors = int64(rapid.IntRange(0, 3).Draw(t, "number")), 1
		switch n.field {
		case Size:
			n.unit, n.unitFactors = "K", 1024
		case Age:
			n.unit, n.unitFactors = "m", 60_000
		}
	default:
		n.op = rapid.SampledFrom([]string{"=", "!=", "~"}).Draw(t, "op")
		n.text = rapid.StringOfN(rapid.SampledFrom([]rune(`abA*?"`)), 0, 4, -1).Draw(t, "text")
	}
}

// print writes the filter with more parentheses than it needs.
func (n *node) print() string {
	switch n.kind {
	case "and", "or":
		return "(" + n.a.print() + ") " + n.kind + " (" + n.b.print() + ")"
	case "not":
		return "not(" + n.a.print() + ")"
	}
	if n.field.Numeric() {
		return fmt.Sprintf("%s%s%d%s", n.field, n.op, n.number, n.unit)
	}
	return fmt.Sprintf("%s %s %s", n.field, n.op, `"`+strings.ReplaceAll(n.text, `"`, `\"`)+`"`)
}

func (n *node) eval(r *fake) bool {
	switch n.kind {
	case "and":
		return n.a.eval(r) && n.b.eval(r)
	case "or":
		return n.a.eval(r) || n.b.eval(r)
	case "not":
		return !n.a.eval(r)
	}
	if n.field.Numeric() {
		have, want := r.numbers[n.field], n.number*n.unitFactors
		return map[string]bool{"<": have < want, "<=": have <= want, ">": have > want, ">=": have >= want}[n.op]
	}
	values := append([]string(nil), r.texts[n.field]...)
	if len(values) == 0 {
		values = append(values, "")
	}
	some := false
	for _, v := range values {
		if n.op == "~" {
			ok, err := path.Match(strings.ToLower(n.text), strings.ToLower(v)) // no slash and no bracket here: the same patterns
			some = some || err == nil && ok
		} else {
			some = some || strings.EqualFold(v, n.text)
		}
	}
	return some != (n.op == "!=")
}

func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := draw(t, 4)
		f, err := Parse(Messages, n.print())
		if err != nil {
			t.Fatalf("%s: %v", n.print(), err)
		}
		again, err := Parse(Messages, f.String())
		if err != nil {
			t.Fatalf("%s, printed as %s: %v", n.print(), f, err)
		}
		if !reflect.DeepEqual(f.Expr(), again.Expr()) || f.String() != again.String() {
			t.Fatalf("%s is printed as %s, which is %s", n.print(), f, again)
		}
		text := rapid.StringOfN(rapid.SampledFrom([]rune(`abA"`)), 0, 4, -1)
		r := &fake{
			texts: map[Field][]string{
				Sender: {text.Draw(t, "sender")}, Recipient: rapid.SliceOfN(text, 0, 3).Draw(t, "recipients"),
				Error: {text.Draw(t, "error")}, State: {rapid.SampledFrom([]string{"retry", "active", "ready"}).Draw(t, "state")},
			},
			numbers: map[Field]int64{
				Size: int64(rapid.IntRange(0, 3).Draw(t, "size")) * 1024, Age: int64(rapid.IntRange(0, 240).Draw(t, "age")) * 1000,
				Attempts: int64(rapid.IntRange(0, 3).Draw(t, "attempts")),
			},
		}
		if got, want := f.Match(r), n.eval(r); got != want {
			t.Fatalf("%s: %v, the oracle says %v of %v %v", f, got, want, r.texts, r.numbers)
		}
		// What is judged with less knowledge may be undecided, never wrong.
		r.unknown = map[Field]bool{rapid.SampledFrom([]Field{Sender, Size, State, Recipient}).Draw(t, "unknown"): true}
		if v := f.Judge(r); v != Unknown && (v == Yes) != n.eval(r) {
			t.Fatalf("%s: judged %d without %v", f, v, r.unknown)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`sender ~ *@shop.example and not (size >= 5M or priority = high)`, `error ~ "*\"full\" \\*"`, `state=retry and oldest>2h`,
		`domain.example`, `((((`, `not not not`, `a = "`, `sender = <>`, "\xff", `age > 1w2d3h4m5s`, `messages => 5`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, queues bool) {
		subject := Messages
		if queues {
			subject = Queues
		}
		got, err := Parse(subject, text)
		if err != nil {
			bad, ok := err.(*SyntaxError)
			if !ok || bad.Column < 1 || bad.Column > len(text)+1 || bad.Rule == "" || bad.Cure == "" {
				t.Fatalf("%q: an error without place, rule or cure: %#v", text, err)
			}
			return
		}
		if len(got.String()) > maxLength {
			return
		}
		again, err := Parse(subject, got.String())
		if err != nil {
			t.Fatalf("%q is printed as %q: %v", text, got, err)
		}
		if !reflect.DeepEqual(got.Expr(), again.Expr()) {
			t.Fatalf("%q is printed as %q, which is %q", text, got, again)
		}
		got.Judge(&fake{})
	})
}
